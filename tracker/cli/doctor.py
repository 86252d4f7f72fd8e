"""`tracker doctor`: looks for what would go wrong."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Literal

import click
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from tracker.config import KNOWN, PREFIX, Settings, sqlite_path
from tracker.gateway import Gateway
from tracker.services import accounts
from tracker.store import db, schema
from tracker.store.db import Sessions

from .common import database_reason, missing_file, now, print_json, wrong_schema

SHORT_TOKEN = 20
MAX_CLOCK_DIFFERENCE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    state: Literal["ok", "note", "wrong"]
    what: str
    detail: str


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one finding a line.")
def doctor(*, as_json: bool) -> None:
    """Check configuration, database, gateway and clock; exit 1 when something is wrong."""
    settings = Settings.from_environ()
    findings = []
    for finding in _findings(settings):
        findings.append(finding)
        if as_json:
            print_json({"state": finding.state, "what": finding.what, "detail": finding.detail})
        else:
            click.echo(f"{finding.state:<6}{finding.what:<12}{finding.detail}")
    if any(finding.state == "wrong" for finding in findings):
        raise SystemExit(1)


def _findings(settings: Settings) -> Iterator[Finding]:
    yield from _settings(settings)
    yield from _database(settings)
    yield _gateway(settings)
    yield _assets()


def _settings(settings: Settings) -> Iterator[Finding]:
    unknown = sorted(n for n in os.environ if n.startswith(PREFIX) and n not in KNOWN)
    if unknown:
        yield Finding("note", "settings", f"not known: {', '.join(unknown)}")
    else:
        yield Finding("ok", "settings", "every TRACKER_ variable is known and readable")
    if any(len(token) < SHORT_TOKEN for token in settings.postback_tokens):  # ours are longer
        detail = f"a postback token is shorter than {SHORT_TOKEN} characters; it is the only lock"
        yield Finding("note", "token", detail)
    for path in (settings.state_dir / "secret_key", settings.state_dir / "postback_token"):
        if _is_open_to_others(path):
            yield Finding("wrong", "secrets", f"others may read {path}; chmod 600")
    database = sqlite_path(make_url(settings.database_url))
    if database and _is_open_to_others(database):
        yield Finding("note", "database", f"others may read {database}; chmod 600")


def _is_open_to_others(path: Path) -> bool:
    return path.exists() and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _database(settings: Settings) -> Iterator[Finding]:
    sessions = db.connect(settings.database_url)
    try:
        wrong = missing_file(settings) or wrong_schema(sessions)
    except SQLAlchemyError as error:
        wrong = f"cannot be reached: {database_reason(error)}; see TRACKER_DATABASE_URL"
    if wrong:
        yield Finding("wrong", "database", wrong)
        return
    engine = db.engine_of(sessions)
    yield Finding(
        "ok", "database", f"{engine.dialect.name} at revision {schema.state(engine).current}"
    )
    yield _clock(sessions)
    if accounts.users(sessions):
        yield Finding("ok", "users", "somebody can log in")
    else:
        yield Finding("note", "users", "nobody can log in; tracker user add NAME --role admin")


def _clock(sessions: Sessions) -> Finding:
    if db.engine_of(sessions).dialect.name == "sqlite":
        return Finding("ok", "clock", "one machine, one clock")
    with sessions() as session:
        theirs: datetime = session.scalar(select(func.clock_timestamp())) or now()
    seconds = abs((theirs - now()).total_seconds())
    if seconds > MAX_CLOCK_DIFFERENCE_SECONDS:
        return Finding("wrong", "clock", f"{seconds:.0f} s away from the database's clock")
    return Finding("ok", "clock", "agrees with the database's")


def _gateway(settings: Settings) -> Finding:
    if settings.gateway_url is None or settings.gateway_api_key is None:
        detail = "TRACKER_GATEWAY_URL or TRACKER_GATEWAY_API_KEY is not set; nothing is sent"
        return Finding("note", "gateway", f"{detail} (tracker up plays the gateway itself)")
    gateway = Gateway(
        settings.gateway_url, settings.gateway_api_key, settings.gateway_timeout_seconds
    )
    if why := gateway.probe():
        return Finding("wrong", "gateway", f"no connection: {why}")
    return Finding("ok", "gateway", "a connection can be made")


def _assets() -> Finding:
    if files("tracker.web").joinpath("static/vendor/.built").is_file():
        return Finding("ok", "pages", "style sheet and scripts are installed")
    return Finding("note", "pages", "style sheet and scripts are missing; make assets")
