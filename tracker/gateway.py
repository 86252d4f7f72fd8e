"""How we ask the gateway: one HTTP client, three outcomes.

    Accepted    it gave a tracking id
    Refused     it answered Failure, with a code
    Unknown     the call may have gone through: never repeated by itself
    NotSent     nothing reached it: may be repeated freely

Source: PROTOCOL 2.1, 3 and 4.8.
"""

import socket
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError

from tracker.domain.message import PassMessage
from tracker.protocol.codes import ErrorClass, error_class
from tracker.protocol.request import CustomText, PassRequest, passed_on, to_xml
from tracker.protocol.response import GatewayResponse, ResponseFormatError, parse_response
from tracker.protocol.tracking import MAX_KEY, tracking_key
from tracker.protocol.xml import decode

MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_CONNECT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gateway took the message; `answer` is its body word for word."""

    tracking_id: str
    sender_used: str | None
    answer: str
    raw: bytes = field(default=b"", repr=False, compare=False)  # the body, not yet decoded


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway said no; `error_class` says what that asks of us."""

    code: str
    info: str | None
    error_class: ErrorClass
    answer: str
    raw: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether the message was taken."""

    why: str
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request never reached the gateway."""

    why: str


Answer = Accepted | Refused | Unknown | NotSent


class Gateway:
    """The gateway's API at one URL with one key; safe to share between threads."""

    def __init__(self, url: str, api_key: str, timeout_seconds: float) -> None:
        self._url = url
        self._api_key = api_key
        self._timeout_seconds = timeout_seconds

    def send(self, message: PassMessage) -> Answer:
        """Ask for one pass to be sent, once: nothing is retried here, not even by the library."""
        request = to_request(message, self._api_key)
        return self.post(to_xml(request))

    def pass_on(self, request: PassRequest, original: str | None) -> Answer:
        """Ask for what another client asks for, under our key; see `passed_on`."""
        return self.post(passed_on(replace(request, api_key=self._api_key), original))

    def post(self, document: bytes) -> Answer:
        """Post one document in the form field `xml` and read the answer."""
        deadline = time.monotonic() + self._timeout_seconds
        connect = min(MAX_CONNECT_SECONDS, self._timeout_seconds)
        _wire.has_begun = False
        try:
            # A new connection each time: a kept one may be closed by the other side just when it
            # is used again, and then nobody knows whether the request was read.
            with requests.Session() as session:
                session.trust_env = False  # no proxy or netrc by surprise
                session.mount("http://", _Adapter())
                session.mount("https://", _Adapter())
                response = session.post(
                    self._url,
                    data={"xml": document},
                    timeout=(connect, self._timeout_seconds),
                    allow_redirects=False,
                    stream=True,
                )
                with response:
                    return _read(response, deadline)
        except (requests.RequestException, HTTPError) as error:
            return _failure(error)

    def probe(self) -> str | None:
        """Say why no connection can be made, or None when one can; nothing is asked."""
        parts = urlsplit(self._url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            with socket.create_connection((parts.hostname, port), MAX_CONNECT_SECONDS):
                return None
        except OSError as error:
            return error.strerror or str(error)


def to_request(message: PassMessage, api_key: str) -> PassRequest:
    """Return the call that sends `message`. PASSDATA is always there (PROTOCOL 10)."""
    ddm = message.ddm
    minutes = ddm.timeout_minutes if ddm else None
    return PassRequest(
        action="sendPassInMMS",
        api_key=api_key,
        mms_id=message.mms_id,
        to=message.to,
        from_=message.from_,
        campaign_ref=message.campaign_ref,
        ddm_title=ddm.title if ddm else None,
        ddm_text=ddm.text if ddm else None,
        ddm_timeout=None if minutes is None else str(minutes),
        custom_subject=message.custom_subject,
        custom_text=tuple(CustomText(t.value, str(t.slide)) for t in message.custom_text),
        data=message.data,
        pass_data=message.pass_data,
        has_pass_data=True,
        others={},
    )


def _read(response: requests.Response, deadline: float) -> Answer:
    body = b""
    # Whatever is there: a whole block would be waited for past the deadline, byte by byte.
    while chunk := response.raw.read1(8192, decode_content=True):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            return Unknown("the answer was larger than any real one", _text(body, response))
        if time.monotonic() > deadline:
            return Unknown("the answer took too long", _text(body, response))
    answer = interpret(response.status_code, _text(body, response))
    return replace(answer, raw=body) if isinstance(answer, Accepted | Refused) else answer


def interpret(http_status: int, answer: str) -> Answer:
    """Decide by the XML; the HTTP status of answers is not documented. Source: PROTOCOL 3."""
    if http_status >= 500:
        return Unknown(f"HTTP status {http_status}", answer)
    try:
        response = parse_response(answer)
    except ResponseFormatError as error:
        return Unknown(f"HTTP status {http_status} and no readable answer: {error}", answer)
    if response.is_failure:
        return _refused(response, answer)
    if response.is_success and _is_usable(response.tracking_id):
        return Accepted(str(response.tracking_id), response.from_, answer)
    return Unknown("the answer says neither Failure nor a usable TRACKINGID", answer)


def _is_usable(tracking_id: str | None) -> bool:
    """Postbacks are matched by the key of this id, at most 128 characters (PROTOCOL 6.7)."""
    return tracking_id is not None and 1 <= len(tracking_key(tracking_id)) <= MAX_KEY


def _refused(response: GatewayResponse, answer: str) -> Refused:
    code = (response.error_code or "").upper()
    return Refused(code, response.error_info, error_class(code), answer)


def _text(body: bytes, response: requests.Response) -> str:
    charset = requests.utils.get_encoding_from_headers(response.headers)
    declared = "charset" in response.headers.get("Content-Type", "").lower()
    # A NUL is no text for a database; everything else is kept as it came.
    return decode(body, charset if declared else None).text.replace("\0", "\ufffd")


class _Wire(threading.local):
    """Whether this thread's call may have reached the gateway: a byte of it was to be written."""

    has_begun = False


_wire = _Wire()


class _WatchedConnection(HTTPConnection):
    """Notes the first byte of a request. Exceptions alone do not tell before from after it."""

    def send(self, data: Any) -> None:  # noqa: ANN401  # as the parent has it
        if self.sock is None:
            self.connect()
        _wire.has_begun = True
        super().send(data)


class _WatchedTlsConnection(_WatchedConnection, HTTPSConnection):
    """The same; the handshake is over before anything is sent."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTlsConnection


class _Adapter(HTTPAdapter):
    """The library's adapter on connections that are watched; it retries nothing."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


def _failure(error: Exception) -> Answer:
    if not _wire.has_begun:
        return NotSent("no connection to the gateway")
    if isinstance(error, requests.exceptions.ReadTimeout | ReadTimeoutError):
        return Unknown("no answer in time")
    return Unknown("the connection broke before the answer was complete")
