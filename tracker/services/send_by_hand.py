"""A message that a person fills in: tried out while she types, and sent once for each form.

A form carries the id that its message will have. Whoever sends it twice gets the first message: the
database has each id once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tracker.domain import numbers
from tracker.domain import templates as domain
from tracker.domain.message import InvalidMessageError, PassMessage, Problem
from tracker.domain.pass_face import Face, face
from tracker.domain.templates import Template
from tracker.domain.windows import SendWindow
from tracker.protocol.passdata import PASS_FIELDS
from tracker.store import accounts, ingest, messages, outbox
from tracker.store.db import Sessions

from . import submit, suppress, take, templates

_TRIES: Final = 2


class SentBeforeError(Exception):
    """The form was sent before, and said something else then; `public_id` is its message."""

    def __init__(self, public_id: UUID) -> None:
        super().__init__(str(public_id))
        self.public_id = public_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What would become of a request: the pass, what is wrong, and what is worth a look."""

    face: Face
    template: Template | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def try_out(sessions: Sessions, request: Mapping[str, Any], *, default_from: str | None) -> Tried:
    """Check a request as `send` does, and queue nothing."""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    try:
        _, checked = submit.checked_anew(request, default_from)
        warnings = checked.warnings
    except InvalidMessageError as error:
        problems = error.problems
    mms_id, pass_data = str(request.get("mms_id", "")), _pass_data(request)
    with sessions() as session:
        known = templates.rules(session, [mms_id] if templates.is_mms_id(mms_id) else [])
        problems += _suppressed(session, request)
    template = known.templates.get(mms_id)
    judged = domain.judge(template, mms_id, pass_data) if template else domain.Judgement()
    return Tried(
        face=face(template, mms_id, pass_data),
        template=template,
        problems=problems + tuple(refusal.problem for refusal in judged.refusals),
        warnings=warnings + judged.warnings + known.doubts(mms_id),
    )


def send(
    sessions: Sessions,
    request: Mapping[str, Any],
    public_id: UUID,
    *,
    default_from: str | None,
    actor: str,
    now: datetime,
    window: SendWindow | None = None,
) -> bool:
    """Queue a message under an id; False when this very one was queued before.

    Raises:
        InvalidMessageError: with every field that is wrong; nothing is queued.
        SentBeforeError: another message has the id.
    """
    _, checked = submit.checked_anew(request, default_from, new_id=lambda: public_id)
    for tried in range(1, _TRIES + 1):
        try:
            with sessions.begin() as session:
                if _was_sent(session, public_id, checked.message):
                    return False
                rules = templates.rules(session, [checked.message.mms_id])
                message = rules.check(checked).message
                suppress.check(session, message.to)
                outbox.add(session, message, public_id, now, window)
                ingest.mark_hours(session, {now})
                accounts.audit(session, actor, "message.send", subject=str(public_id), now=now)
        except IntegrityError:  # the same form was a moment faster
            if tried == _TRIES:
                raise
        else:
            return True
    raise AssertionError  # the last try returns or raises


def _was_sent(session: Session, public_id: UUID, message: PassMessage) -> bool:
    row = messages.by_public_id(session, public_id)
    if row is None:
        return False
    if take.pass_message(row, messages.content(session, row.id)) != message:
        raise SentBeforeError(public_id)
    return True


def _pass_data(request: Mapping[str, Any]) -> dict[str, str]:
    given = request.get("pass_data", {})
    return {name: given[name] for name in PASS_FIELDS if given.get(name)}


def _suppressed(session: Session, request: Mapping[str, Any]) -> tuple[Problem, ...]:
    number = numbers.clean(str(request.get("to", "")))
    return tuple(suppress.problems(session, [number]).values()) if number else ()
