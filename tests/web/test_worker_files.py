"""Large files through the real web process: to the disk, within a flat memory, with a limit."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from conftest import wait_for_http
from running import free_port

from tracker.services import batches
from tracker.web.reading import FILE_BODY_BYTES, PAGE_BODY_BYTES

TRACKER = str(Path(sys.executable).with_name("tracker"))
MIB = 1_048_576


@pytest.fixture
def web(sqlite_url: str, tmp_path: Path) -> Iterator[tuple[str, str, psutil.Process]]:
    """A web process, a token, and the worker in it."""
    environ = {**os.environ, "TRACKER_DATABASE_URL": sqlite_url}
    token = subprocess.run(
        [TRACKER, "token", "create", "t"], env=environ, cwd=tmp_path, text=True,
        capture_output=True, check=True,
    ).stdout.strip()  # fmt: skip
    port = free_port()
    process = subprocess.Popen([TRACKER, "web", "--port", str(port)], env=environ, cwd=tmp_path)
    try:
        wait_for_http(f"http://127.0.0.1:{port}/healthz", 60)
        (worker,) = psutil.Process(process.pid).children()
        yield f"http://127.0.0.1:{port}", token, worker
    finally:
        process.terminate()
        process.wait(60)


def pieces(count: int) -> Iterator[bytes]:
    yield b"to,mms_id\n12025550143,45633\n"
    for _ in range(count):
        yield b"\n" * MIB


def test_a_large_file_comes_in_without_memory_for_it(
    web: tuple[str, str, psutil.Process],
) -> None:
    url, token, worker = web
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}
    small = requests.post(
        f"{url}/api/v1/batches", data=b"to,mms_id,from\n1,2,3\n", headers=headers, timeout=60
    )
    assert small.status_code == 202
    before = worker.memory_info().rss
    answer = requests.post(
        f"{url}/api/v1/batches", params={"defaults": '{"from": "11111"}'}, data=pieces(40),
        headers=headers, timeout=180,
    )  # fmt: skip
    assert answer.status_code == 202, answer.text
    assert answer.json()["size"] > 40 * MIB
    assert worker.memory_info().rss - before < 25 * MIB


def test_other_addresses_and_larger_files_are_refused(
    web: tuple[str, str, psutil.Process],
) -> None:
    url, token, _ = web
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}
    for path, size in (("messages", PAGE_BODY_BYTES + 1), ("batches", FILE_BODY_BYTES + 1)):
        head = {**headers, "Content-Length": str(size)}
        answer = requests.post(f"{url}/api/v1/{path}", data=b"", headers=head, timeout=30)
        assert answer.status_code == 413


def test_the_reader_lets_in_what_a_batch_may_have() -> None:
    assert batches.MAX_BYTES + MIB < FILE_BODY_BYTES
