"""Alerts that can be closed, and suppressed numbers that can be lifted."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from builders import NUMBER
from flask import Flask
from flask.testing import FlaskClient
from pages_support import SPELLED, token_of, visitor, words
from sqlalchemy import select
from test_pages_headers import INLINE
from werkzeug.test import TestResponse

from tracker.services import watch as service
from tracker.store import alerts, suppressions
from tracker.store.db import Sessions
from tracker.store.models import Alert, AuditEntry, Role, Suppression
from tracker.web import watch
from tracker.web.watch import PAGE_SIZE

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
SHOWN = "+1 202-555-0143"


def sounded(
    sessions: Sessions, subject: str = "gateway", times: int = 1, detail: str = "Full."
) -> int:
    """Sound an alert so many times and return its id."""
    now = datetime.now(UTC)
    with sessions.begin() as session:
        for again in range(times):
            alerts.sound(session, "queue_error", subject, detail, now + timedelta(hours=again))
        found = session.scalar(select(Alert.id).order_by(Alert.id.desc()).limit(1))
    assert found
    return found


def suppress(sessions: Sessions, number: str = NUMBER, reason: str = "STOP") -> None:
    with sessions.begin() as session:
        suppressions.add(
            session, number, reason, "The phone answered STOP.",
            told_at=None, now=datetime.now(UTC),
        )  # fmt: skip


def press(client: FlaskClient, path: str, **form: str) -> TestResponse:
    return client.post(path, data={"csrf_token": token_of(client.get("/messages")), **form})


def audited(sessions: Sessions) -> list[tuple[str, str, str | None]]:
    with sessions() as session:
        rows = session.scalars(
            select(AuditEntry).where(AuditEntry.action.in_(("alert.close", "suppression.lift")))
        )
        return [(row.actor, row.action, row.subject) for row in rows]


def test_the_navigation_says_how_many_alerts_are_open(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    assert "Alerts Suppressed" in words(client.get("/messages"))
    sounded(session_factory, times=3)
    sounded(session_factory, "another")
    for path in ("/messages", "/journal", "/alerts", "/suppressed"):
        assert "Alerts (2)" in words(client.get(path))


def test_open_alerts_come_first_and_closed_ones_after(
    app: Flask, session_factory: Sessions
) -> None:
    old = sounded(session_factory, "first", times=4)
    closed = sounded(session_factory, "second")
    client = visitor(app)
    assert press(client, f"/alerts/{closed}/close").location == "/alerts"
    page = client.get("/alerts")
    text = words(page)
    assert "Closed. If it comes again, there is a new alert." in text
    assert text.index("Error in the gateway's queue first") < text.index(
        "Error in the gateway's queue second"
    )
    assert "Came 4 times , first " in text or "Came 4 times, first " in text
    assert "Came once" in text
    assert "by a-operator." in text
    assert page.text.count('<time datetime="') >= 4
    assert f'action="/alerts/{old}/close"' in page.text
    assert f'action="/alerts/{closed}/close"' not in page.text
    assert audited(session_factory) == [("user:a-operator", "alert.close", str(closed))]


def test_an_alert_is_closed_once(app: Flask, session_factory: Sessions) -> None:
    alert_id = sounded(session_factory)
    client = visitor(app)
    for said in ("Closed. If it comes again", "Somebody closed it already."):
        answer = press(client, f"/alerts/{alert_id}/close")
        assert said in words(client.get(answer.location))
    assert len(audited(session_factory)) == 1
    again = sounded(session_factory)
    assert again != alert_id
    assert "Alerts (1)" in words(client.get("/alerts"))


@pytest.mark.parametrize("name", ["4711", "9" * 25, "x"])
def test_an_alert_that_is_not_there_is_a_404(app: Flask, name: str) -> None:
    assert press(visitor(app), f"/alerts/{name}/close").status_code == 404


def test_closed_alerts_are_paged_without_a_gap(app: Flask, session_factory: Sessions) -> None:
    made = []
    for number in range(PAGE_SIZE + 1):
        made.append(sounded(session_factory, f"no. {number} of"))
        service.close_alert(session_factory, made[-1], "tests", datetime.now(UTC))
    client = visitor(app)
    first = client.get("/alerts")
    older = re.search(r'href="([^"]+)" rel="next"', first.text)
    assert older
    second = client.get(older[1])
    seen = [re.findall(r"no\. (\d+) of", page.text) for page in (first, second)]
    assert [int(n) for page in seen for n in page] == list(range(PAGE_SIZE, -1, -1))
    assert "Newest" in words(second)


@pytest.mark.parametrize("cursor", ["x", "-1", "", "1" * 19])
def test_a_damaged_cursor_is_said_to_be_one(app: Flask, cursor: str) -> None:
    page = visitor(app).get("/alerts", query_string={"cursor": cursor})
    assert page.status_code == 400


def test_more_open_alerts_than_a_page_holds_are_counted(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_OPEN", 1)
    for name in "abc":
        sounded(session_factory, name)
    assert "And 2 more, older ones." in words(visitor(app).get("/alerts"))


def test_empty_pages_say_what_will_stand_there(app: Flask) -> None:
    client = visitor(app)
    assert "All is quiet" in words(client.get("/alerts"))
    assert "Closed" not in words(client.get("/alerts"))
    assert "No number is suppressed" in words(client.get("/suppressed"))


def test_a_suppressed_number_is_shown_with_its_reason(
    app: Flask, session_factory: Sessions
) -> None:
    suppress(session_factory)
    suppress(session_factory, "12025550144", "E114")
    suppress(session_factory, "12025550145", "X99")
    page = visitor(app).get("/suppressed")
    for part in (
        f"{SHOWN} Answered with a stop word STOP The phone answered STOP.",
        "Recipient number is on a block list E114",
        "Suppressed X99",
        "UTC",
    ):
        assert part in words(page)
    for address in re.findall(r'(?:href|action)="([^"]*)"', page.text):
        assert not SPELLED.search(address)


def test_a_number_is_lifted_and_written_down_without_the_number(
    app: Flask, session_factory: Sessions
) -> None:
    suppress(session_factory)
    client = visitor(app)
    for said in ("The number •••143 may be sent to again.", "was not suppressed any more."):
        answer = press(client, "/suppressed/lift", number=NUMBER)
        assert (answer.status_code, answer.location) == (303, "/suppressed")
        assert said in words(client.get("/suppressed"))
    with session_factory() as session:
        row = session.get_one(Suppression, NUMBER)
        assert row.lifted_at is not None
        assert row.lifted_by == "user:a-operator"
        assert suppressions.find(session, NUMBER) is None
    assert audited(session_factory) == [("user:a-operator", "suppression.lift", "•••143")]


@pytest.mark.parametrize("number", ["", "x", "+12025550143", "1" * 16, "\0"])
@pytest.mark.parametrize(
    ("path", "field"), [("/suppressed/lift", "number"), ("/suppressed", "after")]
)
def test_what_is_no_number_is_refused(app: Flask, path: str, field: str, number: str) -> None:
    assert press(visitor(app), path, **{field: number}).status_code == 400


def test_suppressed_numbers_are_paged_without_a_gap_and_without_a_number_in_an_address(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PAGE_SIZE", 2)
    made = [f"1202555014{number}" for number in range(5)]
    for number in made:
        suppress(session_factory, number)
    client = visitor(app)
    page, seen = client.get("/suppressed"), []
    while True:
        seen += re.findall(r'role="rowheader">\+1 202-555-(\d+)<', page.text)
        after = re.search(r'name="after" value="(\d+)"', page.text)
        if not after:
            break
        page = press(client, "/suppressed", after=after[1])
    assert seen == [number[-4:] for number in made]
    assert "First" in words(page)
    assert "There are no more." in words(press(client, "/suppressed", after=made[-1]))


def test_a_viewer_may_look_and_change_nothing(app: Flask, session_factory: Sessions) -> None:
    alert_id = sounded(session_factory)
    suppress(session_factory)
    client = visitor(app, Role.VIEWER)
    for path, button in (("/alerts", "/close"), ("/suppressed", "/lift")):
        page = client.get(path)
        assert page.status_code == 200
        assert button not in page.text
    assert press(client, f"/alerts/{alert_id}/close").status_code == 403
    assert press(client, "/suppressed/lift", number=NUMBER).status_code == 403
    assert audited(session_factory) == []


@pytest.mark.parametrize("token", [None, "wrong"])
def test_every_change_needs_our_own_form(
    app: Flask, session_factory: Sessions, token: str | None
) -> None:
    alert_id = sounded(session_factory)
    suppress(session_factory)
    client = visitor(app)
    form = {"number": NUMBER, **({"csrf_token": token} if token else {})}
    for path in (f"/alerts/{alert_id}/close", "/suppressed/lift"):
        assert client.post(path, data=form).status_code == 400
    assert audited(session_factory) == []


@pytest.mark.parametrize("path", ["/alerts", "/suppressed"])
def test_nothing_is_shown_without_a_login(client: FlaskClient, path: str) -> None:
    assert client.get(path).location.startswith("/login")


def test_hostile_text_stays_text(app: Flask, session_factory: Sessions) -> None:
    sounded(session_factory, HOSTILE, detail=HOSTILE)
    with session_factory.begin() as session:
        suppressions.add(session, NUMBER, "<b>", HOSTILE, told_at=None, now=datetime.now(UTC))
    client = visitor(app)
    for path in ("/alerts", "/suppressed"):
        page = client.get(path)
        assert "alert(1)" in page.text
        assert "<script>alert" not in page.text
        assert "<img" not in page.text
        assert "<b>" not in page.text


def test_no_page_has_inline_script_or_style(app: Flask, session_factory: Sessions) -> None:
    sounded(session_factory)
    suppress(session_factory)
    client = visitor(app)
    for path in ("/alerts", "/suppressed"):
        assert not INLINE.search(client.get(path).text)
