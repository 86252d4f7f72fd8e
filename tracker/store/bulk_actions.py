"""Bulk actions: which messages somebody chose, and how far the work with them has come."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from .models import IS_UNFINISHED, BulkAction, BulkActionItem, Message
from .rows import MessageRow

_AT_ONCE: Final = 1000  # rows of one statement
_MESSAGE = tuple(getattr(Message, name) for name in MessageRow.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBulkAction:
    """A bulk action that waits for its confirmation; counts are by label and by reason."""

    public_id: UUID
    action: str
    actor: str
    asked: Mapping[str, list[str]]
    statuses: Mapping[str, int]
    against: Mapping[str, int]
    next_cursor: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkActionRow(NewBulkAction):
    """A bulk action and how far it has come."""

    id: int
    reason: str | None
    chosen: int
    position: int | None
    done: int
    skipped: int
    confirmed_at: datetime | None
    finished_at: datetime | None

    @property
    def looked_at(self) -> int:
        """How many of the chosen messages had their turn."""
        return self.done + self.skipped


_COLUMNS = tuple(getattr(BulkAction, name) for name in BulkActionRow.__dataclass_fields__)


def add(session: Session, new: NewBulkAction, message_ids: Sequence[int]) -> None:
    """Keep what was chosen."""
    row = BulkAction(**asdict(new), chosen=len(message_ids), done=0, skipped=0)
    session.add(row)
    session.flush()
    for start in range(0, len(message_ids), _AT_ONCE):
        some = message_ids[start : start + _AT_ONCE]
        items = [{"bulk_action_id": row.id, "message_id": message_id} for message_id in some]
        session.execute(insert(BulkActionItem), items)


def by_public_id(
    session: Session, public_id: UUID, *, is_locked: bool = False
) -> BulkActionRow | None:
    """Return a bulk action; locked, nobody else works on it until the transaction ends."""
    statement = select(*_COLUMNS).where(BulkAction.public_id == public_id)
    if is_locked:
        statement = statement.with_for_update()
    found = session.execute(statement).mappings().first()
    return BulkActionRow(**found) if found else None


def unfinished(session: Session, actor: str) -> UUID | None:
    """Return a bulk action of a person that was confirmed and is not finished."""
    return session.scalar(
        select(BulkAction.public_id)
        .where(IS_UNFINISHED, BulkAction.actor == actor)
        .order_by(BulkAction.id.desc())
        .limit(1)
    )


def unfinished_of_others(
    session: Session, actor: str, limit: int
) -> list[tuple[UUID, str, datetime]]:
    """Return what others confirmed that is not finished: its id, who, and since when."""
    found = session.execute(
        select(BulkAction.public_id, BulkAction.actor, BulkAction.confirmed_at)
        .where(IS_UNFINISHED, BulkAction.actor != actor)
        .order_by(BulkAction.actor)
        .limit(limit)
    )
    return [(public_id, who, at) for public_id, who, at in found if at is not None]


def set_values(session: Session, action_id: int, values: Mapping[str, Any]) -> None:
    """Move a bulk action that the caller has locked."""
    session.execute(
        update(BulkAction)
        .where(BulkAction.id == action_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def next_ids(session: Session, action: BulkActionRow, limit: int) -> list[int]:
    """Return the messages whose turn it is, the newest first."""
    waiting = select(BulkActionItem.message_id).where(BulkActionItem.bulk_action_id == action.id)
    if action.position is not None:
        waiting = waiting.where(BulkActionItem.message_id < action.position)
    return list(session.scalars(waiting.order_by(BulkActionItem.message_id.desc()).limit(limit)))


def locked_messages(session: Session, message_ids: Sequence[int]) -> dict[int, MessageRow]:
    """Return messages by id, locked in the receiver's order: the newest first."""
    found = session.execute(
        select(*_MESSAGE)
        .where(Message.id.in_(message_ids))
        .order_by(Message.id.desc())
        .with_for_update()
    )
    return {row["id"]: MessageRow(**row) for row in found.mappings()}


def note(session: Session, action_id: int, came_of: Mapping[int, str | None]) -> None:
    """Write down what came of messages: done, or why they were skipped."""
    of_action = BulkActionItem.bulk_action_id == action_id
    for message_id, detail in came_of.items():
        session.execute(
            update(BulkActionItem)
            .where(of_action, BulkActionItem.message_id == message_id)
            .values(is_done=detail is None, detail=detail and detail[:1000])
            .execution_options(synchronize_session=False)
        )


def reasons(session: Session, action_id: int, limit: int) -> list[tuple[str, int]]:
    """Return why messages were skipped and how many, the most frequent reasons first."""
    number = func.count()
    found = session.execute(
        select(BulkActionItem.detail, number)
        .where(BulkActionItem.bulk_action_id == action_id, BulkActionItem.is_done.is_(False))
        .group_by(BulkActionItem.detail)
        .order_by(number.desc(), BulkActionItem.detail)
        .limit(limit)
    )
    return [(detail or "", count) for detail, count in found]


def skipped(session: Session, action_id: int, limit: int) -> list[tuple[UUID, str]]:
    """Return messages that were skipped, with why, the newest first."""
    found = session.execute(
        select(Message.public_id, BulkActionItem.detail)
        .join(Message, Message.id == BulkActionItem.message_id)
        .where(BulkActionItem.bulk_action_id == action_id, BulkActionItem.is_done.is_(False))
        .order_by(BulkActionItem.message_id.desc())
        .limit(limit)
    )
    return [(public_id, detail or "") for public_id, detail in found]


def forget_unconfirmed(session: Session, before: datetime) -> None:
    """Forget what was asked for and never confirmed."""
    session.execute(
        delete(BulkAction)
        .where(BulkAction.confirmed_at.is_(None), BulkAction.created_at < before)
        .execution_options(synchronize_session=False)
    )
