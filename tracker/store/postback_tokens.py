"""The secrets of the postback URL, as hashes.

Tokens of the settings and of the first start are valid without a row, and none makes them valid:
theirs notes when they were used, or that they are revoked.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .db import dialect_of
from .models import PostbackToken
from .rows import TokenRow

FROM_SETTINGS: Final = "settings"
FROM_FIRST_START: Final = "first start"
OWN_NAMES: Final = (FROM_SETTINGS, FROM_FIRST_START)  # no other token may be called so


@dataclass(frozen=True, slots=True)
class Hashes:
    """SHA-256 of the tokens that are valid, and of those that must never be again."""

    active: frozenset[bytes]
    revoked: frozenset[bytes]


def hashes(session: Session) -> Hashes:
    """Return the hashes of all tokens; there are a handful."""
    asked = select(PostbackToken.token_hash, PostbackToken.name, PostbackToken.revoked_at)
    found = session.execute(asked).all()
    return Hashes(
        active=frozenset(h for h, name, at in found if at is None and name not in OWN_NAMES),
        revoked=frozenset(h for h, _, at in found if at is not None),
    )


def rows(session: Session) -> dict[bytes, TokenRow]:
    """Return all tokens by their hashes, the newest first, without their secrets."""
    found = session.scalars(select(PostbackToken).order_by(PostbackToken.id.desc()))
    return {row.token_hash: _row(row) for row in found}


def lock(session: Session) -> None:
    """Keep others from changing the tokens until the transaction ends; reads go on."""
    if dialect_of(session) == "postgresql":  # SQLite has one writer anyway
        session.execute(text("LOCK TABLE postback_tokens IN SHARE ROW EXCLUSIVE MODE"))


def add(session: Session, name: str, token_hash: bytes, now: datetime) -> int:
    """Keep a token and return its id."""
    row = PostbackToken(name=name, token_hash=token_hash, created_at=now)
    session.add(row)
    session.flush()
    return row.id


def revoke(session: Session, name: str, token_hash: bytes, now: datetime) -> None:
    """End a token for ever, also one that has no row yet."""
    _upsert(session, name, token_hash, now, revoked_at=now)


def note_use(
    session: Session, used: Collection[bytes], own: Mapping[bytes, str], now: datetime
) -> None:
    """Note that tokens were used; `own` has the names of those that may have no row yet."""
    for token_hash in own.keys() & set(used):
        _upsert(session, own[token_hash], token_hash, now, last_used_at=now)
    session.execute(
        update(PostbackToken)
        .where(PostbackToken.token_hash.in_(set(used) - own.keys()))
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )


def _upsert(
    session: Session, name: str, token_hash: bytes, now: datetime, **values: datetime
) -> None:
    dialect = sqlite if dialect_of(session) == "sqlite" else postgresql
    row = {"name": name, "token_hash": token_hash, "created_at": now, **values}
    session.execute(
        dialect.insert(PostbackToken)
        .values(row)
        .on_conflict_do_update(index_elements=["token_hash"], set_=values)
    )


def _row(row: PostbackToken) -> TokenRow:
    return TokenRow(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
