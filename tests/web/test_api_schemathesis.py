"""Requests made out of the OpenAPI document, right ones and wrong ones: the API does as it says.

What JSON Schema cannot say is left out here: that 45633.0 is no id though it is a whole number,
that each slide has one text, that a reason is printable, what of a template contradicts the rest,
and what stands in a CSV file: batches are handed in by tests of their own.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
import schemathesis
from api_support import Api, api_of, known_handset, lost
from batch_support import done
from builders import a_postback, accepted, queued
from conftest import POSTBACK_TOKEN
from flask import Flask
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode

from tracker.domain.templates import SECOND_PRIMARY
from tracker.store.db import Sessions
from tracker.web.api.template_schemas import TICKET_EXAMPLE

MODES = {"right": GenerationMode.POSITIVE, "wrong": GenerationMode.NEGATIVE}
EXAMPLES = 12  # of each operation; the machine decides nothing, the seed does
PRINTED = ("reason", "tracking_id")
MAKERS = {"cancel": queued, "settle": lost}
UNHURRIED = list(HealthCheck)  # no timed tests
IDS = ("to", "from", "mms_id", "campaign_ref", "postback_id")


@pytest.fixture
def api(app: Flask, session_factory: Sessions, now: datetime) -> Api:
    return api_of(app, session_factory, now)


def loaded(app: Flask) -> Any:
    return schemathesis.openapi.from_wsgi("/api/openapi.json", app)


def tried(cases: SearchStrategy[Case[Any]], api: Api) -> int:
    """Send some requests, judge every answer, and return how many there were."""
    count = 0

    @seed(20261127)
    @settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=UNHURRIED)
    @given(case=cases)
    def send(case: Case[Any]) -> None:
        nonlocal count
        assume(can_be_said(case.body, case.path_parameters or {}))
        case.call_and_validate(headers=api.headers)
        count += 1

    send()
    return count


def can_be_said(body: object, path: Mapping[str, object]) -> bool:
    """Whether JSON Schema can tell of this body if it will be taken."""
    if not isinstance(body, dict):
        return True
    if any(is_whole_float(body.get(name)) for name in IDS):
        return False
    slides = [str(text.get("slide")) for text in listed(body, "custom_text", dict)]
    return (
        len(slides) == len(set(slides))
        and all(" ".join(text_of(body, name).split()).isprintable() for name in PRINTED)
        and (body.get("mms_id", path.get("mms_id")) == path.get("mms_id") or not path)
        and not contradicts_itself(body)
    )


def contradicts_itself(template: Mapping[str, Any]) -> bool:
    """Whether a template has something twice, or something that other passes have."""
    names = [set(listed(template, name, str)) for name in ("dynamic_fields", "fixed_fields")]
    slots = [listed(template, name, object) for name in ("dynamic_slots", "fixed_slots")]
    return bool(
        names[0] & names[1]
        or any(slot in slots[1] for slot in slots[0])
        or any(is_whole_float(slot) for slot in [*slots[0], *slots[1]])
        or (names[0] | names[1]) & SECOND_PRIMARY
    )


def listed(body: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    value = body.get(name)
    return [one for one in value if isinstance(one, kind)] if isinstance(value, list) else []


def text_of(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def is_whole_float(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


@pytest.mark.parametrize("mode", MODES)
def test_what_the_document_allows_is_taken_and_all_else_refused(
    app: Flask, api: Api, session_factory: Sessions, mode: str
) -> None:
    accepted(session_factory)
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=a_postback())
    for found in loaded(app).exclude(path="/api/v1/batches", method="POST").get_all_operations():
        cases = found.ok().as_strategy(generation_mode=MODES[mode])
        assert tried(cases, api) >= EXAMPLES


def test_operations_on_what_is_there_answer_as_described(
    app: Flask, api: Api, session_factory: Sessions, now: datetime
) -> None:
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=a_postback())
    postback_id = api.get("/postbacks").json["items"][0]["id"]
    number = known_handset(session_factory, now)
    api.put("/templates/45633", TICKET_EXAMPLE)
    met: dict[str, list[int]] = {}
    for found in loaded(app).get_all_operations():
        operation = found.ok()
        action = operation.path.rpartition("/")[2]
        ids = {
            "message_id": str(MAKERS.get(action, accepted)(session_factory)),
            "postback_id": str(postback_id),
            "mms_id": "45633",
            "number": number,
        }
        if "/batches/" in operation.path:
            ids["batch_id"] = str(done(session_factory).public_id)
            action = f"batch {action}"
        given = {p.name: ids[p.name] for p in operation.path_parameters}
        if given:
            case = operation.Case(path_parameters=given, **first_body(operation))
            tries = [case.call_and_validate(headers=api.headers) for _ in "12"]
            name = f"{operation.method.upper()} {action}"
            met[name] = [answer.status_code for answer in tries]
    assert met == {
        "GET batch {batch_id}": [200, 200],
        "GET batch errors.csv": [200, 200],
        "GET batch result.csv": [200, 200],
        "POST batch start": [409, 409],
        "POST batch pause": [200, 409],
        "POST batch resume": [409, 409],
        "POST batch cancel": [200, 409],
        "GET {number}": [200, 200],
        "GET {message_id}": [200, 200],
        "POST cancel": [200, 409],
        "POST resend": [202, 409],
        "POST settle": [200, 409],
        "GET {postback_id}": [200, 200],
        "GET raw": [200, 200],
        "POST replay": [200, 200],
        "GET {mms_id}": [200, 200],
        "PUT {mms_id}": [200, 200],
        "DELETE {mms_id}": [204, 404],
    }


def first_body(operation: Any) -> dict[str, Any]:
    """Return the first example of an operation's body; nothing for one without a body."""
    for body in operation.body:
        for example in body.definition["examples"].values():
            return {"body": example["value"], "media_type": body.media_type}
    return {}
