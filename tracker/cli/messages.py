"""`tracker send` and `tracker show`."""

import time
from collections.abc import Callable, Sequence
from typing import BinaryIO
from uuid import UUID

import click
from sqlalchemy.orm import Session

from tracker.config import Settings
from tracker.domain import numbers
from tracker.domain.message import InvalidMessageError, Problem
from tracker.domain.reasons import status_reason
from tracker.domain.status import Status
from tracker.protocol.request import RequestFormatError
from tracker.protocol.xml import decode
from tracker.services import describe, lookups, submit, timeline
from tracker.services.timeline import TimelineEntry
from tracker.store import messages
from tracker.store.db import Sessions
from tracker.store.rows import MessageRow

from .common import (
    RefusedError,
    actor,
    clock_time,
    now,
    opened,
    plain,
    print_json,
    send_window,
    talk,
)

POLL_SECONDS = 0.2
MAX_DOCUMENT_BYTES = 1024 * 1024
MOST_SHOWN = 20
MOVING = frozenset({Status.ACCEPTED, Status.SENT, Status.NO_RECEIPT, Status.DELIVERED})


class Pair(click.ParamType[tuple[str, str]]):
    """NAME=VALUE on the command line."""

    name = "NAME=VALUE"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split at the first `=`."""
        if isinstance(value, tuple):
            return value
        name, mark, text = value.partition("=")
        if not mark or not name.strip():
            self.fail(f"{value!r} is not of the form {self.name}", param, ctx)
        return name.strip(), text


@click.command()
@click.argument("to", required=False)
@click.option("--mms-id", help="The stored MMS that carries the pass.")
@click.option("--from", "from_", help="The short or long code to send from.")
@click.option("--pass", "pass_data", type=Pair(), multiple=True, help="A pass field, repeatable.")
@click.option("--data", type=Pair(), multiple=True, help="A merge field, repeatable.")
@click.option("--text", type=Pair(), multiple=True, help="SLIDE=TEXT in place of a slide's own.")
@click.option("--subject", help="Subject of the MMS.")
@click.option("--campaign-ref", help="Campaign id.")
@click.option("--reference", help="Your own reference.")
@click.option("--ddm-text", help="Ask for a discovery message with this text.")
@click.option("--send-at", help="When to send, such as 2026-11-27T18:00:00+01:00.")
@click.option("--xml", type=click.File("rb"), help="A sendPassInMMS document.")
@click.option("--wait", type=click.FloatRange(0, 86_400), help="Follow it for so many seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print the message as JSON.")
def send(
    *,
    to: str | None,
    xml: BinaryIO | None,
    wait: float | None,
    as_json: bool,
    **options: object,
) -> None:
    """Queue one pass for the number TO and print its id.

    With --xml, recipient, sender and MMS id come from the document; its API_KEY is ignored.
    """
    settings = Settings.from_environ()
    request = _document(xml, to, options) if xml else _request(to, options)
    sessions = opened(settings)
    try:
        public_id, warnings = submit.one(
            sessions,
            request,
            default_from=settings.default_from,
            window=send_window(settings),
            now=now(),
        )
    except InvalidMessageError as error:
        raise RefusedError(_lines(error.problems)) from error
    for warning in warnings:
        talk(f"note: {warning.field} {warning.value or ''}: {warning.detail}")
    _report(sessions, public_id, wait, as_json=as_json)


@click.command()
@click.argument("what")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one message a line.")
def show(what: str, *, as_json: bool) -> None:
    """Show the messages that WHAT names: an id, tracking id, number or reference."""
    sessions = opened(Settings.from_environ())
    with sessions() as session:
        found = messages.find(session, what, limit=MOST_SHOWN + 1)
    lookups.note_search(sessions, what, found, actor=actor(), now=now())
    with sessions() as session:
        if not found:
            raise RefusedError("no message has this id, tracking id, number or reference")
        if len(found) > MOST_SHOWN:
            talk(f"note: there are more; these are the newest {MOST_SHOWN}")
            found = found[:MOST_SHOWN]
        if as_json:
            for message in describe.message_objects(session, found):
                print_json(message)
        elif len(found) == 1:
            _print_whole(session, found[0])
        else:
            for row in found:
                click.echo(_line(row))


def _request(to: str | None, options: dict[str, object]) -> dict[str, object]:
    if to is None:
        raise click.UsageError("TO is missing; give a number, or a document with --xml.")
    ddm_text, slides = options["ddm_text"], options["text"]
    request = {
        "to": to,
        "mms_id": options["mms_id"],
        "from": options["from_"],
        "campaign_ref": options["campaign_ref"],
        "reference": options["reference"],
        "custom_subject": options["subject"],
        "custom_text": [{"slide": slide, "value": text} for slide, text in _pairs(slides)],
        "ddm": {"text": ddm_text} if ddm_text else None,
        "data": _named(options["data"], "--data"),
        "pass_data": _named(options["pass_data"], "--pass"),
        "send_at": options["send_at"],
    }
    return {name: value for name, value in request.items() if value}


def _pairs(value: object) -> Sequence[tuple[str, str]]:
    assert isinstance(value, tuple)  # noqa: S101  # click makes tuples of repeatable options
    return value


def _named(value: object, option: str) -> dict[str, str]:
    pairs = _pairs(value)
    names = [name.upper() for name, _ in pairs]
    if len(set(names)) < len(names):
        raise click.UsageError(f"{option} names a field twice.")
    return dict(pairs)


def _document(xml: BinaryIO, to: str | None, options: dict[str, object]) -> dict[str, object]:
    given = [name for name, value in options.items() if value and name not in _BESIDE_XML]
    if to or given:
        raise click.UsageError("With --xml everything comes from the document; give one of both.")
    body = xml.read(MAX_DOCUMENT_BYTES + 1)
    if len(body) > MAX_DOCUMENT_BYTES:
        raise RefusedError("the document is larger than 1 MiB, which no request is")
    decoded = decode(body)
    if decoded.is_repaired:
        raise RefusedError("the document has bytes that its encoding (UTF-8 if none) has not")
    try:
        request = submit.from_document(decoded.text)
    except RequestFormatError as error:
        raise RefusedError(f"not a sendPassInMMS document: {error}") from error
    return {**request, **{n: options[n] for n in _BESIDE_XML if options[n]}}


_BESIDE_XML = ("reference", "send_at")


def _lines(problems: Sequence[Problem]) -> str:
    lines = (f"{p.field}: {p.detail}{_given(p.value)}" for p in problems)
    return "nothing was queued\n" + "\n".join(f"  {line}" for line in lines)


def _given(value: object) -> str:
    return "" if value is None else f" (given: {str(value)[:60]!r})"


def _report(sessions: Sessions, public_id: UUID, wait: float | None, *, as_json: bool) -> None:
    say = talk if as_json else click.echo
    if wait is None and not as_json:
        click.echo(str(public_id))
        return
    row = _follow(sessions, public_id, wait or 0, say)
    if as_json:
        with sessions() as session:
            print_json(describe.message_object(session, row))
    elif wait is not None:
        click.echo(_conclusion(row))
    if wait is not None and row.status not in MOVING:
        raise SystemExit(1)


def _follow(
    sessions: Sessions, public_id: UUID, wait: float, say: Callable[[str], object]
) -> MessageRow:
    """Print each step as it happens, until the last one or until the time is over."""
    deadline = time.monotonic() + wait
    told: set[object] = set()
    while True:
        with sessions() as session:
            row = _row(session, public_id)
            entries = timeline.of_message(session, row) if wait else []
        for entry in entries:
            # Not by position: what came earlier may be seen later, as when two postbacks race.
            step = (entry.at, entry.what, entry.postback_id)
            if step not in told:
                say(f"{clock_time(entry.at)}  {_step(entry)}")
            told.add(step)
        if row.status.is_final or not time.monotonic() < deadline:
            return row
        time.sleep(POLL_SECONDS)


def _row(session: Session, public_id: UUID) -> MessageRow:
    row = messages.by_public_id(session, public_id)
    if row is None:
        raise RefusedError("the message is gone from the database")
    return row


def _step(entry: TimelineEntry) -> str:
    outcome = f" [{entry.outcome}]" if entry.outcome else ""
    return plain(f"{entry.what}{outcome}: {entry.detail}")


def _conclusion(row: MessageRow) -> str:
    parts = [row.status_label]
    if row.handset:
        parts.append(f"handset {plain(row.handset)}")
    if row.finished_at:
        parts.append(f"{row.finished_at:%Y-%m-%d %H:%M:%S} UTC")
        parts.append(
            f"{(row.finished_at - row.created_at).total_seconds():.1f} s after it was queued"
        )
    line = f"{', '.join(parts)}. {plain(status_reason(row))}"
    if row.status is Status.QUEUED and row.due_at and row.due_at <= now():
        line += " Is a sender running? (`tracker up`, or `tracker sender`)"
    return line


def _line(row: MessageRow) -> str:
    when = f"{row.created_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{row.public_id}  {when}  {numbers.display(row.recipient)}  {row.status_label}"


def _print_whole(session: Session, row: MessageRow) -> None:
    facts = {
        "Status": f"{row.status_label}. {status_reason(row)}",
        "To": numbers.display(row.recipient),
        "From": row.sender_used or row.sender,
        "MMS id": row.mms_id,
        "Tracking id": row.tracking_id,
        "Reference": row.reference,
        "Custom pass id": row.custom_pass_id,
        "Handset": row.handset,
        "Carrier": messages.carrier_name(session, row.spid) or row.spid,
    }
    click.echo(str(row.public_id))
    for name, value in facts.items():
        if value:
            click.echo(f"  {name + ':':<16}{plain(value)}")
    for entry in timeline.of_message(session, row):
        click.echo(f"  {entry.at:%Y-%m-%d %H:%M:%S} UTC  {_step(entry)}")
