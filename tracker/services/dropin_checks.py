"""What the drop-in endpoint tests before it passes a call on: in the gateway's order, by its codes.

What only the gateway can know (its templates, campaigns, senders and coordinates) is left to it.

Source: PROTOCOL 2.1 (transport), 3 (answers) and 5, last line (order).
"""

import re
from dataclasses import dataclass
from typing import Final

from tracker.protocol.codes import error_meaning
from tracker.protocol.getform import from_query
from tracker.protocol.request import (
    PassRequest,
    RequestFormatError,
    UnencodableError,
    from_xml,
    passed_on,
)
from tracker.protocol.response import GatewayResponse, response_xml
from tracker.protocol.transport import document_of, form_of

_NUMBER: Final = re.compile(r"[1-9][0-9]{6,14}")
_SENDER: Final = re.compile(r"[0-9]{3,15}")
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a client; `original` is its document, None where it came by GET."""

    request: PassRequest
    original: str | None


class CallRefusedError(Exception):
    """The client is answered Failure with this code."""

    def __init__(self, code: str, info: str | None = None, to: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.info = info or error_meaning(code) or code
        self.to = to

    def document(self) -> bytes:
        """Return the RESPONSE. Source: PROTOCOL 3."""
        said = GatewayResponse(
            status="Failure", error_code=self.code, to=self.to, error_info=self.info
        )
        return response_xml(said)


def read_query(query: bytes) -> Call:
    """Read the GET form.

    Raises:
        CallRefusedError: E100 when there is none, E108 for what XML cannot carry.
    """
    pairs = form_of(query, _FORM)
    if not pairs:
        raise CallRefusedError("E100")
    return _readable(from_query(pairs), None)


def read_body(body: bytes, content_type: str | None) -> Call:
    """Read a posted call in any transport form.

    Raises:
        CallRefusedError: E100 without a document, E108 for one that cannot be read.
    """
    document = document_of(body, content_type)
    if not document.text.strip():
        raise CallRefusedError("E100")
    if document.is_repaired:
        raise _unreadable("it has bytes that do not fit its encoding")
    try:
        return _readable(from_xml(document.text), document.text)
    except RequestFormatError as error:
        raise _unreadable(str(error)) from error


def check_form(request: PassRequest) -> str:
    """Return the key of a call for this action.

    Raises:
        CallRefusedError: E101 or E102.
    """
    if (request.action or "").lower() != "sendpassinmms":
        raise CallRefusedError("E101", to=request.to)
    if not request.api_key:
        raise CallRefusedError("E102", to=request.to)
    return request.api_key


def check_fields(request: PassRequest) -> None:
    """Test what can be known without asking the gateway.

    Raises:
        CallRefusedError: E620, E621, E111, E110 or E241.
    """
    mms_id, to, sender = request.mms_id or "", request.to or "", request.from_ or ""
    for is_right, code in (
        (mms_id, "E620"),
        (to, "E621"),
        (_SENDER.fullmatch(sender), "E111"),
        (_NUMBER.fullmatch(to), "E110"),
        (mms_id == mms_id.strip(), "E241"),  # by GET; XML would hide the blanks
    ):
        if not is_right:
            raise CallRefusedError(code, to=request.to)


def _readable(request: PassRequest, original: str | None) -> Call:
    try:
        passed_on(request, original)
    except UnencodableError as error:
        raise _unreadable(str(error)) from error
    return Call(request, original)


def _unreadable(why: str) -> CallRefusedError:
    return CallRefusedError("E108", f"{error_meaning('E108')}: {why[:500]}")
