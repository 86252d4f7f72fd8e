"""Slow, silent and rude clients of the real server: none of them keeps a postback waiting."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from builders import a_postback
from conftest import POSTBACK_TOKEN, wait_for_http
from running import free_port

from tracker.store import db, postbacks
from tracker.store.postbacks import PostbackFilter

ROOT = Path(__file__).parents[2]
PATH = f"/postbacks/{POSTBACK_TOKEN}"
HASTY = """
from tracker.web import serving
serving.READ_SECONDS = 1.0
exec(open({path!r}).read())
"""


@contextmanager
def gunicorn(folder: Path, template: Path, conf: Path) -> Iterator[tuple[int, Path]]:
    """Run gunicorn on a database of its own; gives the port and the file of the database."""
    database = Path(shutil.copy(template, folder / "tracker.db"))
    port = free_port()
    environ = {
        **os.environ,
        "WEB_BIND": f"127.0.0.1:{port}",
        "TRACKER_DATABASE_URL": f"sqlite:///{database}",
        "TRACKER_POSTBACK_TOKENS": POSTBACK_TOKEN,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", str(conf)]
    with (folder / "web.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stderr=log)
    try:
        wait_for_http(f"http://127.0.0.1:{port}/healthz", 40)
        yield port, database
    finally:
        process.send_signal(signal.SIGTERM)
        stopping = time.monotonic()
        assert process.wait(40) == 0
    assert time.monotonic() - stopping < 15, "idle connections held it up"
    assert "Traceback" not in (folder / "web.log").read_text()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[tuple[int, Path]]:
    conf = ROOT / "deploy" / "gunicorn.conf.py"
    with gunicorn(tmp_path_factory.mktemp("web"), sqlite_template, conf) as started:
        yield started


@pytest.fixture
def port(server: tuple[int, Path]) -> int:
    return server[0]


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 15)


def post(body: bytes, *lines: str, target: str = PATH) -> bytes:
    """Return a whole request."""
    head = [f"POST {target} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def everything(connection: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def count(answer: bytes, status: int) -> int:
    return answer.count(f"HTTP/1.1 {status} ".encode())


def journal(database: Path) -> set[str | None]:
    """Return the tracking ids of everything that was kept."""
    sessions = db.connect(f"sqlite:///{database}")
    with sessions() as session:
        rows = postbacks.search(session, PostbackFilter(), limit=4000).items
    db.engine_of(sessions).dispose()
    return {row.fields.get("tracking_id") for row in rows}


def answered_at_once(port: int, tracking_id: str) -> None:
    """Post one, as the gateway does; the gateway would wait ten seconds."""
    began = time.monotonic()
    with connect(port) as connection:
        connection.sendall(post(a_postback("N101", TRACKINGID=tracking_id), "Connection: close"))
        assert count(everything(connection), 200) == 1
    assert time.monotonic() - began < 8


HALF = a_postback(TRACKINGID="HALF")
CHUNKED = (
    f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
).encode()
HALVES = {
    "nothing": b"",
    "half a head": b"POST /postb",
    "half a body": post(HALF)[:-9],
    "half a chunk": CHUNKED + b"ff\r\n<POST",
    "a second half": post(a_postback(TRACKINGID="FIRST")) + post(HALF)[:-9],
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES.keys())
def test_a_crowd_of_halves_keeps_nobody_waiting(server: tuple[int, Path], half: bytes) -> None:
    port, database = server
    with ExitStack() as crowd:
        for _ in range(60):
            crowd.enter_context(connect(port)).sendall(half)
        answered_at_once(port, f"AMONG{len(half)}")
    assert f"AMONG{len(half)}" in journal(database)
    assert "HALF" not in journal(database)


def test_a_client_that_never_says_goodbye_keeps_nobody_waiting(port: int) -> None:
    with ExitStack() as crowd:
        rude = [crowd.enter_context(connect(port)) for _ in range(30)]
        began = time.monotonic()
        for number, connection in enumerate(rude):
            body = a_postback(TRACKINGID=f"RUDE{number}")
            connection.sendall(post(body, "Connection: close"))
        for connection in rude:
            assert count(everything(connection), 200) == 1  # and it stays open on this side
        assert time.monotonic() - began < 10


def test_pipelined_requests_are_all_answered(server: tuple[int, Path]) -> None:
    port, database = server
    ids = [f"PIPE{number}" for number in range(5)]
    requests = [post(a_postback(TRACKINGID=tracking_id)) for tracking_id in ids]
    with connect(port) as connection:
        connection.sendall(b"".join(requests) + post(b"<html/>", "Connection: close"))
        answer = everything(connection)
    assert (count(answer, 200), count(answer, 400)) == (5, 1)
    assert journal(database) >= set(ids)


def test_a_kept_connection_takes_one_postback_after_the_other(server: tuple[int, Path]) -> None:
    port, database = server
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    for number in range(40):
        connection.request("POST", PATH, a_postback(TRACKINGID=f"KEPT{number}"))
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (200, True)
    connection.close()
    assert journal(database) >= {f"KEPT{number}" for number in range(40)}


def test_a_request_that_comes_byte_by_byte_is_one_request(port: int) -> None:
    with connect(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post(a_postback(TRACKINGID="DRIP"), "Connection: close"):
            connection.send(bytes([byte]))
        assert count(everything(connection), 200) == 1


@pytest.mark.parametrize(
    ("name", "request_", "status"),
    [
        ("absolute form", post(a_postback(), "Connection: close", target=f"http://x{PATH}"), 200),
        ("query", post(a_postback(), "Connection: close", target=f"{PATH}?x=1"), 200),
        ("length twice", post(a_postback(), "Content-Length: 5", "Connection: close"), 400),
        ("same twice", post(b"<a/>", "Content-Length: 4", "Connection: close"), 400),
        ("folded", post(b"<a/>", "X: a", " Content-Length: 9", "Connection: close"), 400),
        ("wrong path", post(a_postback(), "Connection: close", target="/postbacks/x"), 404),
        ("other method", b"PUT " + post(a_postback(), "Connection: close")[5:], 405),
        ("blank chunk", CHUNKED + b"\r\n\r\n", 400),
        ("no chunk size", CHUNKED + b"zz\r\n<a/>\r\n0\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_odd_requests_get_one_answer(port: int, name: str, request_: bytes, status: int) -> None:
    with connect(port) as connection:
        connection.sendall(request_)
        assert count(everything(connection), status) == 1, name


def test_postbacks_and_pages_of_one_pipeline_are_answered_in_order(
    server: tuple[int, Path],
) -> None:
    port, database = server
    large = a_postback(TRACKINGID="MIXLARGE").replace(b"</POST", b" " * 40_000 + b"</POST")
    page = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(port) as connection:
        connection.sendall(
            post(a_postback(TRACKINGID="MIX1")) + page % b"healthz" + post(b"<html/>")
            + page % b"login" + post(large) + page % b"api/v1/messages"
            + post(a_postback(TRACKINGID="MIX2")) + post(a_postback(), target="/postbacks/wrong")
        )  # fmt: skip
        answer = everything(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [
        b"200", b"200", b"400", b"200", b"200", b"401", b"200", b"404",
    ]  # fmt: skip
    assert journal(database) >= {"MIX1", "MIX2", "MIXLARGE"}


def test_500_idle_clients_keep_no_postback_waiting(server: tuple[int, Path]) -> None:
    port, database = server
    with ExitStack() as crowd:
        for number in range(500):
            idle = crowd.enter_context(connect(port))
            if number % 2:
                idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                idle.recv(4096)
        for number in range(20):
            answered_at_once(port, f"CROWD{number}")
    assert journal(database) >= {f"CROWD{number}" for number in range(20)}


def test_what_is_refused_is_not_stored(server: tuple[int, Path]) -> None:
    port, database = server
    before = journal(database)
    body = a_postback(TRACKINGID="LIE")
    longer = post(body).replace(b"Length: ", b"Length: 1")
    large = b"%x\r\n%b\r\n" % (1_100_000, body.ljust(1_100_000))
    for request, status in [
        (longer, 400),
        (CHUNKED + b"%x\r\n%b\r\n" % (len(body), body), 400),
        (CHUNKED + b"%x\r\n%b\r\n" % (len(body) - 1, body) + b"0\r\n\r\n", 400),
        (CHUNKED + large + b"0\r\n\r\n", 413),
        (post(body, "Transfer-Encoding: chunked"), 400),
        (post(body, target="/postbacks/wrong"), 404),
    ]:
        with connect(port) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            assert count(everything(connection), status) == 1, request
    assert journal(database) == before


def test_a_wrong_token_is_refused_before_the_body_comes(port: int) -> None:
    with connect(port) as connection:
        head = "POST /postbacks/wrong HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
        connection.sendall(head.encode())
        assert count(everything(connection), 404) == 1


def test_the_token_may_be_written_in_percent(port: int) -> None:
    percent = "".join(f"%{ord(letter):02X}" for letter in POSTBACK_TOKEN)
    for path in (f"/postbacks/{percent}", f"/%70ostbacks/{POSTBACK_TOKEN}", f"{PATH}/"):
        with connect(port) as connection:
            connection.sendall(post(a_postback(), "Connection: close", target=path))
            assert count(everything(connection), 200) == 1, path


def test_every_postback_in_flight_is_answered_at_the_end(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """SIGTERM amid a stream: who got into a connection gets an answer, and 200 means kept."""
    answered: list[str] = []
    conf = ROOT / "deploy" / "gunicorn.conf.py"

    def stream(port: int, number: int) -> None:
        for turn in range(400):
            tracking_id = f"END{number}_{turn}"
            try:
                connection = connect(port)
            except OSError:
                return  # the door is closed by now
            with connection:
                connection.sendall(post(a_postback(TRACKINGID=tracking_id), "Connection: close"))
                assert count(everything(connection), 200) == 1, "arrived, and not answered"
            answered.append(tracking_id)

    with ThreadPoolExecutor(8) as pool:
        with gunicorn(tmp_path, sqlite_template, conf) as (port, database):
            jobs = [pool.submit(stream, port, number) for number in range(8)]
            while len(answered) < 100:
                time.sleep(0.01)
        for job in jobs:
            job.result(20)
        assert set(answered) <= journal(database)
    assert 100 <= len(answered) < 3200


def test_a_length_over_the_limit_is_refused_before_it_is_sent(port: int) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    with ExitStack() as crowd:
        large = [crowd.enter_context(connect(port)) for _ in range(40)]
        began = time.monotonic()
        for connection in large:
            connection.sendall(head.encode() + b"<POSTBACK>")
        for connection in large:
            assert count(everything(connection), 413) == 1
        assert time.monotonic() - began < 10
        answered_at_once(port, "AFTERLARGE")


def test_a_body_near_the_limit_arrives_whole(server: tuple[int, Path]) -> None:
    port, database = server
    padding = b" " * (1024 * 1024 - 2000)
    body = a_postback(TRACKINGID="NEARLIMIT").replace(b"</POSTBACK>", padding + b"</POSTBACK>")
    with connect(port) as connection:
        for start in range(0, len(request := post(body, "Connection: close")), 100_000):
            connection.sendall(request[start : start + 100_000])
        assert count(everything(connection), 200) == 1
    assert "NEARLIMIT" in journal(database)


def test_what_takes_too_long_is_ended(tmp_path: Path, sqlite_template: Path) -> None:
    conf = tmp_path / "hasty.py"
    conf.write_text(HASTY.format(path=str(ROOT / "deploy" / "gunicorn.conf.py")))
    slow = [
        *HALVES.values(),
        post(HALF, "Expect: 100-continue")[:-9],
        post(b"<POSTBACK>" + b" " * 100_000 + b"</POSTBACK>")[:-9],
    ]
    with gunicorn(tmp_path, sqlite_template, conf) as (port, database), ExitStack() as crowd:
        connections = [crowd.enter_context(connect(port)) for _ in slow * 6]
        for connection, half in zip(connections, slow * 6, strict=True):
            connection.sendall(half)
        answers = [everything(connection) for connection in connections]
        answered_at_once(port, "AFTERSLOW")
        assert journal(database) == {"FIRST", "AFTERSLOW"}
    assert sum(count(answer, 200) for answer in answers) == 6  # what came before "a second half"
