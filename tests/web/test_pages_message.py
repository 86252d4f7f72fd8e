"""One message: its head, timeline, content and actions; and its postbacks."""

import re
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from builders import NUMBER, a_postback, accepted, queued, reloaded
from flask import Flask
from pages_support import arrived, page_of, press, visitor, words
from sqlalchemy import update

from tracker.domain.status import Status
from tracker.store.db import Sessions
from tracker.store.models import Message

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202eevil"


def with_status(sessions: Sessions, status: Status) -> UUID:
    public_id = queued(sessions)
    with sessions.begin() as session:
        session.execute(update(Message).where(Message.public_id == public_id).values(status=status))
    return public_id


def test_a_delivered_message_tells_its_whole_story(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory, reference="order-7", campaign_ref="812")
    arrived(session_factory, a_postback("N101"))
    arrived(session_factory, a_postback("N102"))
    arrived(session_factory, a_postback("N102"))
    text = words(visitor(app).get(page_of(public_id)))
    for part in (
        "+1 202-555-0143",
        "Delivered",
        "The handset (motol7c) confirmed receipt.",
        "TU1TXzEyMzQ2",
        "order-7",
        "812",
        "N101 Message Sent Applied",
        "N102 Message Sent/Delivered Applied received 2 times, 1 duplicate",
        "gateway's time 20 Nov 2026, 12:20:49 UTC",
        "Answer, word for word <RESPONSE/>",
        "<HANDSET>motol7c</HANDSET>",
    ):
        assert part in text
    assert text.index("Queued Checked") < text.index("N101 Message Sent") < text.index("N102 Mess")


def test_the_times_are_marked_up_and_in_utc(app: Flask, session_factory: Sessions) -> None:
    public_id = queued(session_factory)
    at = reloaded(session_factory, public_id).created_at
    page = visitor(app).get(page_of(public_id))
    shown = f"{at.day} {at:%b %Y, %H:%M:%S} UTC"
    machine = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (
        f'<time datetime="{machine}" title="{shown}" data-shows="full">{shown}</time>' in page.text
    )


def test_what_was_sent_is_shown_by_group(app: Flask, session_factory: Sessions) -> None:
    public_id = queued(
        session_factory,
        custom_subject="Your ticket",
        custom_text=[{"slide": 2, "value": "See you"}],
        ddm={"title": "Hello", "text": "It comes", "timeout_minutes": 5},
        data={"FIRST_NAME": "Anna"},
        pass_data={
            "BARCODEVALUE": "77-1",
            "SECLABEL2": "DOORS",
            "SECVALUE2": "19:00",
            "RELLATITUDE2": "45.4",
            "RELLONGITUDE2": "10.9",
            "RELTEXT2": "Near",
        },
    )
    text = words(visitor(app).get(page_of(public_id)))
    for part in (
        "Subject Your ticket",
        "2 See you",
        "Title Hello Text It comes Wait, in minutes 5",
        "FIRST_NAME Anna",
        "Barcode value 77-1",
        "Secondary 2 DOORS 19:00",
        "2 45.4 10.9 Near",
    ):
        assert part in text


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_page_with_its_words(
    app: Flask, session_factory: Sessions, status: Status
) -> None:
    public_id = with_status(session_factory, status)
    page = visitor(app).get(page_of(public_id))
    assert page.status_code == 200
    assert reloaded(session_factory, public_id).status_label in words(page)
    assert ("/cancel" in page.text) is (status is Status.QUEUED)
    assert ("/resend" in page.text) is (status not in (Status.QUEUED, Status.SENDING))


def test_resending_an_unknown_message_is_said_to_be_risky(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = with_status(session_factory, Status.UNKNOWN)
    text = words(visitor(app).get(page_of(public_id)))
    assert "Nobody knows whether the first message went out." in text
    assert "the recipient gets the pass twice" in text


def test_a_resend_queues_a_new_message_and_shows_it(app: Flask, session_factory: Sessions) -> None:
    public_id = with_status(session_factory, Status.FAILED)
    client = visitor(app)
    answer = press(client, page_of(public_id, "resend"))
    assert answer.status_code == 303
    new_id = UUID(answer.location.rsplit("/", 1)[-1])
    assert new_id != public_id
    assert reloaded(session_factory, new_id).status is Status.QUEUED
    assert "Queued again. This is the new message." in words(client.get(answer.location))
    old_page = client.get(page_of(public_id)).text
    assert f'href="/messages/{new_id}"' in old_page
    assert 'id="resend-now"' not in old_page
    again = press(client, page_of(public_id, "resend"))
    assert "It was sent again already" in words(client.get(again.location))


def test_an_action_that_came_too_late_says_so(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app)
    sending = with_status(session_factory, Status.SENDING)
    for action, reason in (
        ("cancel", "Only a queued message can be cancelled"),
        ("resend", "It is still to be sent"),
    ):
        answer = press(client, page_of(sending, action))
        assert answer.location == page_of(sending)
        assert reason in words(client.get(answer.location))


@pytest.mark.parametrize("below", [(), ("live",), ("postbacks", 1), ("postbacks", 1, "raw")])
def test_a_message_that_is_not_there_is_a_404(app: Flask, below: tuple[object, ...]) -> None:
    assert visitor(app).get(page_of(uuid4(), *below)).status_code == 404


@pytest.mark.parametrize("action", ["cancel", "resend"])
def test_no_action_on_a_message_that_is_not_there(app: Flask, action: str) -> None:
    assert press(visitor(app), page_of(uuid4(), action)).status_code == 404


def test_the_live_part_answers_only_what_is_new(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    client = visitor(app)
    found = re.search(r'hx-get="([^"]+)"', client.get(page_of(public_id)).text)
    assert found
    assert client.get(found[1]).status_code == 204
    arrived(session_factory)
    news = client.get(found[1])
    assert news.status_code == 200
    assert "Delivered" in words(news)
    assert "<html" not in news.text
    assert 'data-live-seconds="30"' in news.text


def test_hostile_text_stays_text_everywhere(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(
        session_factory,
        reference=HOSTILE,
        custom_subject=HOSTILE[:80],
        data={"FIRST_NAME": HOSTILE},
        pass_data={"SECLABEL1": HOSTILE, "SECVALUE1": HOSTILE},
    )
    escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    postback_id = arrived(
        session_factory,
        a_postback("E102", STATUSDETAILS=escaped, HANDSET=escaped, AGGREGATORID=escaped),
    )
    client = visitor(app)
    for path in ("/messages", page_of(public_id), page_of(public_id, "postbacks", postback_id)):
        page = client.get(path)
        assert page.status_code == 200
        assert "alert(1)" in page.text
        assert "<script>alert" not in page.text
        assert "<img" not in page.text


def test_a_postback_page_shows_fields_outcome_and_bytes(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = accepted(session_factory)
    postback_id = arrived(session_factory)
    text = words(visitor(app).get(page_of(public_id, "postbacks", postback_id)))
    for part in (
        "N102 Message Sent/Delivered",
        "Applied",
        "tracking_id TU1TXzEyMzQ2",
        "handset motol7c",
        f"<TO>{NUMBER}</TO>",
        "Content type text/xml",
    ):
        assert part in text


def test_a_postback_in_a_form_shows_its_document(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    form = b"xml=" + a_postback().replace(b" ", b"+").replace(b"=", b"%3D")
    postback_id = arrived(session_factory, form, "application/x-www-form-urlencoded")
    page = visitor(app).get(page_of(public_id, "postbacks", postback_id))
    assert "It came in a form field; the download is the whole body as it came." in words(page)
    assert "<CODE>N102</CODE>" in words(page)


def test_the_download_is_the_exact_bytes_and_nothing_a_browser_opens(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = accepted(session_factory)
    body = a_postback(STATUSDETAILS="\u00fc").replace("\u00fc".encode(), b"\xfc\x00\x07\r\n")
    postback_id = arrived(session_factory, body)
    rows = visitor(app).get(page_of(public_id, "postbacks", postback_id, "raw"))
    assert rows.status_code == 200
    assert rows.data == body
    assert rows.content_type == "application/octet-stream"
    assert rows.headers["Content-Disposition"].startswith("attachment; filename=")
    assert rows.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("below", [(), ("raw",)])
def test_a_postback_is_found_only_under_its_own_message(
    app: Flask, session_factory: Sessions, below: tuple[str, ...]
) -> None:
    accepted(session_factory)
    other = queued(session_factory, to="12025550199")
    postback_id = arrived(session_factory)
    client = visitor(app)
    assert client.get(page_of(other, "postbacks", postback_id, *below)).status_code == 404
    assert client.get(page_of(other, "postbacks", 2**70, *below)).status_code == 404


def test_a_message_asked_about_long_ago_is_looked_at_less_often(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = accepted(session_factory)
    client = visitor(app)
    assert 'data-live-seconds="2"' in client.get(page_of(public_id)).text
    with session_factory.begin() as session:
        old = datetime(2020, 1, 1, tzinfo=UTC)
        session.execute(update(Message).values(updated_at=old))
    assert 'data-live-seconds="15"' in client.get(page_of(public_id)).text
