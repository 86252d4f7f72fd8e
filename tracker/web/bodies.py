"""The body of a request as it came, before anything looks at its type.

Errors:
    BodyError
    ├── TooLargeError     more than 1 MiB, whatever its length was said to be
    └── BrokenOffError    shorter than its Content-Length, or its chunks are broken
"""

from flask import request

from tracker.protocol.transport import MAX_BODY_BYTES


class BodyError(Exception):
    """The body cannot be used."""


class TooLargeError(BodyError):
    """It is larger than any real one."""


class BrokenOffError(BodyError):
    """It did not come whole."""


def whole() -> bytes:
    """Return the bytes of this request.

    Raises:
        TooLargeError: nothing of it is kept.
        BrokenOffError: half of it is never used.
    """
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise TooLargeError
    try:
        body = _read(length)
    except Exception as error:  # every server has its own for a broken chunk
        raise BrokenOffError from error
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError
    if len(body) < (length or 0):
        raise BrokenOffError
    return body


def _read(length: int | None) -> bytes:
    if length is None and not request.environ.get("wsgi.input_terminated"):
        return b""
    stream = request.environ["wsgi.input"]
    wanted = MAX_BODY_BYTES + 1 if length is None else length
    body = b""
    while len(body) < wanted and (chunk := stream.read(wanted - len(body))):
        body += chunk
    return body
