"""The page of the audit: newest first, in pages, filtered, as a file; searches are in it."""

import ast
import csv
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from api_support import Caller
from builders import queued
from flask import Flask
from flask.testing import FlaskClient
from pages_support import press, visitor, words
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from tracker.store import accounts, audit
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Role
from tracker.web.presenting.audit import ACTIONS

TRACKER = Path(__file__).parents[2] / "tracker"
NUMBER = "12025550143"


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    return visitor(app, Role.ADMIN)


def noted(sessions: Sessions, at: datetime, actor: str = "user:olga", **more: str) -> None:
    given = {"action": "alert.close", "subject": "7", **more}
    action = given.pop("action")
    with sessions.begin() as session:
        accounts.audit(session, actor, action, now=at, **given)


def found_in(page: TestResponse) -> list[str]:
    body = page.text.partition("<tbody")[2].partition("</tbody>")[0]
    lines = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", line).split()) for line in lines]


def entries(sessions: Sessions, action: str) -> list[tuple[str, str | None, str | None]]:
    with sessions() as session:
        found = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
        return [(row.actor, row.subject, row.detail) for row in session.scalars(found)]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_administrators_see_it(app: Flask, role: Role) -> None:
    client = visitor(app, role)
    assert client.get("/audit").status_code == 403
    assert client.get("/audit.csv").status_code == 403


def test_a_line_says_who_what_about_what_why_and_when(
    admin: FlaskClient, session_factory: Sessions
) -> None:
    at = datetime(2026, 11, 22, 17, 40, 52, tzinfo=UTC)
    message = "11111111-2222-4333-8444-555555555555"
    noted(session_factory, at, action="message.settle", subject=message, detail="sent: seen")
    page = admin.get("/audit?actor=olga")
    said = "22 Nov 2026, 17:40:52 UTC olga in the dashboard Settled a lost answer"
    assert found_in(page) == [f"{said} About {message} More sent: seen"]
    assert f'href="/messages/{message}"' in page.text


@pytest.mark.parametrize("action", ["messages.bulk", "messages.bulk_stop"])
def test_a_line_about_many_leads_to_what_came_of_it(
    admin: FlaskClient, session_factory: Sessions, now: datetime, action: str
) -> None:
    subject = "11111111-2222-4333-8444-555555555555"
    noted(session_factory, now, action=action, subject=subject)
    assert f'href="/messages/bulk/{subject}"' in admin.get("/audit").text


def test_pages_go_back_in_time_and_lose_nothing(
    admin: FlaskClient, session_factory: Sessions, now: datetime
) -> None:
    for number in range(120):  # many in one instant, as a long batch makes them
        noted(session_factory, now - timedelta(days=1, seconds=number // 40), subject=f"#{number}#")
    seen: list[str] = []
    url: str | None = "/audit?action=alert.close"
    while url:
        page = admin.get(url)
        seen += re.findall(r"#\d+#", " ".join(found_in(page)))
        older = re.search(r'href="([^"]+)" rel="next"', page.text)
        url = older[1].replace("&amp;", "&") if older else None
    order = sorted(range(120), key=lambda number: (number // 40, -number))
    assert seen == [f"#{number}#" for number in order]


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ("actor=olga", {"a", "b"}),
        ("actor=user:olga", {"a", "b"}),
        ("actor=token:till", {"c"}),
        ("actor=till", set()),
        ("actor=probe", {"d"}),
        ("action=alert.close", {"a", "c"}),
        ("actor=olga&action=alert.close", {"a"}),
        ("at_from=2026-03-02&at_to=2026-03-02", {"b"}),
        ("at_to=2026-03-01", {"a"}),
        ("at_from=2026-03-04&at_to=2026-03-05", {"d"}),
    ],
)
def test_filters_hold_together(
    admin: FlaskClient, session_factory: Sessions, query: str, subjects: set[str]
) -> None:
    first = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    day = timedelta(days=1)
    noted(session_factory, first, subject="a")
    noted(session_factory, first + day, action="gateway.pause", subject="b")
    noted(session_factory, first + 2 * day, "token:till", subject="c")
    noted(session_factory, first + 3 * day, "probe", action="gateway.resume", subject="d")
    page = admin.get(f"/audit?{query}")
    body = page.text.partition("<tbody")[2]
    found = re.findall(r"About </span>(\w)<", body)
    assert set(found) == subjects
    assert ("Nothing fits" in words(page)) is not bool(subjects)


def test_an_odd_day_is_said_beside_its_field_and_odd_words_are_passed_over(
    admin: FlaskClient,
) -> None:
    page = admin.get("/audit?at_from=yesterday&action=king")
    assert page.status_code == 200
    assert "Not a day; write it as 2026-11-22." in words(page)
    assert "Logged in" in found_in(page)[0]


@pytest.mark.parametrize("cursor", ["x", "", "1-", "1-" + "9" * 30, "9" * 17 + "-1"])
def test_an_odd_cursor_is_refused_or_finds_the_beginning(admin: FlaskClient, cursor: str) -> None:
    assert admin.get("/audit", query_string={"cursor": cursor}).status_code in (200, 400)


def test_the_file_has_what_the_list_has_and_is_itself_audited(
    admin: FlaskClient, session_factory: Sessions, now: datetime
) -> None:
    for number in range(3):
        noted(session_factory, now - timedelta(hours=number + 1), subject=f"={number}")
    noted(session_factory, now, "token:till")
    answer = admin.get("/audit.csv?actor=olga")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert re.search(r"filename=audit-\d{4}-.*\.csv", answer.headers["Content-Disposition"])
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["subject"] for row in rows] == ["'=0", "'=1", "'=2"]  # no formula
    assert list(rows[0]) == ["id", "at", "actor", "action", "subject", "detail"]
    assert entries(session_factory, "audit.export") == [("user:a-admin", None, "Who: olga")]


def test_an_empty_answer_says_how_to_ask(admin: FlaskClient) -> None:
    said = words(admin.get("/audit?actor=nobody"))
    assert "Nothing fits" in said
    assert "token:shop" in said


def test_strangers_words_stay_text(
    admin: FlaskClient, session_factory: Sessions, now: datetime
) -> None:
    bad = "<script>alert(1)</script>"
    noted(session_factory, now, bad, action="odd.thing", subject=bad, detail=f"{bad}\x1b\n")
    page = admin.get("/audit")
    assert "<script>alert" not in page.text
    assert "Odd: thing" in words(page)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page.text)


def test_everything_that_is_audited_has_its_words() -> None:
    written = set()
    for path in TRACKER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("audit"):
                written |= {
                    arg.value
                    for arg in node.args
                    if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                }
    assert {"message.cancel", "view.save"} <= written
    assert written - set(ACTIONS) <= {"probe", "login"}  # actors


@pytest.mark.parametrize("role", list(Role))
def test_a_search_by_number_is_one_line_without_the_number(
    app: Flask, session_factory: Sessions, role: Role
) -> None:
    client = visitor(app, role)
    public_id = queued(session_factory, to=NUMBER)
    assert press(client, "/messages/search", q="+1 (202) 555-0143").status_code == 303
    actor = f"user:a-{role.value}"
    said = (actor, "•••143", f"message {public_id}")
    assert entries(session_factory, "number.search") == [said]
    newest = queued(session_factory, to=NUMBER)
    press(client, "/messages/search", q=NUMBER)
    press(client, "/messages/search", q="+44 7700 900999")
    assert entries(session_factory, "number.search")[1:] == [
        (actor, "•••143", f"2 messages, the newest {newest}"),
        (actor, "•••999", "no message"),
    ]
    with session_factory() as session:
        kept = str(session.execute(text("SELECT * FROM audit")).all())
    assert NUMBER not in kept
    assert "2025550143" not in kept


def test_a_search_for_something_else_is_no_search_by_number(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    press(client, "/messages/search", q="order-4711")
    press(client, "/messages/search", q="")
    assert entries(session_factory, "number.search") == []


def test_a_look_at_a_handset_is_audited_too(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app)
    assert press(client, "/handsets", number="+1 202-555-0143").status_code == 200
    press(client, "/handsets", number="nonsense")
    said = ("user:a-operator", "•••143", "no handset is known")
    assert entries(session_factory, "handset.search") == [said]


def test_a_search_by_number_through_the_api_is_audited_like_that_of_the_page(
    app: Flask, session_factory: Sessions
) -> None:
    api = Caller(app, "shop")
    public_id = queued(session_factory, to=NUMBER)
    assert api.get("/messages", to="+1 202-555-0143").status_code == 200
    assert api.get("/messages", to=NUMBER, status="failed").status_code == 200
    api.get("/messages", reference="order-4711")
    assert entries(session_factory, "number.search") == [
        ("token:shop", "•••143", f"message {public_id}"),
        ("token:shop", "•••143", "no message"),
    ]
    assert api.get(f"/handsets/{NUMBER}").status_code == 404
    said = ("token:shop", "•••143", "no handset is known")
    assert entries(session_factory, "handset.search") == [said]


def test_the_store_takes_no_cursor_of_somebody_else(session_factory: Sessions) -> None:
    with session_factory() as session, pytest.raises(ValueError, match="not a cursor"):
        audit.search(session, audit.AuditFilter(), limit=5, cursor="nonsense")
