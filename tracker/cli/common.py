"""What commands share: settings, the database, and one way to speak."""

import getpass
import json
import os
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from tracker.config import Settings, SettleUnknown, sqlite_path
from tracker.domain.windows import SendWindow
from tracker.services import answers
from tracker.store import db, schema
from tracker.store.db import Sessions


class RefusedError(Exception):
    """The command cannot do what was asked; one line says why. Exit 1."""


def now() -> datetime:
    """Read the clock; commands are the edge, and pass the time on."""
    return datetime.now(UTC)


def actor() -> str:
    """Say who is at the keyboard, for the audit trail."""
    try:
        name = os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):  # no name in the environment, and none for the user id
        name = f"uid {os.getuid()}"
    return f"cli:{name}"[:80]


def opened(settings: Settings) -> Sessions:
    """Return the database, ready for this code.

    Raises:
        RefusedError: there is none, or its schema is another one.
    """
    if missing := missing_file(settings):
        raise RefusedError(
            f"{missing}; start `tracker up` in this folder, "
            "or name the database in TRACKER_DATABASE_URL"
        )
    sessions = db.connect(settings.database_url)
    if wrong := wrong_schema(sessions):
        raise RefusedError(f"the database is at {wrong}")
    if settings.settle_unknown is SettleUnknown.TAKE:
        answers.let_take(sessions, settings.gateway_zone)
    return sessions


def missing_file(settings: Settings) -> str | None:
    """Say that there is no SQLite file; to connect would make an empty one."""
    path = sqlite_path(make_url(settings.database_url))
    return None if path is None or path.exists() else f"there is no database at {path}"


def wrong_schema(sessions: Sessions) -> str | None:
    """Say which schema the database has when it is not this code's, and what to do; else None."""
    state = schema.state(db.engine_of(sessions))
    if state.is_current:
        return None
    if (state.current or "") > (state.expected or ""):  # revisions count up: 0001, 0002
        return f"revision {state.current}, newer than this code, which knows {state.expected}"
    return (
        f"revision {state.current or 'none'}, this code needs {state.expected}; "
        "run `tracker db upgrade`"
    )


def database_reason(error: SQLAlchemyError) -> str:
    """Return what the database itself says, on one line, without the statement."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


def print_json(data: Any) -> None:  # noqa: ANN401  # whatever JSON can hold
    """Print one JSON value on one line of stdout."""
    click.echo(json.dumps(data, ensure_ascii=False))


def send_window(settings: Settings) -> SendWindow | None:
    """Return when the settings let recipients be sent to; None: at any time."""
    if settings.send_window is None:
        return None
    return SendWindow(*settings.send_window, settings.gateway_zone)


def plain(text: str) -> str:
    """Return text of strangers fit for a terminal: nothing in it breaks a line or moves a cursor.

    XML may carry U+009B, which some terminals take for the beginning of a command.
    """
    return "".join(character if character.isprintable() else " " for character in text)


def talk(line: str) -> None:
    """Say something to the person; it is no data."""
    click.echo(line, err=True)


def clock_time(moment: datetime) -> str:
    """Return the time of day as a person reads it, in the machine's own zone."""
    return moment.astimezone().strftime("%H:%M:%S")
