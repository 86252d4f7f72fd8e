"""Chance that repeats: what falls to a number is decided by a hash of it, not by a die. Pure."""

import hashlib
from dataclasses import dataclass


def fraction(seed: int, *parts: object) -> float:
    """Return a number from 0 up to but not 1, always the same for the same seed and parts."""
    text = "\x1f".join(str(part) for part in (seed, *parts))
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


@dataclass(frozen=True, slots=True)
class Span:
    """A duration in seconds, or a range of which each message gets its own part."""

    low: float
    high: float

    def drawn(self, seed: int, *parts: object) -> float:
        """Return the duration for what the parts name."""
        if self.low == self.high:
            return self.low
        return self.low + (self.high - self.low) * fraction(seed, *parts)


NONE = Span(0.0, 0.0)
