"""`tracker reconcile`: make up for lost postbacks out of the gateway's statistics."""

import os
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, Final

import click

from tracker.config import Settings
from tracker.domain.status import LABELS
from tracker.protocol.statistics import NotStatisticsError
from tracker.services import reconcile as service
from tracker.services.rebuild import Progress
from tracker.services.reconcile import Found, Reconciled, Tally

from .common import RefusedError, actor, now, opened, print_json, talk
from .progress import Shown, make_room

PIECE_BYTES: Final = 64 * 1024
_SHOWN: Final = {Found.REPAIRED, Found.SETTLED, Found.AMBIGUOUS}


@click.command()
@click.argument("file", type=click.File("rb"), metavar="REPORT.xml")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Say what would change, no more.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one message a line.")
def reconcile(*, file: BinaryIO, is_dry_run: bool, as_json: bool) -> None:
    """Compare REPORT.xml (`-` for stdin), the gateway's statistics, with what postbacks told.

    What they know and no postback said is written into the journal, and a message whose answer was
    lost is marked as sent. What could be about several messages is printed, and left to you.
    """
    settings = Settings.from_environ()
    sessions = opened(settings)
    try:
        with Shown() as shown:
            run = service.run(
                sessions,
                _watched(file, shown),
                actor=actor(),
                is_dry_run=is_dry_run,
                zone=settings.gateway_zone,
                now=now(),
                watch=shown.show,
            )
            tally = _printed(run, as_json=as_json)
    except NotStatisticsError as error:
        raise RefusedError(f"{error} Nothing was done.") from error
    talk(tally.sentence(is_dry_run=is_dry_run))


def _watched(file: BinaryIO, shown: Shown) -> Iterator[bytes]:
    """Read a file, and show how far; of a pipe nobody knows how long it is."""
    size, done = os.fstat(file.fileno()).st_size, 0
    for piece in iter(partial(file.read, PIECE_BYTES), b""):
        done += len(piece)
        shown.show(Progress("reading, bytes", done, max(size, done)))
        yield piece


def _printed(run: Iterator[Reconciled], *, as_json: bool) -> Tally:
    tally = Tally()
    for one in run:
        tally[one.found] += 1
        if one.found in _SHOWN:
            make_room()
            print_json(_described(one)) if as_json else click.echo(_line(one))
    return tally


def _described(one: Reconciled) -> dict[str, str | None]:
    told = one.word
    return {
        "found": one.found.value,
        "message_id": str(one.message) if one.message else None,
        "status_before": one.before.value if one.before else None,
        "status": told.status.value if told and told.status else None,
        "history_id": told.history_id if told else None,
        "step": told.step if told else None,
    }


def _line(one: Reconciled) -> str:
    assert one.word is not None  # noqa: S101  # it is one of those that are shown
    label = LABELS[one.word.status] if one.word.status else "waits at the gateway"
    if one.message is None or one.before is None:
        return f"{one.found}: sending {one.word.history_id}, {label}: {one.word.step}"
    return f"{one.found}: {one.message}  {LABELS[one.before]} -> {label}: {one.word.step}"
