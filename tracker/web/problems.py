"""Errors of the JSON API: RFC 9457 problem documents, one shape everywhere."""

import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from flask import Response
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from tracker.domain.message import Problem

MOST_ERRORS: Final = 100  # that are named; the detail counts them all
MOST_SHOWN: Final = 200  # characters of a wrong value

log = logging.getLogger(__name__)


class ApiError(Exception):
    """What a view raises to answer with a problem document."""

    def __init__(
        self, status: HTTPStatus, detail: str, errors: Sequence[Problem] = (), **headers: str
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def bad_request(field: str, value: object, expected: str) -> ApiError:
    """Return the error of one wrong parameter: which, what it held, what would be right."""
    detail = f"{field} {expected}"
    return ApiError(HTTPStatus.BAD_REQUEST, detail, [Problem(field, value, expected)])


def response(status: HTTPStatus, detail: str, errors: Sequence[Problem] = ()) -> Response:
    """Return a problem document. Source: RFC 9457."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    if errors:
        document["errors"] = [
            {"field": e.field, "value": _short(e.value), "detail": e.detail}
            for e in errors[:MOST_ERRORS]
        ]
    text = json.dumps(document, default=str) + "\n"
    return Response(text, status, mimetype="application/problem+json")


def _short(value: object) -> object:
    """Return a value as it was given, or its beginning."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return value if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def from_api_error(error: ApiError) -> Response:
    """Answer an error that a view raised."""
    answer = response(error.status, error.detail, error.errors)
    answer.headers.update(error.headers)
    return answer


def from_http_error(error: HTTPException) -> Response:
    """Answer an error of the framework: no such route, wrong method, body too large."""
    status = HTTPStatus(error.code or 500)
    answer = response(status, error.description or status.phrase)
    if allowed := getattr(error, "valid_methods", None):
        answer.headers["Allow"] = ", ".join(sorted(allowed))
    return answer


def from_fault(error: Exception) -> Response:
    """Answer a fault of ours: logged once, with no detail for the caller."""
    log.error("request failed", exc_info=error)
    if isinstance(error, SQLAlchemyError):
        return response(HTTPStatus.SERVICE_UNAVAILABLE, "The database cannot be used right now.")
    return response(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here; it is logged.")
