"""The worker's WSGI side: what applications may do by PEP 3333, and what they do all the same."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from worker_support import ROOT, Answer, Gunicorn, answers, chunked, get, gunicorn, post, until

CLOSE = "Connection: close"
BLOCK = bytes(range(256)) * 256
FAILED = b"internal error\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    folder = tmp_path_factory.mktemp("wsgi")
    here = str(ROOT / "tests" / "web")
    with gunicorn(folder, "--pythonpath", here, "worker_app:app") as started:
        yield started


def answer_to(served: Gunicorn, path: str, *lines: str, version: str = "1.1") -> Answer:
    (answer,) = answers(served.ask(get(path, CLOSE, *lines, version=version)))
    return answer


@pytest.mark.parametrize(
    "request_",
    [
        get("/valid?a=b", CLOSE),
        get("/valid", CLOSE, version="1.0"),
        post("/valid", b"body", CLOSE, "Content-Type: text/plain"),
        post("/valid", b"", CLOSE),
        chunked("/valid", b"bo", b"dy"),
        get("/valid", CLOSE, method="DELETE"),
    ],
)
def test_the_validator_of_wsgiref_has_no_complaint(served: Gunicorn, request_: bytes) -> None:
    (answer,) = answers(served.ask(request_))
    assert answer.status == 200
    assert json.loads(answer.body)["body"] in ("", "body")


def test_one_part_has_a_length_and_several_have_chunks(served: Gunicorn) -> None:
    one, several = answer_to(served, "/one-part"), answer_to(served, "/stream?n=2")
    assert (one.fields["content-length"], one.body) == ("8", b"one part")
    assert (several.fields["transfer-encoding"], several.body) == ("chunked", BLOCK * 2)
    none = answer_to(served, "/stream?n=0")
    assert (none.fields["content-length"], none.body) == ("0", b"")


def test_a_part_is_sent_as_soon_as_it_is_there(served: Gunicorn) -> None:
    with served.connect() as connection:
        connection.sendall(get("/drip?n=1.5", CLOSE))
        assert b"late" not in until(connection, b"early")
        assert b"late" in until(connection, b"\r\n0\r\n\r\n")


def test_the_old_write_is_there_too(served: Gunicorn) -> None:
    assert answer_to(served, "/write").body == b"by write, by part"


def test_an_answer_that_has_not_begun_can_be_replaced(served: Gunicorn) -> None:
    answer = answer_to(served, "/thinks-again")
    assert (answer.status, answer.body) == (404, b"not here")
    assert "x-first" not in answer.fields


@pytest.mark.parametrize(
    "path",
    [
        "/fails", "/exits", "/says-twice", "/says-nothing", "/gives-text", "/injects?n=value",
        "/injects?n=name", "/injects?n=nul", "/injects?n=wide", "/injects?n=status",
    ],
)  # fmt: skip
def test_a_fault_of_the_application_is_500_once_and_tells_nothing(
    served: Gunicorn, path: str
) -> None:
    found = answers(served.ask(get(path), get("/one-part", CLOSE)))
    assert [(answer.status, answer.body) for answer in found] == [(500, FAILED), (200, b"one part")]
    assert "x-injected" not in found[0].fields
    assert "Traceback" in served.log.read_text()


def take_all(connection: socket.socket, received: bytearray) -> None:
    while chunk := connection.recv(65_536):
        received += chunk


@pytest.mark.parametrize("path", ["/fails-late", "/too-short"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_answer_that_fails_halfway_is_broken_off(
    served: Gunicorn, path: str, version: str
) -> None:
    received = bytearray()
    with served.connect() as connection:
        connection.sendall(get(path, version=version))
        with pytest.raises(ConnectionResetError):
            take_all(connection, received)
    assert b"secret" not in received
    assert {answer.status for answer in answers(bytes(received))} <= {200}


def test_what_is_longer_than_announced_is_cut(served: Gunicorn) -> None:
    found = answers(served.ask(get("/too-long"), get("/one-part", CLOSE)))
    assert [answer.body for answer in found] == [b"long", b"one part"]


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body(served: Gunicorn, status: int) -> None:
    first, second = answers(served.ask(get(f"/no-content?n={status}"), get("/one-part", CLOSE)))
    assert (first.status, first.fields["etag"], second.body) == (status, '"x"', b"one part")
    assert not {"content-length", "transfer-encoding"} & set(first.fields)


def test_the_connection_is_the_servers_business(served: Gunicorn) -> None:
    (answer,) = answers(served.ask(get("/own-fields"), get("/never")))
    assert answer.fields["connection"] == "close"
    assert sorted(answer.names) == ["Connection", "Content-Length", "Date", "X-Own"]
    assert answer.fields["date"].endswith(" GMT")


def closings(served: Gunicorn) -> int:
    return int(answer_to(served, "/counts").body.split()[1])


def test_parts_are_closed_whether_taken_or_not(served: Gunicorn) -> None:
    before = closings(served)
    answer_to(served, "/stream?n=1")
    for _ in range(3):
        with served.connect() as connection:
            connection.sendall(get("/stream?n=500"))
            until(connection, b"\r\n\r\n")
    deadline = time.monotonic() + 10
    while closings(served) < before + 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("path", "blocks"), [("/stream?n=160", 160), ("/large?n=160", 160)])
def test_a_slow_reader_gets_all_of_a_large_answer(served: Gunicorn, path: str, blocks: int) -> None:
    with served.connect() as connection:
        connection.sendall(get(path, CLOSE))
        received = bytearray()
        while chunk := connection.recv(300_000):
            received += chunk
            time.sleep(0.002)
    (answer,) = answers(bytes(received))
    assert answer.is_whole
    assert answer.body == BLOCK * blocks


@pytest.mark.parametrize(
    "request_",
    [get("/stream?n=8000"), get("/large?n=16") * 500, get("/one-part") * 20_000],
    ids=["one answer", "large answers", "small answers"],
)
def test_what_a_client_does_not_take_is_not_made(served: Gunicorn, request_: bytes) -> None:
    """The application is held up, and so is the client with its next requests."""
    (worker,) = psutil.Process(served.process.pid).children()
    before = worker.memory_info().rss
    with served.connect() as connection:
        connection.settimeout(1)
        with suppress(TimeoutError):
            connection.sendall(request_)
        time.sleep(1)
        assert worker.memory_info().rss - before < 40 * 1024 * 1024
