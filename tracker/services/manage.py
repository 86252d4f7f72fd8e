"""What an operator may do with a message: cancel it, send it again."""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from tracker.domain.numbers import ERASED
from tracker.domain.status import LABELS, Status
from tracker.store import accounts, ingest, messages
from tracker.store.db import Sessions
from tracker.store.rows import MessageRow

from . import submit


class NotPossibleError(Exception):
    """The message is not in a state that allows it; the text says which."""


class NoSuchMessageError(LookupError):
    """No message has this public id."""


def cancel(sessions: Sessions, public_id: UUID, actor: str, now: datetime) -> None:
    """Take a queued message out of the queue.

    Raises:
        NoSuchMessageError: no message has this id.
        NotPossibleError: it is not queued any more.
    """
    with sessions.begin() as session:
        take_out(session, public_id, actor, now)


def take_out(session: Session, public_id: UUID, actor: str, now: datetime) -> None:
    """Do what `cancel` does, in the caller's transaction."""
    message = the_message(session, public_id)
    if not messages.cancel(session, public_id, now):
        word = LABELS[message.status].lower()
        raise NotPossibleError(f"Only a queued message can be cancelled; this one is {word}.")
    ingest.mark_hours(session, {message.created_at})
    accounts.audit(session, actor, "message.cancel", subject=str(public_id), now=now)


def resend(sessions: Sessions, public_id: UUID, actor: str, now: datetime) -> UUID:
    """Queue the same pass again as a new message, and return its public id.

    Raises:
        NoSuchMessageError: no message has this id.
        NotPossibleError: it is still to be sent, or was sent again before: a second click must
            not send a third pass.
    """
    with sessions.begin() as session:
        return queue_again(session, public_id, actor, now)


def queue_again(session: Session, public_id: UUID, actor: str, now: datetime) -> UUID:
    """Do what `resend` does, in the caller's transaction."""
    message = the_message(session, public_id)
    if message.recipient == ERASED:
        raise NotPossibleError("Its recipient was erased.")
    if message.status in (Status.QUEUED, Status.SENDING):
        raise NotPossibleError("It is still to be sent; sending it again would send it twice.")
    new_id = submit.again(session, _request(session, message), now)
    if not messages.mark_resent(session, public_id, new_id, now):
        raise NotPossibleError(f"It was sent again already, as {message.resent_as}.")
    accounts.audit(
        session, actor, "message.resend", subject=str(public_id), detail=str(new_id), now=now
    )
    return new_id


def the_message(session: Session, public_id: UUID) -> MessageRow:
    """Return a message.

    Raises:
        NoSuchMessageError: no message has this id.
    """
    message = messages.by_public_id(session, public_id)
    if message is None:
        raise NoSuchMessageError(str(public_id))
    return message


def _request(session: Session, message: MessageRow) -> dict[str, object]:
    content: dict[str, Any] = asdict(messages.content(session, message.id))
    # Two passes need two ids: the new message gets its own.
    content["pass_data"].pop("CUSTOMPASSID", None)
    return {
        "to": message.recipient,
        "mms_id": message.mms_id,
        "from": message.sender,
        "campaign_ref": message.campaign_ref,
        "reference": message.reference,
        **content,
    }
