"""The schema goes up, down and up again, and is what the models say."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from sqlalchemy import inspect, text

from tracker.store import db, schema
from tracker.store.base import UtcDateTime
from tracker.store.db import Sessions
from tracker.store.models import Message


def test_up_down_up_and_no_difference(sessions: Sessions) -> None:
    engine = db.engine_of(sessions)
    schema.check(engine)
    schema.downgrade(engine, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    assert not schema.state(engine).is_current
    schema.upgrade(engine)
    schema.check(engine)
    assert schema.state(engine).is_current
    assert set(Message.metadata.tables) <= set(inspect(engine).get_table_names())


def test_two_upgrades_at_once_take_turns(sessions: Sessions) -> None:
    engine = db.engine_of(sessions)
    schema.downgrade(engine, "base")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: schema.upgrade(engine), range(2)))
    assert schema.state(engine).is_current


def test_sqlite_is_set_up_for_durability(sqlite_url: str) -> None:
    sessions = db.connect(sqlite_url)
    with sessions() as session:
        found = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    db.engine_of(sessions).dispose()
    assert found == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000,
    }  # fmt: skip


def test_a_naive_time_is_refused(sessions: Sessions) -> None:
    dialect = db.engine_of(sessions).dialect
    with pytest.raises(ValueError, match="without a zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), dialect)  # noqa: DTZ001


def test_the_outbox_and_the_journal_are_read_by_index(sessions: Sessions) -> None:
    questions = {
        "SELECT id FROM messages WHERE tracking_key = 'x'": "tracking_key",
        "SELECT id FROM messages WHERE recipient = '1' ORDER BY created_at": "recipient",
        "SELECT id FROM messages WHERE status = 'queued' AND status IN ('queued', 'sending') "
        "AND due_at <= '2026-01-01' ORDER BY due_at": "outbox",
        "SELECT id FROM postbacks WHERE message_id = 1 ORDER BY id": "message_id",
        "SELECT id FROM postbacks WHERE fingerprint = 'x'": "fingerprint",
    }
    prefix = (
        "EXPLAIN QUERY PLAN " if db.engine_of(sessions).dialect.name == "sqlite" else "EXPLAIN "
    )
    with sessions() as session:
        if prefix == "EXPLAIN ":
            session.execute(text("SET enable_seqscan = off"))
        for question, index in questions.items():
            plan = "\n".join(str(row) for row in session.execute(text(prefix + question)))
            assert index in plan, plan
