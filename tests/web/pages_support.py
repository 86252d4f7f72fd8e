"""What the tests of the pages share: people who visit them, and postbacks that came."""

import re
from datetime import UTC, datetime
from html import unescape
from uuid import UUID

from builders import a_postback
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tracker.config import DEFAULT_ZONE
from tracker.services import accounts, receive
from tracker.services.arrivals import read
from tracker.store.db import Sessions
from tracker.store.models import Role

PASSWORD = "correct horse battery staple"
# The number of the builders, as anybody may write it; fewer digits come in ids by chance.
SPELLED = re.compile("555.{0,3}0143")


def a_user(sessions: Sessions, username: str = "olga", role: Role = Role.OPERATOR) -> str:
    """Make a user with our PASSWORD and return the name."""
    now = datetime.now(UTC)
    accounts.add_user(sessions, username, PASSWORD, role, actor="tests", now=now)
    return username


def token_of(page: TestResponse) -> str:
    """Return the CSRF token of the first form of a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, "the page has no form with a token"
    return found[1]


def log_in(
    client: FlaskClient, username: str, password: str = PASSWORD, **more: str
) -> TestResponse:
    """Fill in the login form, as a browser does."""
    form = {"csrf_token": token_of(client.get("/login")), "username": username, **more}
    return client.post("/login", data={**form, "password": password})


def visitor(app: Flask, role: Role = Role.OPERATOR) -> FlaskClient:
    """Return a browser whose user is logged in."""
    client = app.test_client()
    username = a_user(app.extensions["tracker.sessions"], f"a-{role.value}", role)
    assert log_in(client, username).status_code == 303
    return client


def press(client: FlaskClient, path: str, **form: str) -> TestResponse:
    """Send a form of the dashboard with its token."""
    return client.post(path, data={"csrf_token": token_of(client.get("/messages")), **form})


def arrived(
    sessions: Sessions,
    body: bytes | None = None,
    content_type: str = "text/xml",
    headers: str | None = None,
) -> int:
    """Record a postback and return its id."""
    now = datetime.now(UTC)
    arrival = read(body or a_postback(), content_type, headers, zone=DEFAULT_ZONE, now=now)
    recorded = receive.ingest(sessions, [arrival], zone=DEFAULT_ZONE, now=now)
    return recorded[0][0].postback_id


def page_of(public_id: UUID, *more: object) -> str:
    """Return the address of a message, or of something below it."""
    return "/".join(["", "messages", str(public_id), *map(str, more)])


def words(page: TestResponse) -> str:
    """Return what a page says, without its markup and with single blanks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())
