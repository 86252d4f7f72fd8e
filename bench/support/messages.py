"""The messages that postbacks tell of: loaded by the server itself, and counted afterwards."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    cast,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
)

from tracker.domain.status import Status
from tracker.store.models import Message, Postback

from .databases import Database
from .postbacks import BASE, MMS_ID

TABLE = Message.__table__
BLOCK = 50_000  # rows a statement


def load(database: Database, first: int, count: int) -> None:
    """Add accepted messages with the ids from `first` on."""
    with database.engine.connect() as connection:
        for start in range(first, first + count, BLOCK):
            connection.execute(_insert(database, start, min(start + BLOCK, first + count)))
        tidy = (
            ("VACUUM (ANALYZE) messages", "CHECKPOINT")
            if database.name == "postgresql"
            else ("PRAGMA wal_checkpoint(TRUNCATE)",)
        )
        for statement in tidy:
            connection.execute(text(statement))


def newest_postback(database: Database) -> int:
    """Return the highest id of the journal."""
    with database.engine.connect() as connection:
        return connection.scalar(select(func.max(Postback.id))) or 0


def applied_since(database: Database, postback_id: int) -> int:
    """Count the journal rows after an id; a row that was not applied counts for nothing."""
    rows = select(func.count()).where(Postback.id > postback_id, Postback.outcome == "applied")
    with database.engine.connect() as connection:
        return connection.scalar(rows) or 0


def delivered_among(database: Database, first: int, count: int) -> int:
    """Count the delivered messages among those with the ids from `first` on."""
    rows = select(func.count()).where(
        Message.id.between(first, first + count - 1), Message.status == Status.DELIVERED
    )
    with database.engine.connect() as connection:
        return connection.scalar(rows) or 0


def _insert(database: Database, first: int, end: int) -> Any:  # noqa: ANN401
    numbers = select(literal(first, BigInteger).label("id")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.id + 1).where(numbers.c.id < end - 1))
    values = _values(database, numbers.c.id)
    return insert(TABLE).from_select(list(values), select(*values.values()))


def _values(database: Database, number: ColumnElement[int]) -> dict[str, ColumnElement[Any]]:
    """Return what is known of an accepted message; the model's defaults and NULL do the rest."""
    is_sqlite = database.name == "sqlite"
    uuid = "lower(hex(randomblob(16)))" if is_sqlite else "gen_random_uuid()"
    digits = cast(number + BASE, String)
    now = datetime.now(UTC)
    known: dict[str, Any] = {
        "id": number,
        "public_id": literal_column(uuid),
        "status": Status.ACCEPTED,
        "recipient": "1" + digits,
        "sender": "11111",
        "sender_used": "11111",
        "mms_id": MMS_ID,
        "custom_pass_id": "bench-" + digits,
        "tracking_id": "MMS_" + digits,
        "tracking_key": "MMS_" + digits,
        "created_at": now,
        "updated_at": now,
        "accepted_at": now,
    }
    if not TABLE.c.due_at.nullable:
        known["due_at"] = now
    return {
        name: value if isinstance(value, ColumnElement) else literal(value, TABLE.c[name].type)
        for name, value in known.items()
        if name in TABLE.c
    }
