"""What views read out of a request; a wrong value is answered with its name and what is right.

Each reader of a parameter says beside it, as a JSON Schema, what it takes.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from flask import request

from tracker.domain import numbers
from tracker.domain.near import nearest
from tracker.domain.status import Status

from ..problems import ApiError, bad_request

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
PAGING: Final = ("limit", "cursor")
MAX_ID: Final = 10**18 - 1
ID_CURSOR: Final = {"pattern": "^[0-9]{1,18}$"}
NUMBER: Final = {"type": "string", "pattern": r"^(\+|00)?[1-9][0-9]{6,14}$"}
# What says that it is something else. A body without a type, or with the one that command line
# clients add by themselves, is read: what it holds decides.
_TAKEN: Final = frozenset(
    (
        "", "application/json", "text/json", "text/plain", "application/octet-stream",
        "application/x-www-form-urlencoded",
    )
)  # fmt: skip

Reader = Callable[[str], Any]
ReaderT = TypeVar("ReaderT", bound=Reader)
Schema = dict[str, Any]
_SCHEMAS: Final[dict[Reader, Schema]] = {}


def json_object() -> Mapping[str, object]:
    """Return the JSON object that the body holds."""
    if request.mimetype not in _TAKEN and not request.mimetype.endswith("+json"):
        detail = f"The body must be JSON; its Content-Type is {request.mimetype[:100]}."
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, Accept="application/json")
    body = request.get_data(cache=False)
    try:
        found = parse(body)
    except _TwiceError as error:
        raise bad_request(str(error), None, "is given twice in one object") from error
    except (ValueError, RecursionError) as error:
        said = error if isinstance(error, json.JSONDecodeError) else "it cannot be decoded"
        detail = f"The body is not JSON: {said}"
        raise ApiError(HTTPStatus.BAD_REQUEST, detail) from error
    if not isinstance(found, dict):
        raise ApiError(HTTPStatus.BAD_REQUEST, "The body must be a JSON object of fields.")
    return found


class _TwiceError(ValueError):
    """A name stands twice in one object."""


def parse(text: str | bytes) -> object:
    """Read JSON to the letter: a fraction keeps its digits, and no name stands twice.

    Raises:
        ValueError: it is none.
        RecursionError: it is nested too deeply.
    """
    return json.loads(
        text, parse_constant=_no_number, parse_float=Decimal, object_pairs_hook=_once_each
    )


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise _TwiceError(name[:64])
        found[name] = value
    return found


def schema_of(reader: Reader) -> Schema:
    """Return what a reader takes, as a JSON Schema."""
    if isinstance(reader, partial) and reader.func is word:
        return {"type": "string", "enum": [str(one) for one in reader.args[0]]}
    return _SCHEMAS[reader]


def takes(**schema: Any) -> Callable[[ReaderT], ReaderT]:  # noqa: ANN401  # whatever JSON holds
    """Note beside a reader what it takes, as a JSON Schema."""

    def note(reader: ReaderT) -> ReaderT:
        _SCHEMAS[reader] = schema
        return reader

    return note


def flag(name: str) -> bool:
    """Read a parameter that is 1 or 0; absent is 0."""
    text = request.args.get(name, "0")
    try:
        return truth(text)
    except ValueError as error:
        raise bad_request(name, text, str(error)) from error


@takes(type="string", enum=["0", "1", "false", "true"])
def truth(text: str) -> bool:
    """Read 1 or 0."""
    if text.lower() not in ("0", "1", "false", "true"):
        raise ValueError("must be 1 or 0")
    return text.lower() in ("1", "true")


def filters(readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Read the query; a parameter nobody knows is an error, lest a typo list everything."""
    wanted: dict[str, Any] = {}
    for name in request.args:
        if name in PAGING:
            continue
        reader = readers.get(name)
        if reader is None:
            known = [*readers, *PAGING]
            near = nearest(name.lower(), known)
            meant = f"did you mean {near}? Known" if near else "known"
            raise bad_request(name[:64], None, f"is not a filter; {meant} are {', '.join(known)}")
        text = ",".join(request.args.getlist(name))
        try:
            wanted[name] = reader(text)
        except ValueError as error:
            raise bad_request(name, text, str(error)) from error
    return wanted


@takes(type="string", maxLength=256, pattern=r"^[^\u0000]*$")
def text(text: str) -> str:
    """Read text of at most 256 characters."""
    if "\0" in text or len(text) > 256:
        raise ValueError("must be text of at most 256 characters")
    return text


@takes(**NUMBER)
def number(text: str) -> str:
    """Read a number as people type it."""
    number = numbers.clean(text)
    if number is None:
        raise ValueError(f"is not a phone number; {numbers.EXPECTED}")
    return number


@takes(type="array", minItems=1, items={"type": "string", "enum": [str(one) for one in Status]})
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


@takes(type="string", format="date-time")
def moment(text: str) -> datetime:
    """Read a time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped plus is a blank
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time such as 2026-11-27T18:00:00Z") from None


@takes(type="string", format="uuid")
def uuid(text: str) -> UUID:
    """Read a message's id."""
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("must be the id of a message (a UUID)") from None


@takes(type="string", format="uuid")
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


def next_link(cursor: str | None) -> dict[str, str]:
    """Return the header that leads to the next page: this very question with its cursor."""
    if cursor is None:
        return {}
    asked = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    query = urlencode([*asked, ("cursor", cursor)])
    return {"Link": f'<{request.path}?{query}>; rel="next"'}


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def bad_cursor() -> ApiError:
    """Return the error of a cursor that no page gave."""
    return bad_request("cursor", request.args.get("cursor"), "is not one that an earlier page gave")
