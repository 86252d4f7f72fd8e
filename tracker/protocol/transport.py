"""Finding the document in an HTTP body: raw, form field or multipart part, whatever its header.

Source: PROTOCOL 2.1 (requests) and 6.1, 6.10 (postbacks).
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import parse_qsl

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder

from .xml import Decoded, decode

MAX_FIELDS: Final = 200
MAX_BODY_BYTES: Final = 1024 * 1024

# Content types come from strangers: what is remembered of them is neither long nor much.
_SHORT: Final = 128  # characters
_REMEMBERED: Final = 64

_BLANK: Final = "\ufeff \t\r\n"
# Some senders name no content type, or a wrong one.
_LOOKS_LIKE_FORM: Final = re.compile(rb"\s*(?:[^<\s]{0,2000}&)?xml=", re.IGNORECASE)
_FIRST_BOUNDARY: Final = re.compile(rb"\s*--([^\r\n]{1,200})\r?\n")


@dataclass(frozen=True, slots=True)
class Document:
    """The document of one HTTP body, and how it came: bare or in a form field."""

    text: str
    via: Literal["raw", "form"]
    is_repaired: bool = False


def document_of(body: bytes, content_type: str | None) -> Document:
    """Take the document out of `body`.

    A body that begins with `<` is the document, even under a form content type: real clients
    send it so. Else it is the first form field `xml`, in any case, that is not blank; else the
    body itself.
    """
    raw = decode(body, _content_type(content_type).charset)
    if raw.text.lstrip(_BLANK).startswith("<"):
        return Document(raw.text, "raw", raw.is_repaired)
    for name, value in _fields(body, content_type):
        if name.lower() == "xml" and value.text.strip(_BLANK):
            return Document(value.text, "form", value.is_repaired)
    return Document(raw.text, "raw", raw.is_repaired)


def form_of(body: bytes, content_type: str | None) -> list[tuple[str, str]]:
    """Return the fields of a form body in their order; empty when it is none. Bad bytes: U+FFFD."""
    return [(name, value.text) for name, value in _fields(body, content_type)]


@dataclass(frozen=True, slots=True)
class _ContentType:
    mimetype: str  # in lower case
    charset: str | None
    boundary: str | None


def _content_type(header: str | None) -> _ContentType:
    return _short_type(header) if len(header or "") <= _SHORT else _any_type(header)


def _any_type(header: str | None) -> _ContentType:
    mimetype, options = parse_options_header(header)
    return _ContentType(mimetype.lower(), options.get("charset"), options.get("boundary"))


_short_type: Final = lru_cache(_REMEMBERED)(_any_type)


def _fields(body: bytes, content_type: str | None) -> list[tuple[str, Decoded]]:
    told = _content_type(content_type)
    if boundary := _boundary(body, told):
        pairs = _multipart(body, boundary)
    elif told.mimetype == "application/x-www-form-urlencoded" or _LOOKS_LIKE_FORM.match(body):
        pairs = _urlencoded(body)
    else:
        return []
    return [(name, decode(value, told.charset, heed_declaration=False)) for name, value in pairs]


def _boundary(body: bytes, told: _ContentType) -> bytes | None:
    if told.mimetype not in {"multipart/form-data", ""}:
        return None
    if told.boundary is not None:
        return told.boundary.encode("latin-1", "replace")
    found = _FIRST_BOUNDARY.match(body)
    return found.group(1) if found else None


def _urlencoded(body: bytes) -> list[tuple[str, bytes]]:
    try:
        pairs = parse_qsl(
            body.decode("latin-1"),  # one character a byte, so that the field decides its charset
            keep_blank_values=True,
            encoding="latin-1",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        return []
    return [(name, value.encode("latin-1")) for name, value in pairs]


def _multipart(body: bytes, boundary: bytes) -> list[tuple[str, bytes]]:
    """Return the parts as bytes; the PHP SDK sends plain ones, a file part holds the same."""
    decoder = MultipartDecoder(boundary, max_parts=MAX_FIELDS)
    decoder.receive_data(body)
    decoder.receive_data(None)
    parts: list[tuple[str, bytes]] = []
    try:
        while not isinstance(event := decoder.next_event(), Epilogue):
            if isinstance(event, Field | File):
                parts.append((event.name or "", b""))
            elif isinstance(event, Data) and parts:
                parts[-1] = (parts[-1][0], parts[-1][1] + event.data)
    except (ValueError, RequestEntityTooLarge):
        return []
    return parts
