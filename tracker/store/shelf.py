"""Which messages a postback without a known tracking id may be about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CTE,
    Select,
    String,
    Subquery,
    and_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from tracker.domain.status import Status

from .base import BigId, UtcDateTime
from .models import Message, Postback, SendAttempt


class Rank(IntEnum):
    """How likely a candidate is, the likeliest first."""

    UNKNOWN_SOON_SAME_MMS = 0
    UNKNOWN_SOON = 1
    UNKNOWN = 2
    UNHEARD_OF = 3  # accepted, and no postback has told of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A postback to find messages for: to this number, sent after `since`, best after `soon`."""

    postback_id: int
    number: str
    mms_id: str | None
    since: datetime
    soon: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRow:
    """A message that a postback may be about."""

    postback_id: int
    public_id: UUID
    status: Status
    mms_id: str
    sent_at: datetime  # when the gateway was called last
    rank: int


def candidates(session: Session, asked: Sequence[Asked], most: int) -> list[CandidateRow]:
    """Return the likeliest messages of each postback, with one query for all of them."""
    if not asked:
        return []
    ranked = _ranked(_fitting(_table(asked)))
    found = select(*(ranked.c[name] for name in CandidateRow.__dataclass_fields__))
    found = found.where(ranked.c.place <= most).order_by(ranked.c.postback_id, ranked.c.place)
    return [CandidateRow(**row) for row in session.execute(found).mappings()]


def _table(asked: Sequence[Asked]) -> CTE:
    """Return what is asked as a table that both databases can join."""
    lines: list[Select[*tuple[Any, ...]]] = [
        select(
            literal(one.postback_id, BigId).label("postback_id"),
            literal(one.number, String).label("number"),
            literal(one.mms_id, String).label("asked_mms_id"),
            literal(one.since, UtcDateTime).label("since"),
            literal(one.soon, UtcDateTime).label("soon"),
            literal(one.until, UtcDateTime).label("until"),
        )
        for one in asked
    ]
    return union_all(*lines).cte("asked")


def _fitting(asked: CTE) -> Subquery:
    """Join each postback with the messages that it can be about at all."""
    called = select(func.max(SendAttempt.started_at)).where(SendAttempt.message_id == Message.id)
    told = exists().where(Postback.message_id == Message.id)
    return (
        select(
            asked,
            Message.id, Message.public_id, Message.status, Message.mms_id,
            func.coalesce(called.scalar_subquery(), Message.created_at).label("sent_at"),
        )
        .join(Message, Message.recipient == asked.c.number)
        .where(
            Message.created_at.between(asked.c.since, asked.c.until),
            or_(
                Message.status == Status.UNKNOWN, and_(Message.status == Status.ACCEPTED, ~told)
            ),
        )
        .subquery("fitting")
    )  # fmt: skip


def _ranked(fitting: Subquery) -> Subquery:
    found = fitting.c
    is_unknown = found.status == Status.UNKNOWN
    is_soon = and_(is_unknown, found.sent_at >= found.soon)
    rank = case(
        (and_(is_soon, found.mms_id == found.asked_mms_id), Rank.UNKNOWN_SOON_SAME_MMS.value),
        (is_soon, Rank.UNKNOWN_SOON.value),
        (is_unknown, Rank.UNKNOWN.value),
        else_=Rank.UNHEARD_OF.value,
    ).label("rank")
    order = (rank, found.sent_at.desc(), found.id.desc())
    place = func.row_number().over(partition_by=found.postback_id, order_by=order).label("place")
    ranked: Subquery = (
        select(fitting, rank, place).where(found.sent_at <= found.until).subquery("ranked")
    )
    return ranked
