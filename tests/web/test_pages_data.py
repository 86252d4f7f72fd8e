"""How long data is kept, in words, and the form by which an administrator forgets a person."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from builders import NUMBER, a_postback, accepted, queued, reloaded
from flask import Flask
from pages_support import arrived, press, visitor
from sqlalchemy import select
from werkzeug.test import TestResponse

from tracker.config import Settings
from tracker.store import db, suppressions
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Role
from tracker.web import create_app, data_page
from tracker.web.presenting.retention import kept_in_words

BYTES = "The exact bytes of postbacks are kept"
SPELLED = "+1 (202) 555-0143"


def digits_in(page: TestResponse) -> str:
    return re.sub("[^0-9A-Za-z]", "", page.text)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ({}, "Everything is kept for ever: no setting lets anything leave."),
        (
            {"retention_days": 400, "body_retention_days": 90},
            f"{BYTES} 90 days, messages 400 days after the last word on them.",
        ),
        (
            {"retention_days": 30},
            f"{BYTES} 30 days, messages 30 days after the last word on them.",
        ),
        (
            {"body_retention_days": 1},
            f"{BYTES} 1 day, messages for ever.",
        ),
    ],
)
def test_the_retention_is_said_in_words(days: Mapping[str, int], said: str) -> None:
    assert kept_in_words(replace(Settings(), **days)) == said  # type: ignore[arg-type]


def test_the_end_of_the_list_says_that_older_ones_have_left(settings: Settings) -> None:
    app = create_app(replace(settings, retention_days=400))
    sessions = app.extensions["tracker.sessions"]
    queued(sessions)
    said = "Messages are kept 400 days; older ones have left."
    operator = visitor(app)
    assert said in operator.get("/messages").text
    assert said in operator.get("/messages?created_from=2020-01-01").text
    assert said not in operator.get("/").text
    app.extensions["tracker.receiver"].stop()
    db.engine_of(sessions).dispose()


def test_nothing_is_said_where_nothing_leaves(app: Flask) -> None:
    assert "have left" not in visitor(app).get("/messages").text


def test_a_person_is_forgotten_once_it_is_confirmed(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    arrived(session_factory, a_postback("N102"))
    admin = visitor(app, Role.ADMIN)
    assert "Data" in admin.get("/settings").text
    asked = press(admin, "/settings/data/forget", number=SPELLED)
    assert asked.status_code == 200
    assert "Forget +1 202-555-0143?" in asked.text
    assert re.search(r"Messages</th><td>1<", asked.text)
    assert "Erase the suppression" not in asked.text
    assert reloaded(session_factory, public_id).recipient == NUMBER
    done = press(admin, "/settings/data/forget", number=NUMBER, confirm="1")
    assert done.status_code == 200
    assert reloaded(session_factory, public_id).recipient == "erased"
    assert "2025550143" not in digits_in(done)
    signed = re.search(r'name="certificate" value="([^"]+)"', done.text)
    assert signed
    file = press(admin, "/settings/data/certificate", certificate=signed[1])
    assert "attachment" in file.headers["Content-Disposition"]
    said = json.loads(file.text)
    assert said["erased"]["messages"] == 1
    assert said["by"] == "user:a-admin"
    with session_factory() as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "person.forget"))
    assert entry.subject == said["certificate"]
    forged = press(admin, "/settings/data/certificate", certificate=signed[1][::-1])
    assert forged.status_code == 400
    page = admin.get("/audit")
    assert "Erased a person" in page.text
    shown = admin.get(f"/messages/{public_id}")
    assert "Its exact bytes" not in shown.text
    assert "erased" in shown.text


def test_what_is_still_to_be_sent_is_named(app: Flask, session_factory: Sessions) -> None:
    public_id = queued(session_factory)
    admin = visitor(app, Role.ADMIN)
    asked = press(admin, "/settings/data/forget", number=SPELLED)
    assert f"message {public_id} is queued: cancel it, or wait until it is sent" in asked.text
    assert "Erase for ever" not in asked.text
    refused = press(admin, "/settings/data/forget", number=NUMBER, confirm="1")
    assert refused.status_code == 409
    assert reloaded(session_factory, public_id).recipient == NUMBER


def test_a_long_walk_is_gone_on_with(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted(session_factory)
    monkeypatch.setattr(data_page, "SECONDS_AT_ONCE", -1.0)
    admin = visitor(app, Role.ADMIN)
    page = press(admin, "/settings/data/forget", number=NUMBER, confirm="1", suppression="1")
    assert "It is not done yet" in page.text
    assert 'name="suppression" value="1"' in page.text
    monkeypatch.setattr(data_page, "SECONDS_AT_ONCE", 60.0)
    assert "Certificate" in press(
        admin, "/settings/data/forget", number=NUMBER, confirm="1"
    ).text  # fmt: skip


def test_the_suppression_is_asked_for(app: Flask, session_factory: Sessions) -> None:
    with session_factory.begin() as session:
        suppressions.add(session, NUMBER, "STOP", None, told_at=None, now=datetime.now(UTC))
    admin = visitor(app, Role.ADMIN)
    assert "Erase the suppression" in press(admin, "/settings/data/forget", number=NUMBER).text
    kept = press(admin, "/settings/data/forget", number=NUMBER, confirm="1")
    assert "stays among those that must not be sent to" in kept.text
    gone = press(admin, "/settings/data/forget", number=NUMBER, confirm="1", suppression="1")
    assert "Its suppression was erased, too" in gone.text


def test_what_is_no_number_is_said(app: Flask) -> None:
    page = press(visitor(app, Role.ADMIN), "/settings/data/forget", number="x")
    assert page.status_code == 400
    assert "This is not a phone number" in page.text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_nobody_else_sees_or_does_it(app: Flask, session_factory: Sessions, role: Role) -> None:
    public_id = accepted(session_factory)
    person = visitor(app, role)
    assert person.get("/settings/data").status_code == 403
    for path in ("forget", "certificate"):
        assert (
            press(person, f"/settings/data/{path}", number=NUMBER, confirm="1").status_code == 403
        )
    assert "/settings/data" not in person.get("/settings").text
    assert reloaded(session_factory, public_id).recipient == NUMBER


def test_without_the_token_of_the_form_nothing_is_done(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = accepted(session_factory)
    admin = visitor(app, Role.ADMIN)
    refused = admin.post("/settings/data/forget", data={"number": NUMBER, "confirm": "1"})
    assert refused.status_code == 400
    assert reloaded(session_factory, public_id).recipient == NUMBER


def test_a_postback_whose_bytes_are_gone_says_so(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    postback_id = arrived(session_factory, a_postback("N102"))
    arrived(session_factory, a_postback("N102", TRACKINGID="OTHER", TO="12025550177"))
    press(visitor(app, Role.ADMIN), "/settings/data/forget", number=NUMBER, confirm="1")
    operator = visitor(app)
    for path in (f"/journal/{postback_id}", f"/messages/{public_id}/postbacks/{postback_id}"):
        page = operator.get(path)
        assert "Its exact bytes are kept no more" in page.text
        assert "Exact bytes</a>" not in page.text
        assert operator.get(f"{path}/raw").status_code == 410
    gone = operator.get(f"/journal/{postback_id}/bytes")
    assert gone.status_code == 410
    assert "It is kept no more" in gone.text
