"""What views read out of a request; a wrong value is answered with its name and what is right."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from flask import request

from tracker.domain import numbers
from tracker.domain.status import Status

from ..problems import ApiError, bad_request

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200


def json_object() -> Mapping[str, object]:
    """Return the JSON object that the body holds."""
    body = request.get_data(cache=False)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        said = error if isinstance(error, json.JSONDecodeError) else "it cannot be decoded"
        detail = f"The body is not JSON: {said}"
        raise ApiError(HTTPStatus.BAD_REQUEST, detail) from error
    if not isinstance(found, dict):
        raise ApiError(HTTPStatus.BAD_REQUEST, "The body must be a JSON object of fields.")
    return found


def flag(name: str) -> bool:
    """Read a parameter that is 1 or 0; absent is 0."""
    text = request.args.get(name, "0").lower()
    if text not in ("0", "1", "false", "true"):
        raise bad_request(name, text, "must be 1 or 0")
    return text in ("1", "true")


Reader = Callable[[str], Any]


def filters(readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Read the query; a parameter nobody knows is an error, lest a typo list everything."""
    wanted: dict[str, Any] = {}
    for name in request.args:
        if name in ("limit", "cursor"):
            continue
        reader = readers.get(name)
        if reader is None:
            raise bad_request(name, None, f"is not a filter; known are {', '.join(readers)}")
        text = ",".join(request.args.getlist(name))
        try:
            wanted[name] = reader(text)
        except ValueError as error:
            raise bad_request(name, text, str(error)) from error
    return wanted


def text(text: str) -> str:
    """Read text of at most 256 characters."""
    if "\0" in text or len(text) > 256:
        raise ValueError("must be text of at most 256 characters")
    return text


def number(text: str) -> str:
    """Read a number as people type it."""
    number = numbers.clean(text)
    if number is None:
        raise ValueError(f"is not a phone number; {numbers.EXPECTED}")
    return number


def statuses(text: str) -> tuple[Status, ...]:
    """Read statuses with commas between."""
    try:
        return tuple(Status(word.strip()) for word in text.split(","))
    except ValueError:
        raise ValueError(f"must be one of {', '.join(Status)}") from None


def word(words: type[StrEnum], text: str) -> str:
    """Read one of several words."""
    if text not in list(words):
        raise ValueError(f"must be one of {', '.join(words)}")
    return text


def moment(text: str) -> datetime:
    """Read a time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped plus is a blank
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time such as 2026-11-27T18:00:00Z") from None


def uuid(text: str) -> UUID:
    """Read a message's id."""
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("must be the id of a message (a UUID)") from None


def batch_id(text: str) -> str:
    """Read a batch's id."""
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("must be the id of a batch (a UUID)") from None


def limit() -> int:
    """Read how many items a page has."""
    text = request.args.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT):
        raise bad_request("limit", text, f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def before_id() -> int | None:
    """Read a cursor that is an id."""
    text = request.args.get("cursor")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise bad_cursor()
    return int(text)


def bad_cursor() -> ApiError:
    """Return the error of a cursor that no page gave."""
    return bad_request("cursor", request.args.get("cursor"), "is not one that an earlier page gave")
