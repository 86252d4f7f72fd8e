"""What the tests of the receiving services share: many messages, batches, and what came of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import uuid4

from builders import NUMBER
from sqlalchemy import event, func, select, text

from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import Outcome
from tracker.domain.status import Status
from tracker.protocol.tracking import tracking_key
from tracker.services import receive
from tracker.services.arrivals import Arrival, read
from tracker.services.receive import Recorded, Result
from tracker.store import db
from tracker.store.base import Base
from tracker.store.db import Sessions
from tracker.store.models import Message, Postback

MOMENT = timedelta(milliseconds=1)


def with_messages(
    sessions: Sessions, tracking_ids: Sequence[str], now: datetime, recipient: str = NUMBER
) -> None:
    """Store messages that the gateway took, as a send leaves them."""
    with sessions.begin() as session:
        session.add_all(
            Message(
                public_id=uuid4(), status=Status.ACCEPTED, recipient=recipient, sender="11111",
                sender_used="11111", mms_id="45633", custom_pass_id=tracking_id, created_at=now,
                updated_at=now, accepted_at=now, tracking_id=tracking_id,
                tracking_key=tracking_key(tracking_id),
            )
            for tracking_id in tracking_ids
        )  # fmt: skip


def an_arrival(
    body: bytes, at: datetime, content_type: str | None = "text/xml", headers: str | None = None
) -> Arrival:
    return read(body, content_type, headers, zone=DEFAULT_ZONE, now=at)


def arrivals(bodies: Sequence[bytes], start: datetime) -> list[Arrival]:
    """Read bodies that arrive one moment after the other."""
    return [an_arrival(body, start + number * MOMENT) for number, body in enumerate(bodies)]


def ingested(sessions: Sessions, batch: Sequence[Arrival], now: datetime) -> list[list[Recorded]]:
    return receive.ingest(sessions, batch, zone=DEFAULT_ZONE, now=now)


def ingested_each(sessions: Sessions, batch: Sequence[Arrival], now: datetime) -> list[Result]:
    return receive.ingest_each(sessions, batch, zone=DEFAULT_ZONE, now=now)


def cut(batch: Sequence[Arrival], size: int) -> list[Sequence[Arrival]]:
    return [batch[at : at + size] for at in range(0, len(batch), size)]


def message(sessions: Sessions, tracking_id: str) -> Message:
    with sessions() as session:
        return session.scalars(
            select(Message).where(Message.tracking_key == tracking_key(tracking_id))
        ).one()


def journal(sessions: Sessions) -> list[Postback]:
    """Read the journal in its order."""
    with sessions() as session:
        return list(session.scalars(select(Postback).order_by(Postback.id)))


def count(sessions: Sessions, model: type[Base]) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def outcomes(results: Sequence[Result]) -> list[Outcome | None]:
    """Return the outcome of each request; none may be an error."""
    found: list[Outcome | None] = []
    for result in results:
        assert isinstance(result, list), result
        found.extend(recorded.outcome for recorded in result)
    return found


@contextmanager
def statements(sessions: Sessions) -> Iterator[list[str]]:
    """Note the statements that the database gets; one for many rows counts once."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    engine = db.engine_of(sessions)
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def forbid(sessions: Sessions, table: str, condition: str) -> None:
    """Let the database refuse rows of a table, for what they hold; `NEW` is the row."""
    is_sqlite = db.engine_of(sessions).dialect.name == "sqlite"
    function = """
        CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE check_violation USING MESSAGE = 'refused'; END $$"""
    head = f"CREATE TRIGGER refusal BEFORE INSERT ON {table} FOR EACH ROW WHEN ({condition})"
    refusals = (
        [f"{head} BEGIN SELECT RAISE(ABORT, 'refused'); END"]
        if is_sqlite
        else [function, f"{head} EXECUTE FUNCTION refuse()"]
    )
    with db.engine_of(sessions).begin() as connection:
        for refusal in refusals:
            connection.execute(text(refusal))


def eventually(is_so: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait until something holds; False when it does not in time."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
