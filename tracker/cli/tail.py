"""`tracker tail`: postbacks as they come."""

import signal
import time
from collections.abc import Iterator
from threading import Event
from typing import Final

import click
from sqlalchemy.exc import OperationalError

from tracker.config import Settings
from tracker.domain import numbers
from tracker.protocol.notification import digits
from tracker.services.describe import postback_object
from tracker.services.tail import MOST_ROWS, Tail
from tracker.store.rows import PostbackRow

from .common import clock_time, database_reason, now, opened, plain, print_json, talk

POLL_SECONDS: Final = 1.0
RESTS: Final = 4  # for each second that a look took, so many pass before the next


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one postback a line.")
@click.option("--limit", type=click.IntRange(1), help="End after so many.")
@click.option(
    "--last", type=click.IntRange(0, MOST_ROWS), default=0, show_default=True,
    help="Begin with so many that are there already.",
)  # fmt: skip
def tail(*, as_json: bool, limit: int | None, last: int) -> None:
    """Print every postback as it comes, until Ctrl-C."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    following = Tail(opened(Settings.from_environ()), now(), last)
    talk("Waiting for postbacks; Ctrl-C ends it.")
    for count, row in enumerate(_arriving(following, stop), 1):
        print_json(postback_object(row)) if as_json else click.echo(_line(row))
        if stop.is_set() or count == limit:
            return


def _arriving(following: Tail, stop: Event) -> Iterator[PostbackRow]:
    """Yield what comes; while the database is away, say so once and wait for it."""
    is_away = False
    while not stop.is_set():
        began = time.monotonic()
        try:
            rows = following.look(now())
        except OperationalError as error:
            if not is_away:
                talk(f"The database cannot be reached: {database_reason(error)}. Waiting for it.")
            rows, is_away = [], True
        else:
            if is_away:
                talk("The database is back.")
            is_away = False
        yield from rows
        if len(rows) < MOST_ROWS:
            stop.wait(max(POLL_SECONDS, RESTS * (time.monotonic() - began)))


def _line(row: PostbackRow) -> str:
    to = str(row.fields.get("to") or "")
    said = " ".join(filter(None, (row.code, str(row.fields.get("status") or ""))))
    parts = (
        clock_time(row.received_at),
        said or "Could not be read",
        numbers.display(digits(to) or to),
        f"{row.outcome}: {row.outcome_reason}",
        f"[{row.message_public_id}]" if row.message_public_id else "",
    )
    return plain("  ".join(filter(None, parts)))
