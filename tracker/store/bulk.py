"""Many rows of several tables in one go, on both engines alike.

On PostgreSQL all steps of a `write` are one statement, with one JSON array a table: arrays of
columns would do as well, but the driver is several times slower at making them. SQLite runs one
prepared statement for each row: there is no round trip to save.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal

import orjson
from sqlalchemy import ColumnElement, Dialect, Table, any_, bindparam, cast, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

from .base import Base, to_utc
from .db import dialect_of

_POSTGRESQL: Final = postgresql.dialect()  # type: ignore[no-untyped-call]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """What one step does, apart from its rows.

    `add` inserts the rows whose `key` is new, `put` also replaces those that are not newer by the
    column `newer`, `change` gives each row named by its `key` its values. The column `link` holds
    the key of a row of the first step, and gets that row's id; the column `plus` is added to.
    """

    kind: Literal["add", "put", "change"]
    table: Table
    names: tuple[str, ...]
    key: str
    newer: str = ""
    link: str = ""
    plus: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Rows of one table; all have the same names."""

    shape: Shape
    rows: Sequence[Row]


def add(model: type[Base], rows: Sequence[Row], key: str = "", link: str = "") -> Step:
    """Insert the rows whose `key` is new, or all of them."""
    return Step(Shape("add", table_of(model), _names(rows), key, link=link), rows)


def put(model: type[Base], rows: Sequence[Row], key: str, newer: str) -> Step:
    """Insert or replace rows by `key`, unless the one that is there is newer by column `newer`."""
    return Step(Shape("put", table_of(model), _names(rows), key, newer=newer), rows)


def change(model: type[Base], rows: Sequence[Row], key: str = "id", plus: str = "") -> Step:
    """Give each row, named by its `key`, its values."""
    return Step(Shape("change", table_of(model), _names(rows), key, plus=plus), rows)


def write(session: Session, *steps: Step) -> dict[Any, int]:
    """Do all steps that have rows, in their order; no two may touch the same row.

    Returns the ids of the rows of the step with a `link`, by their key.
    """
    wanted = [step for step in steps if step.rows]
    if not wanted:
        return {}
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        sql = _postgresql(tuple(step.shape for step in wanted))
        found = connection.exec_driver_sql(sql, tuple(without_types(step.rows) for step in wanted))
        return {bytes(key): id_ for key, id_ in found if key is not None}
    for step in wanted:
        binders = _binders(step.shape, connection.dialect)
        values = [tuple(bind(row[name]) for name, bind in binders) for row in step.rows]
        connection.exec_driver_sql(_sqlite(step.shape, wanted[0].shape), values)
    return {k: id_ for step in wanted if step.shape.link for k, id_ in _ids(session, step)}


def _ids(session: Session, step: Step) -> list[tuple[Any, int]]:
    column = step.shape.table.c[step.shape.key]
    keys = {row[step.shape.key] for row in step.rows}
    found = session.execute(select(column, step.shape.table.c.id).where(column.in_(keys)))
    return [(key, id_) for key, id_ in found]


def among(
    session: Session, column: InstrumentedAttribute[Any], values: Iterable[Any]
) -> ColumnElement[bool]:
    """Return the condition that a column has one of these values."""
    wanted = list(values)
    if dialect_of(session) == "sqlite":
        return column.in_(wanted)
    return column == any_(cast(bindparam(None, wanted, ARRAY(column.type)), ARRAY(column.type)))


def _names(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(rows[0]) if rows else ()


def table_of(model: type[Base]) -> Table:
    """Return the table of a model."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101  # no model of ours is made of anything else
    return table


# PostgreSQL


def without_types(rows: Sequence[Row]) -> str:
    """Return rows as the JSON that `json_to_recordset` reads; the statement names the types."""
    return orjson.dumps(rows, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()


def row_without_types(row: Row) -> bytes:
    """Return one of the rows of `without_types`."""
    return orjson.dumps(row, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def type_of(model: type[Base], name: str) -> str:
    """Return the type of a column in PostgreSQL's words."""
    return _type(table_of(model), name)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, datetime):
        return to_utc(value).isoformat()
    return str(value)


@cache
def _postgresql(shapes: tuple[Shape, ...]) -> str:
    steps = [f"step{n} AS ({_postgresql_step(shape)})" for n, shape in enumerate(shapes)]
    linked = [n for n, shape in enumerate(shapes) if shape.link]
    last = f"SELECT key, id FROM step{linked[0]}" if linked else "SELECT NULL, NULL"  # noqa: S608
    return f"WITH {', '.join(steps)} {last}"


def _postgresql_step(shape: Shape) -> str:
    table, names = shape.table.name, ", ".join(shape.names)
    source = f"json_to_recordset(%s::json) AS new ({_definitions(shape)})"
    if shape.kind == "change":
        values = _assignments(shape, "new", table)
        return (
            f"UPDATE {table} SET {values} FROM {source} WHERE {table}.{shape.key} = new.{shape.key}"  # noqa: S608
        )
    columns = ", ".join(f"step0.id AS {n}" if n == shape.link else f"new.{n}" for n in shape.names)
    join = f" JOIN step0 ON step0.key = new.{shape.link}" if shape.link else ""
    # Ids are to follow the order of the rows, and no join keeps it.
    source = f"ROWS FROM (json_to_recordset(%s::json) AS ({_definitions(shape)})) WITH ORDINALITY"
    source = f"{source} AS new ({names}, place)"
    order = " ORDER BY new.place"
    # Even an old row must give its id back, so it is written over with itself.
    returning = f" RETURNING id, {shape.key} AS key" if shape.kind == "add" and shape.key else ""
    conflict = _on_conflict(shape, f"DO UPDATE SET {shape.key} = excluded.{shape.key}")
    return f"INSERT INTO {table} ({names}) SELECT {columns} FROM {source}{join}{order}{conflict}{returning}"  # noqa: E501, S608


def _definitions(shape: Shape) -> str:
    def type_of(name: str) -> str:
        # A link is the other row's key until the join.
        return "bytea" if name == shape.link else _type(shape.table, name)

    return ", ".join(f"{name} {type_of(name)}" for name in shape.names)


def _type(table: Table, name: str) -> str:
    return str(table.c[name].type.compile(dialect=_POSTGRESQL))


# SQLite


@cache
def _sqlite(shape: Shape, first: Shape) -> str:
    table = shape.table.name
    if shape.kind == "change":
        number = shape.names.index(shape.key) + 1
        return f"UPDATE {table} SET {_assignments(shape, '?', table)} WHERE {shape.key} = ?{number}"  # noqa: S608
    linked = f"(SELECT id FROM {first.table.name} WHERE {first.key} = ?)"  # noqa: S608
    marks = ", ".join(linked if name == shape.link else "?" for name in shape.names)
    conflict = _on_conflict(shape, "DO NOTHING")
    return f"INSERT INTO {table} ({', '.join(shape.names)}) VALUES ({marks}){conflict}"  # noqa: S608


@cache
def _binders(shape: Shape, dialect: Dialect) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """Return what turns a value of each column into one of the driver's."""

    def binder(name: str) -> Callable[[Any], Any]:
        of_type = shape.table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
        return of_type if of_type and name != shape.link else _as_it_is

    return tuple((name, binder(name)) for name in shape.names)


def _as_it_is(value: object) -> object:
    return value


# Both


def _on_conflict(shape: Shape, otherwise: str) -> str:
    if not shape.key:
        return ""
    if shape.kind == "add":
        return f" ON CONFLICT ({shape.key}) {otherwise}"
    values = ", ".join(f"{name} = excluded.{name}" for name in shape.names if name != shape.key)
    is_newer = f"{shape.table.name}.{shape.newer} <= excluded.{shape.newer}"
    return f" ON CONFLICT ({shape.key}) DO UPDATE SET {values} WHERE {is_newer}"


def _assignments(shape: Shape, new: str, table: str) -> str:
    def value(number: int, name: str) -> str:
        given = f"?{number}" if new == "?" else f"{new}.{name}"
        return f"{table}.{name} + {given}" if name == shape.plus else given

    numbered = enumerate(shape.names, 1)
    return ", ".join(f"{name} = {value(n, name)}" for n, name in numbered if name != shape.key)
