"""The drop-in in real processes: killed amid a call, and beside everything that `up` starts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from builders import NUMBER, claim_due
from conftest import wait_for_http
from dropin_support import PATH, PATIENCE, a_document, a_query, by_get, form, php_sdk, said
from running import free_port, up

from tracker.domain.status import Status
from tracker.sandbox.fixture import API_KEY
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.server import running
from tracker.services import accounts
from tracker.store import messages, outbox
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter
from tracker.store.rows import MessageRow

WEB = [sys.executable, "-c", "from tracker.cli import main; main()", "web", "--port"]


@contextmanager
def web(database_url: str, gateway_url: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Run `tracker web` in a group of its own; gives its address and the group."""
    port = free_port()
    environ = {
        **os.environ,
        "TRACKER_DATABASE_URL": database_url,
        "TRACKER_GATEWAY_URL": gateway_url,
        "TRACKER_GATEWAY_API_KEY": API_KEY,
    }
    process = subprocess.Popen(
        [*WEB, str(port)],
        cwd=folder,
        env=environ,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_http(f"http://127.0.0.1:{port}/healthz", 40)
        yield f"http://127.0.0.1:{port}{PATH}", process.pid
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(40)


def all_messages(sessions: Sessions) -> list[MessageRow]:
    with sessions() as session:
        return messages.search(session, MessageFilter(), limit=100).items


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.05)


def test_a_kill_amid_a_call_ends_as_unknown_after_one_call(
    database_url: str, sessions: Sessions, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    key = accounts.create_token(sessions, "shop", actor="test", now=now).token
    with running(SandboxOptions(answer_delay_seconds=4.0)) as sandbox:
        with web(database_url, sandbox.gateway_url, tmp_path) as (url, group):
            document = a_document(key)
            client = subprocess.Popen(
                [sys.executable, "-c", CLIENT, url, document], stdout=subprocess.PIPE
            )
            until(lambda: all_messages(sessions))
            time.sleep(0.5)  # the request is on its way, or there: both must end alike
            os.killpg(group, signal.SIGKILL)
            output, _ = client.communicate(timeout=PATIENCE)
        assert output == b"no answer\n"
        with web(database_url, sandbox.gateway_url, tmp_path):  # a new one takes nothing up
            until(lambda: sandbox.calls)
            (row,) = all_messages(sessions)
            assert row.status is Status.SENDING
            after = datetime.now(UTC) + outbox.LEASE + timedelta(seconds=1)
            assert claim_due(sessions, 10, after) == []
            assert all_messages(sessions)[0].status is Status.UNKNOWN
            assert claim_due(sessions, 10, after + timedelta(days=30)) == []
        assert len(sandbox.calls) == 1


CLIENT = """
import sys, requests
try:
    print(requests.post(sys.argv[1], data={"xml": sys.argv[2]}, timeout=20).text)
except requests.RequestException:
    print("no answer")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


def test_a_client_that_changes_its_url_and_key_is_tracked(folder: Path) -> None:
    with up(folder) as tracker:
        key = tracker.run("token", "create", "shop").strip()
        url = tracker.url + PATH
        document = (Path(__file__).parents[2] / "docs/examples/event-ticket.xml").read_text()
        own = document.replace(document.split("<API_KEY>")[1].split("</API_KEY>")[0], key)
        told = [said(client(url, own)) for client in (php_sdk, form)]
        told.append(said(by_get(url, a_query(key))))
        refused = said(form(url, a_document(key, TO=f"+{NUMBER}")))
        assert (refused.error_code, refused.to) == ("E110", f"+{NUMBER}")
        headers = {"Authorization": f"Bearer {key}"}

        def found(answer_id: str | None) -> dict[str, object]:
            listed = requests.get(
                f"{tracker.url}/api/v1/messages",
                params={"tracking_id": answer_id},
                headers=headers,
                timeout=PATIENCE,
            ).json()
            (item,) = listed["items"]
            assert isinstance(item, dict)
            return item

        until(lambda: all(found(t.tracking_id)["status"] == "delivered" for t in told))
        assert len({found(t.tracking_id)["id"] for t in told}) == 3
    assert key not in tracker.said
    assert "Traceback" not in tracker.said
