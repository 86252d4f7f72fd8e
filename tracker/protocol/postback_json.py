"""The successor's postbacks as JSON: the same names, read for the operator, never acted upon.

Source: PROTOCOL 6.8 ("do not lose such a body") and 6.10 (quarantined).
"""

import json
import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from .characters import replace_illegal
from .postback_fields import LEAVES, NOTIFICATION, POSTBACK, RawFields
from .xml import MAX_ELEMENTS, normal_name

_BROKEN_POSTBACK: Final = re.compile(
    r'"(?:tracking[-_]?id|postback|(?:status[-_]?)?code"\s*:\s*"[NE][0-9]{3})"', re.IGNORECASE
)
MAX_WRAPPERS: Final = 4  # {"postback": [{"notification": {...}}]} and a little more

_WRAPPERS: Final = frozenset({POSTBACK, NOTIFICATION, "BODY", "POSTBACKS", "NOTIFICATIONS"})
_CODE: Final = re.compile(r"\s*[NE][0-9]{3}\s*", re.IGNORECASE)
_ORIGINS: Final = frozenset({"MMS_MT", "SMS_MT", "SMS_MO", "MMS_MO", "GENERATE_PASS", "EMAIL_SUB"})
# Names that nobody else uses; CODE, TO or STATUS alone would make a postback of any JSON.
_TELLING: Final = frozenset(
    {"TRACKINGID", "SENTAS", "MMSID", "SPID", "FROMMASK", "AGGREGATORID", "PASSDATAID"}
)

# What json.loads gives: an object is an _Object, and numbers are text.
_Json: TypeAlias = "str | bool | list[_Json] | _Object | None"


class JsonLimitError(ValueError):
    """More notifications in one body than any gateway sends."""


class _Object(tuple[tuple[str, _Json], ...]):
    """A JSON object as its pairs, so that a repeated name is seen."""

    __slots__ = ()


def read_json(text: str) -> list[RawFields]:
    """Return the notifications of a JSON body; none when it has no postback names.

    Raises:
        ValueError: no JSON, or nested too deep to read.
        JsonLimitError: more than 5000 notifications.
    """
    try:
        # Numbers stay the text they are: 0001570 is no number, and 1e999 needs no memory.
        document = json.loads(
            text,
            object_pairs_hook=_Object,
            parse_int=str,
            parse_float=str,
            parse_constant=str,
            strict=False,
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    found: list[RawFields] = []
    for pairs in _objects(document, MAX_WRAPPERS):
        if len(found) == MAX_ELEMENTS:
            raise JsonLimitError(f"more than {MAX_ELEMENTS} notifications")
        found.append(_fields_of(pairs))
    return found


def looks_like_postback(text: str) -> bool:
    """Tell whether JSON that cannot be read, a cut-off one perhaps, has postback names."""
    return _BROKEN_POSTBACK.search(text) is not None


def _objects(value: _Json, depth: int, *, is_named: bool = False) -> Iterator[_Object]:
    if depth and isinstance(value, list):
        for item in value:
            yield from _objects(item, depth - 1, is_named=is_named)
    elif depth and isinstance(value, _Object):
        named = [(normal_name(name), item) for name, item in value]
        wrapped = [(name, item) for name, item in named if name in _WRAPPERS]
        if _is_postback(value) or (is_named and not wrapped):
            yield value
            return
        for name, item in wrapped:
            yield from _objects(item, depth - 1, is_named=name == POSTBACK)


def _is_postback(pairs: _Object) -> bool:
    return any(_is_telling(normal_name(name), value) for name, value in pairs)


def _is_telling(name: str, value: _Json) -> bool:
    if name in {"CODE", "STATUSCODE"}:
        return isinstance(value, str) and _CODE.fullmatch(value) is not None
    if name == "ORIGIN":
        return isinstance(value, str) and value.strip().upper() in _ORIGINS
    return name in _TELLING


def _fields_of(pairs: _Object) -> RawFields:
    raw = RawFields()
    for name, value in _with_body(pairs):
        if name == "CONTENT":
            raw.files.extend(_files(value))
        elif name in LEAVES:
            for text in _texts(value):
                raw.add(name, text)
    return raw


def _with_body(pairs: _Object) -> Iterator[tuple[str, _Json]]:
    for name, value in pairs:
        normal = normal_name(name)
        if normal == "BODY" and isinstance(value, _Object):
            yield from ((normal_name(inner), item) for inner, item in value)
        else:
            yield normal, value


def _files(content: _Json) -> Iterator[str]:
    """Read `{"file": [...]}`, `[{"file": "..."}, ...]` and a plain list of addresses."""
    for item in content if isinstance(content, list) else [content]:
        values = (
            [value for name, value in item if normal_name(name) == "FILE"]
            if isinstance(item, _Object)
            else [item]
        )
        for value in values:
            yield from filter(None, (text.strip() for text in _texts(value)))


def _texts(value: _Json) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bool):
            yield str(item).lower()
        elif isinstance(item, str):
            yield replace_illegal(item)
