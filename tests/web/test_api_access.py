"""Who may do what and how often, how pages of a list are found, and the shape of every refusal."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from api_support import Api, api_of, is_problem, known_handset, lost
from batch_support import done
from builders import NUMBER, a_postback, a_request, queued
from conftest import POSTBACK_TOKEN
from flask import Flask
from sqlalchemy import func, select

from tracker.config import Settings
from tracker.services import accounts, allowance
from tracker.services.accounts import AccountError
from tracker.store import db
from tracker.store.db import Sessions
from tracker.store.models import Scope, TokenUse
from tracker.web import api as api_module
from tracker.web import context, create_app
from tracker.web.api.template_schemas import TICKET_EXAMPLE

SETTLED = {"outcome": "not_sent", "reason": "seen in the report"}


def answers(
    api: Api, public_id: object, postback_id: int, lost_id: object, batch_id: object
) -> dict[Scope, list[int]]:
    """Try every kind of operation and return the statuses by the scope that each needs."""
    return {
        Scope.SEND: [
            api.post("/messages", a_request()).status_code,
            api.post(f"/messages/{public_id}/cancel").status_code,
            api.post(f"/messages/{public_id}/resend").status_code,
            api.post(f"/messages/{lost_id}/settle", SETTLED).status_code,
            api.post(f"/batches/{batch_id}/pause").status_code,
        ],
        Scope.READ: [
            api.get(path).status_code
            for path in (
                "/messages", f"/messages/{public_id}", "/postbacks", f"/postbacks/{postback_id}",
                f"/postbacks/{postback_id}/raw", "/templates", "/templates/45633",
                f"/handsets/{NUMBER}", "/gateway", "/batches", f"/batches/{batch_id}",
                f"/batches/{batch_id}/errors.csv", f"/batches/{batch_id}/result.csv",
            )
        ],
        Scope.ADMIN: [
            api.post(f"/postbacks/{postback_id}/replay").status_code,
            api.put("/templates/45633", TICKET_EXAMPLE).status_code,
            api.delete("/templates/45633").status_code,
            api.post("/gateway/pause", {"reason": "x"}).status_code,
            api.post("/gateway/resume", {"reason": "x"}).status_code,
        ],
    }  # fmt: skip


@pytest.mark.parametrize("scope", list(Scope))
def test_a_token_may_do_what_its_scope_says_and_nothing_else(
    app: Flask, session_factory: Sessions, now: datetime, scope: Scope
) -> None:
    api = api_of(app, session_factory, now, scopes=[scope])
    lost_id, public_id = lost(session_factory), queued(session_factory)
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=a_postback("N333"))
    everyone = api_of(app, session_factory, now, name="all")
    postback_id = everyone.get("/postbacks").json["items"][0]["id"]
    everyone.put("/templates/45633", TICKET_EXAMPLE)
    known_handset(session_factory, now)
    batch_id = done(session_factory).public_id
    for needed, found in answers(api, public_id, postback_id, lost_id, batch_id).items():
        if needed is scope:
            assert max(found) < 300, (needed, found)
        else:
            assert set(found) == {403}, (needed, found)


def test_a_refusal_names_the_scope_that_is_needed(
    app: Flask, session_factory: Sessions, now: datetime
) -> None:
    api = api_of(app, session_factory, now, scopes=[Scope.READ])
    detail = is_problem(api.post("/messages", a_request()), 403)["detail"]
    assert detail == "This needs the scope send; the token has read."
    assert api.get("/messages").json["items"] == []


def test_a_view_that_says_nothing_of_itself_is_the_admins(
    app: Flask, session_factory: Sessions, now: datetime
) -> None:
    app.add_url_rule("/api/v1/unsaid", "api.unsaid", lambda: "done")
    sender = api_of(app, session_factory, now, name="s", scopes=[Scope.SEND, Scope.READ])
    is_problem(sender.get("/unsaid"), 403)
    assert api_of(app, session_factory, now).get("/unsaid").text == "done"


@pytest.mark.parametrize("more", [{"scopes": []}, {"rate_per_minute": 0}])
def test_a_token_without_a_scope_or_with_a_limit_of_nothing_is_not_made(
    session_factory: Sessions, now: datetime, more: dict[str, Any]
) -> None:
    with pytest.raises(AccountError):
        accounts.create_token(session_factory, "x", actor="test", now=now, **more)


class Clock:
    """A clock that the application reads, and that stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, second: int) -> None:
        self.now = datetime(2026, 11, 27, 12, 0, second, tzinfo=UTC)
        monkeypatch.setattr(context, "now", lambda: self.now)


def test_a_limit_holds_over_two_processes_worth_of_applications(
    app: Flask,
    settings: Settings,
    session_factory: Sessions,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch, second=15)
    other = create_app(settings)
    first = api_of(app, session_factory, now, rate_per_minute=5)
    second = Api(other, first.headers["Authorization"].removeprefix("Bearer "))
    with ThreadPoolExecutor(6) as pool:
        calls = [(first, second)[n % 2].get for n in range(12)]
        found = list(pool.map(lambda get: get("/messages"), calls))
    statuses = sorted(answer.status_code for answer in found)
    assert statuses == [200] * 5 + [429] * 7
    left = sorted(a.headers["RateLimit"] for a in found if a.status_code == 200)
    assert left == [f'"minute";r={n};t=45' for n in range(5)]
    refused = next(answer for answer in found if answer.status_code == 429)
    assert "5 requests a minute" in is_problem(refused, 429)["detail"]
    assert refused.headers["Retry-After"] == "45"
    assert refused.headers["RateLimit-Policy"] == '"minute";q=5;w=60'
    assert refused.headers["RateLimit"] == '"minute";r=0;t=45'
    clock.now = clock.now.replace(minute=1)
    assert second.get("/messages").headers["RateLimit"] == '"minute";r=4;t=45'
    other.extensions["tracker.receiver"].stop()
    db.engine_of(other.extensions["tracker.sessions"]).dispose()


def test_old_minutes_are_forgotten(app: Flask, session_factory: Sessions, now: datetime) -> None:
    api_of(app, session_factory, now, rate_per_minute=2)
    (token,) = accounts.tokens(session_factory)
    for minute in range(5):
        at = datetime(2026, 11, 27, 12, minute, tzinfo=UTC)
        assert [allowance.take(session_factory, token, at) is not None for _ in "12"]
    with session_factory() as session:
        assert session.scalar(select(func.count()).select_from(TokenUse)) == 2


def test_a_token_without_a_limit_is_not_counted(
    app: Flask, session_factory: Sessions, now: datetime
) -> None:
    answer = api_of(app, session_factory, now).get("/messages")
    assert "RateLimit" not in answer.headers
    with session_factory() as session:
        assert session.scalar(select(func.count()).select_from(TokenUse)) == 0


@pytest.fixture
def api(app: Flask, session_factory: Sessions, now: datetime) -> Api:
    return api_of(app, session_factory, now)


@pytest.mark.parametrize("path", ["/messages", "/postbacks"])
def test_links_lead_through_all_pages_of_the_same_question(
    api: Api, session_factory: Sessions, path: str
) -> None:
    for number in range(5):
        queued(session_factory)
        body = a_postback("N333", TRACKINGID=f"id {number}")
        api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=body)
    queued(session_factory, to="12025550199")
    query = "to=%2B1+202+555+0143" if path == "/messages" else "code=N333"
    address = f"/api/v1{path}?{query}&limit=2"
    seen: list[str] = []
    for _ in range(9):
        page: Any = api.client.get(address, headers=api.headers)
        seen += [item["id"] for item in page.json["items"]]
        if "Link" not in page.headers:
            break
        link = page.headers["Link"]
        assert link.startswith(f"</api/v1{path}?{query}&limit=2&cursor=")
        assert link.endswith('>; rel="next"')
        address = link[1 : link.index(">")]
    assert len(seen) == len(set(seen)) == 5
    assert page.json["next_cursor"] is None


def test_a_link_has_no_number_that_the_question_had_not(
    api: Api, session_factory: Sessions
) -> None:
    for _ in range(2):
        queued(session_factory)
    assert "12025550143" not in api.get("/messages", limit=1).headers["Link"]


def test_head_says_what_get_says_without_a_body(api: Api, session_factory: Sessions) -> None:
    public_id = queued(session_factory)
    for path in ("/api/v1/messages", f"/api/v1/messages/{public_id}", "/api/v1/postbacks"):
        answer = api.client.head(path, headers=api.headers)
        assert (answer.status_code, answer.data) == (200, b"")
        assert answer.mimetype == "application/json"


@pytest.mark.parametrize("mimetype", ["text/xml", "multipart/form-data", "image/png"])
def test_a_body_of_another_type_is_415(api: Api, mimetype: str) -> None:
    answer: Any = api.client.post(
        "/api/v1/messages", data=b"{}", content_type=mimetype, headers=api.headers
    )
    assert mimetype in is_problem(answer, 415)["detail"]
    assert answer.headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    "mimetype", [None, "application/json", "application/problem+json", "text/plain; charset=utf-8"]
)
def test_json_without_a_type_or_with_a_vague_one_is_read(api: Api, mimetype: str | None) -> None:
    answer: Any = api.client.post(
        "/api/v1/messages", data=b'{"to": "x"}', content_type=mimetype, headers=api.headers
    )
    is_problem(answer, 422)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_is_not_taken_for_text(api: Api, word: str) -> None:
    body = f'{{"to": "12025550143", "mms_id": "1", "reference": {word}}}'
    answer = api.client.post("/api/v1/messages", data=body, headers=api.headers)
    is_problem(answer, 400)


def test_a_body_that_is_too_large_is_a_problem_document(api: Api) -> None:
    body = b"{" + b" " * api_module.MAX_JSON_BYTES + b"}"
    is_problem(api.client.post("/api/v1/messages", data=body, headers=api.headers), 413)


def test_a_wrong_method_is_told_the_right_ones(api: Api) -> None:
    answer: Any = api.client.put("/api/v1/messages", headers=api.headers)
    is_problem(answer, 405)
    assert {"GET", "HEAD", "POST"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("value", [1e-7, -0.25, 5e-324, 90.0, 12])
def test_a_coordinate_may_be_any_number_of_json(api: Api, value: float) -> None:
    pass_data = {"RELLATITUDE1": value, "RELLONGITUDE1": "0"}
    answer = api.post("/messages", a_request(pass_data=pass_data))
    assert answer.status_code == 202, answer.json
    assert float(answer.json["pass_data"]["RELLATITUDE1"]) == pytest.approx(value, abs=1e-15)
    assert "e" not in answer.json["pass_data"]["RELLATITUDE1"]
