"""The list of postbacks follows what comes: asked again and again, it answers only what is new."""

import re
from html import unescape

import pytest
from builders import NUMBER, a_postback, accepted
from flask import Flask
from pages_support import arrived, visitor, words
from test_pages_headers import INLINE
from werkzeug.test import TestResponse

from tracker.store.db import Sessions
from tracker.store.models import Role
from tracker.web import journal


def live_of(page: TestResponse) -> str:
    """Return the address that the page asks for what is new."""
    found = re.search(r'hx-get="([^"]+)"', page.text)
    assert found
    return unescape(found[1])


def news_of(page: TestResponse) -> str:
    found = re.search(r'data-news="([^"]*)"', page.text)
    assert found
    return unescape(found[1])


def test_what_comes_appears_at_the_top_and_is_said_once(
    app: Flask, session_factory: Sessions
) -> None:
    old = arrived(session_factory, a_postback("N101"))
    client = visitor(app)
    page = client.get("/journal")
    assert news_of(page) == ""
    assert 'data-live-seconds="2"' in page.text
    assert client.get(live_of(page)).status_code == 204
    first = arrived(session_factory, a_postback("N101", TRACKINGID="A"))
    part = client.get(live_of(page))
    assert part.status_code == 200
    assert "<html" not in part.text
    assert re.findall(r'<a id="p-(\d+)"', part.text) == [str(first), str(old)]
    assert news_of(part) == f"New postback {first}: N101 Message Sent, unmatched."
    assert part.text.count("journal-table__new") == 1
    assert client.get(live_of(part)).status_code == 204
    for name in ("B", "C"):
        last = arrived(session_factory, a_postback("N102", TRACKINGID=name))
    said = news_of(client.get(live_of(part)))
    assert said == f"2 new postbacks, the newest {last}: N102 Message Sent/Delivered, unmatched."
    assert not INLINE.search(part.text)


def test_a_change_of_what_is_there_is_shown_and_no_news(
    app: Flask, session_factory: Sessions
) -> None:
    arrived(session_factory)
    client = visitor(app)
    page = client.get("/journal")
    accepted(session_factory)  # it is what the postback waited for
    part = client.get(live_of(page))
    assert "Applied" in words(part)
    assert news_of(part) == ""
    assert "journal-table__new" not in part.text


def test_it_answers_the_same_question_as_the_page(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app)
    page = client.get("/journal?outcome=quarantined&kind=mms")
    assert "No postback fits" in words(page)
    assert "outcome=quarantined&kind=mms" in live_of(page)
    arrived(session_factory, a_postback("N101"))
    assert client.get(live_of(page)).status_code == 204


def test_rows_are_bounded_and_only_the_newest_page_follows(
    app: Flask, session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "PAGE_SIZE", 2)
    client = visitor(app)
    page = client.get("/journal")
    for number in range(5):
        arrived(session_factory, a_postback(TRACKINGID=f"T{number}"))
    part = client.get(live_of(page))
    assert part.text.count('<a id="p-') == 2
    assert news_of(part).startswith("A page full of new postbacks, the newest ")
    older = re.search(r'href="([^"]+)" rel="next"', part.text)
    assert older
    assert older[1].startswith("/journal?cursor=")
    second = client.get(older[1])
    assert "data-live-seconds" not in second.text
    assert "data-live-switch" not in second.text


def test_a_viewer_follows_too_and_hears_no_number(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app, Role.VIEWER)
    page = client.get("/journal")
    arrived(session_factory, a_postback("E102", STATUS=f"Failed for {NUMBER}"))
    part = client.get(live_of(page))
    assert "Failed for •••143" in news_of(part)
    assert NUMBER not in part.text


@pytest.mark.parametrize("wrong", ["x", "9" * 19, "-1"])
def test_a_damaged_id_is_said_to_be_one(app: Flask, wrong: str) -> None:
    assert visitor(app).get(f"/journal/live?newest={wrong}").status_code == 400


def test_hostile_news_stay_text(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app)
    page = client.get("/journal")
    arrived(session_factory, a_postback("E102", STATUS='"&gt;&lt;script&gt;alert(1)'))
    part = client.get(live_of(page))
    assert "<script>alert" not in part.text
    assert '"><script>alert(1)' in news_of(part)
