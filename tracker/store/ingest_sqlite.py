"""The quick way of a batch on SQLite: its driver's own statements, with the fold between them.

Nothing has to travel to this database, so a statement a row costs little; what would cost more is
the way through an ORM session. There is one writer: what is read after BEGIN IMMEDIATE holds.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.dialects import sqlite

from tracker.domain.fold import Delivery, Outcome

from .base import Base, UtcDateTime, to_utc
from .db import driver_connection
from .ingest import BODY, DELIVERY, EVENT, Done, Target, delivery_values
from .models import Handset, Message, Postback, PostbackBody, RollupMark

_DIALECT: Final = sqlite.dialect()
_TARGET: Final = ("tracking_key", "id", "recipient", "mms_id", "created_at", *DELIVERY)
# A body may be there already, so its id is looked up where it is needed.
_MARKS: Final = {"body_id": "(SELECT id FROM postback_bodies WHERE digest = ?)"}
# Whoever counts an hour anew takes its mark in the same transaction, so one will do.
_MARK: Final = (
    "INSERT INTO rollup_marks (hour)"
    " SELECT ? WHERE NOT EXISTS (SELECT 1 FROM rollup_marks WHERE hour = ?)"
)
# One statement for so many rows; the driver keeps a statement for each number of rows.
_ROWS_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Judged:
    """What an event does to its message, and why."""

    outcome: Outcome
    reason: str


Judge = Callable[[int, Target], Judged | None]


@dataclass(frozen=True, slots=True)
class _Told:
    """An event with what it does to its message, and what that was before."""

    event: Mapping[str, Any]
    target: Target
    judged: Judged


def tell(
    engine: Engine, events: Mapping[int, Mapping[str, Any]], judge: Judge, now: datetime
) -> dict[int, Done]:
    """Commit the events that can be done at once, and return what they did, by their place.

    `judge` is given a place and its message, moves the message on, and says what that did; None
    when the number does not agree. No two events may have the same tracking key.
    """
    done: dict[int, Done] = {}
    hours: set[datetime] = set()
    places = list(events)
    with _writing(engine) as cursor:
        for start in range(0, len(places), _ROWS_AT_ONCE):
            some = {place: events[place] for place in places[start : start + _ROWS_AT_ONCE]}
            told = _judged(cursor, some, judge)
            done |= _write(cursor, told, now)
            hours |= {_hour(one.target.created_at) for one in told.values()}
        for hour in sorted(hours):
            (moment,) = _bound(RollupMark, [{"hour": hour}])
            cursor.execute(_MARK, (moment, moment))
    return done


def _judged(
    cursor: sqlite3.Cursor, events: Mapping[int, Mapping[str, Any]], judge: Judge
) -> dict[int, _Told]:
    """Return what those events do that are new and have one message each."""
    known = _known(cursor, [event["fingerprint"] for event in events.values()])
    targets = _targets(cursor, [event["tracking_key"] for event in events.values()])
    told = {}
    for place, event in events.items():
        found = targets.get(event["tracking_key"], ())
        if len(found) != 1 or event["fingerprint"] in known:
            continue
        judged = judge(place, found[0])
        if judged is not None:
            told[place] = _Told(event, found[0], judged)
    return told


def _write(cursor: sqlite3.Cursor, told: Mapping[int, _Told], now: datetime) -> dict[int, Done]:
    if not told:
        return {}
    every = list(told.values())
    first_id = _journal(cursor, every)
    _update(cursor, every, now)
    _keep_handsets(cursor, every)
    return {
        place: Done(first_id + number, one.judged.outcome, one.judged.reason)
        for number, (place, one) in enumerate(told.items())
    }


@contextmanager
def _writing(engine: Engine) -> Iterator[sqlite3.Cursor]:
    with driver_connection(engine) as pooled:
        cursor: sqlite3.Cursor = pooled.cursor()  # type: ignore[assignment]
        try:
            cursor.execute("BEGIN IMMEDIATE")
            yield cursor
            cursor.execute("COMMIT")
        finally:
            if cursor.connection.in_transaction:
                cursor.execute("ROLLBACK")


def _known(cursor: sqlite3.Cursor, fingerprints: Sequence[bytes]) -> set[bytes]:
    """Return those that the journal has already."""
    return {found for (found,) in cursor.execute(_known_sql(len(fingerprints)), fingerprints)}


@cache
def _known_sql(count: int) -> str:
    return f"SELECT fingerprint FROM postbacks WHERE fingerprint IN ({_marks(count)})"  # noqa: S608


def _targets(cursor: sqlite3.Cursor, keys: Sequence[str]) -> dict[str, list[Target]]:
    """Return the messages with these tracking keys."""
    targets: dict[str, list[Target]] = {}
    (found_ones,) = cursor.execute(_targets_sql(len(keys)), keys).fetchone()
    for found in json.loads(found_ones):
        values = [read(value) for read, value in zip(_readers(), found, strict=True)]
        key, id_, recipient, mms_id, created_at, *rest = values
        delivery = Delivery(**dict(zip(DELIVERY, rest, strict=True)))
        target = Target(id_, recipient, mms_id, created_at, delivery)
        targets.setdefault(key, []).append(target)
    return targets


@cache
def _targets_sql(count: int) -> str:
    # In one row: the driver lets other threads in for each, and has to wait for its turn again.
    row = f"json_array({', '.join(_TARGET)})"
    wanted = f"tracking_key IN ({_marks(count)})"
    return f"SELECT json_group_array({row}) FROM messages WHERE {wanted}"  # noqa: S608


def _journal(cursor: sqlite3.Cursor, told: Sequence[_Told]) -> int:
    """Write bytes and events down, and return the id of the first; the others follow it."""
    bodies = [{name: one.event[name] for name in BODY} for one in told]
    cursor.execute(*_insert(PostbackBody, bodies, "ON CONFLICT (digest) DO NOTHING"))
    judged_at = datetime.now(UTC)  # amid the writing: the order of the fold, see db.clock
    rows = [
        {
            **{name: one.event[name] for name in EVENT},
            "last_received_at": one.event["received_at"],
            "judged_at": judged_at,
            "repeats": 0,
            "message_id": one.target.id,
            "outcome": one.judged.outcome.value,
            "outcome_reason": one.judged.reason[:1000],
            "body_id": one.event["digest"],
        }
        for one in told
    ]
    cursor.execute(*_insert(Postback, rows))
    assert cursor.lastrowid is not None  # noqa: S101  # there is a row
    return cursor.lastrowid - len(rows) + 1


def _update(cursor: sqlite3.Cursor, told: Sequence[_Told], now: datetime) -> None:
    rows = [
        {"id": one.target.id, "updated_at": now, **delivery_values(one.target.delivery)}
        for one in told
    ]
    cursor.execute(_update_sql(tuple(rows[0]), len(rows)), _bound(Message, rows))


@cache
def _update_sql(names: tuple[str, ...], count: int) -> str:
    changes = ", ".join(f"{name} = new.column{n}" for n, name in enumerate(names[1:], start=2))
    rows = _rows(f"({_marks(len(names))})", count)
    return f"UPDATE messages SET {changes} FROM (VALUES {rows}) AS new WHERE id = new.column1"  # noqa: S608


def _keep_handsets(cursor: sqlite3.Cursor, told: Sequence[_Told]) -> None:
    rows = [
        {
            "number": one.target.recipient,
            "handset": one.event["handset"],
            "os": one.event["os_of_handset"],
            "source": one.event["code"],
            "seen_at": one.event["received_at"],
        }
        for one in told
        if one.event["handset"]
    ]
    if rows:
        newer = ", ".join(f"{name} = excluded.{name}" for name in rows[0] if name != "number")
        is_newer = f"ON CONFLICT (number) DO UPDATE SET {newer} WHERE seen_at <= excluded.seen_at"
        cursor.execute(*_insert(Handset, rows, is_newer))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _insert(
    model: type[Base], rows: Sequence[Mapping[str, Any]], otherwise: str = ""
) -> tuple[str, list[Any]]:
    sql = _insert_sql(model.__tablename__, tuple(rows[0]), len(rows), otherwise)
    return sql, _bound(model, rows)


@cache
def _insert_sql(table: str, names: tuple[str, ...], count: int, otherwise: str) -> str:
    rows = _rows(f"({', '.join(_MARKS.get(name, '?') for name in names)})", count)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {rows} {otherwise}"  # noqa: S608


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _rows(row: str, count: int) -> str:
    return ", ".join([row] * count)


def _bound(model: type[Base], rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    binders = _binders(model, tuple(rows[0]))
    return [
        bind(value) if bind else value
        for row in rows
        for bind, value in zip(binders, row.values())  # noqa: B905  # the quickest
    ]


@cache
def _binders(model: type[Base], names: tuple[str, ...]) -> tuple[Callable[[Any], Any] | None, ...]:
    kinds = (model.__table__.c[name].type for name in names)
    return tuple(
        _bound_time
        if isinstance(kind, UtcDateTime)
        else kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)
        for kind in kinds
    )


@lru_cache(1024)
def _bound_time(moment: datetime | None) -> str | None:
    """Write a time as SQLAlchemy does; a postback has the same one several times."""
    if moment is None:
        return None
    return to_utc(moment).isoformat(" ", "microseconds").removesuffix("+00:00")


@cache
def _readers() -> tuple[Callable[[Any], Any], ...]:
    kinds = (Message.__table__.c[name].type.dialect_impl(_DIALECT) for name in _TARGET)
    return tuple(kind.result_processor(_DIALECT, None) or _as_it_is for kind in kinds)


def _as_it_is(value: object) -> object:
    return value
