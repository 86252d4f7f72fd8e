"""Starting and stopping the sandbox."""

import base64
import random
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import requests
from sandbox_support import PATIENCE, Holding, a_request, behaving, receiving, send, until

from tracker.sandbox.numbers import (
    country_code,
    encoded_id,
    first_history_number,
    first_tracking_number,
)
from tracker.sandbox.options import Behaviour, SandboxOptions
from tracker.sandbox.server import running, serve

PROGRAM = """
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.server import serve
import sys
serve("127.0.0.1", int(sys.argv[1]), SandboxOptions())
print("stopped")
"""


def free_port() -> int:
    """Return a port that nobody has, below those that outgoing connections take."""
    while True:
        port = random.randrange(20_000, 32_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def is_up(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_without_a_traceback(number: signal.Signals) -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until(lambda: is_up(port) or process.poll() is not None)
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "stopped\n", "")


def test_a_port_in_use_is_an_error_for_the_caller() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve("127.0.0.1", taken.getsockname()[1], SandboxOptions())


def test_a_slow_receiver_does_not_hold_up_the_stop() -> None:
    receiver = Holding()
    with receiving(receiver):
        with running(behaving(Behaviour())) as sandbox:
            sandbox.post_to(receiver.url)
            send(sandbox, a_request())
            until(lambda: receiver.arrivals)
        assert not receiver.released.is_set()
        receiver.released.set()


def test_tracking_numbers_follow_the_clock() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = now + timedelta(seconds=1)
    assert first_tracking_number(later) - first_tracking_number(now) == 1000
    with running(SandboxOptions()) as sandbox:
        tracking_id = send(sandbox, a_request()).tracking_id or ""
    number = int(base64.b64decode(tracking_id).removeprefix(b"MMS_"))
    assert number >= first_tracking_number(now)


def test_history_numbers_are_not_tracking_numbers() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert first_history_number(now) != first_tracking_number(now)


@pytest.mark.parametrize(
    ("plain", "sent"),
    [
        ("MMS_12346", "TU1TXzEyMzQ2"),
        ("MMS_597879", "TU1TXzU5Nzg3OQ=="),
        ("SMS_80678", "U01TXzgwNjc4"),
    ],
)
def test_ids_are_encoded_as_in_the_document(plain: str, sent: str) -> None:
    assert encoded_id(plain) == sent


@pytest.mark.parametrize(
    ("number", "code"),
    [("12025550143", 1), ("447700900123", 44), ("9991234567", None), ("x", None)],
)
def test_the_country_is_told_by_the_number(number: str, code: int | None) -> None:
    assert country_code(number) == code
