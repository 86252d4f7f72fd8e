"""What a mistyped word was meant to be."""

import difflib
from collections.abc import Collection
from typing import Final

_LONGEST: Final = 64  # characters; a longer word is compared by its beginning


def nearest(word: str, known: Collection[str]) -> str | None:
    """Return the one of the known words that is near enough to be meant; None when none is."""
    found = difflib.get_close_matches(word[:_LONGEST], known, 1)
    return found[0] if found else None
