"""Requests made out of the OpenAPI document, right ones and wrong ones: the API does as it says.

What JSON Schema cannot say is left out here: that 45633.0 is no id though it is a whole number, and
that each slide has one text.
"""

from datetime import datetime
from typing import Any

import pytest
import schemathesis
from api_support import Api, api_of
from builders import a_postback, accepted, queued
from conftest import POSTBACK_TOKEN
from flask import Flask
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode

from tracker.store.db import Sessions

MODES = {"right": GenerationMode.POSITIVE, "wrong": GenerationMode.NEGATIVE}
EXAMPLES = 12  # of each operation; the machine decides nothing, the seed does
UNHURRIED = list(HealthCheck)  # no timed tests
IDS = ("to", "from", "mms_id", "campaign_ref")


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
        assume(can_be_said(case.body))
        case.call_and_validate(headers=api.headers)
        count += 1

    send()
    return count


def can_be_said(body: object) -> bool:
    """Whether JSON Schema can tell of this body if it will be taken."""
    if not isinstance(body, dict):
        return True
    if any(isinstance(body.get(name), float) and body[name].is_integer() for name in IDS):
        return False
    texts = body.get("custom_text")
    slides = [
        str(text.get("slide"))
        for text in (texts if isinstance(texts, list) else [])
        if isinstance(text, dict)
    ]
    return len(slides) == len(set(slides))


@pytest.mark.parametrize("mode", MODES)
def test_what_the_document_allows_is_taken_and_all_else_refused(
    app: Flask, api: Api, session_factory: Sessions, mode: str
) -> None:
    accepted(session_factory)
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=a_postback())
    for found in loaded(app).get_all_operations():
        cases = found.ok().as_strategy(generation_mode=MODES[mode])
        assert tried(cases, api) >= EXAMPLES


def test_operations_on_what_is_there_answer_as_described(
    app: Flask, api: Api, session_factory: Sessions
) -> None:
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=a_postback())
    postback_id = api.get("/postbacks").json["items"][0]["id"]
    met = set()
    for found in loaded(app).get_all_operations():
        operation = found.ok()
        make = queued if operation.path.endswith("/cancel") else accepted
        ids = {"message_id": str(make(session_factory)), "postback_id": str(postback_id)}
        needed = {p.name for p in operation.path_parameters}
        if not needed or not needed <= set(ids):
            continue
        for _ in range(2):  # the second cancel finds a cancelled one
            case = operation.Case(path_parameters={name: ids[name] for name in needed})
            met.add(case.call_and_validate(headers=api.headers).status_code)
    assert met == {200, 202, 409}
