"""How fast old data leaves, and how long a postback waits meanwhile. Linux.

Usage: python bench/purge.py [--engine sqlite|postgresql|both] [--messages N] [--days N] [--json]

A database of two months is made, of which the older one is to leave. A thread takes one postback
after the other, as the receiver writes them, before the purge and beside it. In the end one person
is forgotten, for which every text of what is left is looked through.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from threading import Event, Thread
from typing import Any

from support import report
from support.databases import Database, database, folders
from support.many import fill
from support.options import parser_of, positive

from tracker.config import DEFAULT_ZONE
from tracker.services import receive
from tracker.services.forget import Forget, Means
from tracker.services.purge import Purge, Retention
from tracker.store import db
from tracker.store.db import Sessions
from tracker.store.spool import Spool

MESSAGES = 50_000
DAYS = 12
QUIET_SECONDS = 5.0
PAUSE_SECONDS = 0.02  # between two postbacks


def main() -> None:
    """Measure and print."""
    options = _options()
    results = {}
    with folders(options.engine) as made:
        for engine, folder in made.items():
            with database(engine, folder, {}) as found:
                results[engine] = _measure(found, folder, options.messages, options.days)
            if not options.json:
                print(_line(engine, results[engine]), flush=True)
    report.finish(results, as_json=options.json)


def _measure(made: Database, folder: Path, messages: int, days: int) -> dict[str, Any]:
    total = fill(made, messages)
    hurried, sessions = db.connect(made.url, in_a_hurry=True), db.connect(made.url)
    with _postbacks(hurried, "quiet") as quiet:
        time.sleep(QUIET_SECONDS)
    rests: list[float] = []

    def rest(seconds: float) -> None:
        rests.append(seconds)  # as long as the step took
        time.sleep(seconds)

    work = Purge(sessions, Retention(days=days), now=datetime.now(UTC), rest=rest)
    began = time.monotonic()
    with _postbacks(hurried, "busy") as busy:
        for _ in work.steps():
            pass
    seconds = time.monotonic() - began
    return {
        "version": made.version,
        "messages": total,
        "gone": dict(work.gone),
        "seconds": seconds,
        "messages_per_second": work.gone["messages"] / seconds,
        "step_ms": _spread(rests),
        "postback_quiet_ms": _spread(quiet),
        "postback_ms": _spread(busy),
        "forget_seconds": _forget(sessions, folder),
    }


@contextmanager
def _postbacks(sessions: Sessions, name: str) -> Iterator[list[float]]:
    """Take postbacks of unknown messages while the block runs; yields how long each took."""
    stop, took = Event(), list[float]()

    def take() -> None:
        while not stop.wait(PAUSE_SECONDS):
            body = (
                "<POSTBACK><ORIGIN>MMS_MT</ORIGIN><CODE>N101</CODE><TO>12025550143</TO>"
                f"<TRACKINGID>{name}{len(took)}</TRACKINGID></POSTBACK>"
            )
            began = time.monotonic()
            receive.record(
                sessions, body.encode(), "text/xml", zone=DEFAULT_ZONE, now=datetime.now(UTC)
            )
            took.append(time.monotonic() - began)

    thread = Thread(target=take)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()


def _forget(sessions: Sessions, folder: Path) -> float:
    means = Means(
        sessions=sessions, spool=Spool(folder / "spool"), zone=DEFAULT_ZONE,
        secret_key="of the bench", clock=lambda: datetime.now(UTC),
    )  # fmt: skip
    work = Forget(means, "12025550143", actor="bench")
    began = time.monotonic()
    for _ in work.steps():
        pass
    work.end()
    return time.monotonic() - began


def _spread(seconds: list[float]) -> dict[str, float]:
    times = [1000 * one for one in seconds] or [0.0]
    times = times if len(times) > 1 else times * 2
    return {"median": median(times), "p99": quantiles(times, n=100)[98], "most": max(times)}


def _line(engine: str, result: dict[str, Any]) -> str:
    def spread(name: str) -> str:
        times = result[name]
        return f"{times['median']:.0f} ms (p99 {times['p99']:.0f}, at most {times['most']:.0f})"

    return (
        f"{report.ENGINE_NAMES[engine]} {result['version']}:"
        f" {result['gone'].get('messages', 0):,} of {result['messages']:,} messages left in"
        f" {result['seconds']:.1f} s, {result['messages_per_second']:,.0f}/s;"
        f" a step {spread('step_ms')};"
        f" a postback beside it {spread('postback_ms')}, before {spread('postback_quiet_ms')};"
        f" a person forgotten in {result['forget_seconds']:.1f} s"
    )


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--messages", type=positive, default=MESSAGES)
    parser.add_argument("--days", type=positive, default=DAYS, help="what is older leaves")
    return parser.parse_args()


if __name__ == "__main__":
    main()
