"""The OpenAPI document and its page say what the API does: nothing more, nothing less."""

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from api_support import Api, api_of, lost
from batch_support import done
from builders import NUMBER, a_postback, a_request, accepted
from conftest import POSTBACK_TOKEN
from flask import Flask
from flask.testing import FlaskClient
from pages_support import words

from tracker.domain.validation import FIELDS
from tracker.protocol.passdata import PASS_FIELDS
from tracker.services import settle
from tracker.store.db import Sessions
from tracker.store.models import Scope
from tracker.web.api import document
from tracker.web.api.describing import component
from tracker.web.api.template_schemas import TICKET_EXAMPLE
from tracker.web.security import CONTENT_SECURITY_POLICY

Json = dict[str, Any]
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "templates.toml"


@pytest.fixture
def api(app: Flask, session_factory: Sessions, now: datetime) -> Api:
    return api_of(app, session_factory, now)


@pytest.fixture
def told(client: FlaskClient) -> Json:
    """The document, as somebody without a login gets it."""
    answer = client.get("/api/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    return dict(answer.json or {})


def operations(told: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in told["paths"].items():
        yield from ((path, method.upper(), said) for method, said in methods.items())


def valid(told: Json, schema: Json, value: object) -> None:
    """Check a value against a schema that may refer to the document's components."""
    whole = {**schema, "components": told["components"]}
    jsonschema_rs.validate(whole, value, validate_formats=True)


def test_every_route_is_in_the_document_and_nothing_else(app: Flask, told: Json) -> None:
    served = {(document.address_of(rule), method) for rule, method in document.routes(app)}
    assert {(path, method) for path, method, _ in operations(told)} == served
    assert ("/api/v1/messages", "POST") in served


def test_a_route_without_a_description_is_seen(app: Flask) -> None:
    app.add_url_rule("/api/v1/unsaid/<int:number>", "api.unsaid", str, methods=["PUT"])
    served = {(document.address_of(rule), method) for rule, method in document.routes(app)}
    told = {(path, method) for path, method, _ in operations(document.build(app))}
    assert served - told == {("/api/v1/unsaid/{number}", "PUT")}


def test_the_document_is_openapi_3_1(told: Json) -> None:
    assert told["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(told).validate()


def test_every_operation_says_its_scope_its_answers_and_its_errors(told: Json) -> None:
    for path, method, said in operations(told):
        (scope,) = said["security"][0]["bearer"]
        assert Scope(scope) is not Scope.READ or method == "GET", path
        assert {"401", "403", "429", "500", "503"} <= set(said["responses"]), path
        assert any(status < "300" for status in said["responses"]), path
        named = {one["name"] for one in said["parameters"] if one["in"] == "path"}
        assert named == set(re.findall(r"{([^}]+)}", path)), path
        assert all(one.get("description") for one in said["parameters"] if one["in"] == "path")


def test_every_example_is_true_to_its_schema(told: Json) -> None:
    checked = 0
    for schema in told["components"]["schemas"].values():
        for example in schema.get("examples", ()):
            valid(told, schema, example)
            checked += 1
    bodies = [said["requestBody"] for _, _, said in operations(told) if "requestBody" in said]
    answers = [found for _, _, said in operations(told) for found in said["responses"].values()]
    for said in [*bodies, *answers, *told["components"]["responses"].values()]:
        for content in said.get("content", {}).values():
            shown = [one["value"] for one in content.get("examples", {}).values()]
            shown += [content["example"]] if "example" in content else []
            for example in shown:
                valid(told, content["schema"], example)
                checked += 1
    assert checked > 20


def test_a_request_has_the_fields_that_are_checked_and_no_others(told: Json) -> None:
    schemas = told["components"]["schemas"]
    assert tuple(schemas["SendRequest"]["properties"]) == FIELDS
    assert tuple(schemas["PassData"]["properties"]) == PASS_FIELDS


def test_answers_have_the_fields_of_the_document_and_no_others(
    api: Api, told: Json, session_factory: Sessions
) -> None:
    schemas = told["components"]["schemas"]
    public_id = accepted(session_factory)
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=a_postback("N102"))
    message = api.get(f"/messages/{public_id}").json
    timeline = message.pop("timeline")
    assert list(message) == list(schemas["Message"]["properties"])
    assert list(timeline[0]) == list(schemas["TimelineEntry"]["properties"])
    (postback,) = api.get("/postbacks").json["items"]
    assert set(postback) <= set(schemas["Postback"]["properties"])
    whole = api.get(f"/postbacks/{postback['id']}").json
    assert set(whole) == {*postback, "headers"}
    valid(told, {"$ref": "#/components/schemas/Postback"}, whole)
    assert api.put("/templates/45633", TICKET_EXAMPLE).status_code == 201
    template = api.get("/templates/45633").json
    assert list(template) == list(schemas["Template"]["properties"])
    assert list(template["barcode"]) == list(schemas["Barcode"]["properties"])
    handset = api.get(f"/handsets/{NUMBER}").json
    assert list(handset) == list(schemas["Handset"]["properties"])
    batch = api.get(f"/batches/{done(session_factory).public_id}").json
    assert set(batch) == set(schemas["Batch"]["properties"])
    valid(told, {"$ref": "#/components/schemas/Batch"}, batch)
    valid(told, {"$ref": "#/components/schemas/Gateway"}, api.get("/gateway").json)
    problem = api.get("/messages", limit=0).json
    assert set(problem) <= set(schemas["Problem"]["properties"])
    assert set(problem["errors"][0]) == set(schemas["FieldProblem"]["properties"])


def test_a_candidate_has_the_fields_of_the_document(
    api: Api, told: Json, session_factory: Sessions
) -> None:
    public_id = lost(session_factory)
    body = a_postback("N101", TRACKINGID="MMS_1")
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=body)
    message = api.get(f"/messages/{public_id}").json
    valid(told, {"$ref": "#/components/schemas/MessageWithTimeline"}, message)
    (candidate,) = message["candidates"]
    assert list(candidate) == list(told["components"]["schemas"]["Candidate"]["properties"])


@pytest.mark.parametrize(
    "decision",
    [
        {"outcome": "sent", "reason": "x", "tracking_id": "MMS_1", "postback_id": 7},
        {"outcome": "not_sent", "reason": "x", "tracking_id": " ", "postback_id": None},
    ],
)
def test_a_settlement_that_is_taken_is_in_the_document(told: Json, decision: Json) -> None:
    settle.decision_from(decision)
    valid(told, {"$ref": "#/components/schemas/Settlement"}, decision)


@pytest.mark.parametrize(
    "decision",
    [
        {"outcome": "resend", "reason": "x", "postback_id": 7},
        {"outcome": "not_sent", "reason": "x", "tracking_id": "MMS_1"},
        {"outcome": "sent", "reason": " "},
        {"outcome": "sent", "reason": "x", "tracking_id": "=="},
    ],
)
def test_a_settlement_that_contradicts_itself_is_not_in_the_document(
    api: Api, told: Json, session_factory: Sessions, decision: Json
) -> None:
    with pytest.raises(jsonschema_rs.ValidationError):
        valid(told, {"$ref": "#/components/schemas/Settlement"}, decision)
    public_id = lost(session_factory)
    assert api.post(f"/messages/{public_id}/settle", decision).status_code == 422


def test_the_templates_among_the_examples_are_in_the_document(told: Json) -> None:
    examples = tomllib.loads(EXAMPLES.read_text(encoding="utf-8"))["template"]
    assert len(examples) > 1
    for template in examples:
        valid(told, {"$ref": "#/components/schemas/TemplateDescription"}, template)


def test_two_schemas_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="Message"):
        component("Message", {})


def test_the_document_is_asked_for_again_only_when_it_changed(client: FlaskClient) -> None:
    first = client.get("/api/openapi.json")
    assert first.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
    same = client.get("/api/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.data) == (304, b"")
    head = client.head("/api/openapi.json")
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == first.headers["ETag"]
    other = client.get("/api/openapi.json", headers={"If-None-Match": '"another"'})
    assert other.data == first.data


def test_the_document_and_its_page_hold_no_secret(app: Flask, client: FlaskClient) -> None:
    settings = app.extensions["tracker.settings"]
    for path in ("/api/openapi.json", "/api/docs"):
        text = client.get(path).text
        for secret in (settings.secret_key, POSTBACK_TOKEN, settings.gateway_api_key, "pdt_"):
            assert not secret or secret not in text
        assert str(settings.state_dir) not in text


def test_the_page_shows_every_operation_with_a_call(client: FlaskClient, told: Json) -> None:
    page = client.get("/api/docs")
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)", page.text)
    said = words(page)
    for path, method, one in operations(told):
        assert f"{method} {path}" in said
        assert one["summary"] in said
        assert f"http://localhost{path}" in said
    for name in (*FIELDS, *PASS_FIELDS, "next_cursor", "Idempotency-Key"):
        assert name in said, name


def test_the_page_escapes_what_the_document_says(app: Flask, client: FlaskClient) -> None:
    made = json.loads(json.dumps(document.build(app)))
    made["info"]["description"] = "<b>`<i>`**<u>**"
    app.extensions["tracker.openapi"] = made
    page = client.get("/api/docs").text
    assert "&lt;b&gt;<code>&lt;i&gt;</code><strong>&lt;u&gt;</strong>" in page


def test_the_first_call_of_the_page_works(api: Api, client: FlaskClient) -> None:
    shown = re.search(r"--data-binary '({.*?})'", words(client.get("/api/docs")))
    assert shown
    answer = api.post("/messages", json.loads(shown[1]))
    assert answer.status_code == 202
    assert answer.json["reference"] == "order-4711"
    assert a_request()["mms_id"] == answer.json["mms_id"]
