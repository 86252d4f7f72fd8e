"""The stage of sending: a database, the sandbox and one sender, each a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from sqlalchemy import create_engine, func, insert, select

from tracker.domain.status import Status
from tracker.sandbox.fixture import API_KEY
from tracker.sender import CALLS_AT_ONCE
from tracker.store.models import Message, MessageContent

from . import send_messages
from .databases import Database, database

HERE = Path(__file__).parent
BLOCK = 1000
SLOWEST = 20  # messages a second; a round is given up below
STOP_SECONDS = 60
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Round:
    """One emptied queue, and as many calls of the bare client; processor times in seconds."""

    messages: int
    seconds: float
    bare_seconds: float
    sender_cpu: float
    sandbox_cpu: float


class Sandbox:
    """The sandbox's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url = self._line()

    def ask(self) -> dict[str, float]:
        """Return what it says of its calls so far."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told: dict[str, float] = json.loads(self._line())
        return told

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            raise SystemExit("the sandbox ended")
        return line


class SendingStage:
    """What a round works with."""

    def __init__(self, made: Database, sandbox: Sandbox, folder: Path) -> None:
        self.database = made
        self._sandbox = sandbox
        self._folder = folder
        self._next = 1

    def round(self, count: int) -> Round:
        """Let a sender empty a queue, then the bare client post as many documents."""
        first, self._next = self._next, self._next + count
        self._load(first, count)
        before = self._sandbox.ask()
        seconds, cpu = self._empty(first, count)
        self._check(before, first, count)
        mid = self._sandbox.ask()
        bare = self._bare(count)
        after = self._sandbox.ask()
        return Round(count, seconds, bare, cpu, after["cpu"] - mid["cpu"])

    def _load(self, first: int, count: int) -> None:
        now = datetime.now(UTC)
        engine = create_engine(self.database.url)
        for start in range(first, first + count, BLOCK):
            some = list(send_messages.rows(start, min(BLOCK, first + count - start), now))
            with engine.begin() as connection:
                connection.execute(insert(Message), [row for row, _ in some])
                connection.execute(insert(MessageContent), [content for _, content in some])
        engine.dispose()

    def _empty(self, first: int, count: int) -> tuple[float, float]:
        """Return how long the queue took, from the first call on, and the sender's own time."""
        deadline = time.monotonic() + STOP_SECONDS + count / SLOWEST
        with self._sender() as process:
            while self._count(first, count, Message.status != Status.QUEUED) == 0:
                self._look(process, deadline)
            began, watched = time.monotonic(), psutil.Process(process.pid)
            before = sum(watched.cpu_times()[:2])
            while self._count(first, count, Message.status == Status.ACCEPTED) < count:
                self._look(process, deadline)
                time.sleep(POLL_SECONDS)
            seconds = time.monotonic() - began
            cpu = sum(watched.cpu_times()[:2]) - before
        return seconds, cpu

    def _look(self, process: "subprocess.Popen[bytes]", deadline: float) -> None:
        if process.poll() is not None or time.monotonic() > deadline:
            log = (self._folder / "sender.log").read_text()[-2000:]
            raise SystemExit(f"the queue was not emptied:\n{log}")

    @contextmanager
    def _sender(self) -> Iterator["subprocess.Popen[bytes]"]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TRACKER_")}
        environ = {
            **inherited,
            "TRACKER_DATABASE_URL": self.database.url,
            "TRACKER_GATEWAY_URL": self._sandbox.url,
            "TRACKER_GATEWAY_API_KEY": API_KEY,
        }
        command = [sys.executable, "-c", "from tracker.cli import main; main()", "sender"]
        with (self._folder / "sender.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self._folder, env=environ, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _check(self, before: dict[str, float], first: int, count: int) -> None:
        told = self._sandbox.ask()
        calls, numbers = (int(told[name] - before[name]) for name in ("calls", "numbers"))
        with self.database.engine.connect() as connection:
            keys = connection.scalar(
                select(func.count(func.distinct(Message.tracking_key))).where(
                    Message.id.between(first, first + count - 1)
                )
            )
        if not calls == numbers == keys == count:
            raise SystemExit(
                f"{count} messages, but {calls} calls for {numbers} numbers and {keys} tracking ids"
            )

    def _count(self, first: int, count: int, condition: object) -> int:
        rows = select(func.count()).where(
            Message.id.between(first, first + count - 1),
            condition,  # type: ignore[arg-type]
        )
        with self.database.engine.connect() as connection:
            return connection.scalar(rows) or 0

    def _bare(self, count: int) -> float:
        # Numbers of its own, lest the sandbox's record mix the two.
        first = 100_000_000 + self._next
        arguments = [self._sandbox.url, API_KEY, count, CALLS_AT_ONCE, first]
        done = subprocess.run(
            [sys.executable, str(HERE / "bare.py"), *map(str, arguments)],
            stdout=subprocess.PIPE, text=True, check=True, timeout=STOP_SECONDS + count / SLOWEST,
        )  # fmt: skip
        return float(done.stdout)


@contextmanager
def sending_stage(name: str, folder: Path, delay: float) -> Iterator[SendingStage]:
    """Set an engine up with a sandbox, and take both down again."""
    folder.mkdir()
    folder.chmod(0o755)  # PostgreSQL refuses to run as root and takes another user
    command = [sys.executable, str(HERE / "sandbox.py"), str(delay)]
    with (
        database(name, folder, {}) as made,
        (folder / "sandbox.log").open("wb") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield SendingStage(made, Sandbox(process), folder)
        finally:
            process.kill()
