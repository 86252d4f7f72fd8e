"""The server on trial: gunicorn with the tracker's own configuration, on one port for good."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
TOKEN = "postback-token-of-the-trials"
PATH = f"/postbacks/{TOKEN}"
START_SECONDS = 30.0
STOP_SECONDS = 40.0


class Server:
    """One gunicorn, and the one that is started in its place."""

    def __init__(self, folder: Path, database_url: str, spool: Path, **environ: str) -> None:
        self.port = free_port()
        self.log = folder / "web.log"
        self._folder = folder
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TRACKER_", "WEB_"))},
            "WEB_BIND": f"127.0.0.1:{self.port}",
            "TRACKER_DATABASE_URL": database_url,
            "TRACKER_POSTBACK_TOKENS": TOKEN,
            "TRACKER_SECRET_KEY": "a-secret-key-of-the-trials-alone",
            "TRACKER_SPOOL_DIR": str(spool),
            **environ,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of gunicorn's master."""
        assert self._process is not None
        return self._process.pid

    def workers(self) -> list[psutil.Process]:
        """Return the processes that serve."""
        return psutil.Process(self.pid).children()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            sys.executable, "-m", "gunicorn", "-c", str(ROOT / "deploy" / "gunicorn.conf.py"),
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=self.environ, stdout=log, stderr=log
            )
        wait_until(self._answers, START_SECONDS, f"gunicorn did not start, see {self.log}")

    def kill_worker(self, chance: random.Random) -> None:
        """Kill one worker, any of them; gunicorn starts another."""
        if workers := self.workers():
            chance.choice(workers).kill()

    def kill_master(self) -> None:
        """Kill gunicorn's master alone; its workers notice."""
        self._end(signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill master and workers at one instant, as the end of the machine would."""
        workers = self.workers()
        self._send(signal.SIGKILL)
        for worker in workers:
            worker.kill()
        self._end(signal.SIGKILL)

    def reload(self) -> None:
        """Have gunicorn put new workers in the place of the old ones."""
        before = {worker.pid for worker in self.workers()}
        self._send(signal.SIGHUP)

        def is_reloaded() -> bool:
            now = {worker.pid for worker in self.workers()}
            return bool(now) and not now & before

        wait_until(is_reloaded, STOP_SECONDS, "the old workers did not end")

    def stop(self) -> None:
        """Stop it as a service manager does."""
        if self._process is not None and self._process.poll() is None:
            self._end(signal.SIGTERM)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise SystemExit(f"gunicorn ended:\n{self.log.read_text()[-2000:]}")
        return bool(self.workers()) and get(f"{self.url}/healthz", 2.0)[0] == 200

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._send(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for worker in self.workers():
                worker.kill()
            self._process.kill()
            self._process.wait()
            raise


def get(url: str, seconds: float) -> tuple[int, bytes]:
    """Return status and body of a page; status 0 when there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def free_port() -> int:
    """Return a port of the loopback that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until(is_so: Callable[[], bool], seconds: float, complaint: str) -> float:
    """Wait until something is so, and return the seconds that took."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > seconds:
            raise SystemExit(complaint)
        time.sleep(0.02)
    return time.monotonic() - began
