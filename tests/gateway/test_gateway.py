"""The client against real sockets: which failure means what (PROTOCOL 4.8)."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from builders import a_request

from tracker.domain.validation import check
from tracker.gateway import (
    Accepted,
    Answer,
    Connection,
    Gateway,
    NotSent,
    Refused,
    Unknown,
    interpret,
)
from tracker.protocol.codes import ErrorClass
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.server import RunningSandbox

KEY = SandboxOptions().api_key
MESSAGE = check(a_request(pass_data={"BARCODEVALUE": "1"})).message


@contextmanager
def listening(*chunks: bytes | float, reads: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """Serve one answer a connection, byte for byte; a number is a pause in seconds."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    with connection:
                        if reads:
                            seen.append(_request(connection))
                        for chunk in chunks:
                            if isinstance(chunk, float):
                                stopped.wait(chunk)
                            else:
                                connection.sendall(chunk)
            except OSError:
                return

        stopped = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", seen
        stopped.set()
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def _request(connection: socket.socket) -> bytes:
    connection.settimeout(5)
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def http(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def answer_of(url: str, timeout: float = 5.0) -> Answer:
    return Gateway(url, KEY, timeout).send(MESSAGE)


def test_the_sandbox_accepts_a_pass(sandbox: RunningSandbox) -> None:
    answer = answer_of(sandbox.gateway_url)
    assert isinstance(answer, Accepted)
    assert answer.tracking_id
    assert "<TRACKINGID>" in answer.answer


def test_a_refusal_brings_code_text_and_class(sandbox: RunningSandbox) -> None:
    answer = Gateway(sandbox.gateway_url, "wrong-key", 5).send(MESSAGE)
    assert isinstance(answer, Refused)
    assert (answer.code, answer.error_class) == ("E104", ErrorClass.PERMANENT_ACCOUNT)
    assert answer.info


def test_nobody_listening_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert isinstance(answer_of(f"http://127.0.0.1:{port}/"), NotSent)


def test_an_unknown_host_is_not_sent() -> None:
    assert isinstance(answer_of("http://no-such-host.invalid/"), NotSent)


def test_a_failed_handshake_is_not_sent() -> None:
    with listening(b"this is no TLS\r\n\r\n", reads=False) as (url, _):
        assert isinstance(answer_of(url.replace("http:", "https:")), NotSent)


SUCCESS = b"<RESPONSE><STATUS>Success</STATUS><TRACKINGID>T1</TRACKINGID></RESPONSE>"


@pytest.mark.parametrize(
    "chunks",
    [
        (3.0,),  # no answer in time
        (),  # closed after the request was read
        (http(SUCCESS)[:-20],),  # cut in the middle of the answer
        (b"HTTP/1.1 200 OK\r\nContent-Le",),
        (http(b"<html>busy</html>"),),
        (http(b""),),
        (http(SUCCESS, "500 Internal Server Error"),),
        (http(b"", "302 Found"),),
        (http(b"<RESPONSE><STATUS>Success</STATUS></RESPONSE>"),),
        (http(b"x" * 100_000),),
        (b"garbage\r\n\r\n",),
    ],
    ids=["slow", "closed", "cut", "cut head", "html", "empty", "500", "redirect", "no id", "huge",
         "garbage"],
)  # fmt: skip
def test_whatever_comes_after_the_request_went_out_is_unknown_and_one_call_only(
    chunks: tuple[bytes | float, ...],
) -> None:
    with listening(*chunks) as (url, seen):
        assert isinstance(answer_of(url, timeout=1.0), Unknown)
    assert len(seen) == 1


def test_a_start_never_waits_and_the_rest_follows() -> None:
    request = b"POST / HTTP/1.1\r\nContent-Length: 30000000\r\n\r\n" + b"x" * 30_000_000
    with listening(http(SUCCESS)) as (url, seen):
        connection = Gateway(url, KEY, 20).connect()
        assert isinstance(connection, Connection)
        connection.start(request)
        assert not seen
        assert isinstance(connection.finish(), Accepted)
    assert [len(one) for one in seen] == [len(request)]


def test_a_connection_that_broke_before_its_call_is_unknown() -> None:
    """Nobody can say what the system did with the bytes it took."""
    with listening(reads=False) as (url, _):  # closed without a word
        connection = Gateway(url, KEY, 5).connect()
        assert isinstance(connection, Connection)
        time.sleep(0.3)
        connection.start(b"x")
        assert isinstance(connection.finish(), Unknown)


def test_an_answer_that_trickles_is_cut_off_in_time() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    trickle = [piece for _ in range(200) for piece in (b"<" * 4, 0.2)]
    with listening(head, *trickle) as (url, _):
        began = time.monotonic()
        assert isinstance(answer_of(url, timeout=1.0), Unknown)
        assert time.monotonic() - began < 20  # it would take 40


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<response><status>success</status><tracking-id>T1</tracking-id></response>", Accepted),
        ("<RESPONSE><STATUS>Failure</STATUS></RESPONSE>", Refused),
        ("<RESPONSE><STATUS>Success</STATUS><ERRORCODE>E503</ERRORCODE></RESPONSE>", Refused),
        ("<RESPONSE><STATUS>Success</STATUS><TRACKINGID> = </TRACKINGID></RESPONSE>", Unknown),
        (
            f"<RESPONSE><STATUS>Success</STATUS><TRACKINGID>{'t' * 129}</TRACKINGID></RESPONSE>",
            Unknown,
        ),
    ],
)
def test_the_document_decides(text: str, kind: type[Answer]) -> None:
    assert isinstance(interpret(200, text), kind)
    assert isinstance(interpret(400, text), kind)


def test_the_key_and_the_number_are_not_in_the_address() -> None:
    with listening(http(SUCCESS)) as (url, seen):
        answer_of(url)
    request_line = seen[0].split(b"\r\n")[0]
    assert request_line == b"POST / HTTP/1.1"
    assert KEY.encode() in seen[0]


def test_a_probe_makes_a_connection_and_asks_nothing(sandbox: RunningSandbox) -> None:
    assert Gateway(sandbox.gateway_url, KEY, 5).probe() is None
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert Gateway(f"http://127.0.0.1:{port}/", KEY, 5).probe()
