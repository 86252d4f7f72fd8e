"""The drop-in under gunicorn with our worker: bytes as they come, slow gateways, clean logs."""

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from dropin_support import PATH, PATIENCE, Wire, a_document, a_query, form, said, wired
from worker_support import Gunicorn, chunked, get, gunicorn, post

from tracker.services import accounts
from tracker.store import db, messages
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter


@contextmanager
def served(folder: Path, template: Path, gateway: str, threads: int) -> Iterator[Gunicorn]:
    """Run gunicorn on a database of its own, with a token in `key`."""
    database = shutil.copy(template, folder / "none.db")  # where worker_support looks for it
    sessions = db.connect(f"sqlite:///{database}")
    now = datetime.now(UTC)
    (folder / "key").write_text(
        accounts.create_token(sessions, "shop", actor="test", now=now).token
    )
    db.engine_of(sessions).dispose()
    patch = (
        f"import os; os.environ.update(TRACKER_GATEWAY_URL={gateway!r},"
        f" TRACKER_GATEWAY_API_KEY='our-key-at-the-gateway', WEB_THREADS='{threads}')"
    )
    with gunicorn(folder, "--log-level", "debug", patch=patch) as started:
        yield started


def opened(folder: Path) -> Sessions:
    return db.connect(f"sqlite:///{folder}/none.db")


def count(folder: Path) -> int:
    sessions = opened(folder)
    with sessions() as session:
        found = messages.search(session, MessageFilter(), limit=100).items
    db.engine_of(sessions).dispose()
    return len(found)


def test_calls_come_in_every_shape_and_no_log_holds_their_key(
    tmp_path: Path, sqlite_template: Path
) -> None:
    with wired(Wire()) as wire, served(tmp_path, sqlite_template, wire.url, 16) as web:
        key = (tmp_path / "key").read_text()
        document = a_document(key).encode()
        query = urlencode(a_query(key, pd_backvalue1="x" * 6000))
        close = "Connection: close"
        form_type = "Content-Type: application/x-www-form-urlencoded"
        for request in (
            post(PATH, document, form_type, close),
            post(PATH, document, close, version="1.0"),
            chunked(PATH, document[:9], document[9:]),
            get(f"{PATH}?{query}", close),
        ):
            answer = web.ask(request)
            assert b"HTTP/1.1 200" in answer
            assert wire.answer in answer
        assert count(tmp_path) == 4
        assert b" 413 " in web.ask(chunked(PATH, b" " * 1_100_000)).split(b"\r\n")[0]
        large = f"Content-Length: {1_100_000}"
        assert b" 413 " in web.ask(get(PATH, large, close, method="POST") + b" " * 1_100_000)
        assert b" 400 " in web.ask(post(PATH, document)[:-9], half_close=True)
        assert b" 400 " in web.ask(get(PATH, "Transfer-Encoding: chunked", method="POST") + b"zz")
        assert b" 414 " in web.ask(get(f"{PATH}?{query}{query}", close))
        assert b" 400 " in web.ask(f"GET {PATH}?{query} HTTP/9\r\n\r\n".encode())
        assert count(tmp_path) == 4
        waiting = get(
            PATH, f"Content-Length: {len(document)}", "Expect: 100-continue", method="POST"
        )
        with web.connect() as connection:  # as cURL does it with a larger body
            connection.sendall(waiting)
            assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
            connection.sendall(document)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    log = web.log.read_text()
    assert "drop-in call made" in log
    assert key not in log
    assert "our-key-at-the-gateway" not in log
    assert "Traceback" not in log


def test_a_slow_gateway_leaves_half_of_the_threads_to_others(
    tmp_path: Path, sqlite_template: Path
) -> None:
    hang = threading.Event()
    with (
        wired(Wire(on_call=lambda: hang.wait(30))) as wire,
        served(tmp_path, sqlite_template, wire.url, 4) as web,
        ThreadPoolExecutor(2) as pool,
    ):
        url = f"http://127.0.0.1:{web.port}"
        document = a_document((tmp_path / "key").read_text())
        waiting = [pool.submit(form, url + PATH, document) for _ in range(2)]
        deadline = time.monotonic() + PATIENCE
        while len(wire.documents) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for _ in range(4):  # as many as there are threads
            assert said(form(url + PATH, document)).error_code == "E503"
        assert requests.get(url + "/login", timeout=PATIENCE).status_code == 200
        assert not any(call.done() for call in waiting)
        hang.set()
        assert all(said(call.result(PATIENCE)).is_success for call in waiting)
        assert count(tmp_path) == 2


def test_calls_under_way_are_answered_when_the_server_is_stopped(
    tmp_path: Path, sqlite_template: Path
) -> None:
    begun = threading.Event()

    def answer_late() -> None:
        begun.set()
        time.sleep(1.0)

    with wired(Wire(on_call=answer_late)) as wire, ThreadPoolExecutor(1) as pool:
        with served(tmp_path, sqlite_template, wire.url, 4) as web:
            document = a_document((tmp_path / "key").read_text())
            call = pool.submit(form, f"http://127.0.0.1:{web.port}{PATH}", document)
            assert begun.wait(PATIENCE)
        assert said(call.result(PATIENCE)).is_success
    sessions = opened(tmp_path)
    with sessions() as session:
        (row,) = messages.search(session, MessageFilter(), limit=2).items
    db.engine_of(sessions).dispose()
    assert row.tracking_id == "TU1TXzEyMzQ2"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_a_request_without_effect_sends_nothing(
    tmp_path: Path, sqlite_template: Path, method: str
) -> None:
    with wired(Wire()) as wire, served(tmp_path, sqlite_template, wire.url, 4) as web:
        query = urlencode(a_query((tmp_path / "key").read_text()))
        assert b" 200 " in web.ask(get(f"{PATH}?{query}", "Connection: close", method=method))
        assert wire.documents == []
