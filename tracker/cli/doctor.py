"""`tracker doctor`: looks for what would go wrong."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

import click
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from tracker.config import KNOWN, PREFIX, AllowMode, Settings, sqlite_path
from tracker.gateway import Gateway
from tracker.services import accounts, postback_tokens
from tracker.store import db, schema
from tracker.store.db import Sessions
from tracker.store.spool import Spool

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
    """Check configuration, database, spool, gateway and clock; exit 1 when something is wrong."""
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
    for what, look in LOOKS:
        try:
            yield from look(settings)
        except OSError as error:  # a folder that may not be used is a finding like any other
            place = f": {error.filename}" if error.filename else ""
            yield Finding("wrong", what, f"{error.strerror or error}{place}")


def _settings(settings: Settings) -> Iterator[Finding]:
    unknown = sorted(n for n in os.environ if n.startswith(PREFIX) and n not in KNOWN)
    if unknown:
        yield Finding("note", "settings", f"not known: {', '.join(unknown)}")
    else:
        yield Finding("ok", "settings", "every TRACKER_ variable is known and readable")
    if any(len(token) < SHORT_TOKEN for token in settings.postback_tokens):  # ours are longer
        detail = f"a postback token is shorter than {SHORT_TOKEN} characters; it is the only lock"
        yield Finding("note", "token", detail)
    for path in (settings.state_dir / "secret_key", settings.postback_token_file):
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
    yield _tokens(settings, sessions)
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


def _tokens(settings: Settings, sessions: Sessions) -> Finding:
    own = settings.own_postback_tokens()
    valid = sum(state.is_valid for state in postback_tokens.rows(sessions, own))
    if valid:
        return Finding("ok", "token", f"valid in the postback URL: {valid}")
    if not own:
        return Finding("note", "token", "no token for the postback URL; the first start makes one")
    detail = "every token of the postback URL is revoked; tracker postback-token create NAME"
    return Finding("wrong", "token", detail)


def _allow_list(settings: Settings) -> Iterator[Finding]:
    mode, networks = settings.postback_allow_mode, settings.postback_allow_from
    if mode is AllowMode.ENFORCE:
        yield Finding("ok", "allow-list", "enforced: others are refused")
    elif mode is AllowMode.REPORT:
        detail = "others are reported and not refused; see TRACKER_POSTBACK_ALLOW_MODE"
        yield Finding("note", "allow-list", detail)
    elif networks:
        detail = "TRACKER_POSTBACK_ALLOW_FROM is set, and TRACKER_POSTBACK_ALLOW_MODE is off"
        yield Finding("note", "allow-list", detail)
    elif settings.gateway_url:
        detail = "off: whoever has the URL may post; see TRACKER_POSTBACK_ALLOW_FROM"
        yield Finding("note", "allow-list", detail)
    if mode is not AllowMode.OFF and not settings.trusted_proxies:
        detail = "TRACKER_TRUSTED_PROXIES is 0: behind a proxy, all postbacks have its address"
        yield Finding("note", "proxies", detail)


def _spool(settings: Settings) -> Iterator[Finding]:
    folder = settings.spool_dir
    state = Spool(folder).state()
    if not _can_write(folder):
        detail = f"{folder} may not be written; without the database postbacks would be refused"
        yield Finding("wrong", "spool", detail)
    elif not state.records:
        yield Finding("ok", "spool", "empty, and can be written")
    if state.records:
        age = f", the oldest for {_age(now() - state.oldest_at)}" if state.oldest_at else ""
        detail = f"{state.records} postbacks wait for the database{age}; tracker spool drain"
        yield Finding("note", "spool", detail)
    if state.set_aside:
        detail = f"{state.set_aside} damaged pieces are in {folder / 'damaged'}; look at them"
        yield Finding("note", "spool", detail)


def _can_write(folder: Path) -> bool:
    """Tell whether the folder can be written, or else be made; nothing is made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _age(age: timedelta) -> str:
    seconds = max(0, round(age.total_seconds()))
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _gateway(settings: Settings) -> Iterator[Finding]:
    if settings.gateway_url is None or settings.gateway_api_key is None:
        detail = "TRACKER_GATEWAY_URL or TRACKER_GATEWAY_API_KEY is not set; nothing is sent"
        yield Finding("note", "gateway", f"{detail} (tracker up plays the gateway itself)")
        return
    gateway = Gateway(
        settings.gateway_url, settings.gateway_api_key, settings.gateway_timeout_seconds
    )
    if why := gateway.probe():
        yield Finding("wrong", "gateway", f"no connection: {why}")
    else:
        yield Finding("ok", "gateway", "a connection can be made")


def _assets(_settings: Settings) -> Iterator[Finding]:
    if files("tracker.web").joinpath("static/vendor/.built").is_file():
        yield Finding("ok", "pages", "style sheet and scripts are installed")
    else:
        yield Finding("note", "pages", "style sheet and scripts are missing; make assets")


LOOKS: Final = (
    ("settings", _settings),
    ("database", _database),
    ("allow-list", _allow_list),
    ("spool", _spool),
    ("gateway", _gateway),
    ("pages", _assets),
)
