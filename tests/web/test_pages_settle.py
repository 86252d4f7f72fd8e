"""The page on which a person says what became of a message whose answer was lost."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from builders import a_postback, accepted, begin_call, claim_due, queued, reloaded
from flask import Flask
from pages_support import arrived, page_of, press, visitor, words
from test_pages_headers import INLINE

from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.gateway import Unknown
from tracker.services import send
from tracker.store.db import Sessions
from tracker.store.models import Role

WHY = "seen in the <b>report</b>"


@pytest.fixture
def lost(session_factory: Sessions) -> UUID:
    public_id = queued(session_factory)
    began = datetime.now(UTC)
    (claimed,) = claim_due(session_factory, 5, began)
    begin_call(session_factory, claimed, began)
    answer = Unknown("no answer in time")
    send.record(session_factory, claimed, answer, zone=DEFAULT_ZONE, now=began)
    return public_id


def n101(**changes: str) -> bytes:
    return a_postback("N101", **{"TRACKINGID": "MMS_1", **changes})


def test_an_unknown_message_says_why_and_leads_to_its_settling(app: Flask, lost: UUID) -> None:
    page = visitor(app).get(page_of(lost))
    assert "Nobody knows whether it was sent: no answer in time" in words(page)
    assert f'href="{page_of(lost, "settle")}"' in page.text
    assert "may be its answer" not in words(page)


def test_an_n101_on_the_shelf_is_offered(app: Flask, session_factory: Sessions, lost: UUID) -> None:
    client = visitor(app)
    postback_id = arrived(session_factory, n101())
    assert "A postback on the shelf may be its answer: take it ." in words(
        client.get(page_of(lost))
    )
    page = client.get(page_of(lost, "settle"))
    text = words(page)
    assert "Take this N101 as its answer" in text
    assert "names the same number and MMS id. Nothing else fits." in text
    assert f'value="answer-{postback_id}"' in page.text
    assert not INLINE.search(page.text)
    shelf = client.get("/journal?outcome=unmatched")
    assert f'href="{page_of(lost, "settle")}?answer={postback_id}"' in shelf.text


def test_what_is_offered_is_taken(app: Flask, session_factory: Sessions, lost: UUID) -> None:
    client = visitor(app)
    postback_id = arrived(session_factory, n101())
    answer = press(client, page_of(lost, "settle"), outcome=f"answer-{postback_id}", reason=WHY)
    assert (answer.status_code, answer.location) == (303, page_of(lost))
    page = client.get(answer.location)
    assert "The message has its tracking id, and all that waited for it is applied." in words(page)
    assert "By user:a-operator: seen in the <b>report</b> (tracking id MMS_1)" in words(page)
    assert "<b>report" not in page.text
    assert reloaded(session_factory, lost).status is Status.SENT
    assert page_of(lost, "settle") not in page.text


@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        ("sent", Status.SENT, "Postbacks find the message as soon as its tracking id is known."),
        ("not_sent", Status.REFUSED, "Marked as not sent. It can be sent again."),
    ],
)
def test_a_person_says_what_became_of_it(
    app: Flask, session_factory: Sessions, lost: UUID, outcome: str, status: Status, said: str
) -> None:
    client = visitor(app)
    answer = press(client, page_of(lost, "settle"), outcome=outcome, reason=WHY, tracking_id=" ")
    page = client.get(answer.location)
    assert said in words(page)
    assert reloaded(session_factory, lost).status is status
    assert page_of(lost, "settle") in page.text  # a mistake can be put right
    assert f'value="{outcome}"' not in client.get(page_of(lost, "settle")).text or (
        outcome == "sent"
    )


def test_it_is_sent_again_knowingly(app: Flask, session_factory: Sessions, lost: UUID) -> None:
    client = visitor(app)
    page = client.get(page_of(lost, "settle"))
    assert "If the first one went out, the recipient gets the pass twice." in words(page)
    answer = press(client, page_of(lost, "settle"), outcome="resend", reason=WHY)
    new_id = UUID(answer.location.rsplit("/", 1)[-1])
    assert reloaded(session_factory, new_id).status is Status.QUEUED
    assert "it was sent again as a new message" in words(client.get(page_of(lost)))
    assert 'value="resend"' not in client.get(page_of(lost, "settle")).text


def test_a_form_that_is_not_complete_comes_back_with_what_was_filled_in(
    app: Flask, session_factory: Sessions, lost: UUID
) -> None:
    client = visitor(app)
    form = {"outcome": "sent", "tracking_id": 'x" y', "reason": " "}
    page = press(client, page_of(lost, "settle"), **form)
    assert page.status_code == 422
    assert "must say why, in 1 to 500 characters" in words(page)
    assert 'value="x&#34; y"' in page.text
    assert 'value="sent" id="outcome-sent" required checked' in page.text
    for outcome in ("", "gone", "answer-", "answer-x", "answer-" + "9" * 30):
        page = press(client, page_of(lost, "settle"), outcome=outcome, reason=WHY)
        assert page.status_code == 422
        assert 'role="alert"' in page.text
    assert reloaded(session_factory, lost).status is Status.UNKNOWN


def test_a_refusal_is_said_on_the_message(
    app: Flask, session_factory: Sessions, lost: UUID
) -> None:
    owner = accepted(session_factory, "MMS_9")
    client = visitor(app)
    form = {"outcome": "sent", "tracking_id": "MMS_9", "reason": WHY}
    answer = press(client, page_of(lost, "settle"), **form)
    said = f"Nothing was changed. The tracking id MMS_9 belongs to message {owner}."
    assert said in words(client.get(answer.location))


def test_a_postback_chosen_on_the_shelf_can_be_taken_though_it_is_no_offer(
    app: Flask, session_factory: Sessions, lost: UUID
) -> None:
    client = visitor(app)
    postback_id = arrived(session_factory, n101(MMSID="35674"))
    page = client.get(page_of(lost, "settle"), query_string={"answer": postback_id})
    assert f"Take postback no. {postback_id} as its answer" in words(page)
    assert f'value="answer-{postback_id}"' in page.text
    press(client, page_of(lost, "settle"), outcome=f"answer-{postback_id}", reason=WHY)
    assert reloaded(session_factory, lost).tracking_id == "MMS_1"


def test_what_has_an_answer_is_not_settled(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    client = visitor(app)
    answer = client.get(page_of(public_id, "settle"))
    assert answer.status_code == 303
    assert "There is nothing to settle: it is accepted." in words(client.get(answer.location))
    assert page_of(public_id, "settle") not in client.get(page_of(public_id)).text


def test_a_viewer_sees_the_message_and_settles_nothing(
    app: Flask, session_factory: Sessions, lost: UUID
) -> None:
    client = visitor(app, Role.VIEWER)
    arrived(session_factory, n101())
    assert page_of(lost, "settle") not in client.get(page_of(lost)).text
    assert page_of(lost, "settle") not in client.get("/journal?outcome=unmatched").text
    assert client.get(page_of(lost, "settle")).status_code == 403
    answer = press(client, page_of(lost, "settle"), outcome="not_sent", reason=WHY)
    assert answer.status_code == 403


def test_without_a_token_of_the_form_nothing_is_settled(
    app: Flask, session_factory: Sessions, lost: UUID
) -> None:
    client = visitor(app)
    form = {"outcome": "not_sent", "reason": WHY}
    assert client.post(page_of(lost, "settle"), data=form).status_code == 400
    assert reloaded(session_factory, lost).status is Status.UNKNOWN
    assert app.test_client().get(page_of(lost, "settle")).status_code == 302


def test_a_message_that_is_not_there_is_a_404(app: Flask) -> None:
    client = visitor(app)
    assert client.get(page_of(uuid4(), "settle")).status_code == 404
    answer = press(client, page_of(uuid4(), "settle"), outcome="not_sent", reason=WHY)
    assert answer.status_code == 404
