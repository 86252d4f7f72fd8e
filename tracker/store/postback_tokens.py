"""The secrets of the postback URL, as hashes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from .models import PostbackToken
from .rows import TokenRow

_COLUMNS = tuple(getattr(PostbackToken, name) for name in TokenRow.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Hashes:
    """SHA-256 of the tokens that are valid, and of those that must never be again."""

    active: frozenset[bytes]
    revoked: frozenset[bytes]


def hashes(session: Session) -> Hashes:
    """Return the hashes of all tokens; there are a handful."""
    found = session.execute(select(PostbackToken.token_hash, PostbackToken.revoked_at)).all()
    return Hashes(
        active=frozenset(row[0] for row in found if row[1] is None),
        revoked=frozenset(row[0] for row in found if row[1] is not None),
    )


def add(
    session: Session,
    name: str,
    token_hash: bytes,
    now: datetime,
    *,
    revoked_at: datetime | None = None,
) -> int:
    """Keep a token and return its id."""
    row = PostbackToken(name=name, token_hash=token_hash, created_at=now, revoked_at=revoked_at)
    session.add(row)
    session.flush()
    return row.id


def revoke(session: Session, token_id: int, now: datetime) -> bool:
    """End a token; False when it was not active."""
    revoked = (
        update(PostbackToken)
        .where(PostbackToken.id == token_id, PostbackToken.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(PostbackToken.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(revoked) is not None


def note_use(session: Session, used: Iterable[bytes], now: datetime) -> None:
    """Note that tokens were used, by their hashes."""
    session.execute(
        update(PostbackToken)
        .where(PostbackToken.token_hash.in_(list(used)))
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )


def rows(session: Session) -> list[TokenRow]:
    """Return all tokens, the newest first, without their secrets."""
    found = session.execute(select(*_COLUMNS).order_by(PostbackToken.id.desc())).mappings()
    return [TokenRow(**row) for row in found]
