"""How we ask the gateway: one HTTP client, four outcomes.

    Accepted    it gave a tracking id
    Refused     it answered Failure, with a code
    Unknown     the call may have gone through: never repeated by itself
    NotSent     nothing reached it: may be repeated freely

Source: PROTOCOL 2.1, 3 and 4.8.
"""

import re
import socket
import ssl
import time
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import certifi
from httptools import HttpParserError, HttpResponseParser

from tracker.domain.message import PassMessage
from tracker.protocol.codes import ErrorClass, error_class
from tracker.protocol.request import CustomText, PassRequest, passed_on, to_xml
from tracker.protocol.response import GatewayResponse, ResponseFormatError, parse_response
from tracker.protocol.tracking import MAX_KEY, tracking_key
from tracker.protocol.xml import decode

MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_CONNECT_SECONDS: Final = 10.0
_BLOCK: Final = 16 * 1024
_SHORTEST: Final = 0.001  # 0 would mean not to wait at all
_BROKEN: Final = "the connection broke before the answer was complete"
_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([^\s"';]{1,40})""", re.IGNORECASE)
_IN_A_PATH: Final = "/?=&%:;,+$!*'()@~-._[]"


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


class Connection:
    """A connection to the gateway that stands, for one call; nothing has been sent over it yet."""

    def __init__(self, line: socket.socket, timeout_seconds: float) -> None:
        self._line = line
        self._timeout_seconds = timeout_seconds
        self._deadline = 0.0
        self._rest: bytes = b""
        self._is_broken = False

    def is_open(self) -> bool:
        """Say whether the gateway still listens: it may tire of a client that says nothing."""
        try:
            self._line.settimeout(0)
            self._line.recv(1)  # an end, or words before any question
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def start(self, request: bytes) -> None:
        """Write what the system takes of a request at once: mostly all of it. Never waits.

        A byte may leave, so whatever fails from here on leaves the call unknown.
        """
        self._deadline = time.monotonic() + self._timeout_seconds
        self._rest = request
        try:
            self._line.settimeout(0)
            self._rest = request[self._line.send(request) :]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass  # it takes nothing now
        except OSError:
            self._is_broken = True

    def finish(self) -> Answer:
        """Write the rest of the request and read the answer, both in the time of the call."""
        with self._line:
            if self._is_broken:
                return Unknown(_BROKEN)
            return _exchange(self._line, self._rest, self._deadline)

    def close(self) -> None:
        """Hang up; nothing was asked."""
        self._line.close()


class Gateway:
    """The gateway's API at one URL with one key; safe to share between threads."""

    def __init__(self, url: str, api_key: str, timeout_seconds: float) -> None:
        self._url = url
        self._api_key = api_key
        self._timeout_seconds = timeout_seconds
        self._address = _Address.of(url)

    def connect(self) -> Connection | NotSent:
        """Open a connection for one call.

        A new one each time: a kept one may be closed by the other side just when it is used again,
        and then nobody knows whether the request was read.
        """
        seconds = min(MAX_CONNECT_SECONDS, self._timeout_seconds)
        try:
            return Connection(self._address.connect(seconds), self._timeout_seconds)
        except (OSError, UnicodeError):  # a host that no name can have is a UnicodeError
            return NotSent("no connection to the gateway")

    def request_of(self, message: PassMessage) -> bytes:
        """Return the bytes that ask for one pass to be sent."""
        return self._posted(to_xml(to_request(message, self._api_key)))

    def send(self, message: PassMessage) -> Answer:
        """Ask for one pass to be sent, once: nothing is retried here."""
        return self.post(to_xml(to_request(message, self._api_key)))

    def passed_on(self, request: PassRequest, original: str | None) -> bytes:
        """Return the bytes that ask for what another client asks for, under our key."""
        return self._posted(passed_on(replace(request, api_key=self._api_key), original))

    def post(self, document: bytes) -> Answer:
        """Post one document and read the answer."""
        opened = self.connect()
        if isinstance(opened, NotSent):
            return opened
        opened.start(self._posted(document))
        return opened.finish()

    def _posted(self, document: bytes) -> bytes:
        """Return the request that posts a document in the form field `xml`."""
        return self._address.request(urlencode({"xml": document}).encode("ascii"))

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


@dataclass(frozen=True, slots=True)
class _Address:
    """Where the gateway listens. Neither a proxy nor a netrc of the environment is heeded."""

    host: str
    port: int
    head: bytes  # of every request, up to its length
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> "_Address":
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        lines = [
            f"POST {quote(path, safe=_IN_A_PATH)} HTTP/1.1",
            f"Host: {parts.netloc.rpartition('@')[2]}",
            "User-Agent: pass-delivery-tracker",
            "Accept: text/xml, */*;q=0.5",
            "Accept-Encoding: identity",
            "Connection: close",
            "Content-Type: application/x-www-form-urlencoded",
            "Content-Length: ",
        ]
        return cls(
            host=parts.hostname or "",
            port=parts.port or (443 if is_tls else 80),
            head="\r\n".join(lines).encode("ascii"),
            tls=ssl.create_default_context(cafile=certifi.where()) if is_tls else None,
        )

    def request(self, form: bytes) -> bytes:
        return b"%s%d\r\n\r\n%s" % (self.head, len(form), form)

    def connect(self, seconds: float) -> socket.socket:
        """Open a connection, handshake included."""
        connection = socket.create_connection((self.host, self.port), seconds)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is None:
                return connection
            return self.tls.wrap_socket(connection, server_hostname=self.host)
        except BaseException:
            connection.close()
            raise


class _Reading:
    """The answer so far; the parser calls the methods that begin with `on_`."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_complete = False
        self.has_end = False  # of its own: a length, or chunks
        self.content_type = ""
        self.parser = HttpResponseParser(self)

    @property
    def status(self) -> int:
        return int(self.parser.get_status_code())

    @property
    def text(self) -> str:
        charset = _CHARSET.search(self.content_type)
        # A NUL is no text for a database; everything else is kept as it came.
        return decode(bytes(self.body), charset and charset[1]).text.replace("\0", "\ufffd")

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"content-type":
                self.content_type = value.decode("latin-1")
            case b"content-length" | b"transfer-encoding":
                self.has_end = True

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = self.status >= 200  # 100 Continue goes ahead of the answer


def _exchange(connection: socket.socket, request: bytes, deadline: float) -> Answer:
    """Write the request and read the answer, both before the deadline."""
    reading = _Reading()
    size = 0
    try:
        connection.settimeout(max(deadline - time.monotonic(), _SHORTEST))
        connection.sendall(request)
        while not reading.is_complete:
            connection.settimeout(max(deadline - time.monotonic(), _SHORTEST))
            # Whatever is there: a whole block would be waited for past the deadline, byte by byte.
            if not (received := connection.recv(_BLOCK)):
                break
            size += len(received)
            reading.parser.feed_data(received)
            if size > MAX_ANSWER_BYTES:
                return Unknown("the answer was larger than any real one", reading.text)
            if time.monotonic() > deadline:
                return Unknown("the answer took too long", reading.text or None)
    except TimeoutError:
        return Unknown("no answer in time", reading.text or None)
    except (OSError, HttpParserError):
        return Unknown(_BROKEN, reading.text or None)
    # Without a length, the end of the connection is the end of the answer.
    if not reading.is_complete and (reading.has_end or not reading.body):
        return Unknown(_BROKEN, reading.text or None)
    answer = interpret(reading.status, reading.text)
    raw = bytes(reading.body)
    return replace(answer, raw=raw) if isinstance(answer, Accepted | Refused) else answer


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
