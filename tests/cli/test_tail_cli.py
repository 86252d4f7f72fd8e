"""`tracker tail`, run as a person runs it: it waits, prints what comes, and ends when told to."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from builders import a_postback, accepted
from running import TRACKER
from test_cli import Shell

from tracker.config import DEFAULT_ZONE
from tracker.services import receive
from tracker.store.db import Sessions

WAITING = "Waiting for postbacks; Ctrl-C ends it.\n"


@pytest.fixture
def shell(tmp_path: Path, database_url: str) -> Shell:
    return Shell(tmp_path, TRACKER_DATABASE_URL=database_url)


@contextmanager
def tailing(shell: Shell, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the command until the block ends; it is waiting when the block begins."""
    process = subprocess.Popen(
        [TRACKER, "tail", *arguments],
        cwd=shell.folder, env=shell.environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr
        assert process.stderr.readline() == WAITING
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def kept(sessions: Sessions, body: bytes) -> None:
    receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=datetime.now(UTC))


def test_it_prints_what_comes_and_ends_at_ctrl_c(shell: Shell, sessions: Sessions) -> None:
    kept(sessions, a_postback("N101", TRACKINGID="BEFORE"))
    public_id = accepted(sessions)
    with tailing(shell) as process:
        assert process.stdout
        kept(sessions, a_postback("N101"))
        line = process.stdout.readline()
        assert "N101 Message Sent  +1 202-555-0143  applied: Set the status to Sent." in line
        assert line.endswith(f"[{public_id}]\n")
        kept(sessions, b"<POSTBACK>\x1b[2J<CODE>")
        assert "Could not be read  quarantined: " in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_json_has_all_and_a_limit_ends_it(shell: Shell, sessions: Sessions) -> None:
    with tailing(shell, "--json", "--limit", "2") as process:
        kept(sessions, a_postback("N101", TRACKINGID="A"))
        kept(sessions, a_postback("N102", TRACKINGID="B"))
        out, _ = process.communicate(timeout=20)
    found = [json.loads(line) for line in out.splitlines()]
    assert [(one["code"], one["tracking_id"], one["outcome"]) for one in found] == [
        ("N101", "A", "unmatched"), ("N102", "B", "unmatched"),
    ]  # fmt: skip
    assert process.returncode == 0


def test_it_can_begin_with_those_that_are_there(shell: Shell, sessions: Sessions) -> None:
    for name in ("A", "B", "C"):
        kept(sessions, a_postback(TRACKINGID=name))
    done = shell("tail", "--last", "2", "--limit", "2", "--json")
    assert [json.loads(line)["tracking_id"] for line in done.out.splitlines()] == ["B", "C"]
    assert done.code == 0


def test_waiting_costs_next_to_nothing(shell: Shell) -> None:
    with tailing(shell) as process:
        watched = psutil.Process(process.pid)
        before = sum(watched.cpu_times()[:2])
        time.sleep(4)
        assert sum(watched.cpu_times()[:2]) - before < 1.0  # a busy loop would take all four


@pytest.mark.parametrize("wrong", [("--limit", "0"), ("--last", "501"), ("--last", "-1"), ("x",)])
def test_misuse_is_named(shell: Shell, wrong: tuple[str, ...]) -> None:
    done = shell("tail", *wrong)
    assert done.code == 2
    assert "Error" in done.err
