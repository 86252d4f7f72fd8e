"""Real processes: the command, kills at any moment, and a sender that goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest
from batch_support import a_file, a_row, clock, later, queued, received, reread, rows_of

from tracker.config import DEFAULT_ZONE
from tracker.gateway import Gateway
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.server import RunningSandbox
from tracker.sender import Sender
from tracker.services.batch_work import BatchWorker
from tracker.store import batches as stored
from tracker.store.batches import BatchRow
from tracker.store.db import Sessions

TRACKER = str(Path(sys.executable).with_name("tracker"))


def run(database_url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "TRACKER_DATABASE_URL": database_url, "TRACKER_DEFAULT_FROM": "60856"}
    return subprocess.run(
        [TRACKER, *arguments], env=environ, capture_output=True, text=True, timeout=180, check=False
    )


def until(condition: Callable[[], object], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def the_batch(sessions: Sessions) -> BatchRow | None:
    with sessions() as session:
        items = stored.page(session, limit=1).items
    return items[0] if items else None


def reached(sessions: Sessions, status: str, row: int) -> bool:
    batch = the_batch(sessions)
    return (
        batch is not None
        and (batch.status != "checking" if status == "queueing" else True)
        and (batch.position_row >= row or batch.status == "queued")
    )


@pytest.mark.parametrize("status", ["checking", "queueing"])
def test_a_killed_command_leaves_no_row_out_and_queues_none_twice(
    database_url: str, sessions: Sessions, tmp_path: Path, status: str
) -> None:
    path, count = tmp_path / "rows.csv", 8_000
    path.write_bytes(a_file((f"1202{n:07d},{n}" for n in range(1, count + 1)), "to,mms_id"))
    environ = {**os.environ, "TRACKER_DATABASE_URL": database_url, "TRACKER_DEFAULT_FROM": "60856"}
    process = subprocess.Popen(
        [TRACKER, "batch", str(path)], env=environ,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: reached(sessions, status, 2000))
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    batch = the_batch(sessions)
    assert batch
    assert batch.status == status, "it was killed too late for this test to mean anything"
    worker = BatchWorker(sessions, later)
    worker.finish(batch.id)
    assert reread(sessions, batch.public_id).queued_rows == count
    assert rows_of(sessions, batch) == list(range(1, count + 1))


def test_the_command_prints_the_batch_and_exits_by_what_came_of_it(
    database_url: str, sessions: Sessions, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_bytes(a_file(3))
    bad.write_bytes(a_file([a_row(4), a_row(5, to="=12")]))
    done = run(database_url, "batch", str(good), "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["status"], printed["queued_rows"], printed["name"]) == ("queued", 3, "good.csv")
    errors = tmp_path / "errors.csv"
    done = run(database_url, "batch", str(bad), "--errors", str(errors))
    assert done.returncode == 1
    assert "'=12" in errors.read_text()
    assert "1 of 2 rows are wrong" in done.stderr
    refused = done.stdout.strip()
    assert run(database_url, "batches", refused, "--start").returncode == 0
    assert run(database_url, "batch", "--resume", refused).returncode == 0
    assert "not_queued" in run(database_url, "batches", refused, "--result").stdout
    assert len(run(database_url, "batches").stdout.splitlines()) == 2


def test_the_command_maps_ignores_and_fills_in(
    database_url: str, sessions: Sessions, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"Handy;Note\n12025550143;x\n")
    refused = run(database_url, "batch", str(path))
    assert refused.returncode == 1
    assert "Note: is not a field" in refused.stderr
    options = (
        "--map", "handy=to", "--ignore", "Note", "--default", "mms_id=45633",
        "--default", "pass.barcodevalue=A",
    )  # fmt: skip
    assert run(database_url, "batch", str(path), *options, "--dry-run").returncode == 0
    done = run(database_url, "batch", str(path), *options)
    assert done.returncode == 0, done.stderr
    batch = the_batch(sessions)
    assert batch
    assert [m.mms_id for m in queued(sessions, batch)] == ["45633"]


@pytest.mark.parametrize(
    "arguments",
    [("batch",), ("batch", "no-such.csv"), ("batch", "--default", "x"), ("batches", "--pause"),
     ("batch", "--resume", "no-id")],
)  # fmt: skip
def test_a_misused_command_exits_with_2(sqlite_url: str, arguments: tuple[str, ...]) -> None:
    assert run(sqlite_url, *arguments).returncode == 2


def test_a_sender_checks_queues_and_sends_what_others_hand_in(
    sessions: Sessions, sandbox: RunningSandbox
) -> None:
    gateway = Gateway(sandbox.gateway_url, SandboxOptions().api_key, 5.0)
    sender = Sender(sessions, gateway, zone=DEFAULT_ZONE, clock=clock)
    stop = Event()
    thread = Thread(target=sender.run, args=[stop])
    thread.start()
    batch = received(sessions, a_file(5))
    try:
        until(lambda: len(sandbox.calls) == 5)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    assert reread(sessions, batch.public_id).status == "queued"
