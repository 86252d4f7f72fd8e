"""The tab of every page says how much is wrong, as of its load; the script follows."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from pages_support import visitor
from sqlalchemy import event
from werkzeug.test import TestResponse

from tracker.services import gateway
from tracker.store import alerts, db
from tracker.store.base import Base
from tracker.store.db import Sessions
from tracker.store.models import Role
from tracker.store.spool import SpoolRecord

QUIET, TROUBLE = "/static/favicon.svg", "/static/favicon-trouble.svg"


def tab(page: TestResponse) -> tuple[str, str]:
    """Return title and icon of a page."""
    title = re.search(r"<title>(.*?) · Pass Delivery Tracker</title>", page.text)
    icon = re.search(r'<link rel="icon" href="([^?"]+)', page.text)
    assert title
    assert icon
    return title[1], icon[1]


def sound(sessions: Sessions, subject: str) -> None:
    with sessions.begin() as session:
        alerts.sound(session, "queue_error", subject, "Full.", datetime.now(UTC))


def test_the_tab_counts_alerts_a_pause_and_the_spool(
    app: Flask, session_factory: Sessions, now: datetime
) -> None:
    client = visitor(app, Role.VIEWER)
    assert tab(client.get("/messages")) == ("Messages", QUIET)
    sound(session_factory, "one")
    sound(session_factory, "two")
    assert tab(client.get("/messages")) == ("(2) Messages", TROUBLE)
    gateway.pause(session_factory, "tests", "to see it", now)
    assert tab(client.get("/")) == ("(3) Overview", TROUBLE)
    app.extensions["tracker.receiver"].spool.set_aside([SpoolRecord(now, None, b"<x/>")])
    assert tab(client.get("/journal")) == ("(4) Postbacks", TROUBLE)


def test_the_count_is_given_anew_only_when_it_changed(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app, Role.VIEWER)
    assert 'hx-get="/trouble?seen=0"' in client.get("/alerts").text
    assert client.get("/trouble?seen=0").status_code == 204
    sound(session_factory, "one")
    part = client.get("/trouble?seen=0")
    assert 'data-count="1"' in part.text
    assert 'hx-get="/trouble?seen=1"' in part.text
    assert client.get("/trouble?seen=1").status_code == 204


def test_nobody_is_told_anything_or_sent_away_without_a_login(
    app: Flask, session_factory: Sessions
) -> None:
    sound(session_factory, "one")
    answer = app.test_client().get("/trouble?seen=0", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.data) == (204, b"")
    assert "HX-Refresh" not in answer.headers


@pytest.mark.parametrize("path", ["/messages", "/journal", "/suppressed", "/gateway"])
def test_a_page_asks_for_each_of_it_once(app: Flask, session_factory: Sessions, path: str) -> None:
    client = visitor(app)
    asked: list[str] = []

    def note(*arguments: Any) -> None:
        asked.append(arguments[2])

    engine = db.engine_of(session_factory)
    event.listen(engine, "before_cursor_execute", note)
    client.get(path)
    event.remove(engine, "before_cursor_execute", note)
    assert sum("FROM alerts" in statement for statement in asked) == 1
    own = 1 if path == "/gateway" else 0  # the page is about it
    assert sum("FROM gateway_state" in statement for statement in asked) == 1 + own


def test_an_error_of_ours_shows_in_the_tab_and_a_wrong_address_does_not(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    assert tab(client.get("/nowhere")) == ("There is no such page", QUIET)
    with session_factory.begin() as session:
        Base.metadata.tables["alerts"].drop(session.connection())
    broken = client.get("/messages")
    assert broken.status_code >= 500
    title, icon = tab(broken)
    assert title.startswith("(!) ")
    assert icon == TROUBLE
