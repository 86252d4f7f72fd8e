"""`tracker purge` as an operator and as cron run it."""

import json
import os
import subprocess
from datetime import UTC, datetime

import pytest
from builders import a_postback, accepted, queued
from retention_support import grow_older
from running import TRACKER
from sqlalchemy import func, select

from tracker.config import DEFAULT_ZONE
from tracker.services import receive
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Message


def tracker_purge(url: str, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if "TRACKER_" not in name}
    environ = {**clean, "TRACKER_DATABASE_URL": url, **more}
    done = subprocess.run(
        [TRACKER, "purge", *arguments],
        env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def old(sessions: Sessions) -> None:
    accepted(sessions)
    now = datetime.now(UTC)
    receive.record(sessions, a_postback(), "text/xml", zone=DEFAULT_ZONE, now=now)
    grow_older(sessions, 31)
    queued(sessions)


def left(sessions: Sessions) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(Message)) or 0


def test_nothing_leaves_unless_a_setting_says_so(
    sessions: Sessions, database_url: str, old: None
) -> None:
    for more in ({}, {"TRACKER_RETENTION_DAYS": "0"}):
        done = tracker_purge(database_url, **more)
        assert done.returncode == 1
        assert "nothing leaves: neither TRACKER_RETENTION_DAYS" in done.stderr
    assert left(sessions) == 2


def test_it_counts_first_and_then_deletes(sessions: Sessions, database_url: str, old: None) -> None:
    days = {"TRACKER_RETENTION_DAYS": "30"}
    counted = tracker_purge(database_url, "--dry-run", "--json", **days)
    said = json.loads(counted.stdout)
    assert said["dry_run"] is True
    assert said["rows"]["messages"] == 1
    assert said["before"]["messages"] == said["before"]["postback_bodies"]
    assert left(sessions) == 2
    done = tracker_purge(database_url, **days)
    assert (done.returncode, left(sessions)) == (0, 1)
    assert "messages  1\n" in done.stdout
    assert "messages: what was last heard of before" in done.stderr
    with sessions() as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "purge"))
    assert entry.actor.startswith("cli:")
    again = tracker_purge(database_url, **days)
    assert (again.returncode, again.stdout) == (0, "")
    assert "Nothing is that old." in again.stderr
