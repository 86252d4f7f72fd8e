"""Connections. `with sessions.begin()` writes, `with sessions()` reads: SQLite locks accordingly.

Errors:
    SchemaError    the database is not at the revision of this code
"""

import sqlite3
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction, SessionTransactionOrigin, sessionmaker

Sessions = sessionmaker[Session]

BUSY_TIMEOUT_SECONDS: Final = 3  # how long a writer waits on SQLite; the gateway waits 10
CONNECT_TIMEOUT_SECONDS: Final = 5
POOL_SIZE: Final = 16  # as many as the web part has threads


def connect(database_url: str) -> Sessions:
    """Return the session factory of a database; nothing is opened yet."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        sessions = sessionmaker(engine, expire_on_commit=False)
        event.listen(sessions, "after_begin", _begin_sqlite)
        return sessions
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=POOL_SIZE,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "tracker"},
    )
    return sessionmaker(engine, expire_on_commit=False)


def engine_of(sessions: Sessions) -> Engine:
    """Return the engine behind a session factory."""
    engine = sessions.kw["bind"]
    assert isinstance(engine, Engine)  # noqa: S101  # `connect` put it there
    return engine


def is_reachable(sessions: Sessions) -> bool:
    """Say whether the database answers now, and lets somebody write."""
    try:
        with sessions.begin() as session:
            session.execute(text("SELECT 1"))
    except DBAPIError:
        return False
    return True


def dialect_of(session: Session) -> str:
    """Return `sqlite` or `postgresql`."""
    return session.get_bind().dialect.name


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(_session: Session, transaction: SessionTransaction, conn: Connection) -> None:
    # A writer that begins as a reader can find that it may not go on, and no waiting helps then.
    is_writer = transaction.origin is SessionTransactionOrigin.BEGIN
    conn.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")
