"""Starting and stopping the sandbox."""

import base64
import random
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import requests
from sandbox_support import PATIENCE, Holding, a_request, behaving, receiving, send, until

from tracker.protocol.transport import MAX_BODY_BYTES
from tracker.sandbox.checks import refused
from tracker.sandbox.numbers import (
    country_code,
    encoded_id,
    first_history_number,
    first_tracking_number,
)
from tracker.sandbox.options import Behaviour, SandboxOptions
from tracker.sandbox.server import RunningSandbox, running, serve

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


def said(port: int, sent: bytes) -> bytes:
    """Send bytes, and return all that comes until the end of the connection."""
    told = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        try:
            while piece := connection.recv(65536):
                told += piece
        except ConnectionResetError:
            pass  # it did not want the rest
    return told


def port_of(sandbox: RunningSandbox) -> int:
    return int(sandbox.url.rpartition(":")[2])


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    ],
)
def test_what_is_no_request_is_400_and_the_others_go_on(sent: bytes) -> None:
    with running(SandboxOptions()) as sandbox:
        assert said(port_of(sandbox), sent).startswith(b"HTTP/1.1 400")
        assert send(sandbox, a_request()).is_success


def test_calls_sent_ahead_are_answered_in_their_order() -> None:
    one = b"GET /API/wxml/1.3/?action=%s HTTP/1.1\r\nConnection: %s\r\n\r\n"
    with running(SandboxOptions(answer_delay_seconds=0.05)) as sandbox:
        told = said(
            port_of(sandbox),
            one % (b"x", b"keep-alive")
            + one % (b"sendPassInMMS", b"keep-alive")
            + one % (b"x", b"close"),
        )
    codes = [told[found.end() :][:4] for found in re.finditer(b"<ERRORCODE>", told)]
    assert codes == [b"E101", b"E102", b"E101"]


def test_far_too_many_calls_sent_ahead_end_the_connection() -> None:
    many = b"GET /API/wxml/1.3/?a=b HTTP/1.1\r\n\r\n" * 1000
    with running(SandboxOptions(answer_delay_seconds=0.5)) as sandbox:
        assert said(port_of(sandbox), many).count(b"HTTP/1.1 200") < 100
        assert len(sandbox.calls) < 100


def test_one_client_too_many_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.sandbox.serving.MAX_CLIENTS", 1)
    with (
        running(SandboxOptions()) as sandbox,
        socket.create_connection(("127.0.0.1", port_of(sandbox))) as first,
    ):
        first.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200" in first.recv(1000)
        assert said(port_of(sandbox), b"").startswith(b"HTTP/1.1 503")


def test_a_page_is_given_no_body_beyond_the_limit() -> None:
    head = b"POST /do/body HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    body = b"x" * (MAX_BODY_BYTES + 1)
    with running(SandboxOptions()) as sandbox:
        told = said(port_of(sandbox), head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert told.startswith(b"HTTP/1.1 413")


def test_ten_thousand_calls_can_be_kept() -> None:
    options = SandboxOptions(kept_calls=10_000, kept_postbacks=50_000)
    with running(options) as sandbox:
        for _ in range(10_001):
            sandbox.gateway.answer(refused("E100"))
        rows = requests.get(f"{sandbox.url}/_sandbox/calls", timeout=PATIENCE).json()
        assert [rows[0]["id"], len(rows)] == [2, 10_000]
