"""The schema goes up, down and up again, and is what the models say."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from builders import a_postback
from sqlalchemy import event, inspect, text
from sqlalchemy.orm import Session

from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import Outcome
from tracker.domain.status import Status
from tracker.services import receive
from tracker.store import (
    audit,
    bulk_actions,
    db,
    ingest,
    messages,
    outbox,
    overview,
    postbacks,
    purge,
    saved_views,
    schema,
    settling,
    two_factor,
)
from tracker.store.audit import AuditFilter
from tracker.store.base import UtcDateTime
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter
from tracker.store.models import Message, Rollup
from tracker.store.postbacks import PostbackFilter
from tracker.store.purge import Asked


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


def test_a_journal_whose_bytes_are_gone_goes_down_and_up(sessions: Sessions) -> None:
    now = datetime.now(UTC)
    for code in ("N101", "N102"):
        receive.record(sessions, a_postback(code), "text/xml", zone=DEFAULT_ZONE, now=now)
    with sessions.begin() as session:
        session.execute(text("DELETE FROM postback_bodies"))
        session.add(Rollup(hour=now, status=Status.SENT, mms_id="1", messages=1, is_purged=True))
    engine = db.engine_of(sessions)
    schema.downgrade(engine, "0007")
    schema.upgrade(engine)
    schema.check(engine)
    with sessions() as session:
        found = postbacks.search(session, PostbackFilter(), limit=5).items
        assert [postbacks.body(session, row).is_gone for row in found] == [True, True]


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
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 3_000,
    }  # fmt: skip


def test_a_naive_time_is_refused(sessions: Sessions) -> None:
    dialect = db.engine_of(sessions).dialect
    with pytest.raises(ValueError, match="without a zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), dialect)  # noqa: DTZ001


def plans_of(sessions: Sessions, ask: Callable[[Session], object]) -> list[str]:
    """Run a question of the store and return the plan of each statement that it made."""
    asked: list[tuple[str, Any]] = []
    engine = db.engine_of(sessions)

    def note(_c: object, _k: object, statement: str, values: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            asked.append((statement, values))

    event.listen(engine, "before_cursor_execute", note)
    with sessions.begin() as session:
        ask(session)
    event.remove(engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET enable_seqscan = off"))  # small tables are read whole
        return [
            "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(explain + s, v))
            for s, v in asked
        ]


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda s: outbox.due(s, 5, datetime.now(UTC)), "ix_messages_outbox"),
        (lambda s: outbox.counts(s, datetime.now(UTC)), "ix_messages_outbox"),
        (lambda s: overview.hourly(s, datetime.now(UTC)), "ix_rollups_hour"),
        (lambda s: overview.failures(s, datetime.now(UTC), 8), "ix_rollups_hour"),
        (lambda s: overview.carriers(s, datetime.now(UTC), 8), "ix_rollups_hour"),
        (overview.first_hour, "ix_rollups_hour"),
        (lambda s: overview.sample(s, [datetime.now(UTC)] * 3, 5), "ix_messages_created_at"),
        (lambda s: overview.queue(s, datetime.now(UTC)), "ix_messages_outbox"),
        (lambda s: overview.on_shelf(s, Outcome.UNMATCHED), "ix_postbacks_not_applied"),
        (lambda s: outbox.tries(s, [1, 2]), "ix_send_attempts_message_id"),
        (lambda s: postbacks.keys_waiting(s, ["x", "y"]), "ix_postbacks_tracking_key"),
        (lambda s: outbox.expire_leases(s, datetime.now(UTC)), "ix_messages_outbox"),
        (lambda s: ingest.known(s, [], ["x"]), "ix_messages_tracking_key"),
        (lambda s: ingest.known(s, [b"x"], []), "(fingerprint"),
        (
            lambda s: postbacks.search(s, PostbackFilter(outcome="unmatched"), limit=5),
            "ix_postbacks_not_applied",
        ),
        (lambda s: ingest.targets_of_sms(s, "x"), "ix_postbacks_sms_key"),
        (lambda s: ingest.targets_of_pass(s, "x"), "ix_messages_custom_pass_id"),
        (lambda s: postbacks.waiting_for(s, "x"), "ix_postbacks_tracking_key"),
        (lambda s: postbacks.of_message(s, 1), "ix_postbacks_message_id"),
        (lambda s: messages.attempts(s, 1), "ix_send_attempts_message_id"),
        (lambda s: messages.search(s, MessageFilter(to="1"), limit=5), "ix_messages_recipient"),
        (
            lambda s: messages.search(s, MessageFilter(campaign_ref="1"), limit=5),
            "ix_messages_campaign_ref",
        ),
        (lambda s: messages.search(s, MessageFilter(), limit=5), "ix_messages_created_at"),
        (
            lambda s: messages.search(s, MessageFilter(handset="x"), limit=5),
            "ix_messages_created_at",
        ),
        (lambda s: messages.find(s, "12025550143", 5), "ix_messages_recipient"),
        (lambda s: settling.called(s, "1", "1", datetime.now(UTC)), "ix_messages_recipient"),
        (
            lambda s: settling.shelved(s, "1", "1", datetime.now(UTC), datetime.now(UTC)),
            "ix_postbacks_not_applied",
        ),
        (lambda s: settling.shelved_for(s, "x"), "ix_postbacks_tracking_key"),
        (lambda s: settling.of_message(s, 1), "ix_settlements_message_id"),
        (lambda s: bulk_actions.unfinished(s, "user:olga"), "ix_bulk_actions_unfinished"),
        (
            lambda s: bulk_actions.unfinished_of_others(s, "user:olga", 5),
            "ix_bulk_actions_unfinished",
        ),
        (lambda s: saved_views.own(s, 1, 5), "uq_saved_views_name"),
        (lambda s: saved_views.shared_by_others(s, 1, 5), "ix_saved_views_shared"),
        (lambda s: audit.search(s, AuditFilter(), limit=5), "ix_audit_at"),
        (lambda s: audit.search(s, AuditFilter(), limit=5, cursor="1-1"), "ix_audit_at"),
        (lambda s: audit.search(s, AuditFilter(actor="x"), limit=5), "ix_audit_actor_at"),
        (lambda s: audit.search(s, AuditFilter(action="x"), limit=5), "ix_audit_action_at"),
        (
            lambda s: audit.search(s, AuditFilter(actor="x", action="y"), limit=5),
            "ix_audit_actor_action_at",
        ),
        (
            lambda s: audit.search(s, AuditFilter(at_from=datetime.now(UTC)), limit=5),
            "ix_audit_at",
        ),
        (lambda s: two_factor.recovery_codes_left(s, 1), "ix_recovery_codes_user_id"),
    ],
)
def test_every_hot_question_is_answered_by_its_index(
    sessions: Sessions, ask: Callable[[Session], object], index: str
) -> None:
    for plan in plans_of(sessions, ask):
        assert index in plan, plan


@pytest.mark.parametrize(
    "step",
    [
        lambda s, asked: purge.bodies(s, 5, asked),
        lambda s, asked: purge.messages(s, (asked.before, 5), asked),
        lambda s, asked: purge.postbacks(s, 5, asked),
        lambda s, asked: purge.batches(s, 5, asked),
        lambda s, asked: purge.bulk_actions(s, 5, asked),
        lambda s, asked: purge.alerts(s, 5, asked),
    ],
)
def test_no_step_of_a_purge_reads_a_table_whole(
    sessions: Sessions, step: Callable[[Session, Asked], object]
) -> None:
    for plan in plans_of(sessions, lambda s: step(s, Asked(datetime.now(UTC), 5))):
        assert not re.search(r"SCAN (?!\(|CONSTANT)", plan), plan  # of an empty IN, those alone
        assert "Seq Scan" not in plan, plan
