"""The list of carriers, and a new one out of a file that is looked at first."""

import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from builders import a_postback, accepted
from flask import Flask
from flask.testing import FlaskClient
from pages_support import arrived, page_of, press, token_of, visitor, words
from sqlalchemy import update
from test_pages_headers import INLINE
from werkzeug.test import TestResponse

from tracker.domain.carriers import Entry
from tracker.services import accounts
from tracker.services import carriers as service
from tracker.store.db import Sessions
from tracker.store.models import Message, Role
from tracker.web import carriers

LIST = "/carriers"
IMPORT = "/carriers/import"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
VERIZON = Entry("0001890", "United States", "Verizon Wireless")
ROGERS = Entry("0001100", "Canada", "Rogers")
ATT = Entry("0001100", "United States", "AT&T")


def kept(sessions: Sessions, *entries: Entry) -> None:
    service.replace(sessions, entries, "tests", datetime.now(UTC))


def hand_in(client: FlaskClient, content: bytes, name: str = "list.csv") -> TestResponse:
    """Choose a file in the form and send it."""
    token = token_of(client.get(IMPORT))
    file = (io.BytesIO(content), name)
    return client.post(IMPORT, data={"csrf_token": token, "file": file})


def confirm(client: FlaskClient, page: TestResponse) -> TestResponse:
    """Press the button below what would change."""
    found = re.search(r'name="rows" value="([^"]*)"', page.text)
    assert found
    form = {"csrf_token": token_of(page), "rows": unescape(found[1])}
    return client.post(f"{IMPORT}/now", data=form, content_type="multipart/form-data")


def test_a_file_is_shown_first_and_imported_as_it_was_shown(
    app: Flask, session_factory: Sessions
) -> None:
    kept(session_factory, ROGERS, ATT)
    client = visitor(app)
    page = hand_in(
        client,
        "spid;country;carrier\n0001100;Canada;Rogers Wireless\n0034010;España;Telefónica\n".encode(
            "windows-1252"
        ),
    )
    text = words(page)
    assert "In the file 2 New 1 Changed 1 Gone 1 As before 0" in text
    assert "Gone Was AT&T, United States" in text
    assert "Rogers, Canada Is to be Rogers Wireless, Canada" in text
    assert "AT&amp;T" in client.get(LIST).text  # so far
    done = confirm(client, page)
    assert done.status_code == 303
    text = words(client.get(done.location))
    assert "Imported: 1 new, 1 changed, 1 gone, 0 as before." in text
    assert "Telefónica : its messages España 0034010" in text
    assert "AT&T" not in text


def test_wrong_rows_are_named_and_nothing_is_changed(app: Flask, session_factory: Sessions) -> None:
    kept(session_factory, VERIZON)
    client = visitor(app)
    page = hand_in(client, b"spid,country,carrier\n189,Canada,Bell\n" + b"x,,\n" * 30)
    assert page.status_code == 422
    text = words(page)
    assert "Row 1 spid 189 has 3 digits and needs 7" in text
    assert "And 71 more." in text
    assert "Verizon" in client.get(LIST).text


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x00\x01" * 500])
def test_a_file_that_is_no_list_is_answered_in_words(app: Flask, content: bytes) -> None:
    page = hand_in(visitor(app), content)
    assert page.status_code == 422
    assert "cannot be read" in words(page) or "is missing; the first row must" in words(page)


def test_no_file_and_a_file_that_is_too_large_are_said(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = visitor(app)
    missing = client.post(IMPORT, data={"csrf_token": token_of(client.get(IMPORT))})
    assert "Choose a file first." in words(missing)
    monkeypatch.setattr(carriers, "ROOM", -service.MAX_BYTES + 2000)
    page = hand_in(client, b"x" * 5000)
    assert page.status_code == 413
    assert "a file may have 512 KiB" in words(page)


def test_what_a_form_carries_is_checked_as_a_file_is(app: Flask, session_factory: Sessions) -> None:
    kept(session_factory, VERIZON)
    client = visitor(app)
    assert press(client, f"{IMPORT}/now", rows="spid,country,carrier\n1,A,B").status_code == 422
    assert press(client, f"{IMPORT}/now").status_code == 422
    assert "Verizon" in client.get(LIST).text


def test_the_same_list_offers_nothing_to_import(app: Flask, session_factory: Sessions) -> None:
    kept(session_factory, VERIZON)
    page = hand_in(visitor(app), service.written([VERIZON]).encode())
    assert "The list is the same as before" in words(page)
    assert "Import them" not in words(page)


def test_it_is_found_by_name_country_or_spid(app: Flask, session_factory: Sessions) -> None:
    kept(session_factory, VERIZON, ROGERS, ATT, Entry("0001200", "Canada", "100% _Tel"))
    client = visitor(app, Role.VIEWER)
    for q, names in (
        ("veriz", {"Verizon Wireless"}), ("CANADA", {"Rogers", "100% _Tel"}),
        ("00011", {"Rogers", "AT&T"}), ("0%", {"100% _Tel"}), ("1890", set()),
    ):  # fmt: skip
        page = client.get(LIST, query_string={"q": q})
        found = set(re.findall(r'rowheader"><a[^>]*>([^<]+)<', page.text.replace("&amp;", "&")))
        assert found == names, q
    assert "No carrier fits nowhere" in words(client.get(f"{LIST}?q=nowhere"))


def test_pages_follow_one_another_without_a_gap(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carriers, "PAGE_SIZE", 2)
    made = [Entry(f"000{n // 2:04d}", "A", f"C{n}") for n in range(7)]  # two for each SPID
    kept(session_factory, *made)
    client = visitor(app)
    page, seen = client.get(f"{LIST}?q=c"), list[str]()
    while True:
        seen += re.findall(r'rowheader"><a[^>]*>(C\d)<', page.text)
        older = re.search(r'href="([^"]+)" rel="next"', page.text)
        if not older:
            break
        page = client.get(older[1].replace("&amp;", "&"))
    assert seen == [one.name for one in made]


@pytest.mark.parametrize("cursor", ["", "x", "0001890-x", "-1", "0001890-" + "9" * 19, "٣-٣"])
def test_a_damaged_cursor_is_said_to_be_one(app: Flask, cursor: str) -> None:
    assert visitor(app).get(LIST, query_string={"cursor": cursor}).status_code == 400


def test_it_says_what_is_known_of_messages_and_which_spids_have_no_name(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.services.habits.FEWEST", 2)
    kept(session_factory, VERIZON)
    for number, spid in enumerate(("0001890", "0001890", "0009990")):
        tracking_id = f"T{number}"
        accepted(session_factory, tracking_id)
        arrived(session_factory, a_postback("N101", TRACKINGID=tracking_id, SPID=spid))
    arrived(session_factory, a_postback("N102", TRACKINGID="T0"))
    with session_factory.begin() as session:
        session.execute(update(Message).values(created_at=datetime.now(UTC) - timedelta(hours=3)))
    kept(session_factory, VERIZON, Entry("0001890", "Canada", "Bell"))
    client = visitor(app, Role.VIEWER)
    text = words(client.get(LIST))
    both = "Verizon Wireless / Bell : its messages United States / Canada 0001890 Messages 2"
    assert f"{both} With receipt 50 %" in text
    assert text.index(both) < text.index("No name yet : its messages 0009990 Messages 1")
    assert "No name yet" not in words(client.get(f"{LIST}?q=verizon"))


def test_a_name_is_on_the_pages_and_in_the_api_at_once(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = accepted(session_factory)
    arrived(session_factory, a_postback("N101"))
    client = visitor(app)
    assert "Verizon" not in client.get(page_of(public_id)).text
    confirm(client, hand_in(client, service.written([VERIZON]).encode()))
    assert "Verizon Wireless (0001890)" in words(client.get(page_of(public_id)))
    assert "Verizon Wireless" in words(client.get("/messages"))
    made = accounts.create_token(session_factory, "till", actor="tests", now=datetime.now(UTC))
    headers = {"Authorization": f"Bearer {made.token}"}
    answer = app.test_client().get(f"/api/v1/messages/{public_id}", headers=headers).json
    assert answer
    assert (answer["spid"], answer["carrier"]) == ("0001890", "Verizon Wireless")


def test_a_viewer_looks_and_imports_nothing(app: Flask, session_factory: Sessions) -> None:
    kept(session_factory, VERIZON)
    client = visitor(app, Role.VIEWER)
    assert IMPORT not in client.get(LIST).text
    assert client.get(IMPORT).status_code == 403
    assert press(client, IMPORT).status_code == 403
    assert press(client, f"{IMPORT}/now", rows="spid,country,carrier\n1,A,B").status_code == 403


@pytest.mark.parametrize("path", [LIST, IMPORT])
def test_nothing_is_shown_without_a_login(client: FlaskClient, path: str) -> None:
    assert client.get(path).location.startswith("/login")


def test_every_change_needs_our_own_form(app: Flask) -> None:
    client = visitor(app)
    for path in (IMPORT, f"{IMPORT}/now"):
        assert client.post(path, data={"rows": "x"}).status_code == 400


def test_an_empty_list_says_what_it_is_for(app: Flask) -> None:
    assert "No carrier has a name yet" in words(visitor(app).get(LIST))


def test_hostile_text_stays_text(app: Flask, session_factory: Sessions) -> None:
    kept(session_factory, Entry("0001890", HOSTILE, HOSTILE))
    client = visitor(app)
    wrong = hand_in(client, f"spid,country,carrier\n{HOSTILE},A,B\n".encode())
    gone = hand_in(client, service.written([Entry("0001891", HOSTILE, HOSTILE)]).encode())
    for page in (client.get(LIST), client.get(f"{LIST}?q={HOSTILE}"), wrong, gone):
        assert "alert(1)" in page.text
        assert "<script>alert" not in page.text
        assert "<img" not in page.text


def test_no_page_has_inline_script_or_style(app: Flask, session_factory: Sessions) -> None:
    kept(session_factory, VERIZON)
    client = visitor(app)
    wrong = hand_in(client, b"spid,country,carrier\nx,A,B\n")
    gone = hand_in(client, service.written([ROGERS]).encode())
    for page in (client.get(LIST), client.get(IMPORT), wrong, gone):
        assert not INLINE.search(page.text)
