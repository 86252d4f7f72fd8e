"""Erasing one person: her number wherever else somebody wrote it down.

All tables are walked through by key, a few rows at a time, and every column that holds text is
looked at: a table that is added later is walked through without a word here.
"""

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import JSON, Column, LargeBinary, String, Table, delete, select, tuple_, update
from sqlalchemy.orm import Session

from tracker.domain.numbers import ERASED
from tracker.domain.spellings import Spellings

from .base import Base
from .forget import Gone, erase_bodies, erase_postbacks
from .models import Postback, PostbackBody, Suppression

# Our own people, what a run itself writes, and what is erased before the walk or with its batch.
_SPARED: Final = frozenset({"users", "checkpoints", "batch_chunks", "batch_kept"})
_HASHES: Final = frozenset({"digest", "fingerprint", "token_hash", "code_hash", "password_hash"})


def tables() -> list[Table]:
    """Return the tables that may hold text of strangers, in a fixed order."""
    found = sorted(Base.metadata.tables.values(), key=lambda table: table.name)
    return [table for table in found if table.name not in _SPARED and _texts(table)]


@dataclass(frozen=True, slots=True)
class Found:
    """What a step of the walk saw: keys of rows with the number; the last key, None at the end."""

    keys: list[tuple[Any, ...]]
    last: tuple[Any, ...] | None


def rows_with(
    session: Session,
    table: Table,
    after: tuple[Any, ...] | None,
    spellings: Spellings,
    *,
    spared: str,
    limit: int,
) -> Found:
    """Look through the next rows of a table; the row of the number `spared` itself may have it."""
    keys = list(table.primary_key)
    next_ones = select(*keys, *_texts(table)).order_by(*keys).limit(limit)
    if after is not None:
        next_ones = next_ones.where(tuple_(*keys) > after)
    rows = [tuple(row) for row in session.execute(next_ones)]
    size = len(keys)
    named = [
        row[:size]
        for row in rows
        if any(map(spellings.is_in, _looked_at(table, row, size, spared)))
    ]
    return Found(named, rows[-1][:size] if len(rows) == limit else None)


def _looked_at(table: Table, row: Sequence[Any], size: int, spared: str) -> Sequence[Any]:
    """Return the texts of a row, without the number of a suppression that stays."""
    texts = row[size:]
    is_spared = table.name == Suppression.__tablename__ and row[0] == spared
    return [text for text in texts if not (is_spared and text == spared)]


def erase_rows(
    session: Session,
    table: Table,
    keys: Sequence[tuple[Any, ...]],
    spellings: Spellings,
    *,
    spared: str,
) -> Gone:
    """Erase a number in these rows: the number alone where it is in a text, else all of them."""
    if not keys:
        return Counter()
    if table.name == Postback.__tablename__:
        return erase_postbacks(session, [key[0] for key in keys])
    if table.name == PostbackBody.__tablename__:
        return erase_bodies(session, [key[0] for key in keys])
    for key in keys:
        _erase_row(session, table, key, spellings, spared)
    return Counter({table.name: len(keys)})


def _erase_row(
    session: Session, table: Table, key: tuple[Any, ...], spellings: Spellings, spared: str
) -> None:
    primary, texts = list(table.primary_key), _texts(table)
    is_it = [column == value for column, value in zip(primary, key, strict=True)]
    row = session.execute(select(*texts).where(*is_it).with_for_update()).one_or_none()
    named = [
        (column, value)
        for column, value in zip(texts, row or (), strict=False)
        if spellings.is_in(value) and not (column.primary_key and value == spared)
    ]
    if any(column.primary_key for column, _ in named):
        session.execute(delete(table).where(*is_it))
        return
    values = {column.name: _erased(table, column, value, spellings) for column, value in named}
    if values:
        session.execute(update(table).where(*is_it).values(values))


def _erased(table: Table, column: Column[Any], value: Any, spellings: Spellings) -> Any:  # noqa: ANN401
    if any(index.unique and column.name in index.columns for index in table.indexes):
        return f"{ERASED} {secrets.token_hex(4)}"  # two of them may not be alike
    return b"" if isinstance(value, bytes) else spellings.erased(value)


def _texts(table: Table) -> list[Column[Any]]:
    return [
        column
        for column in table.c
        if isinstance(column.type, String | JSON | LargeBinary) and column.name not in _HASHES
    ]
