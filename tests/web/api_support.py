"""What the tests of the API share: a caller with a token."""

from copy import copy
from datetime import UTC, datetime
from typing import Any

from flask import Flask

from tracker.services import accounts


class Caller:
    """A caller with a token of its own."""

    def __init__(self, app: Flask, name: str = "tests") -> None:
        made = accounts.create_token(
            app.extensions["tracker.sessions"], name, actor="test", now=datetime.now(UTC)
        )
        self._app = app
        self.client = app.test_client()
        self.headers = {"Authorization": f"Bearer {made.token}"}

    def twin(self) -> "Caller":
        """Return another connection with the same token."""
        twin = copy(self)
        twin.client = self._app.test_client()
        return twin

    def get(self, path: str, **query: object) -> Any:
        return self.client.get(f"/api/v1{path}", query_string=query, headers=self.headers)

    def post(self, path: str, json: object = None, **headers: str) -> Any:
        return self.client.post(f"/api/v1{path}", json=json, headers={**self.headers, **headers})


def is_problem(answer: Any, status: int) -> dict[str, Any]:
    """Check the one shape of all errors and return the document."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    document: dict[str, Any] = answer.json
    assert document["status"] == status
    return document
