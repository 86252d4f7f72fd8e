"""Queue a message: check it, then commit the intent to send it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from tracker.domain.message import Checked, Problem
from tracker.domain.validation import check
from tracker.domain.windows import SendWindow
from tracker.protocol.passdata import PASS_FIELDS
from tracker.protocol.request import PassRequest, RequestFormatError, from_xml
from tracker.store import ingest, outbox
from tracker.store.db import Sessions

from . import repeats, suppress, templates
from .repeats import Named, Repeat


def one(
    sessions: Sessions,
    request: Mapping[str, object],
    *,
    default_from: str | None,
    now: datetime,
    repeat: Repeat | None = None,
    window: SendWindow | None = None,
) -> tuple[UUID, tuple[Problem, ...]]:
    """Queue one message and return its public id with what is worth a warning.

    A request made before under the same key or reference of a `repeat` queues nothing and returns
    the first message.

    Raises:
        InvalidMessageError: with every field that is wrong, also when the number is suppressed;
            nothing is queued.
        RepeatDiffersError: the key or the reference belongs to another request.
    """
    public_id, checked = checked_anew(request, default_from)
    with sessions() as session:
        rules = templates.rules(session, [checked.message.mms_id])

    def queue(session: Session) -> tuple[int, UUID]:
        message = rules.check(checked).message
        suppress.check(session, message.to)
        message_id = outbox.add(session, message, public_id, now, window)
        ingest.mark_hours(session, {now})
        return message_id, public_id

    named = Named.of(repeat, checked.message.reference, request) if repeat else None
    warnings = checked.warnings + rules.judge(checked.message).warnings
    return repeats.once(sessions, named, queue), warnings


def again(session: Session, request: Mapping[str, object], now: datetime) -> UUID:
    """Queue what was sent before once more, in the caller's transaction; returns the new id.

    Raises:
        InvalidMessageError: the number is suppressed by now.
    """
    public_id, checked = checked_anew(request, None)
    checked = templates.rules(session, [checked.message.mms_id]).check(checked)
    suppress.check(session, checked.message.to)
    outbox.add(session, checked.message, public_id, now)
    ingest.mark_hours(session, {now})
    return public_id


def checked_anew(
    request: Mapping[str, object],
    default_from: str | None,
    *,
    new_id: Callable[[], UUID] = uuid4,
) -> tuple[UUID, Checked]:
    """Check a request, and give the message that it asks for its ids.

    Raises:
        InvalidMessageError: with every field that is wrong.
    """
    public_id = new_id()
    # The only field that postbacks echo (PROTOCOL 4.3). Letters and digits alone: other methods of
    # the gateway refuse more (E829).
    return public_id, check(request, default_from=default_from, pass_id=public_id.hex)


def from_document(text: str) -> dict[str, object]:
    """Read a sendPassInMMS document as a request to send; its key is ignored.

    What the gateway ignores in PASSDATA is left out here too (PROTOCOL 2.3).

    Raises:
        RequestFormatError: not a REQUEST document, or one with another ACTION.
    """
    document = from_xml(text)
    if (document.action or "").lower() != "sendpassinmms":
        raise RequestFormatError(f"its ACTION is {document.action or 'missing'}")
    return from_request(document)


def from_request(document: PassRequest) -> dict[str, object]:
    """Return a parsed call in the form of the API's request; absent fields are left out."""
    ddm = {
        "title": document.ddm_title,
        "text": document.ddm_text,
        "timeout_minutes": document.ddm_timeout,
    }
    request: dict[str, object] = {
        "to": document.to,
        "mms_id": document.mms_id,
        "from": document.from_,
        "campaign_ref": document.campaign_ref,
        "custom_subject": document.custom_subject,
        "custom_text": [{"slide": t.slide, "value": t.value} for t in document.custom_text],
        "ddm": {name: value for name, value in ddm.items() if value is not None},
        "data": dict(document.data),
        "pass_data": {n: v for n, v in document.pass_data.items() if n in PASS_FIELDS},
    }
    return {name: value for name, value in request.items() if value}
