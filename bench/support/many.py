"""A large database out of a small one: an invented week, copied by the server itself.

Every copy has ids, numbers, tracking ids and references of its own and is told some days earlier,
so that the copies fill two months. The bytes of postbacks are shared: nobody looks through them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, DateTime, func, select, text

from tracker.config import DEFAULT_ZONE
from tracker.services import rollups
from tracker.services.demo import Demo
from tracker.services.demo_plan import Plan
from tracker.store import db
from tracker.store.base import Base
from tracker.store.models import Handset, Message, MessageContent, Postback, RollupMark, SendAttempt

from .databases import Database

WEEK = 5_000  # messages of the week that is copied
DAYS = 60
BLOCK = 10  # copies a statement


def fill(database: Database, messages: int) -> int:
    """Fill an empty database with about so many messages, and return how many there are."""
    sessions = db.connect(database.url)
    week = min(WEEK, messages)
    plan = Plan(week, datetime.now(UTC), DEFAULT_ZONE, 1)
    for _ in Demo(sessions, plan, messages=week, zone=DEFAULT_ZONE, actor="bench").steps():
        pass
    with database.engine.connect() as connection:
        _copy(connection, messages // week - 1, is_sqlite=database.name == "sqlite")
        if database.name == "postgresql":
            _go_on_with_ids(connection)
        total = connection.scalar(select(func.count()).select_from(Message)) or 0
    rollups.refresh(sessions)
    db.engine_of(sessions).dispose()
    return total


def _go_on_with_ids(connection: Connection) -> None:
    """Let PostgreSQL count on from the ids that were copied."""
    for table in ("postbacks", "postback_bodies", "messages"):
        last = f"(SELECT max(id) FROM {table})"
        sequence = f"pg_get_serial_sequence('{table}', 'id')"
        connection.execute(text(f"SELECT setval({sequence}, {last})"))


def _copy(connection: Connection, copies: int, *, is_sqlite: bool) -> None:
    spans = {model: connection.scalar(select(func.max(model.id))) for model in (Message, Postback)}
    statements = _statements(spans[Message] or 0, spans[Postback] or 0, is_sqlite=is_sqlite)
    for first in range(1, copies + 1, BLOCK):
        block = {"first": first, "last": min(first + BLOCK - 1, copies)}
        for statement in statements:
            connection.execute(text(statement), block)
    hour = "strftime('%Y-%m-%d %H:00:00.000000', created_at)"
    if not is_sqlite:
        hour = "date_trunc('hour', created_at, 'UTC')"
    hours = f"SELECT DISTINCT {hour} FROM messages"
    connection.execute(text(f"INSERT INTO {RollupMark.__tablename__} (hour) {hours}"))
    connection.execute(text("ANALYZE"))


def _statements(span: int, postbacks: int, *, is_sqlite: bool) -> list[str]:
    """Return what copies each table once, for the copies `:first` to `:last`."""
    random16 = "lower(hex(randomblob(16)))" if is_sqlite else "gen_random_uuid()"
    random32 = "randomblob(32)" if is_sqlite else "sha256(gen_random_uuid()::text::bytea)"
    number = (
        "substr({0}, 1, length({0}) - 7)"
        " || printf('%07d', (CAST(substr({0}, -7) AS INTEGER) + 7919 * n) % 10000000)"
        if is_sqlite
        else "left({0}, -7) || lpad(((right({0}, 7)::bigint + 7919 * n) % 10000000)::text, 7, '0')"
    )
    own = "{0} || '-' || n"
    message = {
        "id": f"id + {span} * n", "public_id": random16, "recipient": number.format("recipient"),
        "tracking_id": own.format("tracking_id"), "tracking_key": own.format("tracking_key"),
        "reference": own.format("reference"), "custom_pass_id": own.format("custom_pass_id"),
        "batch_id": "NULL", "batch_row": "NULL", "resent_as": "NULL",
    }  # fmt: skip
    of_message = {"message_id": f"message_id + {span} * n"}
    copied = f"{span} >= {{0}} AND {{0}} NOT IN (SELECT id FROM messages WHERE status = 'queued')"
    return [
        _insert(Message, message, copied.format("id"), is_sqlite=is_sqlite),
        _insert(MessageContent, of_message, copied.format("message_id"), is_sqlite=is_sqlite),
        _insert(
            SendAttempt,
            {"id": None, "claim_id": random16, **of_message},
            copied.format("message_id"),
            is_sqlite=is_sqlite,
        ),
        _insert(
            Postback,
            {
                "id": f"id + {postbacks} * n", "fingerprint": random32,
                "tracking_key": own.format("tracking_key"), **of_message,
            },
            f"id <= {postbacks} AND {copied.format('message_id')}",
            is_sqlite=is_sqlite,
        ),
        _insert(
            Handset,
            {"number": number.format("number")},
            f"number IN (SELECT recipient FROM messages WHERE id <= {span})",
            is_sqlite=is_sqlite,
        )
        + " ON CONFLICT DO NOTHING",
    ]  # fmt: skip


def _insert(
    model: type[Base], changed: Mapping[str, str | None], which: str, *, is_sqlite: bool
) -> str:
    """Return a statement that copies rows; a column that becomes None is left to the database."""
    earlier = (
        f"strftime('%Y-%m-%d %H:%M:%f', {{0}}, '-' || (n % {DAYS}) || ' days') || '000'"
        if is_sqlite
        else f"{{0}} - n % {DAYS} * interval '1 day'"
    )
    values = {}
    for column in model.__table__.c:
        is_time = isinstance(getattr(column.type, "impl", column.type), DateTime)
        as_it_is = earlier.format(column.name) if is_time else column.name
        values[column.name] = changed.get(column.name, as_it_is)
    kept = {name: value for name, value in values.items() if value is not None}
    return (
        f"INSERT INTO {model.__tablename__} ({', '.join(kept)})"
        " WITH RECURSIVE copies(n) AS"
        " (SELECT CAST(:first AS INTEGER) UNION ALL SELECT n + 1 FROM copies WHERE n < :last)"
        f" SELECT {', '.join(kept.values())} FROM {model.__tablename__} CROSS JOIN copies"
        f" WHERE {which}"
    )
