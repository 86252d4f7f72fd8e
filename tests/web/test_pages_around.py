"""Around a message: its request, its carrier's habits, its neighbours; and what viewers see."""

from datetime import UTC, datetime, timedelta

import pytest
from builders import NUMBER, a_postback, accepted, queued
from flask import Flask
from pages_support import arrived, page_of, visitor, words
from sqlalchemy import update

from tracker.domain.status import Status
from tracker.protocol.request import from_xml
from tracker.services.habits import FEWEST, Habit
from tracker.store.db import Sessions
from tracker.store.models import Message, MessageContent, Role, SendAttempt
from tracker.web.presenting.habits import habit_words

SHOWN = "+1 202-555-0143"


def request_on(page: str) -> str:
    """Return the words of the request as XML."""
    return page.split('id="request"', 1)[1].split("</details>", 1)[0]


def test_the_request_is_shown_as_the_gateway_gets_it_without_the_key(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = queued(
        session_factory,
        campaign_ref="812",
        ddm={"title": "Hello", "text": "It comes", "timeout_minutes": 5},
        pass_data={"BARCODEVALUE": "A & B", "SECVALUE1": "<x>"},
    )
    text = words(visitor(app).get(page_of(public_id)))
    document = text[text.index("<REQUEST>") : text.index("</REQUEST>") + len("</REQUEST>")]
    read = from_xml(document)
    assert (read.action, read.api_key, read.mms_id) == ("sendPassInMMS", None, "45633")
    assert (read.to, read.from_, read.campaign_ref) == (NUMBER, "11111", "812")
    assert (read.ddm_title, read.ddm_text, read.ddm_timeout) == ("Hello", "It comes", "5")
    assert read.pass_data["BARCODEVALUE"] == "A & B"
    assert read.pass_data["SECVALUE1"] == "<x>"
    assert "API_KEY" not in document
    assert "the API key is left out" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"custom_text": [{"slide": None, "value": "See you"}]}, "<VALUE>See you</VALUE>"),
        ({"pass_data": {"NO NAME": "x"}}, "It cannot be written as XML"),
        ({"data": {"FIRST_NAME": "\x07"}}, "It cannot be written as XML"),
    ],
)
def test_what_a_client_of_the_drop_in_sends_may_be_odd(
    app: Flask, session_factory: Sessions, content: dict[str, object], said: str
) -> None:
    public_id = queued(session_factory)
    with session_factory.begin() as session:
        session.execute(update(MessageContent).values(content))
    page = visitor(app).get(page_of(public_id))
    assert page.status_code == 200
    assert said in words(page)
    assert "<SLIDE>" not in words(page)


def test_a_discovery_that_was_left_out_is_not_in_the_request(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = accepted(session_factory, ddm={"text": "It comes"})
    with session_factory.begin() as session:
        session.execute(update(SendAttempt).values(note="Discovery left out: it is known."))
    request = request_on(visitor(app).get(page_of(public_id)).text)
    assert "Discovery left out: it is known." in request
    assert "DDMTEXT" not in request


def test_other_messages_to_the_number_are_listed_newest_first(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    first = queued(session_factory)
    assert "Other messages to this number None." in words(client.get(page_of(first)))
    more = [queued(session_factory, reference=f"order-{n}") for n in range(6)]
    other = queued(session_factory, to="12025550199")
    page = client.get(page_of(first))
    section = page.text.split('id="others-title"', 1)[1]
    places = [section.find(str(one)) for one in reversed(more)]
    assert places[:5] == sorted(places[:5])
    assert places[0] > 0
    assert places[5] == -1  # the sixth
    assert str(other) not in section
    assert "These are the newest; see all" in words(page)
    listed = client.get(page_of(first, "others"))
    assert listed.status_code == 200
    assert f"7 messages for {SHOWN}" in words(listed)
    assert NUMBER not in listed.request.url


def test_the_habits_of_the_carrier_are_said_while_a_receipt_is_awaited(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    public_id = accepted(session_factory)
    assert "habits" not in words(client.get(page_of(public_id)))
    for number in range(FEWEST):
        queued(session_factory, reference=str(number))
    at = datetime.now(UTC) - timedelta(hours=3)
    with session_factory.begin() as session:
        session.execute(
            update(Message)
            .where(Message.public_id != public_id)
            .values(
                created_at=at,
                accepted_at=at,
                finished_at=at + timedelta(seconds=20),
                status=Status.DELIVERED,
                spid="0001890",
                due_at=None,
            )
        )
    arrived(session_factory, a_postback("N101"))
    text = words(client.get(page_of(public_id)))
    said = "100 % of messages to this carrier get a receipt, half of them within 20 s"
    assert f"Carrier's habits: {said}" in text
    arrived(session_factory, a_postback("N102"))
    text = words(client.get(page_of(public_id)))
    assert f"Carrier's habits: {said}" not in text
    assert f"Carrier's habits {said}" in text  # among the facts


@pytest.mark.parametrize(
    ("habit", "said"),
    [
        (Habit(12), "Too little is known: 12 of the newest messages"),
        (Habit(400, 0.94, 20.0), "94 % of messages to this carrier get a receipt, half of them"),
        (Habit(400, 0.94, 20.0), "within 20 s (of the newest 400)."),
        (Habit(4000, 0.9999, 150.0), "99 % of"),
        (Habit(4000, 0.9999, 150.0), "within 2 minutes (of the newest 4,000)."),
        (Habit(400, 0.001, 0.2), "Less than 1 % of"),
        (Habit(400, 0.001, 0.2), "within a second"),
        (Habit(400, 1.0, 9000.0), "100 % of messages"),
        (Habit(400, 1.0, 9000.0), "within 2 hours"),
        (Habit(400, 1.0, 200_000.0), "within 2 days"),
        (Habit(400, 0.0), "0 % of messages to this carrier get a receipt (of the newest 400)."),
    ],
)
def test_habits_are_said_in_words(habit: Habit, said: str) -> None:
    assert said in habit_words(habit)


def test_a_viewer_sees_no_whole_number(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    queued(session_factory)
    arrived(session_factory, a_postback("N101"))
    arrived(session_factory, a_postback("N102", TO=f"+{NUMBER}"))
    viewer, operator = visitor(app, Role.VIEWER), visitor(app)
    paths = (page_of(public_id), page_of(public_id, "live"), page_of(public_id, "others"))
    for path in (*paths, "/messages"):
        seen, whole = viewer.get(path), operator.get(path)
        assert SHOWN in words(whole)
        assert "•••143" in words(seen)
        assert SHOWN not in words(seen)
        assert NUMBER not in seen.text
    postback_id = arrived(session_factory, a_postback("N102"))
    for path in (page_of(public_id, "postbacks", postback_id), f"/journal/{postback_id}"):
        assert "to •••143" in words(viewer.get(path))
        assert NUMBER not in viewer.get(path).text
        assert NUMBER in operator.get(path).text
    assert SHOWN not in words(viewer.get("/journal"))
    found = words(viewer.get(page_of(public_id)))
    assert "<TO>•••143</TO>" in found
    assert f"<TO>{NUMBER}</TO>" in words(operator.get(page_of(public_id)))


def test_a_postback_shows_the_header_it_is_read_by(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    arrived(session_factory, content_type="text/xml; charset=utf-8")
    assert "Content-Type: text/xml; charset=utf-8" in words(visitor(app).get(page_of(public_id)))
