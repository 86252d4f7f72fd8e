"""Connections. `with sessions.begin()` writes, `with sessions()` reads: SQLite locks accordingly.

Errors:
    SchemaError    the database is not at the revision of this code
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Connection, Engine, create_engine, event, func, literal, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, SessionTransaction, SessionTransactionOrigin, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from .base import UtcDateTime

Sessions = sessionmaker[Session]

BUSY_TIMEOUT_SECONDS: Final = 3  # how long a writer waits on SQLite; the gateway waits 10
CONNECT_TIMEOUT_SECONDS: Final = 5
# Every question of the receiver has its index, and its statements are always the same: a plan made
# once holds, and none made for a small table may read a large one whole.
_IN_A_HURRY: Final = (
    "-c statement_timeout=2500 -c plan_cache_mode=force_generic_plan -c bytea_output=hex"
    " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
)
POOL_SIZE: Final = 16  # as many as the web part has threads
_asking: Final = threading.Lock()
_asked: "Final[WeakKeyDictionary[Engine, Future[bool]]]" = WeakKeyDictionary()


def connect(database_url: str, *, in_a_hurry: bool = False) -> Sessions:
    """Return the session factory of a database; nothing is opened yet.

    In a hurry, a statement may take no longer than a postback can wait.
    """
    url = make_url(database_url)
    # Sessions and the quick ways end what they began; to make sure of it costs a tenth of the
    # Python that one postback takes.
    reset: Literal["rollback"] | None = None if in_a_hurry else "rollback"
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
            hide_parameters=True,
            pool_reset_on_return=reset,
        )
        event.listen(engine, "do_connect", _refuse_to_make)
        event.listen(engine, "connect", _prepare_sqlite)
        if in_a_hurry:
            event.listen(engine, "connect", _hurry_sqlite)
        event.listen(engine, "checkout", _check_sqlite_file)
        sessions = sessionmaker(engine, expire_on_commit=False)
        event.listen(sessions, "after_begin", _begin_sqlite)
        return sessions
    engine = create_engine(
        url,
        pool_pre_ping=not in_a_hurry,
        pool_size=POOL_SIZE,
        pool_reset_on_return=reset,
        hide_parameters=True,  # they are numbers and bodies, and errors are logged
        connect_args={
            "connect_timeout": 2 if in_a_hurry else CONNECT_TIMEOUT_SECONDS,
            "application_name": "tracker",
            # A host that vanishes says nothing; without these a thread waits for it for minutes.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 5000,
            "options": _IN_A_HURRY if in_a_hurry else "",
        },
    )
    return sessionmaker(engine, expire_on_commit=False)


def engine_of(sessions: Sessions) -> Engine:
    """Return the engine behind a session factory."""
    engine = sessions.kw["bind"]
    assert isinstance(engine, Engine)  # noqa: S101  # `connect` put it there
    return engine


@contextmanager
def driver_connection(engine: Engine) -> Iterator[PoolProxiedConnection]:
    """Lend a connection of the driver itself, without the engine's own around it.

    Whoever detaches it from the pool keeps it.

    Raises:
        DBAPIError: whatever the driver raises, also while it connects; whoever catches the errors
            of a database must not take these for something else.
    """
    driver, pooled = engine.dialect.loaded_dbapi, None
    try:
        pooled = engine.raw_connection()
        yield pooled
    except driver.Error as error:
        is_gone = pooled is not None and engine.dialect.is_disconnect(
            error, pooled.driver_connection, None
        )
        if pooled is not None and is_gone:
            pooled.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, driver.Error, connection_invalidated=is_gone, dialect=engine.dialect
        ) from error
    finally:
        if pooled is not None and not pooled.is_detached:
            pooled.close()


def is_reachable(sessions: Sessions) -> bool:
    """Say whether the database answers in time, and lets somebody write.

    It is asked in a thread, once at a time: a server that hangs keeps whoever asks it for ever.
    """
    engine = engine_of(sessions)
    with _asking:
        asked = _asked.get(engine)
        if asked is None or asked.done():
            asked = _asked[engine] = Future()
            threading.Thread(target=_ask, args=(sessions, asked), daemon=True).start()
    try:
        return asked.result(BUSY_TIMEOUT_SECONDS)
    except TimeoutError:
        return False


def clock(session: Session) -> ColumnElement[datetime]:
    """Return the time by the clock that all writers share; under a lock it tells who was first.

    The time when a postback came does not: it may have waited in the spool, or for the lock.
    """
    if dialect_of(session) == "sqlite":
        return literal(datetime.now(UTC), UtcDateTime())
    return func.clock_timestamp(type_=UtcDateTime())


def dialect_of(session: Session) -> str:
    """Return `sqlite` or `postgresql`."""
    return session.get_bind().dialect.name


def _ask(sessions: Sessions, asked: "Future[bool]") -> None:
    try:
        with sessions.begin() as session:
            session.execute(text("SELECT 1"))
    except (DBAPIError, PoolTimeoutError):
        asked.set_result(False)
    except BaseException as error:  # noqa: BLE001  # whoever asked gets it
        asked.set_exception(error)
    else:
        asked.set_result(True)


def _prepare_sqlite(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
    cursor.execute("PRAGMA foreign_keys = ON")
    path = cursor.execute("PRAGMA database_list").fetchone()[2]
    cursor.close()
    record.info["file"] = (path, _file_id(path))


def _hurry_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Give the one writer of postbacks room: its indexes are touched everywhere."""
    connection.execute("PRAGMA cache_size = -65536")  # KiB, where the default is 2 MB
    connection.execute("PRAGMA wal_autocheckpoint = 4000")  # pages; one page is written once then


def _check_sqlite_file(
    _connection: sqlite3.Connection, record: ConnectionPoolEntry, _proxy: object
) -> None:
    """Refuse to write into a file that was removed or replaced: nobody will ever read it."""
    path, opened = record.info["file"]
    if _file_id(path) != opened:
        raise DisconnectionError(f"the database file {path} was removed or replaced")


def _file_id(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # for every postback, and a Path costs ten times that
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _refuse_to_make(_dialect: object, _record: object, args: list[Any], _params: object) -> None:
    """A missing file is a database that is away; to connect would make an empty one."""
    if not Path(args[0]).exists():
        raise sqlite3.OperationalError(f"there is no database file {args[0]}")


def _begin_sqlite(_session: Session, transaction: SessionTransaction, conn: Connection) -> None:
    # A writer that begins as a reader can find that it may not go on, and no waiting helps then.
    is_writer = transaction.origin is SessionTransactionOrigin.BEGIN
    conn.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")
