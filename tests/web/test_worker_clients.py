"""Slow, silent and many clients of the worker, and what becomes of all of them when it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from worker_support import (
    CONF,
    PATIENCE,
    ROOT,
    Gunicorn,
    answers,
    everything,
    get,
    gunicorn,
    post,
    until,
)

CLOSE = "Connection: close"
APP = ("--pythonpath", str(ROOT / "tests" / "web"), "worker_app:app")
HASTY = """
from tracker.web import serving
serving.READ_SECONDS = serving.WRITE_SECONDS = 1.0
"""


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """A server of little patience, with two threads and room for 50 clients."""
    folder = tmp_path_factory.mktemp("hasty")
    options = ("--worker-connections", "50", "--threads", "2", *APP)
    with gunicorn(folder, *options, patch=HASTY) as started:
        yield started


def worker(served: Gunicorn) -> psutil.Process:
    (process,) = psutil.Process(served.process.pid).children()
    return process


def wait_until_gone(served: Gunicorn, process_id: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while process_id in [child.pid for child in psutil.Process(served.process.pid).children()]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_answered(served: Gunicorn) -> bool:
    (answer,) = answers(served.ask(get("/one-part", CLOSE)))
    return answer.body == b"one part"


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


# Deadlines.


def test_a_client_that_says_nothing_is_left_without_a_word(hasty: Gunicorn) -> None:
    began = time.monotonic()
    assert hasty.ask() == b""
    assert 0.9 < time.monotonic() - began < 8


@pytest.mark.parametrize("half", [b"G", b"GET / HTTP/1.1\r\nX: ", post("/", b"body")[:-1]])
def test_half_a_request_ends_with_408(hasty: Gunicorn, half: bytes) -> None:
    (answer,) = answers(hasty.ask(half))
    assert (answer.status, answer.fields["connection"]) == (408, "close")


def test_a_dripping_request_ends_with_408(hasty: Gunicorn) -> None:
    """Each byte in time is not enough: the whole request has a deadline."""
    with hasty.connect() as connection:
        began = time.monotonic()
        connection.sendall(get("/", "Content-Length: 1000", method="POST"))
        connection.settimeout(0.05)
        received = b""
        while not received:
            connection.sendall(b"x")
            assert time.monotonic() - began < 8
            with suppress(TimeoutError):
                received = connection.recv(65_536)
    assert answers(received)[0].status == 408


def test_blank_lines_do_not_keep_a_connection(hasty: Gunicorn) -> None:
    began = time.monotonic()
    with hasty.connect() as connection, suppress(OSError):
        while time.monotonic() - began < PATIENCE:
            connection.sendall(b"\r\n")
            time.sleep(0.05)
    assert time.monotonic() - began < 8


def test_clients_that_take_no_answer_keep_no_thread(hasty: Gunicorn) -> None:
    with ExitStack() as crowd:
        for _ in range(4):
            crowd.enter_context(hasty.connect()).sendall(get("/stream?n=1000"))
        time.sleep(0.3)
        assert is_answered(hasty)


def test_a_slow_client_that_takes_some_is_served_to_the_end(hasty: Gunicorn) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", hasty.port))
        connection.sendall(get("/stream?n=60", CLOSE))
        received = bytearray()
        while chunk := connection.recv(65_536):
            received += chunk
            time.sleep(0.06)
    (answer,) = answers(bytes(received))
    assert (answer.is_whole, len(answer.body)) == (True, 60 * 65_536)


# Room.


@pytest.mark.parametrize("first_words", [b"", b"GET / HTT"])
def test_a_crowd_makes_room_for_who_speaks(hasty: Gunicorn, first_words: bytes) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(hasty.connect()) for _ in range(300)]
        for connection in crowd:
            connection.sendall(first_words)
        for _ in range(5):
            assert is_answered(hasty)
        assert worker(hasty).num_fds() < 120
        assert not is_open(crowd[0])


def test_who_has_idled_longest_goes_first(hasty: Gunicorn) -> None:
    with ExitStack() as stack:
        crowd = []
        for _ in range(55):
            crowd.append(stack.enter_context(hasty.connect()))
            crowd[-1].sendall(get("/one-part"))
            until(crowd[-1], b"one part")
        assert [is_open(connection) for connection in crowd] == [False] * 5 + [True] * 50


def test_a_full_house_says_so(hasty: Gunicorn) -> None:
    with ExitStack() as stack:
        busy = [stack.enter_context(hasty.connect()) for _ in range(50)]
        for number, connection in enumerate(busy):  # there are two threads
            connection.sendall(get("/sleep?n=1" if number < 2 else "/one-part", CLOSE))
        time.sleep(0.3)
        (answer,) = answers(hasty.ask())
        assert (answer.status, answer.fields["retry-after"]) == (503, "1")
        assert all(answers(everything(connection))[0].status == 200 for connection in busy)
    assert is_answered(hasty)


# The end.


def stop(served: Gunicorn, number: int = signal.SIGTERM) -> float:
    """Send a signal, and return for how many seconds it went on."""
    began = time.monotonic()
    served.process.send_signal(number)
    assert served.process.wait(30) == 0
    return time.monotonic() - began


def test_what_is_in_progress_is_answered_at_the_end(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "--threads", "4", *APP) as served, ExitStack() as stack:
        halfway, reading, idle = (stack.enter_context(served.connect()) for _ in range(3))
        halfway.sendall(post("/", b"body")[:-3])
        reading.sendall(get("/stream?n=100"))
        idle.sendall(get("/one-part"))
        until(idle, b"one part")
        busy = [stack.enter_context(served.connect()) for _ in range(6)]
        for connection in busy:
            connection.sendall(get("/sleep?n=0.6") + get("/one-part"))
        time.sleep(0.1)
        served.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert everything(idle) == b""
        assert time.monotonic() - began < 4, "nobody waits for an idle client"
        halfway.sendall(b"ody")
        (answer,) = answers(everything(halfway))
        assert (answer.status, answer.fields["connection"]) == (200, "close")
        for connection in busy:
            first, second = answers(everything(connection))
            assert (first.body, second.body) == (b"slept 0.6", b"one part")
            assert second.fields["connection"] == "close"
        assert answers(everything(reading))[0].is_whole
        assert served.process.wait(10) == 0
        assert time.monotonic() - began < 8


def test_who_has_knocked_is_let_in_at_the_end(tmp_path: Path) -> None:
    """What the system has accepted, and the worker has not yet, is answered too."""
    with gunicorn(tmp_path, *APP) as served, ExitStack() as stack:
        process = worker(served)
        process.suspend()
        crowd = [stack.enter_context(served.connect()) for _ in range(60)]
        for connection in crowd:
            connection.sendall(get("/one-part"))
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        process.resume()
        for connection in crowd:
            (answer,) = answers(everything(connection))
            assert answer.body == b"one part"


def test_idle_and_silent_clients_hold_up_no_end(tmp_path: Path) -> None:
    with gunicorn(tmp_path, *APP) as served, ExitStack() as stack:
        crowd = [stack.enter_context(served.connect()) for _ in range(300)]
        for connection in crowd[:100]:
            connection.sendall(get("/one-part"))
            until(connection, b"one part")
        assert stop(served) < 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_application_that_never_answers_is_left_behind(tmp_path: Path, number: int) -> None:
    with gunicorn(tmp_path, "--graceful-timeout", "2", *APP) as served, served.connect() as stuck:
        stuck.sendall(get("/sleep?n=100"))
        time.sleep(0.3)
        assert stop(served, number) < 10
        assert everything(stuck) == b""


def ask_until(served: Gunicorn, end: float) -> int:
    """Ask again and again, each time on a new connection; every answer must be right."""
    count = 0
    while time.monotonic() < end:
        assert is_answered(served)
        count += 1
    return count


def test_a_reload_loses_nobody(tmp_path: Path) -> None:
    with gunicorn(tmp_path, *APP) as served, ThreadPoolExecutor(4) as pool:
        before = worker(served).pid
        jobs = [pool.submit(ask_until, served, time.monotonic() + 2) for _ in range(4)]
        time.sleep(0.5)
        served.process.send_signal(signal.SIGHUP)
        assert all(job.result(30) > 0 for job in jobs)
        wait_until_gone(served, before)


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with gunicorn(tmp_path, *APP) as served:
        for _ in range(2):
            os.kill(worker(served).pid, signal.SIGKILL)
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    assert is_answered(served)
                    break
                except (OSError, ValueError):
                    assert time.monotonic() < deadline
        assert "Traceback" not in served.log.read_text()


def test_a_worker_leaves_after_so_many_requests(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "--max-requests", "30", *APP) as served:
        before = worker(served).pid
        for _ in range(40):
            assert is_answered(served)
        wait_until_gone(served, before)
        assert is_answered(served)


def test_a_socket_file_serves_too(tmp_path: Path) -> None:
    with gunicorn(tmp_path, *APP, socket_file=tmp_path / "web.sock") as served:
        (answer,) = answers(served.ask(get("/", CLOSE)))
        assert json.loads(answer.body)["REMOTE_ADDR"] == ""


def test_tls_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pem").touch()
    command = [sys.executable, "-m", "gunicorn", "-c", str(CONF), "--certfile", "x.pem", *APP]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    assert b"TLS is the work of the proxy" in done.stderr


def test_liveness_is_told_while_slow_pages_have_all_threads(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "--threads", "2", *APP) as served, ExitStack() as stack:
        slow = [stack.enter_context(served.connect()) for _ in range(3)]
        for connection in slow:
            connection.sendall(get("/sleep?n=3", CLOSE))
        time.sleep(0.3)
        (answer,) = answers(served.ask(get("/healthz", CLOSE)))
        assert answer.status == 200
        slow[0].setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody else has an answer yet
            slow[0].recv(1)
