"""What the tests of the API share: a caller with a token, and the one shape of errors."""

from collections.abc import Collection
from copy import copy
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from builders import NUMBER, begin_call, claim_due, queued
from flask import Flask

from tracker.config import DEFAULT_ZONE
from tracker.gateway import Unknown
from tracker.services import accounts, send
from tracker.store.db import Sessions
from tracker.store.models import Handset, Scope


class Api:
    """A caller with a token."""

    def __init__(self, app: Flask, token: str) -> None:
        self._app = app
        self.client = app.test_client()
        self.headers = {"Authorization": f"Bearer {token}"}

    def twin(self) -> Self:
        """Return another connection with the same token."""
        twin = copy(self)
        twin.client = self._app.test_client()
        return twin

    def get(self, path: str, **query: object) -> Any:
        return self.client.get(f"/api/v1{path}", query_string=query, headers=self.headers)

    def post(self, path: str, json: object = None, **headers: str) -> Any:
        return self.client.post(f"/api/v1{path}", json=json, headers={**self.headers, **headers})

    def put(self, path: str, json: object = None) -> Any:
        return self.client.put(f"/api/v1{path}", json=json, headers=self.headers)

    def delete(self, path: str) -> Any:
        return self.client.delete(f"/api/v1{path}", headers=self.headers)


class Caller(Api):
    """A caller with a token of its own that may do everything."""

    def __init__(self, app: Flask, name: str = "tests") -> None:
        made = accounts.create_token(
            app.extensions["tracker.sessions"], name, actor="test", now=datetime.now(UTC)
        )
        super().__init__(app, made.token)


def api_of(
    app: Flask,
    sessions: Sessions,
    now: datetime,
    *,
    name: str = "tests",
    scopes: Collection[Scope] = tuple(Scope),
    rate_per_minute: int | None = None,
) -> Api:
    """Return a caller whose token may do this, and this often."""
    made = accounts.create_token(
        sessions, name, scopes=scopes, rate_per_minute=rate_per_minute, actor="test", now=now
    )
    return Api(app, made.token)


def is_problem(answer: Any, status: int) -> dict[str, Any]:
    """Check the one shape of all errors and return the document."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    document: dict[str, Any] = answer.json
    assert {"type", "title", "status", "detail"} <= set(document)
    assert document["status"] == status
    return document


def lost(sessions: Sessions) -> UUID:
    """Return the id of a message whose answer was lost just now."""
    public_id = queued(sessions)
    began = datetime.now(UTC)
    claimed = next(c for c in claim_due(sessions, 100, began) if c.public_id == public_id)
    assert begin_call(sessions, claimed, began) is not None
    answer = Unknown("no answer in time")
    send.record(sessions, claimed, answer, zone=DEFAULT_ZONE, now=began)
    return public_id


def known_handset(sessions: Sessions, now: datetime) -> str:
    """Keep a handset, and return its number."""
    with sessions.begin() as session:
        session.add(Handset(number=NUMBER, handset="motol7c", source="N102", seen_at=now))
    return NUMBER
