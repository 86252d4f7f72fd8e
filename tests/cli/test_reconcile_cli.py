"""`tracker reconcile`, run as a person runs it, with a file that the sandbox wrote."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from builders import queued, reloaded
from test_cli import Shell

from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.gateway import Gateway
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.server import RunningSandbox, running
from tracker.sender import Sender
from tracker.store.db import Sessions

DEAF = SandboxOptions(time_factor=0.001, report_seconds=0)  # it posts to nobody
KEY = DEAF.api_key


@pytest.fixture
def tracker(tmp_path: Path, database_url: str) -> Shell:
    return Shell(tmp_path, TRACKER_DATABASE_URL=database_url, USER="olga")


def statistics(sandbox: RunningSandbox) -> bytes:
    """Ask for the file until it tells of a receipt."""
    now = datetime.now(UTC)
    query = {
        "action": "getsendingstatus", "api_key": KEY,
        "start_date": f"{now - timedelta(hours=1):%F %T}",
        "end_date": f"{now + timedelta(hours=1):%F %T}",
    }  # fmt: skip
    deadline = time.monotonic() + 60
    while True:
        answer = requests.get(sandbox.gateway_url, params=query, timeout=30).text
        (url,) = re.findall(r"<URL>(.*?)</URL>", answer)
        found = requests.get(url, timeout=30).content
        if b"<DLR" in found:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_a_dry_run_tells_and_a_run_does_it(
    tracker: Shell, sessions: Sessions, tmp_path: Path
) -> None:
    public_id = queued(sessions)
    with running(DEAF) as sandbox:
        gateway = Gateway(sandbox.gateway_url, KEY, 5.0)
        Sender(sessions, gateway, zone=DEFAULT_ZONE, clock=lambda: datetime.now(UTC)).drain()
        (tmp_path / "report.xml").write_bytes(statistics(sandbox))
    assert reloaded(sessions, public_id).status is Status.ACCEPTED
    dry = tracker("reconcile", "report.xml", "--dry-run")
    assert dry.code == 0
    assert dry.out.startswith(f"repaired: {public_id}  Accepted -> Delivered: DLR, gw 20, ")
    assert "1 would be repaired" in dry.err
    assert reloaded(sessions, public_id).status is Status.ACCEPTED
    done = tracker("reconcile", "report.xml", "--json")
    assert json.loads(done.out)["found"] == "repaired"
    assert reloaded(sessions, public_id).status is Status.DELIVERED
    again = tracker("reconcile", "report.xml")
    assert (again.code, again.out) == (0, "")
    assert "1 known already, 0 repaired" in again.err


def test_another_file_is_refused(tracker: Shell, tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text("<html>Not found</html>")
    refused = tracker("reconcile", "report.xml")
    assert refused.code == 1
    assert "no SENDING_LIST" in refused.err
