"""Messages whose answer was lost, the postbacks that may be it, and what was decided."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from tracker.domain.fold import Outcome
from tracker.domain.settling import Settled
from tracker.domain.status import Status
from tracker.protocol.notification import Kind, digits
from tracker.protocol.tracking import tracking_key

from . import bulk, ingest, postbacks
from .models import Message, MessageContent, Postback, SendAttempt, Settlement
from .rows import SettlementRow

LONG_AGO: Final = timedelta(days=30)  # the longest between making a message and its call
MOST_MESSAGES: Final = 100  # to one number
MOST_POSTBACKS: Final = 5000  # of the shelf, the newest

# Without an answer, and it may be settled, also once more: a person can be mistaken.
UNANSWERED: Final = (Status.UNKNOWN, Status.SENT, Status.NO_RECEIPT, Status.REFUSED)
_BY_HAND: Final = (Settled.SENT, Settled.NOT_SENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A message without a tracking id whose call began; `status` may be sending."""

    id: int
    public_id: UUID
    status: Status
    recipient: str
    mms_id: str
    called_at: datetime
    ddm: dict[str, Any] | None

    @property
    def is_unanswered(self) -> bool:
        """Nobody waits for its answer any more."""
        return self.status is not Status.SENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """A postback on the shelf, of a message that nobody knows."""

    id: int
    tracking_key: str
    tracking_id: str
    code: str | None
    received_at: datetime
    number: str
    mms_id: str | None


def lock(session: Session, numbers: Iterable[str]) -> None:
    """Let one transaction at a time look for answers to messages to these numbers.

    Whoever makes a message unknown and whoever shelves its N101 both look after this: the second
    one sees what the first has done. Taken before the locks of tracking keys. Numbers share a
    hundred locks: a batch may not take one for each of thousands.
    """
    ingest.lock(session, {f"unanswered {number[-2:]}" for number in numbers})


def recipients(session: Session, message_ids: Collection[int]) -> set[tuple[str, str]]:
    """Return number and MMS id of these messages."""
    found = select(Message.recipient, Message.mms_id).where(
        bulk.among(session, Message.id, message_ids)
    )
    return {(number, mms_id) for number, mms_id in session.execute(found)}


def called(session: Session, number: str, mms_id: str, now: datetime) -> list[Called]:
    """Return the messages that a postback to this number, with this MMS id, may be about."""
    has_no_answer = or_(
        Message.status.in_((Status.UNKNOWN, Status.SENDING)), Message.settled_as == Settled.SENT
    )
    return _called(
        session,
        Message.recipient == number,
        # Not by its index: one MMS goes to millions, one number gets a few.
        func.coalesce(Message.mms_id, "") == mms_id,
        Message.created_at >= now - LONG_AGO,
        Message.tracking_key.is_(None),
        has_no_answer,
    )


def called_one(session: Session, message_id: int) -> Called | None:
    """Return one message, if it has been called and has no tracking id."""
    found = _called(session, Message.id == message_id, Message.tracking_key.is_(None))
    return found[0] if found else None


def _called(session: Session, *conditions: ColumnElement[bool]) -> list[Called]:
    last = select(func.max(SendAttempt.started_at)).where(SendAttempt.message_id == Message.id)
    found = (
        select(
            Message.id, Message.public_id, Message.status, Message.recipient, Message.mms_id,
            last.scalar_subquery().label("called_at"), MessageContent.ddm,
        )
        .outerjoin(MessageContent, MessageContent.message_id == Message.id)
        .where(*conditions)
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(MOST_MESSAGES)
    )  # fmt: skip
    return [Called(**row) for row in session.execute(found).mappings() if row["called_at"]]


def shelved(
    session: Session, number: str, mms_id: str, since: datetime, until: datetime
) -> list[Shelved]:
    """Return what waits for a message to this number with this MMS id, in order of arrival.

    The shelf has no index by number; what is older than its newest thousands is not looked at.
    """
    newest = (
        select(Postback.id)
        .where(Postback.outcome == Outcome.UNMATCHED, postbacks.is_not_applied())
        .order_by(Postback.id.desc())
        .limit(MOST_POSTBACKS)
        .subquery()
    )
    found = _shelved(
        session,
        Postback.id.in_(select(newest.c.id)),
        Postback.kind == Kind.MMS,
        Postback.received_at.between(since, until),
    )
    return [one for one in found if (one.number, one.mms_id) == (number, mms_id)]


def shelved_one(session: Session, postback_id: int) -> Shelved | None:
    """Return one postback, if it waits on the shelf and names a tracking id."""
    is_it = (Postback.id == postback_id, Postback.outcome == Outcome.UNMATCHED)
    found = _shelved(session, *is_it)
    return found[0] if found else None


def shelved_for(session: Session, key: str) -> list[Shelved]:
    """Return what would be applied to a message with this tracking key, in order of arrival."""
    return _shelved(
        session,
        Postback.tracking_key == key,
        Postback.message_id.is_(None),
        Postback.outcome.in_((Outcome.UNMATCHED, Outcome.NOTED)),
    )


def _shelved(session: Session, *conditions: ColumnElement[bool]) -> list[Shelved]:
    found = (
        select(
            Postback.id, Postback.tracking_key, Postback.code, Postback.received_at, Postback.fields
        )
        .where(Postback.tracking_key.is_not(None), *conditions)
        .order_by(Postback.id)
    )
    return [
        Shelved(
            id=id_,
            tracking_key=key,
            tracking_id=str(fields.get("tracking_id") or key),
            code=code,
            received_at=received_at,
            number=digits(str(fields.get("to") or "")),
            mms_id=fields.get("mms_id"),
        )
        for id_, key, code, received_at, fields in session.execute(found)
    ]


def with_key(session: Session, key: str) -> list[UUID]:
    """Return the public ids of the messages that have this tracking key."""
    return list(session.scalars(select(Message.public_id).where(Message.tracking_key == key)))


def settle(
    session: Session, message_id: int, now: datetime, values: Mapping[str, object]
) -> datetime | None:
    """Move a message without an answer, and return when it was made; None when it has one by now.

    When it was first said to be sent stays: all that postbacks told since is folded from there.
    """
    accepted_at = values.get("accepted_at")
    if accepted_at is not None:
        values = {**values, "accepted_at": func.coalesce(Message.accepted_at, accepted_at)}
    made_at = session.scalar(
        update(Message)
        .where(Message.id == message_id, Message.tracking_key.is_(None), is_open())
        .values(updated_at=now, due_at=None, **values)
        .returning(Message.created_at)
        .execution_options(synchronize_session=False)
    )
    if made_at is not None:
        ingest.mark_hours(session, [made_at])
    return made_at


def is_open() -> ColumnElement[bool]:
    """Return the condition that a message may be settled: unknown, or settled by a person."""
    by_hand = Message.settled_as.in_(_BY_HAND) & Message.status.in_(UNANSWERED)
    return or_(Message.status == Status.UNKNOWN, by_hand)


def with_tracking_id(tracking_id: str) -> dict[str, str]:
    """Return the columns of a tracking id."""
    return {"tracking_id": tracking_id, "tracking_key": tracking_key(tracking_id)}


def name_sender(session: Session, message_id: int, sender: str | None) -> None:
    """Keep the sender that a late answer names, unless a postback named one."""
    session.execute(
        update(Message)
        .where(Message.id == message_id, Message.sender_used.is_(None))
        .values(sender_used=sender)
        .execution_options(synchronize_session=False)
    )


def note(
    session: Session,
    message_id: int,
    outcome: Settled,
    *,
    actor: str,
    reason: str,
    now: datetime,
    postback_id: int | None = None,
) -> None:
    """Write down what was decided, by whom, and why."""
    session.add(
        Settlement(
            message_id=message_id,
            at=now,
            actor=actor[:80],
            outcome=outcome.value,
            reason=reason[:1000],
            postback_id=postback_id,
        )
    )
    session.flush()


def of_message(session: Session, message_id: int) -> Sequence[SettlementRow]:
    """Return what was decided about a message, oldest first."""
    found = select(Settlement).where(Settlement.message_id == message_id).order_by(Settlement.id)
    return [
        SettlementRow(
            at=row.at,
            actor=row.actor,
            outcome=Settled(row.outcome),
            reason=row.reason,
            postback_id=row.postback_id,
        )
        for row in session.scalars(found)
    ]
