"""Which messages a bulk action can be done with, and why not with the others."""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

from sqlalchemy.orm import Session

from tracker.domain.settling import Settled
from tracker.domain.status import Status
from tracker.store import suppressions
from tracker.store.rows import MessageRow

from . import answers

_AT_ONCE: Final = 1000  # numbers of one question


class Action(StrEnum):
    """What is done with each message."""

    CANCEL = "cancel"
    RESEND = "resend"
    SENT = "sent"  # settle: it was sent
    NOT_SENT = "not_sent"  # settle: it was not

    @property
    def needs_reason(self) -> bool:
        """Who does it must say why, as for one message."""
        return self in _SETTLED_AS


_SETTLED_AS: Final = {Action.SENT: Settled.SENT, Action.NOT_SENT: Settled.NOT_SENT}


def judged(
    session: Session, action: Action, rows: Sequence[MessageRow]
) -> tuple[list[MessageRow], dict[str, int]]:
    """Return what can be acted on, and how many cannot by reason."""
    blocked = set(_suppressed(session, rows)) if action is Action.RESEND else set()
    fit, reasons = [], Counter[str]()
    for row in rows:
        why = against(action, row)
        if why is None and row.recipient in blocked:
            why = "The number is suppressed."
        if why is None:
            fit.append(row)
        else:
            reasons[why] += 1
    return fit, dict(reasons)


def against(action: Action, message: MessageRow) -> str | None:
    """Return why nothing can be done with a message, in words that fit many; None when it can."""
    match action:
        case Action.CANCEL:
            return None if message.status is Status.QUEUED else _not_queued(message)
        case Action.RESEND:
            if message.status in (Status.QUEUED, Status.SENDING):
                return "Still to be sent."
            return "Sent again before." if message.resent_as else None
    if message.tracking_key is not None:
        return "The gateway has given a tracking id, so it tells what became of the message."
    if not answers.is_open(message):
        return f"{message.status_label}: only an unknown outcome can be settled."
    return "Marked so before." if message.settled_as == _SETTLED_AS[action] else None


def _not_queued(message: MessageRow) -> str:
    return f"{message.status_label}: only what is queued can be cancelled."


def _suppressed(session: Session, rows: Sequence[MessageRow]) -> Iterator[str]:
    for start in range(0, len(rows), _AT_ONCE):
        yield from suppressions.among(
            session, {r.recipient for r in rows[start : start + _AT_ONCE]}
        )
