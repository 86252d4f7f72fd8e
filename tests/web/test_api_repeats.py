"""Requests that are made again: one message for all of them, by key and by reference."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from api_support import Caller, is_problem
from builders import NUMBER, a_request
from flask import Flask
from sqlalchemy import delete, select

from tracker.store.db import Sessions
from tracker.store.models import IdempotencyKey, Message, ReferenceKey

KEY = "Idempotency-Key"


@pytest.fixture
def api(app: Flask) -> Caller:
    return Caller(app)


def posted(api: Caller, key: str | None = None, **changes: object) -> str:
    """Post a request that must be taken, and return the id of its message."""
    answer = api.post("/messages", a_request(**changes), **({KEY: key} if key else {}))
    assert answer.status_code == 202, answer.text
    return str(answer.json["id"])


def refused(api: Caller, key: str | None = None, **changes: object) -> str:
    """Post a request that must be refused, and return why."""
    answer = api.post("/messages", a_request(**changes), **({KEY: key} if key else {}))
    return str(is_problem(answer, 409)["detail"])


def count(sessions: Sessions) -> int:
    with sessions() as session:
        return len(session.scalars(select(Message.id)).all())


def test_the_same_reference_and_request_give_the_same_message(
    api: Caller, session_factory: Sessions
) -> None:
    first = posted(api, reference="order 7")
    assert posted(api, reference="order 7") == first
    assert count(session_factory) == 1


def test_the_same_reference_with_another_request_is_refused(api: Caller) -> None:
    first = posted(api, reference="order 7")
    why = refused(api, reference="order 7", to="12025550144")
    assert why == (
        f"This reference was used for another request, which is message {first};"
        " send the very same request, or use a new reference."
    )


def test_without_a_reference_equal_requests_are_two_messages(api: Caller) -> None:
    assert posted(api) != posted(api)
    assert posted(api, reference=" ") != posted(api, reference=" ")


def test_references_and_keys_of_other_tokens_are_their_own(app: Flask, api: Caller) -> None:
    other = Caller(app, "other")
    assert posted(api, "k", reference="order 7") != posted(other, "k", reference="order 7")
    assert posted(other, "k2", to="12025550144") != posted(api, "k2")


def test_a_key_and_a_reference_must_agree(api: Caller, session_factory: Sessions) -> None:
    first = posted(api, "k1", reference="order 1")
    second = posted(api, "k2", reference="order 2")
    assert posted(api, "k1", reference="order 1") == first
    assert posted(api, reference="order 1") == first
    assert posted(api, "k3", reference="order 1") == first
    assert "Idempotency-Key was used for another" in refused(api, "k1", reference="order 2")
    assert second in refused(api, "k2", reference="order 3")
    assert "Idempotency-Key" in refused(api, "k3", reference="order 9")
    assert count(session_factory) == 2


def test_a_key_that_came_with_a_known_reference_is_known_from_then_on(api: Caller) -> None:
    first = posted(api, reference="order 1")
    assert posted(api, "k1", reference="order 1") == first
    assert first in refused(api, "k1", to="12025550144")


def test_names_of_two_messages_are_refused_together(api: Caller, session_factory: Sessions) -> None:
    posted(api, "k1", reference="order 1")
    with session_factory.begin() as session:
        session.execute(delete(ReferenceKey))
    other = posted(api, "k2", reference="order 1")
    assert other
    assert "belong to two messages" in refused(api, "k1", reference="order 1")


@pytest.mark.parametrize("names", [{"key": "k1"}, {"reference": "order 1"}])
def test_a_name_outlives_its_message(
    api: Caller, session_factory: Sessions, names: dict[str, str]
) -> None:
    """Erased is erased; but the request that comes once more must not send the pass again."""
    posted(api, **names)
    with session_factory.begin() as session:
        session.execute(delete(Message))
    assert "is erased; it is not sent again under it" in refused(api, **names)
    assert "is erased" in refused(api, **{**names, "to": "12025550144"})
    assert count(session_factory) == 0


def test_racing_requests_queue_once(api: Caller, session_factory: Sessions) -> None:
    """Some by the reference alone, some by one or another key too; over several connections."""
    keys = (None, "k1", "k2")

    def post(number: int) -> str:
        return posted(api.twin(), keys[number % 3], reference="order 1")

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(post, range(18)))) == 1
    assert count(session_factory) == 1
    with session_factory() as session:
        assert len(session.scalars(select(IdempotencyKey)).all()) == 2
        assert len(session.scalars(select(ReferenceKey)).all()) == 1


def test_racing_requests_that_differ_queue_one_and_refuse_the_others(
    api: Caller, session_factory: Sessions
) -> None:
    def post(number: int) -> int:
        request = a_request(reference="order 1", to=f"120255501{number:02}")
        return int(api.twin().post("/messages", request).status_code)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(post, range(10))) == [202] + [409] * 9
    assert count(session_factory) == 1


def test_a_wrong_request_uses_up_no_name(api: Caller) -> None:
    wrong = api.post("/messages", a_request(to="x", reference="order 1"), **{KEY: "k1"})
    is_problem(wrong, 422)
    assert posted(api, "k1", reference="order 1")


def test_a_message_sent_again_keeps_its_reference_and_takes_no_name(api: Caller) -> None:
    first = posted(api, reference="order 1")
    api.post(f"/messages/{first}/cancel")
    again = api.post(f"/messages/{first}/resend").json
    assert (again["reference"], again["to"]) == ("order 1", NUMBER)
    assert posted(api, reference="order 1") == first


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_named(api: Caller, key: str) -> None:
    document = is_problem(api.post("/messages", a_request(), **{KEY: key}), 400)
    assert document["errors"][0]["field"] == KEY
