"""The gateway's state by API and page: pause, resume, and the banner that says why."""

from datetime import UTC, datetime

import pytest
from builders import NUMBER, a_request, queued
from flask import Flask
from flask.testing import FlaskClient
from pages_support import press, visitor, words

from tracker.services import accounts, gateway, pace
from tracker.store import suppressions
from tracker.store.db import Sessions
from tracker.store.models import Role

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def headers(session_factory: Sessions) -> dict[str, str]:
    token = accounts.create_token(session_factory, "tests", actor="tests", now=datetime.now(UTC))
    return {"Authorization": f"Bearer {token.token}"}


def paused_by_gateway(sessions: Sessions, why: str = "E713: billing problem") -> None:
    now = datetime.now(UTC)
    with sessions.begin() as session:
        pace.refused_account(session, "E713", why, now, now)


def test_the_api_says_what_waits_and_pauses_and_resumes(
    client: FlaskClient, session_factory: Sessions, headers: dict[str, str]
) -> None:
    queued(session_factory)
    queued(session_factory, send_at="2099-01-01T00:00:00Z")
    found = client.get("/api/v1/gateway", headers=headers).json
    assert found
    assert (found["state"], found["paused"]) == ("running", None)
    assert (found["queue"]["due"], found["queue"]["later"]) == (1, 1)
    assert found["queue"]["oldest_due_at"]
    asked = {"reason": "The campaign is wrong."}
    paused = client.post("/api/v1/gateway/pause", json=asked, headers=headers)
    assert paused.status_code == 200
    assert paused.json
    assert paused.json["state"] == "paused"
    assert paused.json["paused"]["by"] == "token:tests"
    assert paused.json["paused"]["reason"] == "The campaign is wrong."
    resumed = client.post("/api/v1/gateway/resume", json=asked, headers=headers)
    assert resumed.json
    assert resumed.json["state"] == "running"
    again = client.post("/api/v1/gateway/resume", json=asked, headers=headers)
    assert again.status_code == 409


def test_in_an_emergency_the_bare_call_is_enough(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    paused = client.post("/api/v1/gateway/pause", headers=headers)
    assert paused.json
    assert paused.json["paused"]["reason"] == "No reason was given."
    assert client.post("/api/v1/gateway/resume", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize("body", [{"reason": " "}, {"reason": 5}, {"reason": "x" * 501}])
def test_who_pauses_has_to_say_why(
    client: FlaskClient, headers: dict[str, str], body: dict[str, object]
) -> None:
    answer = client.post("/api/v1/gateway/pause", json=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json
    assert answer.json["errors"][0]["field"] == "reason"


def test_a_suppressed_number_is_refused_by_the_api_with_field_and_reason(
    client: FlaskClient, session_factory: Sessions, headers: dict[str, str]
) -> None:
    with session_factory.begin() as session:
        now = datetime.now(UTC)
        suppressions.add(session, NUMBER, "N302", None, told_at=None, now=now)
    answer = client.post("/api/v1/messages", json=a_request(), headers=headers)
    assert answer.status_code == 422
    assert answer.json
    (error,) = answer.json["errors"]
    assert error["field"] == "to"
    assert "N302" in error["detail"]
    assert "unsubscribed" in error["detail"]


def test_every_page_has_the_banner_while_the_queue_is_paused(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    assert "Sending is paused" not in words(client.get("/messages"))
    paused_by_gateway(session_factory, HOSTILE)
    for path in ("/messages", "/journal", "/alerts", "/suppressed", "/gateway"):
        page = client.get(path)
        assert "Sending is paused" in words(page)
        assert HOSTILE not in page.text
        assert 'action="/gateway/resume"' in page.text


def test_an_operator_resumes_with_a_reason(app: Flask, session_factory: Sessions) -> None:
    paused_by_gateway(session_factory)
    client = visitor(app)
    assert "say why" in words(client.get(press(client, "/gateway/resume", reason=" ").location))
    answer = press(client, "/gateway/resume", reason="Billing was mended.")
    assert "Resumed." in words(client.get(answer.location))
    assert gateway.paused(session_factory) is None
    assert "not paused" in words(client.get(press(client, "/gateway/resume", reason="x").location))


def test_an_operator_pauses_and_a_viewer_only_reads(app: Flask, session_factory: Sessions) -> None:
    viewer = visitor(app, Role.VIEWER)
    assert 'action="/gateway/pause"' not in viewer.get("/gateway").text
    assert press(viewer, "/gateway/pause", reason="no").status_code == 403
    operator = visitor(app)
    press(operator, "/gateway/pause", reason="The campaign is wrong.")
    page = words(viewer.get("/messages"))
    assert "By a-operator" in page
    assert "The campaign is wrong." in page
    assert 'action="/gateway/resume"' not in viewer.get("/messages").text
    assert operator.post("/gateway/resume", data={"reason": "no token"}).status_code == 400
