"""The form that sends one pass: checked as the API checks, previewed, and sent once."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from builders import NUMBER, queued, reloaded
from flask import Flask
from flask.testing import FlaskClient
from pages_support import token_of, visitor, words
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from tracker.config import Settings
from tracker.services import send_by_hand, templates
from tracker.store import messages, suppressions
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Message, Role
from tracker.web import create_app

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202eevil"
GOOD = {"to": "+1 (202) 555-0143", "mms_id": "45633", "from": "11111"}
TICKET = {
    "title": "Summer ticket",
    "pass_type": "event ticket",
    "barcode": {"allowed": True, "type": "dynamic", "value_source": "dynamic value"},
    "dynamic_fields": ["SECVALUE1"],
    "fixed_fields": ["HEADERVALUE1"],
}


def fill(client: FlaskClient, path: str = "/send", **form: Any) -> TestResponse:
    """Send the form with its token and its key, or with another one."""
    page = client.get("/send")
    key = re.search(r'name="key" value="([^"]+)"', page.text)
    assert key
    return client.post(path, data={"csrf_token": token_of(page), "key": key[1], **form})


def described(sessions: Sessions, mms_id: str = "45633") -> None:
    templates.save(sessions, {mms_id: TICKET}, "tests", datetime.now(UTC))


def all_messages(sessions: Sessions) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(Message)) or 0


def test_what_is_filled_in_is_sent_and_leads_to_its_message(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    rows: dict[str, Any] = {
        "pass-name": ["BARCODEVALUE", "SECVALUE1", "", "AUXVALUE1"],
        "pass-value": ["A-17", "Gate 4", "", ""],
        "data-name": ["FIRST_NAME", ""],
        "data-value": ["Anna", ""],
        "slide-name": ["2"],
        "slide-value": ["See you\r\nsoon"],
    }
    rest = {
        "reference": "order-1",
        "custom_subject": "Your ticket",
        "send_at": "2030-01-02T03:04",
        "ddm.title": "Hello",
        "ddm.text": "It comes",
        "ddm.timeout_minutes": "5",
    }
    answer = fill(client, do="send", **GOOD, **rest, **rows)
    assert answer.status_code == 303
    public_id = UUID(answer.location.rsplit("/", 1)[-1])
    row = reloaded(session_factory, public_id)
    assert (row.recipient, row.mms_id, row.sender) == (NUMBER, "45633", "11111")
    assert (row.reference, row.send_at) == ("order-1", datetime(2030, 1, 2, 3, 4, tzinfo=UTC))
    with session_factory() as session:
        content = messages.content(session, row.id)
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "message.send"))
    assert {k: v for k, v in content.pass_data.items() if k != "CUSTOMPASSID"} == {
        "BARCODEVALUE": "A-17", "SECVALUE1": "Gate 4",
    }  # fmt: skip
    assert content.data == {"FIRST_NAME": "Anna"}
    assert content.custom_text == [{"slide": 2, "value": "See you\nsoon"}]
    assert content.ddm == {"title": "Hello", "text": "It comes", "timeout_minutes": 5}
    assert content.custom_subject == "Your ticket"
    assert (entry.actor, entry.subject) == ("user:a-operator", str(public_id))
    assert "Queued." in words(client.get(answer.location))


def test_a_second_press_leads_to_the_first_message(app: Flask, session_factory: Sessions) -> None:
    client, key = visitor(app), str(uuid4())
    first = fill(client, do="send", **GOOD, key=key)
    second = fill(client, do="send", **GOOD, key=key)
    assert first.location == second.location == f"/messages/{key}"
    assert "nothing is sent twice" in words(client.get(second.location))
    assert all_messages(session_factory) == 1


def test_two_presses_at_once_send_once(sessions: Sessions) -> None:
    key, barrier = uuid4(), Barrier(4)

    def press(_: int) -> bool:
        barrier.wait()
        return send_by_hand.send(
            sessions, {**GOOD, "pass_data": {"BARCODEVALUE": "1"}}, key,
            default_from=None, actor="user:olga", now=datetime.now(UTC),
        )  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(press, range(4))) == [False, False, False, True]
    assert all_messages(sessions) == 1


def test_a_form_that_was_sent_and_changed_asks_before_a_second_message(
    app: Flask, session_factory: Sessions
) -> None:
    client, key = visitor(app), str(uuid4())
    fill(client, do="send", **GOOD, key=key)
    page = fill(client, do="send", **{**GOOD, "to": "12025550199"}, key=key)
    assert page.status_code == 409
    assert "This form was sent before, with other words" in words(page)
    assert f'href="/messages/{key}"' in page.text
    assert all_messages(session_factory) == 1
    new_key = re.search(r'name="key" value="([^"]+)"', page.text)
    assert new_key
    assert new_key[1] != key
    again = fill(client, do="send", **{**GOOD, "to": "12025550199"}, key=new_key[1])
    assert again.status_code == 303
    assert all_messages(session_factory) == 2


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"to": ""}, "It is missing."),
        ({"to": "12"}, "It is not a phone number; 7 to 15 digits"),
        ({"mms_id": "abc"}, "It is not the id of a stored MMS: 1 to 18 digits."),
        ({"from": "hello"}, "It is not a short or long code of the account"),
        ({"custom_subject": "x" * 81}, "It has 81 characters; at most 80."),
        ({"send_at": "tomorrow"}, "It must be a time with its zone"),
        ({"pass-name": ["RELLATITUDE1"], "pass-value": ["91"]}, "must be decimal degrees"),
        ({"pass-name": ["NOSUCH"], "pass-value": ["1"]}, "It is not a field"),
        ({"pass-name": [""], "pass-value": ["lost"]}, "has a text without a name"),
        ({"pass-name": ["SECVALUE1"] * 2, "pass-value": ["a", "b"]}, "It stands in two rows"),
        ({"data-name": ["1x"], "data-value": ["a"]}, "It is not a name"),
        ({"data-name": ["A", "A"], "data-value": ["a", "b"]}, "It stands in two rows"),
        ({"slide-name": ["9"], "slide-value": ["a"]}, "must be a whole number from 1 to 8"),
        ({"slide-name": ["1"], "slide-value": [""]}, "It is missing."),
        ({"ddm.timeout_minutes": "x"}, "must be a whole number from 0"),
        ({"to": "1202555\x000143"}, "It has the character U+0000"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_sent(
    app: Flask, session_factory: Sessions, form: Mapping[str, Any], said: str
) -> None:
    page = fill(visitor(app), do="send", **{**GOOD, **form})
    assert page.status_code == 422
    beside = re.findall(r'<p class="field-problem[^"]*" id="[^"]+-problem">([^<]*)', page.text)
    assert any(said in text for text in beside), beside
    assert "Nothing was sent." in words(page)
    assert all_messages(session_factory) == 0


def test_the_description_of_the_template_is_asked(app: Flask, session_factory: Sessions) -> None:
    described(session_factory)
    client = visitor(app)
    fixed: dict[str, Any] = {
        "pass-name": ["HEADERVALUE1", "BACKVALUE1"],
        "pass-value": ["mine", "back"],
    }
    page = fill(client, do="send", **GOOD, **fixed)
    assert page.status_code == 422
    text = words(page)
    assert "Barcode value is missing; the template takes its barcode from each send" in text
    assert "Header, value is fixed in the template; leave it out" in text
    assert "Back 1, value is ignored by the gateway: the template has no such field" in text
    assert all_messages(session_factory) == 0


def test_the_fields_of_a_template_become_rows(app: Flask, session_factory: Sessions) -> None:
    described(session_factory)
    client = visitor(app)
    for page in (client.get("/send?mms_id=45633"), fill(client, do="fields", mms_id="45633")):
        assert page.status_code == 200
        for name in ("BARCODEVALUE", "SECVALUE1"):
            assert f'<option value="{name}" selected>' in page.text
        assert '<option value="HEADERVALUE1" selected>' not in page.text
    assert '<option value="45633" label="Summer ticket">' in client.get("/send").text


def test_a_suppressed_number_is_said_before_it_is_sent_to(
    app: Flask, session_factory: Sessions
) -> None:
    with session_factory.begin() as session:
        suppressions.add(session, NUMBER, "STOP", None, told_at=None, now=datetime.now(UTC))
    client = visitor(app)
    assert "an operator can lift this" in words(fill(client, "/send/preview", **GOOD))
    assert fill(client, do="send", **GOOD).status_code == 422
    assert all_messages(session_factory) == 0


def test_the_preview_shows_the_pass_and_says_what_is_still_needed(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    rows: dict[str, Any] = {
        "pass-name": ["BARCODEVALUE", "PRIMARYVALUE1"],
        "pass-value": ["A-17", "Concert"],
    }
    part = fill(client, "/send/preview", mms_id="45633", **rows)
    text = words(part)
    assert part.status_code == 200
    assert "<html" not in part.text
    assert "Still needed: Number." in text  # the settings of the tests have a sender
    assert "Concert" in text
    assert 'aria-label="QR code with the barcode' in part.text
    assert "It can be sent." in words(fill(client, "/send/preview", **GOOD, **rows))
    assert all_messages(session_factory) == 0


def test_without_script_a_button_previews_and_others_give_rows(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    page = fill(client, do="preview", **GOOD)
    assert "It can be sent as it is. Nothing was sent yet." in words(page)
    assert 'value="+1 (202) 555-0143"' in page.text
    for kind, number in (("pass", 3), ("data", 1), ("slide", 1)):
        before = client.get("/send").text.count(f'name="{kind}-value"')
        after = fill(client, do=f"more-{kind}", **GOOD).text.count(f'name="{kind}-value"')
        assert before == number
        assert after > before
    assert all_messages(session_factory) == 0


def test_hostile_text_stays_text(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app)
    names = ("to", "mms_id", "from", "campaign_ref", "reference", "custom_subject", "send_at")
    form: dict[str, Any] = dict.fromkeys(names, HOSTILE)
    for kind in ("pass", "data", "slide"):
        form |= {f"{kind}-name": [HOSTILE], f"{kind}-value": [HOSTILE]}
    form |= {"ddm.title": HOSTILE, "ddm.text": HOSTILE, "ddm.timeout_minutes": HOSTILE}
    for path in ("/send", "/send/preview"):
        page = fill(client, path, do="send", **form)
        assert page.status_code in (200, 422)
        assert "<script>alert" not in page.text
        assert "<img src" not in page.text
    rows: dict[str, Any] = {"pass-name": ["BACKVALUE1"], "pass-value": [HOSTILE]}
    answer = fill(client, do="send", **GOOD, **rows)
    assert answer.status_code == 303
    assert "<script>alert" not in client.get(answer.location).text


def test_odd_keys_and_missing_tokens_send_nothing(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app)
    assert fill(client, do="send", **GOOD, key="nonsense").status_code == 400
    assert client.post("/send", data={"do": "send", **GOOD}).status_code == 400
    other = queued(session_factory)
    page = fill(client, do="send", **GOOD, key=str(other), reference="mine")
    assert page.status_code == 409
    assert all_messages(session_factory) == 1


def test_viewers_send_nothing(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app, Role.VIEWER)
    assert client.get("/send").status_code == 403
    assert 'href="/send"' not in client.get("/messages").text
    token = token_of(client.get("/messages"))
    form = {"csrf_token": token, "key": str(uuid4()), "do": "send", **GOOD}
    for path in ("/send", "/send/preview"):
        assert client.post(path, data=form).status_code == 403
    assert all_messages(session_factory) == 0


def test_the_sandboxs_numbers_are_offered_only_where_it_plays_the_gateway(
    app: Flask, sqlite_url: str
) -> None:
    assert "sandbox" not in visitor(app).get("/send").text
    told = "12025550143=delivered\n12025559003=expired"
    environ = {
        "TRACKER_DATABASE_URL": sqlite_url,
        "TRACKER_SECRET_KEY": "a-secret-key-of-the-tests-alone",
        "TRACKER_POSTBACK_TOKENS": "postback-token-of-the-tests",
        "TRACKER_SANDBOX_NUMBERS": told,
    }
    with_sandbox = create_app(Settings.from_environ(environ))
    client = visitor(with_sandbox, Role.ADMIN)
    page = client.get("/send")
    assert "12025559003 expired" in words(page)
    used = fill(client, use="12025559003", to="", mms_id="45633")
    assert 'name="to" value="12025559003"' in used.text
    assert 'value="45633"' in used.text
    with_sandbox.extensions["tracker.receiver"].stop()
    with_sandbox.extensions["tracker.sessions"].kw["bind"].dispose()
