"""A viewer goes through all of the dashboard, and finds no whole number anywhere."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from batch_support import a_file, a_row, done, received
from builders import NUMBER, a_postback, accepted, begin_call, claim_due, queued
from flask import Flask
from pages_support import arrived, press, visitor
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from tracker.config import DEFAULT_ZONE
from tracker.gateway import Unknown
from tracker.services import accounts, bulk_actions, gateway, send, templates
from tracker.services.bulk_actions import Wanted
from tracker.services.bulk_judging import Action
from tracker.store import alerts, saved_views, suppressions
from tracker.store.db import Sessions
from tracker.store.models import Role
from tracker.web.presenting.sight import WHOLE, Sight

OTHER = "12025550199"  # a phone that nothing was sent to
SPELLED = "+1 (202) 555-0143"
DIGITS = {"2025550143", "2025550199"}
# Views of programs, and those that are there before anybody has logged in.
NOT_PAGES = {"api", "api_docs", "dropin", "postbacks", "health", "auth"}
MOST_LINKS = 400

# The views that show operators a whole number; a walk that finds none there has seen nothing.
SHOWS_OPERATORS = {
    "pages.list_messages", "pages.refresh_list", "pages.download_messages", "pages.show_message",
    "pages.refresh_message", "pages.list_others", "pages.show_postback", "pages.download_postback",
    "journal.list_postbacks", "journal.show_postback", "journal.show_bytes", "journal.download",
    "batches.show_batch", "batches.refresh_batch", "batches.download", "watch.list_alerts",
    "watch.list_suppressed", "overview.health", "settle.ask", "batches.list_batches",
    "pass_templates.list_templates", "pass_templates.show_template",
}  # fmt: skip


def whole_in(page: TestResponse) -> set[str]:
    """Return the whole numbers of an answer, in whatever spelling."""
    text = re.sub(r"[^0-9A-Za-z]", "", unescape(page.get_data().decode("utf-8", "replace")))
    return {digits for digits in DIGITS if digits in text}


def mo_message(text: str) -> bytes:
    """Return what the gateway posts when a phone writes. Source: PROTOCOL 6.9; a guess."""
    return (
        "<POSTBACK><ORIGIN>SMS_MO</ORIGIN><CODE>N401</CODE>"
        f"<FROM>{OTHER}</FROM><TO>60856</TO><TEXT>{text}</TEXT></POSTBACK>"
    ).encode()


@pytest.fixture
def places(app: Flask, session_factory: Sessions) -> dict[str, list[object]]:
    """Put numbers wherever one may come to stand; return what addresses have in their places."""
    sessions = session_factory
    people: dict[str, Any] = {
        "reference": f"order of {SPELLED}", "custom_subject": f"For {NUMBER}",
        "custom_text": [{"slide": 1, "value": f"Call {SPELLED}"}],
        "ddm": {"title": NUMBER, "text": SPELLED, "timeout_minutes": 5},
        "data": {"PHONE": NUMBER},
        "pass_data": {"BARCODEVALUE": NUMBER, "PRIMARYVALUE1": SPELLED, "CUSTOMPASSID": NUMBER},
    }  # fmt: skip
    told = accepted(sessions, **people)
    queued(sessions)
    unknown = queued(sessions)
    now = datetime.now(UTC)
    claimed = next(c for c in claim_due(sessions, 9, now) if c.public_id == unknown)
    assert begin_call(sessions, claimed, now) is not None
    send.record(sessions, claimed, Unknown("no answer in time"), zone=DEFAULT_ZONE, now=now)
    found = [
        arrived(sessions, a_postback("N101"), headers=f"x-msisdn: {NUMBER}\nx-{OTHER}: {SPELLED}"),
        arrived(sessions, a_postback("E102", STATUSDETAILS=f"Not reached: {SPELLED}")),
        arrived(sessions, a_postback("N102", TO=OTHER)),
        arrived(sessions, a_postback("N102", TRACKINGID="NOBODYS", TO=f"+{OTHER}")),
        arrived(sessions, mo_message(f"STOP, and ask {SPELLED}")),
        arrived(sessions, f"<POSTBACK><CODE>N102 {NUMBER} <TO>{SPELLED}".encode()),
        arrived(sessions, f'{{"trackingid": "x", "to": "{OTHER}", "code"'.encode()),
        arrived(sessions, a_postback("E999", STATUSDETAILS=f"No room for {SPELLED}", TO=None)),
    ]
    with sessions.begin() as session:
        alerts.sound(session, "queue_error", NUMBER, f"It was {SPELLED}.", now)
        suppressions.add(session, NUMBER, "STOP", f"{OTHER} said so", told_at=None, now=now)
    wrong = a_file([f"+{OTHER} ext,45633,r-1,A,B", a_row(2, mms_id=SPELLED), a_row(3)])
    batch = done(sessions, wrong, skips_wrong_rows=True, name=f"of {SPELLED}.csv")
    headless = "\n".join([f"{NUMBER},45633", f"{OTHER},45633"]).encode()
    named = {NUMBER: "to", "45633": "mms_id"}
    bare = done(sessions, headless, name=f"x{OTHER}.csv", mapping=named)
    draft = received(sessions, a_file([f"{NUMBER},45633,r-9,A,B"]), is_draft=True)
    described = {"title": f"Ticket, tel{NUMBER}x", "pass_type": "event_ticket"}
    templates.save(sessions, {"45633": described}, "user:olga", now)
    wanted = Wanted(action=Action.RESEND, named=(told, unknown))
    bulk = bulk_actions.propose(sessions, wanted, actor="user:olga", now=now)
    token = accounts.create_token(sessions, "shop", actor="test", now=now)
    return {
        "bulk_actions": [bulk], "token_id": [token.id], "user_id": [1],
        "pages": [told, unknown], "settle": [told, unknown],
        "batches": [batch.public_id, bare.public_id, draft.public_id], "postback_id": list(found),
        "mms_id": ["45633"], "what": ["errors", "warnings", "result"], "code": ["N102"],
    }  # fmt: skip


def rules(app: Flask) -> Iterator[Rule]:
    """Yield the pages of the dashboard that can be asked for."""
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and rule.endpoint.split(".")[0] not in (
            *NOT_PAGES, "static",
        ):  # fmt: skip
            yield rule


def addresses(app: Flask, rule: Rule, places: dict[str, list[object]]) -> list[str]:
    """Return every address of a view; a new kind of place must be told to this test."""
    found: list[dict[str, object]] = [{}]
    for name in sorted(rule.arguments):
        known = places[rule.endpoint.split(".")[0] if name == "public_id" else name]
        found = [{**one, name: value} for one in found for value in known]
    with app.test_request_context():
        return [app.url_for(rule.endpoint, **one) for one in found]  # type: ignore[arg-type]


def test_a_viewer_finds_no_whole_number_on_any_page(
    app: Flask, places: dict[str, list[object]]
) -> None:
    viewer, operator = visitor(app, Role.VIEWER), visitor(app)
    shown: set[str] = set()
    for rule in rules(app):
        for address in addresses(app, rule, places):
            if whole_in(operator.get(address)):
                shown.add(rule.endpoint)
            seen = viewer.get(address)
            assert not whole_in(seen), address
            assert seen.status_code < 500, address
    assert shown >= SHOWS_OPERATORS, SHOWS_OPERATORS - shown


def test_every_link_that_a_viewer_is_given_is_open_and_has_no_whole_number(
    app: Flask, places: dict[str, list[object]]
) -> None:
    viewer = visitor(app, Role.VIEWER)
    waiting, seen = ["/", "/?numbers=now"], set[str]()
    while waiting and len(seen) < MOST_LINKS:
        address = waiting.pop(0)
        seen.add(address)
        page = viewer.get(address)
        assert page.status_code < 400, address
        assert not whole_in(page), address
        assert "was passed over" not in page.text, address
        links = {unescape(link) for link in re.findall(r'(?:href|hx-get)="(/[^"]*)"', page.text)}
        fresh = {link.partition("#")[0] for link in links if not is_outside(link)}
        waiting += sorted(fresh - seen - set(waiting))
    assert {f"/messages/{places['pages'][0]}", f"/batches/{places['batches'][0]}"} <= seen


def is_outside(link: str) -> bool:
    return urlsplit(link).path.startswith(("/static/", "/api/"))


def test_a_viewer_takes_no_bytes_and_is_offered_none(
    app: Flask, places: dict[str, list[object]]
) -> None:
    viewer, operator = visitor(app, Role.VIEWER), visitor(app)
    first = places["postback_id"][0]
    for path in (f"/journal/{first}", f"/messages/{places['pages'][0]}/postbacks/{first}"):
        assert "/raw" in operator.get(path).text
        assert not re.search(r'href="[^"]*/(raw|bytes)', viewer.get(path).text)
        refused = viewer.get(f"{path}/raw")
        assert refused.status_code == 403
        assert "You may not do this" in refused.text
    assert viewer.get(f"/journal/{first}/bytes").status_code == 403


def test_a_viewer_looks_a_handset_up_and_the_page_does_not_repeat_the_number(
    app: Flask, places: dict[str, list[object]]
) -> None:
    viewer = visitor(app, Role.VIEWER)
    found = press(viewer, "/handsets", number=SPELLED)
    assert found.status_code == 200
    assert "•••143" in found.text
    assert not whole_in(found)
    assert whole_in(press(visitor(app), "/handsets", number=SPELLED))


def test_a_reason_to_pause_has_no_whole_number_for_viewers(
    app: Flask, session_factory: Sessions
) -> None:
    gateway.pause(session_factory, "user:olga", f"Asked for by {SPELLED}", datetime.now(UTC))
    viewer, operator = visitor(app, Role.VIEWER), visitor(app)
    for path in ("/messages", "/gateway", "/overview/health"):
        assert whole_in(operator.get(path))
        assert not whole_in(viewer.get(path))
        assert "Asked for by •••143" in viewer.get(path).text


def test_only_operators_page_through_suppressed_numbers(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.web.watch.PAGE_SIZE", 1)
    with session_factory.begin() as session:
        for number in (NUMBER, OTHER):
            suppressions.add(session, number, "STOP", None, told_at=None, now=datetime.now(UTC))
    viewer = visitor(app, Role.VIEWER)
    page = viewer.get("/suppressed")
    assert "•••143" in page.text
    assert "only operators go on from here" in page.text
    assert not whole_in(page)
    assert press(viewer, "/suppressed", after=NUMBER).status_code == 403


VIEWER = Sight(is_whole=False)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("16501234123", "•••123"),
        ("TO +1 650-123-4123.", "TO •••123."),
        ("tel:+1 (650) 123.4123, or 0044 7700 900123", "tel:•••123, or •••123"),
        ("2026-11-27 07:20:49 from 203.0.113.24", "2026-11-27 07:20:49 from 203.0.113.24"),
        ("ask 1_202_555_0199 or 1:202:555:0199", "ask •••199 or •••199"),
        ("24.12.2026 20:00, or 07:20:49.120", "24.12.2026 20:00, or 07:20:49.120"),
        ("7:20 202 555 0199", "•••199"),
        ("12345678-1234-4c4e-9012-165012341230", "12345678-1234-4c4e-9012-165012341230"),
        ("E999: 12 of 4500, SPID 0001890", "E999: 12 of 4500, SPID •••890"),
        ("8c1f0a52-4123-4c4e-9012-16501234123a", "8c1f0a52-4123-4c4e-9012-16501234123a"),
        ("tel:491701234567x, x491701234567", "tel:•••567x, x•••567"),
        ("tel0049 170 1234567mobile", "tel•••567mobile"),
        ("n2025550143.csv", "n•••143.csv"),
        ("5d41402abc4b2a76b9719d9110123456", "5d41402abc4b2a76b9719d9110123456"),
        ("203.0.113.245x, MMS_597879, A12345678", "203.0.113.245x, MMS_597879, A12345678"),
        ("2026-11-27T07:20:49.123456Z", "2026-11-27T07:20:49.123456Z"),
        ("at 2026-11-20T07:20:49-05:00", "at 2026-11-20T07:20:49-05:00"),
    ],
)
def test_what_looks_like_a_number_is_masked_and_little_else(text: str, seen: str) -> None:
    assert VIEWER.any_text(text) == seen
    assert WHOLE.any_text(text) == text


@pytest.mark.parametrize("spelled", ["1_202_555_0199", "(202) 555-0199", "1:202:555:0199", OTHER])
def test_words_of_the_sender_hide_the_number_of_another_too(
    app: Flask, session_factory: Sessions, spelled: str
) -> None:
    public_id = accepted(
        session_factory, reference=f"order 4711-0815 of {spelled}", custom_subject=f"For {spelled}",
        data={"PHONE": spelled}, pass_data={"PRIMARYVALUE1": f"Call {spelled}"},
    )  # fmt: skip
    viewer, operator = visitor(app, Role.VIEWER), visitor(app)
    for path in ("/messages", f"/messages/{public_id}"):
        assert whole_in(operator.get(path)) == {"2025550143", "2025550199"}
        page = viewer.get(path)
        assert not whole_in(page)
        assert "order 4711-0815 of •••199" in page.text


def test_the_reason_of_who_settled_an_answer_hides_every_number(
    app: Flask, session_factory: Sessions, places: dict[str, list[object]]
) -> None:
    viewer, operator = visitor(app, Role.VIEWER), visitor(app)
    unknown = places["settle"][1]
    why = "the other phone, 1_202_555_0199, has it"
    pressed = press(operator, f"/messages/{unknown}/settle", outcome="sent", reason=why)
    assert pressed.status_code == 303
    page = viewer.get(f"/messages/{unknown}")
    assert "the other phone, •••199, has it" in page.text
    assert not whole_in(page)


def test_a_shared_view_shows_viewers_no_number(app: Flask, session_factory: Sessions) -> None:
    operator, viewer = visitor(app), visitor(app, Role.VIEWER)
    olga = next(u for u in accounts.users(session_factory) if u.username == "a-operator")
    with session_factory.begin() as session:  # as they were kept when more was taken
        for name, reference in (("Of 1_202_555_0199", "r-1"), ("Old", "for 2025550143")):
            asked = {"reference": [reference]}
            now = datetime.now(UTC)
            saved_views.add(session, olga.id, name, asked, is_shared=True, now=now)
    for path in ("/messages", "/messages/views"):
        assert whole_in(operator.get(path)) == DIGITS
        page = viewer.get(path)
        assert "Of •••199" in page.text
        assert not whole_in(page)


@pytest.mark.parametrize(
    "spelled",
    ["16501234123", "+1 650-123-4123", "(650) 123-4123", "0016501234123", "650.123.4123",
     "1 650 123 4123"],
)  # fmt: skip
def test_a_known_number_is_masked_in_every_spelling(spelled: str) -> None:
    assert VIEWER.text(f"order 77 of {spelled}!", "16501234123").endswith("•••123!")
    assert "4123" not in VIEWER.text(f"x{spelled}x", "16501234123")
    assert VIEWER.text("order 4711-0815", "16501234123") == "order 4711-0815"
    assert WHOLE.text(spelled, "16501234123") == spelled
