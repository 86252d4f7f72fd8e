"""Queue a message: check it, then commit the intent to send it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tracker.domain.message import Checked, Problem
from tracker.domain.validation import check
from tracker.protocol.passdata import PASS_FIELDS
from tracker.protocol.request import PassRequest, RequestFormatError, from_xml
from tracker.store import ingest, outbox
from tracker.store.db import Sessions


@dataclass(frozen=True, slots=True)
class Repeat:
    """How a caller marks a request that it may make again: its token and a key of its own."""

    token_id: int
    key: str


class RepeatDiffersError(ValueError):
    """The same key was used before, for another request."""


def one(
    sessions: Sessions,
    request: Mapping[str, object],
    *,
    default_from: str | None,
    now: datetime,
    repeat: Repeat | None = None,
) -> tuple[UUID, tuple[Problem, ...]]:
    """Queue one message and return its public id with what is worth a warning.

    A request made before under the same `repeat` queues nothing and returns the first message.

    Raises:
        InvalidMessageError: with every field that is wrong; nothing is queued.
        RepeatDiffersError: the key belongs to another request.
    """
    public_id, checked = checked_anew(request, default_from)
    digest = sha256(json.dumps(request, sort_keys=True, default=str).encode()).digest()
    try:
        with sessions.begin() as session:
            if repeat and (first := _first(session, repeat, digest)):
                return first, checked.warnings
            message_id = outbox.add(session, checked.message, public_id, now)
            ingest.mark_hours(session, {now})
            if repeat:
                outbox.add_key(session, repeat.token_id, repeat.key, digest, message_id)
    except IntegrityError:
        # Another request with this key was a moment faster; SQLite cannot come here.
        with sessions() as session:
            if repeat and (first := _first(session, repeat, digest)):
                return first, checked.warnings
        raise
    return public_id, checked.warnings


def again(session: Session, request: Mapping[str, object], now: datetime) -> UUID:
    """Queue what was sent before once more, in the caller's transaction; returns the new id."""
    public_id, checked = checked_anew(request, None)
    outbox.add(session, checked.message, public_id, now)
    ingest.mark_hours(session, {now})
    return public_id


def checked_anew(
    request: Mapping[str, object],
    default_from: str | None,
    *,
    with_doubts: bool = True,
    new_id: Callable[[], UUID] = uuid4,
) -> tuple[UUID, Checked]:
    """Check a request, and give the message that it asks for its ids.

    Raises:
        InvalidMessageError: with every field that is wrong.
    """
    public_id = new_id()
    checked = check(request, default_from=default_from, with_doubts=with_doubts)
    return public_id, _with_pass_id(checked, public_id)


def _first(session: Session, repeat: Repeat, digest: bytes) -> UUID | None:
    found = outbox.by_key(session, repeat.token_id, repeat.key)
    if found is None:
        return None
    if found.digest != digest:
        raise RepeatDiffersError("this Idempotency-Key was used for another request")
    return found.public_id


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


def _with_pass_id(checked: Checked, public_id: UUID) -> Checked:
    """Give the pass an id of ours: the only field that postbacks echo (PROTOCOL 4.3)."""
    message = checked.message
    if "CUSTOMPASSID" in message.pass_data:
        return checked
    # Letters and digits alone: other methods of the gateway refuse more (E829).
    pass_data = {"CUSTOMPASSID": public_id.hex, **message.pass_data}
    return replace(checked, message=replace(message, pass_data=pass_data))
