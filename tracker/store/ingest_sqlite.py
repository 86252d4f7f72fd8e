"""The quick way of a batch on SQLite: its driver's own statements, with the fold between them.

Nothing has to travel to this database, so a statement a row costs little; what would cost more is
the way through an ORM session. There is one writer: what is read after BEGIN IMMEDIATE holds.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.dialects import sqlite

from tracker.domain.fold import Delivery, Outcome

from .base import Base, UtcDateTime, to_utc
from .db import driver_connection
from .ingest import BODY, DELIVERY, EVENT, Done, Target, delivery_values
from .models import Handset, Message, Postback, PostbackBody, RollupMark

_DIALECT: Final = sqlite.dialect()
_TARGET: Final = ("id", "recipient", "mms_id", "created_at", *DELIVERY)
_FIND: Final = f"SELECT {', '.join(_TARGET)} FROM messages WHERE tracking_key = ? LIMIT 2"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Judged:
    """What an event does to its message, and why."""

    outcome: Outcome
    reason: str


Judge = Callable[[int, Target], Judged | None]


def tell(
    engine: Engine, events: Mapping[int, Mapping[str, Any]], judge: Judge, now: datetime
) -> dict[int, Done]:
    """Commit the events that can be done at once, and return what they did, by their place.

    `judge` is given a place and its message, moves the message on, and says what that did; None
    when the number does not agree. No two events may have the same tracking key.
    """
    done: dict[int, Done] = {}
    hours: set[datetime] = set()
    with _writing(engine) as cursor:
        for place, event in events.items():
            target = _target(cursor, event["tracking_key"])
            if target is None:
                continue
            before = target.delivery
            judged = judge(place, target)
            postback_id = _journal(cursor, event, target, judged) if judged else None
            if judged is None or postback_id is None:
                continue
            _update(cursor, target, before, now)
            _keep_handset(cursor, event, target)
            hours.add(target.created_at.replace(minute=0, second=0, microsecond=0))
            done[place] = Done(postback_id, judged.outcome, judged.reason)
        for hour in sorted(hours):
            cursor.execute(*_insert(RollupMark, {"hour": hour}))
    return done


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


def _target(cursor: sqlite3.Cursor, key: str) -> Target | None:
    """Return the message with this tracking key, unless there are several."""
    found = cursor.execute(_FIND, (key,)).fetchall()
    if len(found) != 1:
        return None
    values = [read(value) for read, value in zip(_readers(), found[0], strict=True)]
    id_, recipient, mms_id, created_at, *rest = values
    delivery = Delivery(**dict(zip(DELIVERY, rest, strict=True)))
    return Target(id_, recipient, mms_id, created_at, delivery)


def _journal(
    cursor: sqlite3.Cursor, event: Mapping[str, Any], target: Target, judged: Judged
) -> int | None:
    """Write bytes and event down, and return its id; None when the event is known."""
    cursor.execute(*_insert(PostbackBody, {name: event[name] for name in BODY}, "digest"))
    found = cursor.execute("SELECT id FROM postback_bodies WHERE digest = ?", (event["digest"],))
    row = {
        **{name: event[name] for name in EVENT},
        "body_id": found.fetchone()[0],
        "last_received_at": event["received_at"],
        "judged_at": datetime.now(UTC),  # amid the writing: the order of the fold, see db.clock
        "repeats": 0,
        "message_id": target.id,
        "outcome": judged.outcome.value,
        "outcome_reason": judged.reason[:1000],
    }
    cursor.execute(*_insert(Postback, row, "fingerprint"))
    return cursor.lastrowid if cursor.rowcount else None


def _update(cursor: sqlite3.Cursor, target: Target, before: Delivery, now: datetime) -> None:
    values = {} if target.delivery == before else delivery_values(target.delivery)
    names = ("updated_at", *values)
    sql = f"UPDATE messages SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?"  # noqa: S608
    cursor.execute(sql, (*_bound(Message, {"updated_at": now, **values}), target.id))


def _keep_handset(cursor: sqlite3.Cursor, event: Mapping[str, Any], target: Target) -> None:
    if event["handset"]:
        row = {
            "number": target.recipient,
            "handset": event["handset"],
            "os": event["os_of_handset"],
            "source": event["code"],
            "seen_at": event["received_at"],
        }
        sql, values = _insert(Handset, row)
        newer = ", ".join(f"{name} = excluded.{name}" for name in row if name != "number")
        cursor.execute(
            f"{sql} ON CONFLICT (number) DO UPDATE SET {newer} WHERE seen_at <= excluded.seen_at",
            values,
        )


def _insert(
    model: type[Base], row: Mapping[str, Any], unless_known: str = ""
) -> tuple[str, tuple[Any, ...]]:
    return _insert_sql(model.__tablename__, tuple(row), unless_known), _bound(model, row)


@cache
def _insert_sql(table: str, names: tuple[str, ...], unless_known: str) -> str:
    marks = ", ".join("?" for _ in names)
    otherwise = f" ON CONFLICT ({unless_known}) DO NOTHING" if unless_known else ""
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}){otherwise}"  # noqa: S608


def _bound(model: type[Base], row: Mapping[str, Any]) -> tuple[Any, ...]:
    binders = _binders(model, tuple(row))
    return tuple([bind(value) if bind else value for bind, value in zip(binders, row.values())])  # noqa: B905  # the quickest


@cache
def _binders(model: type[Base], names: tuple[str, ...]) -> tuple[Callable[[Any], Any] | None, ...]:
    kinds = (model.__table__.c[name].type for name in names)
    return tuple(
        _bound_time
        if isinstance(kind, UtcDateTime)
        else kind.dialect_impl(_DIALECT).bind_processor(_DIALECT)
        for kind in kinds
    )


def _bound_time(moment: datetime | None) -> str | None:
    """Write a time as SQLAlchemy does; its own way takes ten times as long."""
    if moment is None:
        return None
    return to_utc(moment).isoformat(" ", "microseconds").removesuffix("+00:00")


@cache
def _readers() -> tuple[Callable[[Any], Any], ...]:
    kinds = (Message.__table__.c[name].type.dialect_impl(_DIALECT) for name in _TARGET)
    return tuple(kind.result_processor(_DIALECT, None) or _as_it_is for kind in kinds)


def _as_it_is(value: object) -> object:
    return value
