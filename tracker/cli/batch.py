"""`tracker batch` and `tracker batches`: send a file of messages, and look after it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import UUID

import click

from tracker.config import Settings
from tracker.domain.batch_columns import ColumnsError
from tracker.domain.message import InvalidMessageError
from tracker.domain.windows import SendWindow
from tracker.services import batch_results, batches
from tracker.services.batch_file import ENCODINGS, SEPARATORS, FileError
from tracker.services.batch_work import BatchWorker
from tracker.services.batches import NoSuchBatchError, NotPossibleError, Order, TooLargeError
from tracker.store import batches as stored
from tracker.store.batches import BatchRow, Hold, Stage
from tracker.store.db import Sessions

from .common import RefusedError, actor, now, opened, plain, print_json, send_window, talk
from .messages import Pair

POLL_SECONDS: Final = 0.5
SECONDS_BETWEEN_LINES: Final = 5.0
PIECE_BYTES: Final = 262_144
MOST_SHOWN: Final = 10
_OVER: Final = (Stage.CHECKED, Stage.REFUSED, Stage.QUEUED, Stage.FAILED, Stage.CANCELLED)
_BAD: Final = (Stage.REFUSED, Stage.FAILED, Stage.CANCELLED)


@click.command()
@click.argument("file", type=click.File("rb"), required=False, metavar="FILE.csv")
@click.option("--resume", "resumed", type=click.UUID, help="Go on with an interrupted batch.")
@click.option("--name", default="", help="A name to know it by; the file's, when not given.")
@click.option(
    "--default", "defaults", type=Pair(), multiple=True,
    help="FIELD=VALUE for every row whose cell is empty, repeatable: mms_id, from, pass.NAME.",
)  # fmt: skip
@click.option(
    "--map", "mapped", type=Pair(), multiple=True, help="HEADER=FIELD for a column, repeatable."
)
@click.option("--ignore", "ignored", multiple=True, help="A HEADER to leave out, repeatable.")
@click.option("--encoding", type=click.Choice(ENCODINGS), help="Found out, when not given.")
@click.option("--separator", type=click.Choice(list(SEPARATORS)), help="Found out, when not given.")
@click.option("--dry-run", is_flag=True, help="Check every row and queue none.")
@click.option("--skip-wrong-rows", is_flag=True, help="Queue the good rows all the same.")
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), help="Write them there.")
@click.option("--json", "as_json", is_flag=True, help="Print the batch as JSON.")
def batch(
    *,
    file: BinaryIO | None,
    resumed: UUID | None,
    errors: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401  # what click makes of them
) -> None:
    """Check every row of FILE.csv, then queue a message for each; print the batch's id.

    Its first row names the columns: to, mms_id, reference, pass.BARCODEVALUE, data.FIRST_NAME ...
    An interrupted run queues nothing twice; --resume goes on with it, and so does a running sender.
    """
    if (file is None) == (resumed is None):
        raise click.UsageError("Give FILE.csv, or --resume with the id of a batch.")
    settings = Settings.from_environ()
    order = _order(options, file)
    sessions = opened(settings)
    public_id = resumed or _receive(sessions, settings, file, order)
    talk(f"Batch {public_id}")
    found = _follow(sessions, public_id, send_window(settings))
    _report(sessions, found, errors, as_json=as_json)


@click.command("batches")
@click.argument("what", type=click.UUID, required=False, metavar="[ID]")
@click.option("--pause", "action", flag_value="pause", help="Hold back what is still queued.")
@click.option("--resume", "action", flag_value="resume", help="Let a paused one go on.")
@click.option("--cancel", "action", flag_value="cancel", help="Cancel what is still queued.")
@click.option(
    "--start", "action", flag_value="start", help="Queue the good rows of one that was checked."
)
@click.option("--result", is_flag=True, help="Print what became of each row, as CSV.")
@click.option("--errors", is_flag=True, help="Print what is wrong, as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one batch a line.")
def batches_(
    *, what: UUID | None, action: str | None, result: bool, errors: bool, as_json: bool
) -> None:
    """List the batches, or show, pause, resume, cancel or start the one with this ID."""
    settings = Settings.from_environ()
    sessions = opened(settings)
    if what is None:
        if action or result or errors:
            raise click.UsageError("Give the id of a batch too.")
        _list(sessions, as_json=as_json)
        return
    found = _found(sessions, what)
    if action:
        _act(BatchWorker(sessions, now, window=send_window(settings)), sessions, found, action)
        found = _found(sessions, what)
    if result or errors:
        lines = (
            batch_results.result_csv(sessions, found)
            if result
            else batch_results.errors_csv(sessions, found, are_warnings=False)
        )
        for text in lines:
            click.echo(text, nl=False)
        return
    _show(sessions, found, as_json=as_json)


def _order(options: dict[str, Any], file: BinaryIO | None) -> Order:
    mapping: dict[str, str | None] = dict(options["mapped"])
    mapping |= dict.fromkeys(options["ignored"])
    name = options["name"] or (Path(file.name).name if file and file.name != "<stdin>" else "")
    return Order(
        name=name,
        defaults=_defaults(options["defaults"]),
        mapping=mapping,
        encoding=options["encoding"],
        separator=SEPARATORS.get(options["separator"]),
        is_dry_run=options["dry_run"],
        skips_wrong_rows=options["skip_wrong_rows"],
    )


def _defaults(pairs: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    try:
        return batches.defaults_of(pairs)
    except ValueError as error:
        raise click.UsageError(f"--default: {error}") from error


def _receive(sessions: Sessions, settings: Settings, file: BinaryIO | None, order: Order) -> UUID:
    assert file is not None  # noqa: S101  # asked before
    try:
        return batches.receive(
            sessions,
            iter(lambda: file.read(PIECE_BYTES), b""),
            order,
            actor=actor(),
            default_from=settings.default_from,
            clock=now,
        )
    except ColumnsError as error:
        lines = "\n".join(f"  {p.field or 'the file'}: {p.detail}" for p in error.problems)
        raise RefusedError(f"nothing was queued\n{lines}") from error
    except InvalidMessageError as error:
        lines = "\n".join(f"  {p.field}: {p.detail}" for p in error.problems)
        raise RefusedError(f"nothing was queued\n{lines}") from error
    except (FileError, TooLargeError) as error:
        raise RefusedError(f"nothing was queued: {error}") from error


def _follow(sessions: Sessions, public_id: UUID, window: SendWindow | None) -> BatchRow:
    """Work on a batch, or watch whoever does, until it is done or paused."""
    worker = BatchWorker(sessions, now, window=window)
    found = _found(sessions, public_id)
    if found.status == Stage.DRAFT:
        raise RefusedError("its columns were never confirmed; do that in the dashboard")
    with _Shown() as shown:
        while True:
            shown.show(found)
            if found.hold == Hold.PAUSED:
                raise RefusedError("it is paused; `tracker batches ID --resume` lets it go on")
            if found.hold is None and found.status in _OVER:
                return found
            if worker.turn(found.id, seconds=POLL_SECONDS) is None:
                time.sleep(POLL_SECONDS)  # somebody else works on it, or did until a moment ago
            found = _found(sessions, public_id)


class _Shown(ExitStack):
    """How far it is, on stderr: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._stage = ""
        self._done = 0
        self._said_at = time.monotonic()

    def show(self, batch: BatchRow) -> None:
        """Show that so much of the file is done."""
        if not sys.stderr.isatty():
            if time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES:
                self._said_at = time.monotonic()
                talk(f"{batch_results.label(batch)}: {batch_results.progress(batch):.0%}")
            return
        if batch.status not in (Stage.CHECKING, Stage.QUEUEING):
            return
        if batch.status != self._stage:
            self.close()
            label = batch_results.label(batch)
            bar = click.progressbar(length=batch.size, label=label, file=sys.stderr)
            self._bar = self.enter_context(bar)
            self._stage, self._done = batch.status, 0
        self._bar.update(batch.position - self._done)
        self._done = batch.position


def _report(sessions: Sessions, found: BatchRow, errors: Path | None, *, as_json: bool) -> None:
    if errors is not None:
        with errors.open("w", encoding="utf-8", newline="") as file:
            file.writelines(batch_results.errors_csv(sessions, found, are_warnings=False))
    elif found.wrong_rows:
        _say_some(sessions, found, are_warnings=False)
    if found.warnings:
        talk(f"{found.warnings:,} warnings:")
        _say_some(sessions, found, are_warnings=True)
    talk(_conclusion(found))
    if as_json:
        with sessions() as session:
            print_json(batch_results.batch_object(session, found))
    else:
        click.echo(str(found.public_id))
    if found.status in _BAD or (found.is_dry_run and found.wrong_rows):
        raise SystemExit(1)


def _say_some(sessions: Sessions, found: BatchRow, *, are_warnings: bool) -> None:
    with sessions() as session:
        some = stored.problems(session, found.id, are_warnings=are_warnings, limit=MOST_SHOWN + 1)
    for _, problem in some[:MOST_SHOWN]:
        given = f" (given: {problem.value!r})" if problem.value else ""
        talk(plain(f"  row {problem.row}: {problem.reason}{given}"))
    if len(some) > MOST_SHOWN:
        option = "" if are_warnings else "; --errors FILE writes all"
        talk(f"  and more{option}")


def _conclusion(found: BatchRow) -> str:
    lines = [f"{batch_results.label(found)}. {batch_results.reason(found)}"]
    if found.status == Stage.QUEUED:
        lines = [f"Queued {found.queued_rows:,} of {found.rows:,} rows."]
    if found.status == Stage.REFUSED and found.wrong_rows < found.rows:
        lines.append("Correct them, or give --skip-wrong-rows.")
    return plain(" ".join(lines))


def _found(sessions: Sessions, public_id: UUID) -> BatchRow:
    with sessions() as session:
        try:
            return batches.found(session, public_id)
        except NoSuchBatchError:
            raise RefusedError("no batch has this id") from None


def _act(worker: BatchWorker, sessions: Sessions, found: BatchRow, action: str) -> None:
    do: dict[str, Callable[[], None]] = {
        "pause": lambda: batches.pause(sessions, found.public_id, actor(), now()),
        "resume": lambda: batches.resume(sessions, found.public_id, actor(), now()),
        "cancel": lambda: batches.cancel(sessions, found.public_id, actor(), now()),
        "start": lambda: batches.start(
            sessions, found.public_id, skips_wrong_rows=True, actor=actor(), now=now()
        ),
    }
    try:
        do[action]()
    except NotPossibleError as error:
        raise RefusedError(str(error)) from error
    worker.turn(found.id)


def _list(sessions: Sessions, *, as_json: bool) -> None:
    for found in _newest(sessions):
        if as_json:
            with sessions() as session:
                print_json(batch_results.batch_object(session, found, with_counts=False))
        else:
            when = f"{found.created_at:%Y-%m-%d %H:%M:%S} UTC"
            what = f"{batch_results.label(found)}, {found.queued_rows:,} of {found.rows:,} rows"
            click.echo(plain(f"{found.public_id}  {when}  {what}  {found.name}"))


def _newest(sessions: Sessions, limit: int = 50) -> Iterator[BatchRow]:
    with sessions() as session:
        yield from stored.page(session, limit=limit).items


def _show(sessions: Sessions, found: BatchRow, *, as_json: bool) -> None:
    with sessions() as session:
        shown = batch_results.batch_object(session, found)
    if as_json:
        print_json(shown)
        return
    facts = {
        "Name": shown["name"],
        "Status": f"{shown['status_label']}. {shown['status_reason']}",
        "Progress": f"{shown['progress']:.0%}",
        "Rows": f"{found.rows:,}, {found.wrong_rows:,} wrong, {found.queued_rows:,} queued",
        "Warnings": f"{found.warnings:,}",
        "Messages": ", ".join(f"{n:,} {status}" for status, n in shown["counts"].items()),
    }
    for name, value in facts.items():
        if value:
            click.echo(plain(f"{name + ':':<16}{value}"))
