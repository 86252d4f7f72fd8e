"""Settling by the API: what a program may say of a message whose answer was lost."""

from typing import Any
from uuid import UUID

import api_support
import pytest
from api_support import Caller, is_problem
from builders import a_postback, accepted, queued
from conftest import POSTBACK_TOKEN
from flask import Flask

from tracker.store.db import Sessions

WHY = "seen in the report"


@pytest.fixture
def api(app: Flask) -> Caller:
    return Caller(app)


@pytest.fixture
def lost(session_factory: Sessions) -> UUID:
    """A message whose answer was lost just now."""
    return api_support.lost(session_factory)


def shelved(api: Caller, tracking_id: str = "MMS_1", code: str = "N101", **changes: str) -> int:
    body = a_postback(code, TRACKINGID=tracking_id, **changes)
    assert api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=body).status_code == 200
    found: int = api.get("/postbacks", limit=1).json["items"][0]["id"]
    return found


def settle(api: Caller, public_id: object, **body: object) -> Any:
    return api.post(f"/messages/{public_id}/settle", body)


def test_an_unknown_message_shows_what_may_be_its_answer(api: Caller, lost: UUID) -> None:
    postback_id = shelved(api)
    shown = api.get(f"/messages/{lost}").json
    assert shown["status_reason"].startswith(
        "Nobody knows whether it was sent: no answer in time; it is never sent again by itself"
    )
    (candidate,) = shown["candidates"]
    assert candidate["postback_id"] == postback_id
    assert (candidate["tracking_id"], candidate["code"]) == ("MMS_1", "N101")
    assert set(candidate) == {
        "postback_id", "tracking_id", "code", "received_at", "mms_id", "why",
    }  # fmt: skip
    assert "candidates" not in api.get("/messages").json["items"][0]


def test_other_messages_have_no_candidates(api: Caller, session_factory: Sessions) -> None:
    for public_id in (queued(session_factory), accepted(session_factory)):
        assert "candidates" not in api.get(f"/messages/{public_id}").json


def test_a_candidate_is_taken_as_the_answer(api: Caller, lost: UUID) -> None:
    postback_id = shelved(api)
    answer = settle(api, lost, outcome="sent", postback_id=postback_id, reason=WHY)
    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["tracking_id"]) == ("sent", "MMS_1")
    shown = api.get(f"/messages/{lost}").json
    assert "candidates" not in shown
    (line,) = [e for e in shown["timeline"] if e["what"] == "Answer found in a postback"]
    assert line["detail"] == "By token:tests: seen in the report (tracking id MMS_1)"
    assert api.get(f"/postbacks/{postback_id}").json["outcome"] == "applied"


def test_it_was_sent_or_it_was_not(api: Caller, lost: UUID) -> None:
    answer = settle(api, lost, outcome="not_sent", reason="the report has not got it")
    assert (answer.status_code, answer.json["status"]) == (200, "refused")
    assert answer.json["error_info"] == (
        "Marked as not sent by token:tests: the report has not got it"
    )
    answer = settle(api, lost, outcome="sent", tracking_id="MMS_5", reason="it has, after all")
    assert (answer.json["status"], answer.json["tracking_id"]) == ("sent", "MMS_5")
    assert answer.json["error_info"] is None


def test_it_is_sent_again_as_a_new_message(api: Caller, lost: UUID) -> None:
    answer = settle(api, lost, outcome="resend", reason="nothing has come")
    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    assert answer.headers["Location"] == f"/api/v1/messages/{answer.json['id']}"
    assert answer.json["id"] != str(lost)
    document = is_problem(settle(api, lost, outcome="resend", reason="again"), 409)
    assert f"sent again already, as {answer.json['id']}" in document["detail"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"outcome"}),
        ({"outcome": "gone", "reason": WHY}, {"outcome"}),
        ({"outcome": ["sent"], "reason": WHY}, {"outcome"}),
        ({"outcome": "sent"}, {"reason"}),
        ({"outcome": "sent", "reason": 7}, {"reason"}),
        ({"outcome": "sent", "reason": None}, {"reason"}),
        ({"outcome": "sent", "reason": WHY, "tracking_id": 5}, {"tracking_id"}),
        ({"outcome": "sent", "reason": WHY, "postback_id": "5"}, {"postback_id"}),
        ({"outcome": "sent", "reason": WHY, "postback_id": True}, {"postback_id"}),
        ({"outcome": "sent", "reason": WHY, "postback_id": 2**63}, {"postback_id"}),
        ({"outcome": "sent", "reason": WHY, "colour": 1}, {"colour"}),
        ({"outcome": "not_sent", "reason": WHY, "tracking_id": "M"}, {"tracking_id"}),
    ],
)
def test_a_wrong_field_is_named(
    api: Caller, lost: UUID, body: dict[str, object], fields: set[str]
) -> None:
    document = is_problem(settle(api, lost, **body), 422)
    assert {error["field"] for error in document["errors"]} == fields
    assert api.get(f"/messages/{lost}").json["status"] == "unknown"


def test_what_cannot_be_settled_says_why(
    api: Caller, session_factory: Sessions, lost: UUID
) -> None:
    other = accepted(session_factory, "MMS_7")
    document = is_problem(settle(api, other, outcome="sent", reason=WHY), 409)
    assert "It has the tracking id MMS_7" in document["detail"]
    taken = settle(api, lost, outcome="sent", tracking_id="MMS_7", reason=WHY)
    assert f"belongs to message {other}" in is_problem(taken, 409)["detail"]
    postback_id = shelved(api, "MMS_8", TO="12025550199")
    wrong = settle(api, lost, outcome="sent", postback_id=postback_id, reason=WHY)
    assert "it is not its answer" in is_problem(wrong, 409)["detail"]


@pytest.mark.parametrize("name", ["nonsense", "00000000-0000-4000-8000-000000000000", "%00"])
def test_an_unknown_id_is_404(api: Caller, name: str) -> None:
    is_problem(settle(api, name, outcome="sent", reason=WHY), 404)


def test_without_a_token_it_is_401(app: Flask, lost: UUID) -> None:
    answer = app.test_client().post(f"/api/v1/messages/{lost}/settle", json={})
    is_problem(answer, 401)
