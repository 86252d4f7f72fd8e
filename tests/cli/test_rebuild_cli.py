"""`tracker rebuild` as an operator and as cron run it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from builders import NUMBER, a_postback, accepted
from running import TRACKER
from sqlalchemy import func, select, text

from tracker.config import DEFAULT_ZONE
from tracker.services import receive, rollups
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Checkpoint, Message

GOING_ON = "Going on with the messages where a run was stopped; --from-start begins anew.\n"


@dataclass(frozen=True)
class Tracker:
    """`tracker rebuild` on one database."""

    folder: Path
    database_url: str

    @property
    def environ(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if "TRACKER_" not in name}
        return {**clean, "TRACKER_DATABASE_URL": self.database_url}

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [TRACKER, "rebuild", *arguments],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [TRACKER, "rebuild", *arguments],
            cwd=self.folder, env=self.environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture
def tracker(tmp_path: Path, database_url: str) -> Tracker:
    return Tracker(tmp_path, database_url)


def told(sessions: Sessions, body: bytes, seconds: int = 1) -> None:
    now = datetime.now(UTC) + timedelta(seconds=seconds)
    receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=now)


def a_delivered_one(sessions: Sessions) -> UUID:
    public_id = accepted(sessions)
    told(sessions, a_postback("N101"))
    told(sessions, a_postback("N102"), seconds=2)
    rollups.refresh(sessions)
    return public_id


def corrupted(sessions: Sessions, *statements: str) -> None:
    with sessions.begin() as session:
        for statement in statements:
            session.execute(text(statement))


def many(sessions: Sessions, number: int) -> None:
    """Make so many delivered messages out of one, and one hour of each."""
    a_delivered_one(sessions)
    columns = "status, recipient, sender, mms_id, custom_pass_id, updated_at, attempts"
    with sessions.begin() as session:
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        made = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :number)"
            f" INSERT INTO messages (public_id, created_at, {columns}) SELECT"
            + (" lower(hex(randomblob(16)))" if is_sqlite else " gen_random_uuid()")
            + ", created_at, 'queued', recipient, sender, mms_id, custom_pass_id, updated_at, 0"
            " FROM messages, n WHERE id = (SELECT min(id) FROM messages)"
        )
        session.execute(text(made), {"number": number - 1})
    corrupted(sessions, "DELETE FROM rollups")


def test_nothing_wrong_is_exit_0_and_no_output(tracker: Tracker, sessions: Sessions) -> None:
    a_delivered_one(sessions)
    for arguments in ([], ["--dry-run"], ["--dry-run", "--json"]):
        done = tracker(*arguments)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == "Looked at 1 messages, 1 numbers, 1 hours: no differences.\n"


def test_an_empty_database_is_no_trouble(tracker: Tracker) -> None:
    done = tracker()
    assert (done.returncode, done.stdout) == (0, "")
    assert "0 messages" in done.stderr


def test_differences_are_lines_and_a_dry_run_with_them_is_exit_1(
    tracker: Tracker, sessions: Sessions
) -> None:
    public_id = a_delivered_one(sessions)
    corrupted(
        sessions, "UPDATE messages SET handset = 'x'", "DELETE FROM handsets",
        "UPDATE postbacks SET outcome = 'noted' WHERE code = 'N101'", "DELETE FROM rollups",
    )  # fmt: skip
    wrong = tracker("--dry-run")
    assert wrong.returncode == 1
    with sessions() as session:
        hour = session.scalars(select(Message.created_at)).one().strftime("%Y-%m-%dT%H:00:00Z")
    assert wrong.stdout.splitlines() == [
        f"message {public_id}: handset x -> motol7c",
        f"postback 1, message {public_id}: outcome noted -> applied",
        f"number •••{NUMBER[-3:]}: handset none -> motol7c",
        f"hour {hour}: messages 0 in 0 groups -> 1 in 1 groups, 1 different",
    ]
    assert wrong.stderr.endswith("1 hours: 4 differences.\n")
    repaired = tracker()
    assert repaired.returncode == 0
    # The message was repaired by then, and its hour counted anew with it.
    assert repaired.stdout.splitlines() == wrong.stdout.splitlines()[:3]
    assert repaired.stderr.endswith("3 differences, 3 repaired.\n")
    assert tracker("--dry-run").returncode == 0


def test_json_is_one_object_a_line_without_whole_numbers(
    tracker: Tracker, sessions: Sessions
) -> None:
    public_id = a_delivered_one(sessions)
    corrupted(sessions, "UPDATE messages SET status = 'sent'", "UPDATE handsets SET os = 'x'")
    done = tracker("--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [
        {
            "kind": "message", "message": str(public_id), "field": "status",
            "stored": "sent", "right": "delivered", "repairable": True,
        },
        {
            "kind": "handset", "number": "•••143", "field": "os",
            "stored": "x", "right": None, "repairable": True,
        },
    ]  # fmt: skip
    assert NUMBER not in done.stdout + done.stderr


def test_what_cannot_be_repaired_is_exit_1(tracker: Tracker, sessions: Sessions) -> None:
    a_delivered_one(sessions)
    corrupted(sessions, "UPDATE messages SET accepted_at = NULL")
    done = tracker()
    assert done.returncode == 1
    assert "status delivered (cannot be repaired)\n" in done.stdout
    assert done.stderr.endswith(" cannot be repaired.\n")


def test_each_run_is_audited_with_its_counts(tracker: Tracker, sessions: Sessions) -> None:
    a_delivered_one(sessions)
    tracker("--dry-run")
    with sessions() as session:
        row = session.scalars(select(AuditEntry).where(AuditEntry.action == "rebuild")).one()
    assert row.actor.startswith("cli:")
    assert (row.detail or "").startswith("dry-run, finished: 1 messages, 1 numbers, 1 hours, 0 ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_after_the_step_and_it_goes_on_from_there(
    tracker: Tracker, sessions: Sessions, number: signal.Signals
) -> None:
    many(sessions, 3000)
    running = tracker.begin("--dry-run", "--step", "1")
    come_far(sessions)
    running.send_signal(number)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (1, "")
    last = "tracker: stopped; `tracker rebuild --dry-run` goes on from here\n"
    assert err.endswith(last)
    done = tracker("--dry-run")
    assert done.stderr.startswith(GOING_ON)
    assert "Looked at 3000 messages" in done.stderr
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)  # the rollups
    with sessions() as session:
        assert session.scalar(select(func.count(Checkpoint.name))) == 0


def test_what_was_killed_goes_on_where_it_was_or_begins_anew_when_asked(
    tracker: Tracker, sessions: Sessions
) -> None:
    many(sessions, 3000)
    corrupted(sessions, "UPDATE messages SET handset = 'x' WHERE accepted_at IS NOT NULL")
    for arguments in ([], ["--from-start"]):
        running = tracker.begin("--step", "1", *arguments)
        at = come_far(sessions)
        running.kill()
        running.communicate(timeout=30)
        assert running.returncode == -signal.SIGKILL
        assert at > 1
    done = tracker()
    assert done.stderr.startswith(GOING_ON)
    assert "Looked at 3000 messages, 1 numbers, 1 hours" in done.stderr
    assert tracker("--dry-run").returncode == 0


def come_far(sessions: Sessions) -> int:
    """Wait until a run is in the middle, and return how far it is."""
    deadline = time.monotonic() + 30
    while True:
        with sessions() as session:
            found = select(Checkpoint.position).where(Checkpoint.name.like("rebuild % position"))
            at = session.scalar(found) or 0
        if at > 20:
            return at
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("arguments", [["--step", "0"], ["--colour"], ["all"]])
def test_misuse_is_exit_2(tracker: Tracker, arguments: Sequence[str]) -> None:
    assert tracker(*arguments).returncode == 2
