"""The overview: its frame, its parts, what they say when an answer does not come."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from builders import NUMBER, a_postback, accepted, queued
from flask import Flask
from flask.testing import FlaskClient
from pages_support import arrived, visitor, words
from sqlalchemy import text, update

from tracker.config import DEFAULT_ZONE, Settings
from tracker.services import gateway, receive, rollups
from tracker.services.demo import Demo
from tracker.services.demo_plan import Plan
from tracker.store import alerts
from tracker.store import rollups as stored
from tracker.store.db import Sessions
from tracker.store.models import Message, Role
from tracker.web.context import SETTINGS

PARTS = ["today", "health", "detail"]
HOSTILE = "<script>alert(1)</script>\u202e"


def told(sessions: Sessions, code: str, tracking_id: str, **changes: str | None) -> None:
    body = a_postback(code, TRACKINGID=tracking_id, **changes)
    receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=datetime.now(UTC))


def part(client: FlaskClient, name: str) -> str:
    answer = client.get(f"/overview/{name}")
    assert answer.status_code == 200
    assert "<html" not in answer.text
    return answer.text.replace("\u00a0", " ")


def figures(page: str) -> dict[str, tuple[str, str]]:
    """Return value and address of each figure by its name."""
    found = re.findall(
        r'<a class="figure__link" href="([^"]+)"><span class="figure__name">([^<]+)</span>'
        r' <span class="figure__value">(.*?)</span></a>',
        page,
    )
    plain = re.compile(r"<[^>]+>")
    return {name: (plain.sub("", value), unescape(url)) for url, name, value in found}


def counted(sessions: Sessions) -> None:
    """Make one message of each kind, and bring the rollups up to date."""
    for number in range(4):
        accepted(sessions, f"MMS_{number}")
    told(sessions, "N102", "MMS_0")
    told(sessions, "N202", "MMS_1", SENTAS="SMS", STATUS="Message Sent/Delivered")
    told(sessions, "E101", "MMS_2")
    told(sessions, "N101", "MMS_none")
    arrived(sessions, b"<POSTBACK><STATUS>Message Sent</STATUS></POSTBACK>")
    queued(sessions)
    rollups.refresh(sessions)


def test_the_frame_comes_first_and_asks_for_its_parts(
    app: Flask, session_factory: Sessions
) -> None:
    page = visitor(app).get("/")
    assert page.status_code == 200
    for name in PARTS:
        assert f'hx-get="/overview/{name}" hx-trigger="load, look"' in page.text
    assert figures(page.text) == {}
    assert '<noscript><meta http-equiv="refresh" content="0; url=/?numbers=now">' in page.text
    assert '<a href="/" aria-current="page">' in page.text
    assert page.text.count('aria-current="page"') == 1


def test_without_script_everything_stands_in_one_page(
    app: Flask, session_factory: Sessions
) -> None:
    counted(session_factory)
    page = visitor(app).get("/?numbers=now")
    assert figures(page.text)["Sent"][0] == "4"
    for title in ("Messages per hour", "Open alerts", "Failures by reason", "Carriers", "Handsets"):
        assert title in words(page)
    assert "http-equiv" not in page.text


def test_each_figure_leads_to_a_list_of_as_many(app: Flask, session_factory: Sessions) -> None:
    counted(session_factory)
    client = visitor(app)
    found = figures(part(client, "today"))
    assert {name: value for name, (value, _) in found.items()} == {
        "Sent": "4", "Delivered": "2", "Delivered as link": "1", "Waiting": "2", "Failed": "1",
        "Unknown": "0", "Unmatched postbacks": "1", "In quarantine": "1",
    }  # fmt: skip
    for value, url in found.values():
        page = client.get(url)
        rows = re.findall(r'<a id="[mp]-', page.text)
        assert (page.status_code, len(rows)) == (200, int(value)), url


def test_the_share_of_failures_is_red_from_a_setting_on(
    app: Flask, session_factory: Sessions
) -> None:
    counted(session_factory)
    client = visitor(app)
    page = part(client, "today")
    assert "figure--bad" in page
    assert "25.0 % of those the gateway was asked for; too many: red from 3 %." in page
    app.extensions[SETTINGS] = replace(app.extensions[SETTINGS], failure_share=30.0)
    page = part(client, "today")
    assert "figure--bad" not in page
    assert "25.0 % of those the gateway was asked for; red from 30 %." in page


def test_too_little_history_is_said_in_place_of_a_number(
    app: Flask, session_factory: Sessions
) -> None:
    counted(session_factory)
    page = part(visitor(app), "today")
    assert "There is too little history to say what is normal" in page
    assert "Normal by now" not in page


def test_today_stands_against_a_normal_day(app: Flask, session_factory: Sessions) -> None:
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(24):
        accepted(session_factory, f"MMS_{number}")
    with session_factory.begin() as session:
        ids = session.scalars(text("SELECT id FROM messages ORDER BY id")).all()
        for place, id_ in enumerate(ids[:21]):  # three at each midnight of the week before
            at = begin - timedelta(days=place % 7 + 1)
            session.execute(update(Message).where(Message.id == id_).values(created_at=at))
        session.execute(text("DELETE FROM rollup_marks"))
    with session_factory() as session:
        hours = stored.next_hours(session, begin - timedelta(days=30), 100)
    with session_factory.begin() as session:
        stored.repair(session, hours)
    page = part(visitor(app), "today")
    assert "Normal is the mean of the last 7 days, each from 00:00 to " in page
    assert re.search(r"Normal by now: [0-3]\.[0-9]\.", page)


def test_an_answer_that_does_not_come_is_a_dash_and_never_0(
    app: Flask, session_factory: Sessions
) -> None:
    counted(session_factory)
    client = visitor(app)
    with session_factory.begin() as session:
        session.execute(text("ALTER TABLE rollups RENAME TO rollups_away"))
    page = part(client, "today")
    found = {name: value for name, (value, _) in figures(page).items()}
    assert set(found.values()) == {"\u2013could not be read", "1"}
    assert found["Unmatched postbacks"] == "1"
    assert "The hours could not be read." in page
    page = part(client, "detail")
    assert "The failures could not be read." in page
    assert "The carriers could not be read." in page
    assert "motol7c" in page  # from the messages, which are there


def test_what_is_not_counted_yet_is_said(app: Flask, session_factory: Sessions) -> None:
    queued(session_factory)
    client = visitor(app)
    assert "not in these numbers yet" in part(client, "today")
    rollups.refresh(session_factory)
    assert "not in these numbers yet" not in part(client, "today")


def test_the_hours_are_a_table_that_the_chart_is_drawn_from(
    app: Flask, session_factory: Sessions
) -> None:
    counted(session_factory)
    page = part(visitor(app), "today")
    table = page[page.index("<table") : page.index("</table>")]
    rows = re.findall(r"<tr><th scope=\"row\"><time datetime=\"([^\"]+)\".*?</tr>", table)
    assert len(rows) == 48
    newest = re.findall(r"<td>([^<]*)</td>", table)[:5]
    assert newest == ["1", "1", "2", "0", "1"]
    assert "style=" not in page
    assert "<script" not in page


def test_failures_carriers_and_handsets_lead_to_their_lists(
    app: Flask, session_factory: Sessions
) -> None:
    counted(session_factory)
    client = visitor(app)
    page = part(client, "detail")
    for query in ("status=failed", "spid=0001890", "handset=motol7c"):
        found = re.search(rf'href="([^"]*{query}[^"]*)"', page)
        assert found, query
        assert client.get(unescape(found[1])).status_code == 200
    assert "too few" in page  # for a usual receipt time
    assert "at most 200 messages of each hour; no hour had more." in page


def test_the_gateway_s_state_says_what_waits_and_why_nothing_is_sent(
    app: Flask, session_factory: Sessions
) -> None:
    queued(session_factory)
    client = visitor(app)
    page = part(client, "health")
    assert "1 due, the oldest just now; 0 being sent; 0 for later" in page
    assert "None yet" in page
    gateway.pause(session_factory, "user:olga", "<script>x</script>", datetime.now(UTC))
    arrived(session_factory)
    page = part(client, "health")
    assert 'data-news="0 open alerts. Sending is paused."' in page
    assert "By olga: &lt;script&gt;" in page
    assert "<script" not in page
    assert "None yet" not in page


def test_open_alerts_are_shown_without_what_they_quote(
    app: Flask, session_factory: Sessions
) -> None:
    with session_factory.begin() as session:
        alerts.sound(session, "queue_error", HOSTILE, f"of {NUMBER}", datetime.now(UTC))
    page = part(visitor(app, Role.VIEWER), "health")
    assert "Error in the gateway&#39;s queue" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert NUMBER not in page


def test_text_of_strangers_stays_text(app: Flask, session_factory: Sessions) -> None:
    accepted(session_factory, "MMS_0")
    hostile = {"HANDSET": "&lt;b onmouseover=x&gt;&amp;\"'", "SPID": "&lt;i&gt;1"}
    told(session_factory, "N102", "MMS_0", **hostile)
    rollups.refresh(session_factory)
    client = visitor(app)
    page = part(client, "detail")
    assert "&lt;b onmouseover=x&gt;&amp;&#34;&#39;" in page
    assert "&lt;i&gt;1" in page
    assert "<b onmouse" not in page
    assert "<i>1" not in page
    found = re.search(r'href="([^"]*handset=[^"]*)"', page)
    assert found
    assert len(re.findall(r'<a id="m-', client.get(unescape(found[1])).text)) == 1


@pytest.mark.parametrize("role", list(Role))
def test_nobody_is_shown_a_number(app: Flask, session_factory: Sessions, role: Role) -> None:
    counted(session_factory)
    page = visitor(app, role).get("/?numbers=now")
    assert NUMBER not in page.text
    assert "555-0143" not in page.text


def test_an_empty_database_has_words_for_it(app: Flask) -> None:
    page = words(visitor(app).get("/?numbers=now"))
    for said in (
        "No message in these hours.", "Nothing was delivered in these hours.", "All is quiet.",
        "Nothing has failed.", "No postback has named a carrier.",
        "No receipt has named a handset.", "tracker demo",
    ):  # fmt: skip
        assert said in page


@pytest.mark.parametrize("name", PARTS)
def test_a_part_without_a_login_has_the_page_ask_for_it(client: FlaskClient, name: str) -> None:
    assert client.get(f"/overview/{name}").status_code == 302
    answer = client.get(f"/overview/{name}", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (204, "true")


def test_a_week_of_traffic_fills_every_part(
    app: Flask, session_factory: Sessions, settings: Settings
) -> None:
    plan = Plan(700, datetime.now(UTC), settings.gateway_zone, 1)
    work = Demo(session_factory, plan, messages=700, zone=settings.gateway_zone, actor="tests")
    for _ in work.steps():
        pass
    client = visitor(app)
    page = part(client, "today")
    assert "Normal by now:" in page
    assert "Normal is the mean of the" in page  # six days or seven, by the hour of the test
    page = part(client, "detail")
    for said in ("Verizon Wireless, 0001890", "Rejected by carrier", "iphone5", "Median (s)"):
        assert said in page
    assert "Error in the gateway" in part(client, "health")
