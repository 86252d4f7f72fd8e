"""Reading requests: llhttp knows the grammar, this module the limits and what is a postback."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import unquote_to_bytes
from weakref import WeakSet

import httptools

from tracker.protocol.transport import MAX_BODY_BYTES

from .receiver import Answer

if TYPE_CHECKING:
    from .receiver import Receiver

PAGE_BODY_BYTES: Final = 2 * MAX_BODY_BYTES  # in memory; the application's own limits are lower
# Files of messages: to the disk when they are large, so many at once, and with time to come.
FILE_BODY_BYTES: Final = 66 * MAX_BODY_BYTES
FILE_PATHS: Final = (b"/api/v1/batches", b"/batches/new", b"/carriers/import")
MOST_FILES: Final = 8
OVERHEAD_BYTES: Final = 65_536  # of one request without its body: head, chunk sizes, trailers

_POSTBACKS: Final = b"/postbacks/"
_ORIGIN: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What gunicorn's configuration allows."""

    target_bytes: int
    fields: int
    field_bytes: int
    connections: int
    threads: int
    keep_alive_seconds: float


class RefusedError(Exception):
    """This answer is all the request gets; raised through the parser, which stops there."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.line)
        self.answer = answer


class Spill:
    """A body on its way to a nameless file, which ends with this object."""

    def __init__(self, begun: bytes | bytearray) -> None:
        self.file: BinaryIO = TemporaryFile()  # noqa: SIM115  # it lives as long as the request
        self.size = 0
        _spills.add(self)
        self.write(begun)

    def write(self, part: bytes | bytearray) -> None:
        """Add to it."""
        self.file.write(part)
        self.size += len(part)

    def opened(self) -> BinaryIO:
        """Return the file at its beginning."""
        self.file.seek(0)
        return self.file


_spills: "Final[WeakSet[Spill]]" = WeakSet()


class Request:
    """One request, while it is read and until it is answered."""

    __slots__ = (
        "answer",
        "body",
        "expects",
        "fields",
        "has_head",
        "is_persistent",
        "limit",
        "method",
        "source",
        "spill",
        "target",
        "token",
        "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.method = self.target = b""
        self.version = "1.1"
        self.fields: list[tuple[bytes, bytes]] = []  # names in lower case
        self.body: bytes | bytearray = b""
        self.spill: Spill | None = None  # the body, when it is a large file
        self.limit = PAGE_BODY_BYTES
        self.has_head = False
        self.is_persistent = False
        self.expects = False  # the client waits for "100 Continue"
        self.source: str | None = None  # who sends it, when it is for the receiver
        self.token = ""  # by which it is
        self.answer: Answer | None = None  # when it was refused

    @property
    def is_file(self) -> bool:
        """It may bring a large file."""
        return self.limit == FILE_BODY_BYTES

    def field(self, name: bytes) -> str | None:
        """Return a header field, the values of several joined by commas."""
        values = [value for known, value in self.fields if known == name]
        return b",".join(values).decode("latin-1") if values else None


class Reader:
    """Turns what comes on one connection into requests."""

    __slots__ = (
        "_arrived",
        "_limits",
        "_overhead",
        "_parser",
        "_peer",
        "_piece",
        "_receiver",
        "request",
    )

    def __init__(
        self,
        limits: Limits,
        receiver: "Receiver | None",
        peer: str,
        arrived: Callable[[Request], None],
    ) -> None:
        self._limits = limits
        self._receiver = receiver
        self._peer = peer
        self._arrived = arrived
        self._overhead = self._piece = 0
        self._parser = httptools.HttpRequestParser(self)
        self.request: Request | None = None  # begun, and not complete

    def feed(self, piece: bytes) -> Answer | None:
        """Read on. An answer is for the request that cannot be read; the reader ends with it."""
        self._overhead += len(piece)
        self._piece = len(piece)
        try:
            self._parse(piece)
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, RefusedError):
                return error.__context__.answer
            log.exception("request failed: cannot be looked at", exc_info=error.__context__)
            return Answer(500, "internal error")
        except httptools.HttpParserError:
            return self.broken_off()
        if self.request is not None and self._overhead > OVERHEAD_BYTES:
            return Answer(431, "larger than any request has to be")
        return None

    def broken_off(self) -> Answer:
        """Return the answer to a request that ends early or is broken."""
        if self.request is not None and self.request.source is not None and self._receiver:
            return self._receiver.broken_off(self.request.source)
        return Answer(400, "not HTTP/1.1, or it broke off")

    def close(self) -> None:
        """Let go of what refers back to this, so that no garbage waits to be collected."""
        del self._parser, self._arrived

    def _parse(self, piece: bytes) -> None:
        """Parse, and stay with HTTP/1.1 when a client offers another protocol, as Java's does.

        The parser ends a request that offers one at its head, so a new one reads the body.
        """
        while piece:
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as offer:
                piece = piece[offer.args[0] :]
                self._parser = httptools.HttpRequestParser(self)
                if self.request is not None:
                    self._parser.feed_data(_head_of_body(self.request))
            else:
                return

    # What the parser finds.

    def on_message_begin(self) -> None:
        """Begin a request, unless one goes on in a new parser."""
        if self.request is None:
            self.request = Request()
            # Where in the piece it begins is not told: all of it counts, rather than none.
            self._overhead = self._piece

    def on_url(self, part: bytes) -> None:
        """Take some of the target."""
        request = self.request
        if request is None or request.has_head:
            return
        request.target += part
        if len(request.target) > self._limits.target_bytes:
            raise RefusedError(Answer(414, "the address is too long"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field."""
        request, limits = self.request, self._limits
        if request is None or request.has_head:
            return  # a trailer, which nobody asks for
        request.fields.append((name.lower(), value.rstrip(b" \t")))
        if len(request.fields) > limits.fields or len(name) + len(value) > limits.field_bytes:
            raise RefusedError(Answer(431, "too many header fields, or too large"))

    def on_headers_complete(self) -> None:
        """Decide whether the body is wanted, and whether it will be too large."""
        request = self.request
        if request is None or request.has_head:
            return
        request.has_head = True
        request.method = self._parser.get_method()
        request.version = self._parser.get_http_version()
        request.is_persistent = self._parser.should_keep_alive()
        fields = dict(request.fields)
        self._check_head(request, fields)
        if request.method == b"POST" and self._receiver is not None:
            self._ask(self._receiver, request)
        if request.method == b"POST" and split_target(request.target)[0] in FILE_PATHS:
            request.limit = FILE_BODY_BYTES
        if int(fields.get(b"content-length", b"0")) > request.limit:
            raise RefusedError(self._too_large(request))
        request.expects = b"expect" in fields and request.version == "1.1"

    def on_body(self, part: bytes) -> None:
        """Take some of the body."""
        request = self.request
        if request is None:
            return
        self._overhead -= len(part)
        if request.spill is not None:
            request.spill.write(part)
            if request.spill.size > request.limit:
                raise RefusedError(self._too_large(request))
            return
        if not request.body:
            request.body = part
            return
        if isinstance(request.body, bytes):
            request.body = bytearray(request.body)
        request.body += part
        if request.is_file and len(request.body) > MAX_BODY_BYTES:
            if len(_spills) >= MOST_FILES:
                raise RefusedError(Answer(503, "too many large files at once; try again"))
            request.spill, request.body = Spill(request.body), b""
        elif len(request.body) > request.limit:
            raise RefusedError(self._too_large(request))

    def on_message_complete(self) -> None:
        """Hand the request over."""
        request = self.request
        if request is None or (self._parser.should_upgrade() and _has_body(request)):
            return
        self.request = None
        self._arrived(request)

    def _check_head(self, request: Request, fields: dict[bytes, bytes]) -> None:
        coding = fields.get(b"transfer-encoding")
        if request.version not in ("1.0", "1.1"):
            raise RefusedError(Answer(400, "HTTP/1.1 is spoken here"))
        if request.method == b"CONNECT":
            raise RefusedError(Answer(405, "this is no proxy"))
        if [name for name, _ in request.fields].count(b"host") > 1:
            raise RefusedError(Answer(400, "more than one Host"))
        # What HTTP/1.0 knows nothing of, or a server on the way reads otherwise, hides requests.
        if coding is not None and (coding.lower() != b"chunked" or request.version == "1.0"):
            raise RefusedError(Answer(400, "no Transfer-Encoding but chunked, in HTTP/1.1"))
        if fields.get(b"expect", b"100-continue").lower() != b"100-continue":
            raise RefusedError(Answer(417, "this expectation is not known"))

    def _ask(self, receiver: "Receiver", request: Request) -> None:
        """Ask the receiver, when it is for it, before the body is read."""
        token = postback_token(request.target)
        if token is None:
            return
        source = receiver.source(self._peer, request.field(b"x-forwarded-for"))
        if (refusal := receiver.refusal(token, source)) is not None:
            raise RefusedError(refusal)
        request.source, request.token = source, token
        request.limit = MAX_BODY_BYTES

    def _too_large(self, request: Request) -> Answer:
        if request.source is not None and self._receiver is not None:
            return self._receiver.too_large(request.source)
        return Answer(413, "the body is too large")


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Return path, decoded, and query of a request's target, also when it names the host."""
    if not target.startswith(b"/"):
        target = _ORIGIN.sub(b"", target, count=1)
    path, _, query = target.partition(b"#")[0].partition(b"?")
    return unquote_to_bytes(path) if b"%" in path else path, query


def postback_token(target: bytes) -> str | None:
    """Return the token when the target is the receiver's, else None."""
    path, _ = split_target(target)
    token = path[len(_POSTBACKS) :].removesuffix(b"/")
    if not path.startswith(_POSTBACKS) or not token or b"/" in token:
        return None
    return token.decode("utf-8", "replace")


def _has_body(request: Request) -> bool:
    fields = dict(request.fields)
    return b"transfer-encoding" in fields or int(fields.get(b"content-length", b"0")) > 0


def _head_of_body(request: Request) -> bytes:
    """Return a head that makes a fresh parser read the body of `request`."""
    length = dict(request.fields).get(b"content-length")
    framing = b"Content-Length: " + length if length else b"Transfer-Encoding: chunked"
    return b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n"
