"""The web part as gunicorn runs it: hostile clients, missing assets, and SIGKILL under load."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests
from builders import a_postback, accepted
from conftest import POSTBACK_TOKEN
from running import free_port
from sqlalchemy import select

from tracker.domain.headers import pairs
from tracker.store import db, postbacks
from tracker.store.db import Sessions
from tracker.store.models import PostbackBody
from tracker.store.postbacks import PostbackFilter

ROOT = Path(__file__).parents[2]
PATH = f"/postbacks/{POSTBACK_TOKEN}"
COMMAND = "from tracker.cli import main; main()"


@contextmanager
def serving(database_url: str, folder: Path, port: int, source: Path = ROOT) -> Iterator[int]:
    """Run `tracker web` while the block runs, and return its process id."""
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(source),
        "TRACKER_DATABASE_URL": database_url,
        "TRACKER_POSTBACK_TOKENS": POSTBACK_TOKEN,
        "TRACKER_SECRET_KEY": "a-secret-key-of-the-tests-alone",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "web", "--port", str(port)], cwd=folder, env=environ
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2)
                break
            except requests.RequestException:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(40)


@pytest.fixture
def port(database_url: str, tmp_path: Path) -> Iterator[int]:
    number = free_port()
    with serving(database_url, tmp_path, number):
        yield number


def raw(port: int, request: bytes, *, close: bool = False) -> bytes:
    """Send bytes as they are and return everything that comes back."""
    with socket.create_connection(("127.0.0.1", port), 15) as connection:
        connection.sendall(request)
        if close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
            if b"\r\n\r\n" in received and not close:
                break
        return received


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def head(*lines: str, path: str = PATH) -> bytes:
    text = "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", "Connection: close", *lines])
    return text.encode() + b"\r\n\r\n"


def chunked(body: bytes, size: int = 60_000) -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in pieces) + b"0\r\n\r\n"


def count(sessions: Sessions) -> int:
    with sessions() as session:
        return len(postbacks.search(session, PostbackFilter(), limit=2000).items)


def test_hostile_requests_get_their_answer_and_store_nothing(port: int, sessions: Sessions) -> None:
    xml = a_postback("N102")
    huge = xml.replace(b"</POSTBACK>", b" " * (1024 * 1024) + b"</POSTBACK>")
    assert status(raw(port, head("Transfer-Encoding: chunked") + chunked(huge))) == 413
    assert status(raw(port, head(f"Content-Length: {len(huge)}"))) == 413
    short = head(f"Content-Length: {len(xml) + 50}") + xml
    assert status(raw(port, short, close=True)) in (0, 400)
    both = head("Content-Length: 5", "Transfer-Encoding: chunked") + chunked(xml)
    assert status(raw(port, both, close=True)) in (0, 400)
    for line in ("Content-Length: x", "Content-Length: -1", "Content-Length: 5, 6"):
        assert status(raw(port, head(line) + xml, close=True)) in (0, 400)
    assert status(raw(port, b"nonsense\r\n\r\n", close=True)) in (0, 400)
    cut = head("Transfer-Encoding: chunked") + b"5\r\n<POST"
    assert status(raw(port, cut, close=True)) in (0, 400)
    assert count(sessions) == 0


def test_honest_oddities_are_served(port: int, sessions: Sessions) -> None:
    accepted(sessions)
    xml = a_postback("N101")
    assert status(raw(port, head("Transfer-Encoding: chunked") + chunked(xml, 7))) == 200
    old = f"POST {PATH} HTTP/1.0\r\ncontent-length: {len(xml)}\r\n\r\n".encode() + xml
    assert status(raw(port, old)) == 200
    encoded = "/postbacks/" + "".join(f"%{ord(c):02x}" for c in POSTBACK_TOKEN)
    assert status(raw(port, head(f"Content-Length: {len(xml)}", path=encoded) + xml)) == 200
    waiting = head(f"Content-Length: {len(xml)}", "Expect: 100-continue")
    assert status(raw(port, waiting)) == 100
    assert count(sessions) == 1


def test_the_worker_keeps_headers_and_not_the_token(port: int, sessions: Sessions) -> None:
    accepted(sessions)
    xml = a_postback("N102")
    lines = [f"Content-Length: {len(xml)}", "Via: 1.1 one", "VIA: 1.1 two", f"Referer: {PATH}"]
    assert status(raw(port, head(*lines, "Cookie: a=b") + xml)) == 200
    with sessions() as session:
        kept = session.scalars(select(PostbackBody.headers)).one()
    told = [("host", "x"), ("connection", "close"), ("content-length", str(len(xml)))]
    assert kept is not None
    assert pairs(kept) == [*told, ("via", "1.1 one"), ("via", "1.1 two")]


def test_a_slow_or_silent_crowd_keeps_nobody_waiting(port: int, sessions: Sessions) -> None:
    accepted(sessions)
    crowd = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(200)]
    try:
        for number, connection in enumerate(crowd):
            if number % 2:
                connection.sendall(b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: x\r\n")
        url = f"http://127.0.0.1:{port}{PATH}"
        assert requests.post(url, a_postback("N102"), timeout=10).status_code == 200
    finally:
        for connection in crowd:
            connection.close()


def test_it_serves_without_page_assets(sqlite_url: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("tracker", "migrations", "deploy"):
        ignored = shutil.ignore_patterns("vendor", "__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    number = free_port()
    with serving(sqlite_url, tmp_path, number, source):
        url = f"http://127.0.0.1:{number}"
        assert requests.get(url + "/healthz", timeout=5).status_code == 200
        assert requests.post(url + PATH, a_postback(), timeout=5).status_code == 200
        assert requests.get(url + "/api/v1/messages", timeout=5).status_code == 401
        assert requests.get(url + "/login", timeout=5).status_code == 200


def test_every_200_is_in_the_journal_after_sigkill(
    database_url: str, tmp_path: Path, sessions: Sessions
) -> None:
    """Workers and master are killed under a stream of postbacks; a ledger holds the answers."""
    ledger: list[str] = []
    number = free_port()

    def post(tracking_id: str) -> None:
        try:
            answer = requests.post(
                f"http://127.0.0.1:{number}{PATH}",
                a_postback("N102", TRACKINGID=tracking_id),
                timeout=5,
            )
        except requests.RequestException:
            return
        if answer.status_code == 200:
            ledger.append(tracking_id)

    for round_number in range(3):
        ids = [f"R{round_number}_{i}" for i in range(150)]
        with serving(database_url, tmp_path, number) as pid, ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(post, tracking_id) for tracking_id in ids]
            while len(ledger) < (round_number + 1) * 20 and not all(j.done() for j in jobs):
                time.sleep(0.005)
            family = psutil.Process(pid).children(recursive=True)
            for process in [psutil.Process(pid), *family] if round_number else family:
                process.kill()
        psutil.wait_procs(family, timeout=10)
    with sessions() as session:
        found = postbacks.search(session, PostbackFilter(), limit=2000).items
    kept = {row.fields["tracking_id"] for row in found}
    assert len(ledger) >= 60
    assert set(ledger) <= kept
    db.engine_of(sessions).dispose()
