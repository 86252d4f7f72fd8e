"""The servers under test, each a gunicorn of its own on a free port of the loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

BENCH = Path(__file__).parents[1]
ROOT = BENCH.parent
TOKEN = "postback-token-of-the-benchmark"
START_SECONDS = 30
STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A running gunicorn, and the path that takes postbacks."""

    port: int
    path: str
    process_id: int

    def resident_bytes(self) -> int:
        """Return the memory of all its processes."""
        return sum(process.memory_info().rss for process in self._processes())

    def processor_seconds(self) -> float:
        """Return the processor time of all its processes so far."""
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        master = psutil.Process(self.process_id)
        return [master, *master.children(recursive=True)]


@contextmanager
def tracker(folder: Path, database_url: str, **environ: str) -> Iterator[Server]:
    """Serve the tracker as production does, with the numbers of its own configuration."""
    settings = {
        "TRACKER_DATABASE_URL": database_url,
        "TRACKER_POSTBACK_TOKENS": TOKEN,
        "TRACKER_SECRET_KEY": "a-secret-key-of-the-benchmark-alone",
        "TRACKER_SPOOL_DIR": str(folder / "spool"),
        **environ,
    }
    options = ["-c", str(ROOT / "deploy" / "gunicorn.conf.py"), "tracker.web:from_environ()"]
    with _gunicorn(folder, "tracker", options, f"/postbacks/{TOKEN}", settings) as server:
        yield server


@contextmanager
def empty(folder: Path, *options: str) -> Iterator[Server]:
    """Serve a Flask view that does nothing."""
    with _gunicorn(folder, "empty", [*options, "empty:app"], "/", {}) as server:
        yield server


@contextmanager
def naive(folder: Path, database_url: str, *options: str) -> Iterator[Server]:
    """Serve the same work as most would first write it."""
    environ = {"BENCH_DATABASE_URL": database_url}
    with _gunicorn(folder, "naive", [*options, "naive:application()"], "/", environ) as server:
        yield server


@contextmanager
def _gunicorn(
    folder: Path, name: str, options: list[str], path: str, environ: dict[str, str]
) -> Iterator[Server]:
    port = _free_port()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TRACKER_", "WEB_"))}
    search = os.pathsep.join([str(BENCH), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ = {**inherited, "WEB_BIND": f"127.0.0.1:{port}", "PYTHONPATH": search, **environ}
    bind = [] if name == "tracker" else ["-b", f"127.0.0.1:{port}"]
    command = [sys.executable, "-m", "gunicorn", *bind, *options]
    with (folder / f"{name}-{port}.log").open("w+") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            _wait_for(process, port, Path(log.name))
            yield Server(port, path, process.pid)
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.05)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()
