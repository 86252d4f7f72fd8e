"""Under which names a token has asked for a message before: keys of requests, and references."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from . import bulk
from .models import IdempotencyKey, Message, ReferenceKey

Names = type[IdempotencyKey] | type[ReferenceKey]


@dataclass(frozen=True, slots=True)
class Known:
    """What was queued under a name, and the digest of the request; no id: it was erased since."""

    digest: bytes
    message_id: int | None
    public_id: UUID | None


def add(
    session: Session, names: Names, token_id: int, name: str, digest: bytes, message_id: int
) -> None:
    """Remember under which name a token queued a message; a second one violates the table's key."""
    row = {column_of(names).key: name, "token_id": token_id, "digest": digest}
    session.add(names(**row, message_id=message_id))


def known(session: Session, names: Names, token_id: int, name: str) -> Known | None:
    """Return what a token has queued under a name."""
    found = session.execute(
        select(names.digest, names.message_id, Message.public_id)
        .outerjoin(Message, Message.id == names.message_id)
        .where(names.token_id == token_id, column_of(names) == name)
    ).first()
    return Known(*found) if found else None


def known_among(
    session: Session, names: Names, token_id: int, wanted: Iterable[str]
) -> dict[str, Known]:
    """Return what a token has queued under these names, by name."""
    given = sorted(set(wanted))
    if not given:
        return {}
    column = column_of(names)
    found = session.execute(
        select(column, names.digest, names.message_id, Message.public_id)
        .outerjoin(Message, Message.id == names.message_id)
        .where(names.token_id == token_id, bulk.among(session, column, given))
    )
    return {
        name: Known(digest, message_id, public_id) for name, digest, message_id, public_id in found
    }


def column_of(names: Names) -> InstrumentedAttribute[str]:
    """Return the column that holds the name."""
    return IdempotencyKey.key if names is IdempotencyKey else ReferenceKey.reference
