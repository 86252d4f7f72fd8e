"""What a load balancer sees: /healthz and /readyz, asked all the time."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .servers import get

PAUSE_SECONDS = 0.25
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Look:
    """One answer; without one the status is 0."""

    path: str
    asked_at: float
    seconds: float
    status: int
    database: str | None


@dataclass(slots=True)
class Watch:
    """All answers so far."""

    looks: list[Look] = field(default_factory=list)

    def unlike(
        self, path: str, status: int, database: str | None, *, since: float, until: float
    ) -> list[str]:
        """Say which answers to what was asked from `since` on, until `until`, were others."""
        asked = [k for k in self.looks if k.path == path and since <= k.asked_at <= until]
        odd = [look for look in asked if (look.status, look.database) != (status, database)]
        if not asked:
            return [f"{path} was never answered"]
        return [
            f"{path} said {look.status} {look.database or ''} after {look.seconds:.1f} s"
            f" ({len(odd)} of {len(asked)} answers were wrong)"
            for look in odd[:1]
        ]

    def longest(self, path: str) -> float:
        """Return the seconds of the longest answer."""
        return max((look.seconds for look in self.looks if look.path == path), default=0.0)


@contextmanager
def watching(url: str) -> Iterator[Watch]:
    """Ask while the block runs."""
    watch, stop = Watch(), threading.Event()

    def ask(path: str) -> None:
        while not stop.wait(PAUSE_SECONDS):
            began = time.monotonic()
            status, body = get(url + path, PATIENCE_SECONDS)
            watch.looks.append(Look(path, began, time.monotonic() - began, status, _database(body)))

    threads = [threading.Thread(target=ask, args=(path,)) for path in ("/healthz", "/readyz")]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _database(body: bytes) -> str | None:
    try:
        report = json.loads(body)
    except ValueError:
        return None
    return report.get("database") if isinstance(report, dict) else None
