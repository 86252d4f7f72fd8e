"""The pages of templates and handsets, as people use them."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from builders import NUMBER, queued
from flask import Flask
from flask.testing import FlaskClient
from pages_support import SPELLED, page_of, press, token_of, visitor, words
from sqlalchemy import select
from test_pages_headers import INLINE
from werkzeug.test import TestResponse

from tracker.services import templates
from tracker.store import suppressions
from tracker.store import templates as store
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Handset, Role
from tracker.web import pass_templates

TICKET: dict[str, object] = {
    "title": "Event Ticket",
    "pass_type": "event ticket",
    "has_pass": True,
    "barcode": {
        "allowed": True,
        "type": "dynamic",
        "value_source": "dynamic value",
        "alternate_text": "dynamic",
        "symbology": "aztec",
    },
    "dynamic_fields": ["HEADERVALUE1"],
    "fixed_fields": ["HEADERLABEL1"],
    "dynamic_slots": [2],
    "fixed_slots": [3],
}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def kept(sessions: Sessions, mms_id: str = "45633") -> dict[str, object] | None:
    with sessions() as session:
        row = store.by_id(session, mms_id)
    return dict(row.description) if row else None


def describe(sessions: Sessions, mms_id: str = "45633", **changes: object) -> None:
    templates.save(sessions, {mms_id: {**TICKET, **changes}}, "user:olga", datetime.now(UTC))


class Form(HTMLParser):
    """What a browser would send when nothing of a form is changed."""

    def __init__(self, page: TestResponse) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._select = ""
        self._is_in = False
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._is_in = given.get("class") == "template-form"
        if not self._is_in:
            return
        is_sent = given.get("type") not in ("radio", "checkbox") or "checked" in given
        if tag == "input" and "name" in given and is_sent:
            self.values[given["name"]] = given.get("value", "")
        if tag == "select":
            self._select = given["name"]
        if tag == "option" and ("selected" in given or self._select not in self.values):
            self.values[self._select] = given["value"]


def test_a_template_described_in_the_form_is_the_one_that_is_kept(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    page = client.get("/templates/new")
    form = {
        **Form(page).values,
        "mms_id": "45633",
        "title": "Event Ticket",
        "pass_type": "event ticket",
        "barcode": "yes",
        "barcode_type": "dynamic",
        "value_source": "dynamic value",
        "alternate_text": "dynamic",
        "symbology": "aztec",
        "field-HEADERVALUE1": "dynamic",
        "field-HEADERLABEL1": "fixed",
        "slot-2": "dynamic",
        "slot-3": "fixed",
    }
    answer = client.post("/templates/new", data=form)
    assert (answer.status_code, answer.location) == (303, "/templates/45633")
    assert kept(session_factory) == TICKET
    assert "Saved. From now on" in words(client.get(answer.location))
    with session_factory() as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "template.save"))
        assert (entry.actor, entry.subject) == ("user:a-operator", "45633")


def test_a_form_sent_back_as_it_is_changes_nothing(app: Flask, session_factory: Sessions) -> None:
    describe(session_factory, mms_id="1", pass_type="boarding pass", fixed_fields=["PRIMARYVALUE2"])
    describe(session_factory, mms_id="2", barcode={"allowed": True, "type": "fixed"})
    describe(session_factory, mms_id="3", has_pass=False, barcode={})
    client = visitor(app)
    for mms_id in ("1", "2", "3"):
        before = kept(session_factory, mms_id)
        page = client.get(f"/templates/{mms_id}")
        assert client.post(f"/templates/{mms_id}", data=Form(page).values).status_code == 303
        assert kept(session_factory, mms_id) == before


def test_a_wrong_form_keeps_what_was_typed_and_says_what_is_wrong(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    page = client.get("/templates/new")
    form = {
        **Form(page).values,
        "mms_id": "12x",
        "title": "Autumn",
        "pass_type": "coupon",
        "barcode": "yes",
        "field-PRIMARYLABEL2": "fixed",
        "slot-4": "dynamic",
    }
    answer = client.post("/templates/new", data=form)
    assert answer.status_code == 422
    text = words(answer)
    assert "Nothing was saved." in text
    assert "This is not the id of a stored MMS: 1 to 18 digits." in text
    assert "This is missing; one of fixed, dynamic." in text
    assert "Primary 2, label: is only on boarding passes" in text
    again = Form(answer).values
    for name in ("mms_id", "title", "pass_type", "barcode", "field-PRIMARYLABEL2", "slot-4"):
        assert again[name] == form[name]
    assert kept(session_factory) is None


def test_a_new_template_replaces_none_unseen(app: Flask, session_factory: Sessions) -> None:
    describe(session_factory)
    answer = press(
        visitor(app),
        "/templates/new",
        mms_id="45633",
        title="x",
        pass_type="coupon",
        has_pass="yes",
    )
    assert answer.status_code == 409
    assert "This has its description already" in words(answer)
    assert kept(session_factory) == TICKET


def test_the_list_says_what_each_template_asks_for(app: Flask, session_factory: Sessions) -> None:
    describe(session_factory)
    describe(session_factory, mms_id="39755", title="Flowers", has_pass=False)
    now = datetime.now(UTC)
    with session_factory.begin() as session:
        suppressions.note_content(
            session, "39755", is_usable=False, code="E002", detail="Broken", told_at=now, now=now
        )
    client = visitor(app, Role.VIEWER)
    text = words(client.get("/templates"))
    assert "Event Ticket MMS id 45633 Event ticket Barcode: Value with each send" in text
    assert "2 dynamic, 2 fixed" in text
    assert "Flowers Unusable: E002" in text
    assert "by olga" in text
    page = words(client.get("/templates/39755"))
    assert "The gateway said that this MMS cannot be used. E002: Broken" in page


def test_templates_are_paged(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pass_templates, "PAGE_SIZE", 2)
    for mms_id in ("1", "2", "3"):
        describe(session_factory, mms_id=mms_id)
    client = visitor(app)
    next_ = re.search(r'href="([^"]+)" rel="next"', client.get("/templates").text)
    assert next_
    assert "MMS id 3" in words(client.get(next_[1]))
    assert client.get("/templates?cursor=x").status_code == 400


def test_a_deleted_template_checks_nothing(app: Flask, session_factory: Sessions) -> None:
    describe(session_factory)
    client = visitor(app)
    answer = press(client, "/templates/45633/delete")
    assert answer.location == "/templates"
    assert "are not checked any more" in words(client.get("/templates"))
    assert press(client, "/templates/45633/delete").status_code == 404
    queued(session_factory, pass_data={"HEADERLABEL1": "x"})


def test_a_viewer_sees_templates_and_changes_none(app: Flask, session_factory: Sessions) -> None:
    describe(session_factory)
    client = visitor(app, Role.VIEWER)
    page = client.get("/templates/45633")
    assert page.status_code == 200
    assert '<fieldset class="template-form__all" disabled>' in page.text
    assert "/delete" not in page.text
    assert "/templates/new" not in client.get("/templates").text
    assert client.get("/templates/new").status_code == 403
    for path in ("/templates/new", "/templates/45633", "/templates/45633/delete"):
        assert press(client, path, mms_id="7", title="x").status_code == 403
    assert kept(session_factory) == TICKET


@pytest.mark.parametrize("path", ["/templates/new", "/templates/45633", "/templates/45633/delete"])
def test_every_change_needs_our_own_form(app: Flask, session_factory: Sessions, path: str) -> None:
    describe(session_factory)
    assert visitor(app).post(path, data={"title": "x"}).status_code == 400
    assert kept(session_factory) == TICKET


@pytest.mark.parametrize("mms_id", ["4711", "x", "1" * 30])
def test_a_template_that_nobody_described_is_a_404(app: Flask, mms_id: str) -> None:
    client = visitor(app)
    assert client.get(f"/templates/{mms_id}").status_code == 404
    assert press(client, f"/templates/{mms_id}", title="x").status_code == 404


@pytest.mark.parametrize("path", ["/templates", "/templates/new", "/templates/1", "/handsets"])
def test_nothing_is_shown_without_a_login(client: FlaskClient, path: str) -> None:
    assert client.get(path).location.startswith("/login")


def test_no_page_has_inline_script_or_style(app: Flask, session_factory: Sessions) -> None:
    describe(session_factory)
    client = visitor(app)
    for path in ("/templates", "/templates/45633", "/templates/new", "/handsets"):
        assert not INLINE.search(client.get(path).text)


def test_hostile_text_stays_text(app: Flask, session_factory: Sessions) -> None:
    describe(session_factory, title=HOSTILE)
    name(session_factory, handset=HOSTILE)
    client = visitor(app)
    pages = [client.get(p) for p in ("/templates", "/templates/45633", "/templates/new")]
    pages.append(press(client, "/templates/new", mms_id=HOSTILE, title=HOSTILE, pass_type=HOSTILE))
    pages += [press(client, "/handsets", number=text) for text in (HOSTILE, NUMBER)]
    pages.append(client.get(page_of(queued(session_factory))))
    for page in pages:
        assert "<script>alert" not in page.text
        assert "<img" not in page.text


def test_empty_pages_say_what_will_stand_there(app: Flask) -> None:
    assert "No template is described yet" in words(visitor(app).get("/templates"))


def name(sessions: Sessions, handset: str = "motol7c") -> None:
    with sessions.begin() as session:
        session.add(
            Handset(number=NUMBER, handset=handset, source="N502", seen_at=datetime.now(UTC))
        )


def test_a_number_is_looked_up_by_a_form_and_stands_in_no_address(
    app: Flask, session_factory: Sessions
) -> None:
    name(session_factory)
    client = visitor(app)
    page = press(client, "/handsets", number="+1 (202) 555-0143")
    text = words(page)
    assert "+1 202-555-0143 Handset motol7c Seen" in text
    assert "N502, the receipt of a discovery message" in text
    assert "Last used Never yet" in text
    for address in re.findall(r'(?:href|action)="([^"]*)"', page.text):
        assert not SPELLED.search(address)


def test_an_unknown_handset_and_what_is_no_number_are_told_apart(app: Flask) -> None:
    client = visitor(app)
    unknown = press(client, "/handsets", number=NUMBER)
    assert unknown.status_code == 200
    assert "No receipt has named a handset for this number yet." in words(unknown)
    wrong = press(client, "/handsets", number="abc")
    assert wrong.status_code == 400
    assert "This is not a phone number; it needs 7 to 15 digits" in words(wrong)
    token = token_of(client.get("/handsets"))
    assert client.post("/handsets", data={"number": NUMBER}).status_code == 400
    assert client.post("/handsets", data={"csrf_token": token}).status_code == 400


def test_a_message_says_which_handset_is_known_for_its_number(
    app: Flask, session_factory: Sessions
) -> None:
    path = page_of(queued(session_factory))
    client = visitor(app)
    assert "Handset known for this number Handset Not known yet" in words(client.get(path))
    name(session_factory)
    text = words(client.get(path))
    assert "Handset known for this number Handset motol7c Seen" in text
    assert "Named by N502, the receipt of a discovery message" in text
