"""Many rows in one statement, on both engines alike.

PostgreSQL takes one array a column. SQLite runs one prepared statement for each row: there is no
round trip to save, and its JSON functions would have to be told about bytes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Table, any_, bindparam, cast, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

from .base import Base
from .db import dialect_of

Row = Mapping[str, Any]
_Statement = Callable[[Table, tuple[str, ...], str], str]


def among(
    session: Session, column: InstrumentedAttribute[Any], values: Iterable[Any]
) -> ColumnElement[bool]:
    """Return the condition that a column has one of these values."""
    wanted = list(values)
    if dialect_of(session) == "sqlite":
        return column.in_(wanted)
    return column == any_(cast(bindparam(None, wanted, ARRAY(column.type)), ARRAY(column.type)))


def add(session: Session, model: type[Base], rows: Sequence[Row], key: str) -> dict[Any, int]:
    """Insert the rows whose `key` is new, and return the ids of all of them by that key."""
    if not rows:
        return {}
    if dialect_of(session) == "postgresql":
        return dict(_run(session, model, rows, key, _insert_postgresql))
    _run(session, model, rows, key, _insert_sqlite)
    column = getattr(model, key)
    back = select(column, _table(model).c.id).where(
        among(session, column, {row[key] for row in rows})
    )
    return {row[0]: row[1] for row in session.execute(back)}


def update(session: Session, model: type[Base], rows: Sequence[Row]) -> None:
    """Give each row, named by its `id`, its values."""
    is_postgresql = dialect_of(session) == "postgresql"
    _run(session, model, rows, "id", _update_postgresql if is_postgresql else _update_sqlite)


def put(session: Session, model: type[Base], rows: Sequence[Row], key: str, newer: str) -> None:
    """Insert or replace rows by `key`, unless the one that is there is newer by column `newer`."""
    is_postgresql = dialect_of(session) == "postgresql"
    made = _insert_postgresql if is_postgresql else _insert_sqlite

    def statement(table: Table, names: tuple[str, ...], key: str) -> str:
        insert = made(table, names, key).partition(" ON CONFLICT")[0]
        values = ", ".join(f"{name} = excluded.{name}" for name in names if name != key)
        return (
            f"{insert} ON CONFLICT ({key}) DO UPDATE SET {values}"
            f" WHERE {table.name}.{newer} <= excluded.{newer}"
        )

    _run(session, model, rows, key, statement)


def _run(
    session: Session, model: type[Base], rows: Sequence[Row], key: str, statement: _Statement
) -> list[Any]:
    if not rows:
        return []
    names = tuple(rows[0])
    table, connection = _table(model), session.connection()
    to_driver = _binders(table, names, connection.dialect)
    sql = statement(table, names, key)
    if connection.dialect.name == "sqlite":
        values = [tuple(bind(row[name]) for name, bind in to_driver) for row in rows]
        connection.exec_driver_sql(sql, values)
        return []
    arrays = tuple([bind(row[name]) for row in rows] for name, bind in to_driver)
    result = connection.exec_driver_sql(sql, arrays)
    return [tuple(row) for row in result] if result.returns_rows else []


@cache
def _binders(
    table: Table, names: tuple[str, ...], dialect: Dialect
) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """Return what turns a value of each column into one of the driver's."""

    def as_it_is(value: object) -> object:
        return value

    found = ((n, table.c[n].type.dialect_impl(dialect).bind_processor(dialect)) for n in names)
    return tuple((name, bind or as_it_is) for name, bind in found)


@cache
def _insert_postgresql(table: Table, names: tuple[str, ...], key: str) -> str:
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM {_unnest(table, names)}"  # noqa: S608
        f" ON CONFLICT ({key}) DO UPDATE SET {key} = excluded.{key} RETURNING {key}, id"
    )


@cache
def _insert_sqlite(table: Table, names: tuple[str, ...], key: str) -> str:
    marks = ", ".join("?" for _ in names)
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
        f" ON CONFLICT ({key}) DO NOTHING"
    )


@cache
def _update_postgresql(table: Table, names: tuple[str, ...], key: str) -> str:
    values = ", ".join(f"{name} = new.{name}" for name in names if name != key)
    return (
        f"UPDATE {table.name} SET {values} FROM {_unnest(table, names)}"  # noqa: S608
        f" AS new ({', '.join(names)}) WHERE {table.name}.{key} = new.{key}"
    )


@cache
def _update_sqlite(table: Table, names: tuple[str, ...], key: str) -> str:
    values = ", ".join(f"{name} = ?{number}" for number, name in enumerate(names, 1) if name != key)
    return f"UPDATE {table.name} SET {values} WHERE {key} = ?{names.index(key) + 1}"  # noqa: S608


def _unnest(table: Table, names: tuple[str, ...]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    arrays = (f"%s::{table.c[name].type.compile(dialect=dialect)}[]" for name in names)
    return f"unnest({', '.join(arrays)})"


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101  # no model of ours is made of anything else
    return table
