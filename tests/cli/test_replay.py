"""`tracker replay`, run as a person runs it."""

import contextlib
import json
import os
import pty
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import a_postback, accepted, reloaded
from running import TRACKER
from sqlalchemy import update
from test_cli import Shell

from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.services import receive
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Message


@pytest.fixture
def tracker(tmp_path: Path, database_url: str) -> Shell:
    return Shell(tmp_path, TRACKER_DATABASE_URL=database_url, USER="olga")


def kept(sessions: Sessions, body: bytes) -> int:
    now = datetime.now(UTC)
    return receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=now)[0].postback_id


def rename(sessions: Sessions, tracking_id: str) -> None:
    with sessions.begin() as session:
        session.execute(update(Message).values(tracking_id=tracking_id, tracking_key=tracking_id))


def test_a_dry_run_tells_and_a_run_does_it(tracker: Shell, sessions: Sessions) -> None:
    public_id = accepted(sessions)
    first = kept(sessions, a_postback("N102", TRACKINGID="FIRST"))
    never = kept(sessions, a_postback("N102", TRACKINGID="NEVER"))
    spoilt = kept(sessions, b"<POSTBACK><CODE>")
    rename(sessions, "FIRST")
    dry = tracker("replay", "--outcome", "unmatched", "--dry-run")
    assert (dry.code, dry.err) == (0, "1 would be applied, 1 stays unmatched.\n")
    assert reloaded(sessions, public_id).status is Status.ACCEPTED
    done = tracker("replay", str(first), str(never), str(spoilt))
    assert done.code == 0
    assert done.err == "1 applied, 1 stays unmatched, 1 still cannot be read.\n"
    lines = done.out.splitlines()
    assert lines[0] == (
        f"{first} unmatched -> applied: Set the status to Delivered.  [{public_id}]"
    )
    assert lines[1].startswith(f"{never} stays unmatched: Kept on the shelf")
    assert lines[2].startswith(f"{spoilt} stays quarantined: ")
    assert reloaded(sessions, public_id).status is Status.DELIVERED
    with sessions() as session:
        actors = {entry.actor for entry in session.query(AuditEntry).all()}
    assert actors == {"cli:olga"}


def test_json_is_one_object_a_line(tracker: Shell, sessions: Sessions) -> None:
    postback_id = kept(sessions, a_postback("N102"))
    done = tracker("replay", "--code", "n102", "--json")
    assert json.loads(done.out) == {
        "id": postback_id,
        "code": "N102",
        "before": "unmatched",
        "after": "unmatched",
        "is_changed": False,
        "message_id": None,
        "reason": "Kept on the shelf: no message has this tracking id yet.",
        "error": None,
    }


def test_nothing_that_fits_is_said_and_no_failure(tracker: Shell) -> None:
    done = tracker("replay", "--tracking-id", "x", "--received-from", "2026-01-01")
    assert (done.code, done.out) == (0, "")
    assert done.err == "There is nothing to judge anew.\n"


def test_the_period_is_read_with_its_offset(tracker: Shell, sessions: Sessions) -> None:
    kept(sessions, a_postback("N102"))
    year = datetime.now(UTC).year
    for option, found in (("--received-from", 1), ("--received-to", 0)):
        done = tracker("replay", option, f"{year}-01-01T00:00:00+02:00", "--dry-run")
        assert len(done.out.splitlines()) == found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Say which postbacks: give an ID"),
        (["--dry-run", "--json"], "Say which postbacks: give an ID"),
        (["0"], "0 is not in the range"),
        (["x"], "'x' is not a valid integer"),
        (["9" * 30], "is not in the range"),
        (["--outcome", "applied"], "'applied' is not one of"),
        (["--kind", "fax"], "'fax' is not one of"),
        (["--received-to", "soon"], "'soon' is not a time such as"),
    ],
)
def test_misuse_is_exit_2_with_a_sentence(
    sqlite_url: str, tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = Shell(tmp_path, TRACKER_DATABASE_URL=sqlite_url)("replay", *arguments)
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_an_id_that_no_postback_has_is_refused_before_anything_is_done(
    tracker: Shell, sessions: Sessions
) -> None:
    postback_id = kept(sessions, a_postback("N102"))
    done = tracker("replay", str(postback_id), "4711")
    assert (done.code, done.out) == (1, "")
    assert done.err == "tracker: there is no postback 4711; nothing was done\n"


def test_more_than_a_hundred_are_done_with_a_bar_on_the_screen(
    tracker: Shell, sessions: Sessions
) -> None:
    for number in range(105):
        kept(sessions, a_postback("N102", TRACKINGID=f"LOST_{number}"))
    assert len(tracker("replay", "--kind", "mms").out.splitlines()) == 105
    screen, end = pty.openpty()
    command = [TRACKER, "replay", "--kind", "mms"]
    with subprocess.Popen(
        command, cwd=tracker.folder, env=tracker.environ, stdout=subprocess.PIPE, stderr=end
    ) as running:
        os.close(end)
        drawn = shown_on(screen)
        assert running.stdout
        assert len(running.stdout.read().splitlines()) == 105
    assert running.returncode == 0
    assert "Judging anew" in drawn
    assert "105 stay unmatched." in drawn


def shown_on(screen: int) -> str:
    """Return all that is written to a terminal until it is closed."""
    drawn = b""
    with contextlib.suppress(OSError):  # so says Linux that the other end is closed
        while some := os.read(screen, 4096):
            drawn += some
    os.close(screen)
    return drawn.decode()


def test_it_explains_itself(tmp_path: Path) -> None:
    done = Shell(tmp_path)("replay", "--help")
    assert (done.code, done.err) == (0, "")
    assert "tracker replay [OPTIONS] [ID]..." in done.out
