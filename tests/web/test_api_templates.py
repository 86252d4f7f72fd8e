"""Templates and handsets by the API."""

from datetime import UTC, datetime, timedelta

import pytest
from builders import NUMBER, a_request, queued
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from tracker.services import accounts, manage
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Handset

TICKET: dict[str, object] = {
    "title": "Event Ticket",
    "pass_type": "event ticket",
    "has_pass": True,
    "barcode": {
        "allowed": True,
        "type": "dynamic",
        "value_source": "dynamic value",
        "alternate_text": "none",
    },
    "dynamic_fields": ["HEADERVALUE1"],
    "fixed_fields": ["HEADERLABEL1"],
    "dynamic_slots": [2],
    "fixed_slots": [3],
}
URL = "/api/v1/templates"


@pytest.fixture
def api(app: Flask, session_factory: Sessions) -> FlaskClient:
    """A client with a token."""
    made = accounts.create_token(session_factory, "shop", actor="tests", now=datetime.now(UTC))
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {made.token}"
    return client


def test_a_template_is_described_read_changed_and_forgotten(
    api: FlaskClient, session_factory: Sessions
) -> None:
    made = api.put(f"{URL}/45633", json=TICKET)
    assert (made.status_code, made.headers["Location"]) == (201, f"{URL}/45633")
    answer = dict(made.json or {})
    assert answer.pop("updated_at").endswith("Z")
    assert answer == {"mms_id": "45633", **TICKET, "updated_by": "token:shop"}
    got = api.get(f"{URL}/45633").json
    assert got
    assert api.put(f"{URL}/45633", json={**got, "title": "Other"}).status_code == 200
    listed = api.get(URL).json
    assert listed
    assert [(t["mms_id"], t["title"]) for t in listed["items"]] == [("45633", "Other")]
    assert listed["next_cursor"] is None
    gone = api.delete(f"{URL}/45633")
    assert (gone.status_code, gone.data) == (204, b"")
    assert api.get(f"{URL}/45633").status_code == 404
    with session_factory() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.subject == "45633"))
        assert [(row.actor, row.action) for row in rows] == [
            ("token:shop", "template.save"),
            ("token:shop", "template.save"),
            ("token:shop", "template.delete"),
        ]


def test_templates_are_paged(api: FlaskClient) -> None:
    for mms_id in ("1", "2", "3"):
        api.put(f"{URL}/{mms_id}", json=TICKET)
    first = api.get(f"{URL}?limit=2")
    assert first.json
    assert first.headers["Link"] == f'<{URL}?limit=2&cursor=2>; rel="next"'
    second = api.get(f"{URL}?limit=2&cursor={first.json['next_cursor']}")
    assert second.json
    assert "Link" not in second.headers
    found = [t["mms_id"] for t in first.json["items"] + second.json["items"]]
    assert found == ["1", "2", "3"]
    assert api.get(f"{URL}?cursor=x").status_code == 400
    assert api.get(f"{URL}?colour=red").status_code == 400


def test_a_wrong_description_is_explained_field_by_field(api: FlaskClient) -> None:
    answer = api.put(f"{URL}/45633", json={**TICKET, "title": "", "fixed_slots": [0]})
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    problem = answer.get_json(force=True)
    assert problem["detail"] == "2 field(s) are wrong; nothing was kept."
    assert [e["field"] for e in problem["errors"]] == ["title", "fixed_slots[0]"]
    assert api.get(f"{URL}/45633").status_code == 404


@pytest.mark.parametrize("mms_id", ["x", "1" * 19, "-1", "%C2%B2"])
def test_what_is_no_mms_id_has_no_template(api: FlaskClient, mms_id: str) -> None:
    assert api.put(f"{URL}/{mms_id}", json=TICKET).status_code == 422
    assert api.get(f"{URL}/{mms_id}").status_code == 404
    assert api.delete(f"{URL}/{mms_id}").status_code == 404


def test_the_body_may_not_speak_of_another_mms(api: FlaskClient) -> None:
    assert api.put(f"{URL}/45633", json={**TICKET, "mms_id": "7"}).status_code == 400


def test_a_send_against_the_template_is_a_problem_with_the_fields_path(api: FlaskClient) -> None:
    api.put(f"{URL}/45633", json=TICKET)
    answer = api.post("/api/v1/messages", json=a_request(pass_data={"headerlabel1": "Gate"}))
    assert answer.status_code == 422
    errors = answer.get_json(force=True)["errors"]
    assert [e["field"] for e in errors] == ["pass_data.BARCODEVALUE", "pass_data.HEADERLABEL1"]
    assert "E803" in errors[0]["detail"]
    assert "E840" in errors[1]["detail"]


def test_what_would_be_ignored_is_among_the_warnings(api: FlaskClient) -> None:
    api.put(f"{URL}/45633", json=TICKET)
    given = {"BARCODEVALUE": "1", "BACKLABEL1": "x"}
    answer = api.post("/api/v1/messages", json=a_request(pass_data=given))
    assert answer.status_code == 202
    assert answer.json
    (warning,) = answer.json["warnings"]
    assert warning["field"] == "pass_data.BACKLABEL1"
    assert warning["detail"].startswith("is ignored by the gateway")


def test_a_resend_that_the_template_is_against_is_refused_with_its_fields(
    api: FlaskClient, session_factory: Sessions
) -> None:
    old = queued(session_factory, pass_data={"HEADERLABEL1": "x"})
    manage.cancel(session_factory, old, "tests", datetime.now(UTC))
    api.put(f"{URL}/45633", json=TICKET)
    answer = api.post(f"/api/v1/messages/{old}/resend")
    assert answer.status_code == 409
    fields = [e["field"] for e in answer.get_json(force=True)["errors"]]
    assert fields == ["pass_data.BARCODEVALUE", "pass_data.HEADERLABEL1"]


@pytest.mark.parametrize("path", [URL, f"{URL}/45633", f"/api/v1/handsets/{NUMBER}"])
def test_nothing_is_told_without_a_token(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("number", [NUMBER, "+1 (202) 555-0143", "001 202.555.0143"])
def test_a_handset_is_told_for_a_number_in_any_spelling(
    api: FlaskClient, session_factory: Sessions, number: str
) -> None:
    seen = datetime(2026, 11, 20, 7, 20, tzinfo=UTC)
    with session_factory.begin() as session:
        session.add(
            Handset(
                number=NUMBER, handset="motol7c", os="Android", source="N102", seen_at=seen,
                used_at=seen + timedelta(hours=1),
            )
        )  # fmt: skip
    answer = api.get(f"/api/v1/handsets/{number}")
    assert answer.status_code == 200
    assert answer.json == {
        "number": NUMBER,
        "handset": "motol7c",
        "os": "Android",
        "source": "N102",
        "seen_at": "2026-11-20T07:20:00Z",
        "used_at": "2026-11-20T08:20:00Z",
    }


def test_a_handset_that_nobody_named_is_a_404_and_no_number_a_400(api: FlaskClient) -> None:
    unknown = api.get(f"/api/v1/handsets/{NUMBER}")
    assert (unknown.status_code, unknown.mimetype) == (404, "application/problem+json")
    wrong = api.get("/api/v1/handsets/abc")
    assert wrong.status_code == 400
    assert wrong.get_json(force=True)["errors"][0]["field"] == "number"
