"""One client of the web part: requests are answered in their order, and the goodbye is polite.

All of this runs on the event loop and never waits. Postbacks go to the receiver from here, every
other request to a thread that runs the application.
"""

import asyncio
import fcntl
import json
import logging
import socket
import struct
import termios
from array import array
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from threading import get_ident
from typing import TYPE_CHECKING, Final, cast

from tracker.domain.headers import kept

from .reading import Reader, Request
from .receiver import Answer
from .wsgi import Exchange

if TYPE_CHECKING:
    from .serving import Line, Server

PIECE_BYTES: Final = 16_384  # parsed at once; bounds how many requests one read can queue
LOOP_BODY_BYTES: Final = 16_384  # a larger postback is for a thread; real ones have 2 kB
SEND_AHEAD_BYTES: Final = 262_144  # the application is this far ahead of a client before it waits

TAKEN_BYTES: Final = 16_384  # at least, until the next look

STATUS_LINES: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
CONTINUE: Final = STATUS_LINES[100] + b"\r\n"
BUSY: Final = (
    STATUS_LINES[503] + b"Retry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
API: Final = b"/api/"
_FIELDS: Final = b"X-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n"
_TEXT: Final = b"Content-Type: text/plain; charset=utf-8\r\n" + _FIELDS
_PROBLEM: Final = b"Content-Type: application/problem+json\r\n" + _FIELDS

log = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """One client."""

    __slots__ = (
        "_answering", "_exchange", "_has_unread", "_held", "_is_feeding", "_is_half_closed",
        "_is_over", "_is_paused", "_reader", "_server", "_taken", "_transport", "_waiting",
        "_written", "line", "peer",
    )  # fmt: skip

    def __init__(self, server: "Server") -> None:
        self._server = server
        self.line: Line | None = None  # where it waits for something, until a deadline
        self._answering: Request | None = None
        self._exchange: Exchange | None = None
        self._waiting: deque[Request] = deque()  # read, and their turn has not come
        self._held = b""  # come, and not parsed while requests wait
        self._is_feeding = False  # what came is being parsed; more requests may be in it
        self._is_over = False  # nothing more is read
        self._has_unread = False  # the client may be sending what nobody reads
        self._is_half_closed = False  # the client sends no more
        self._is_paused = False  # the client takes its answer slowly
        self._written = self._taken = 0

    # The client comes, speaks and goes.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        self.peer: tuple[str, int] = address[:2] if isinstance(address, tuple) else ("", 0)
        self._reader = Reader(
            self._server.limits, self._server.receiver, self.peer[0], self._arrived
        )
        self._server.admit(self)

    @property
    def local(self) -> tuple[str, int]:
        """Return the address that the client asked."""
        address = self._transport.get_extra_info("sockname")
        return address[:2] if isinstance(address, tuple) else ("localhost", 0)

    def data_received(self, data: bytes) -> None:
        """Read on, unless requests wait; then what comes is held, and the client with it."""
        if self._is_over:
            self._has_unread = True
        elif self._waiting or self._held:
            self._held += data
        else:
            self._feed(data)

    def eof_received(self) -> bool:
        """Answer what was asked: the client says no more, and may still listen."""
        self._is_half_closed = True
        if self._reader.request is not None and not self._is_over:
            self._refuse(self._reader.broken_off())
        self._is_over = True
        return self._answering is not None or bool(self._waiting)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the client. What is being worked on for it is still done."""
        self._is_over = True
        self._answering = None
        self._waiting.clear()
        self._reader.close()
        self._server.forget(self)
        if self._exchange is not None:
            self._exchange.give_up()

    # Requests come.

    def _feed(self, data: bytes) -> None:
        self._is_feeding = True
        for start in range(0, len(data), PIECE_BYTES):
            refusal = self._reader.feed(data[start : start + PIECE_BYTES])
            if self._is_over:  # the last request is in; nobody asked for what follows
                self._has_unread = refusal is not None or start + PIECE_BYTES < len(data)
                break
            if refusal is not None:
                self._refuse(refusal)
                break
            if self._waiting:
                self._held = data[start + PIECE_BYTES :]
                self._transport.pause_reading()
                break
        self._is_feeding = False
        if self._is_free() and not (self._waiting or self._is_over):
            self._wait_for_more()

    def _refuse(self, answer: Answer) -> None:
        """Read no further, and give this answer when those before it are given."""
        request = self._reader.request or Request()
        request.answer, request.is_persistent = answer, False
        reason = {"status": answer.status, "reason": answer.line, "source": self.peer[0]}
        log.info("request refused", extra=reason)
        self._has_unread = True
        self._arrived(request)

    def _arrived(self, request: Request) -> None:
        self._is_over = not request.is_persistent
        if self._waiting or not self._is_free():
            self._waiting.append(request)
        else:
            self._answer(request)

    def _is_free(self) -> bool:
        """Say whether the next request may be answered: the client has taken the last answer."""
        return self._answering is None and not self._is_paused

    def _go_on(self) -> None:
        """Go on with what came while an answer was on its way."""
        if self._waiting and self._is_free():
            self._answer(self._waiting.popleft())
        if not self._waiting and not self._is_over:
            data, self._held = self._held, b""
            self._transport.resume_reading()
            self._feed(data)

    def _wait_for_more(self) -> None:
        """Wait for the rest of a request, or for the next one."""
        server, request = self._server, self._reader.request
        if request is not None:
            if request.expects:
                request.expects = False
                self._transport.write(CONTINUE)
            line = server.uploading if request.is_file else server.reading
            if self.line is not line:
                self.stand_in(line)
        elif server.is_stopping and self.line is not server.fresh:
            self._leave()
        elif self.line is None:
            self.stand_in(server.kept)

    # Answers go.

    def _answer(self, request: Request) -> None:
        self._answering = request
        self._server.begun += 1
        self.stand_in(None)
        if request.answer is not None:
            self._reply(request, request.answer)
        elif request.source is None:
            self._transport.set_write_buffer_limits(SEND_AHEAD_BYTES)
            self._exchange = self._server.run(self, request)
        elif len(request.body) > LOOP_BODY_BYTES:
            self._server.in_thread(self._take, request, request.source)
        else:
            self._take(request, request.source)

    def _take(self, request: Request, source: str) -> None:
        """Hand a postback to the receiver, here or in a thread."""
        receiver = self._server.receiver
        assert receiver is not None  # noqa: S101  # it has let the request in
        headers = kept(request.fields, request.token)

        def done(answer: Answer) -> None:
            if get_ident() == self._server.thread:
                self._reply(request, answer)
            else:
                self._server.loop.call_soon_threadsafe(self._reply, request, answer)

        try:
            content_type = request.field(b"content-type")
            receiver.take(bytes(request.body), content_type, headers, source, done)
        except Exception:
            log.exception("postback not stored")
            done(Answer(503, "not stored; send it again"))

    def _reply(self, request: Request, answer: Answer) -> None:
        """Answer with one line of text, unless the client is gone."""
        if self._answering is not request:
            return
        if request.target.startswith(API):
            kind, text = _PROBLEM, _problem(answer)
        else:
            kind, text = _TEXT, answer.line.encode("utf-8", "replace") + b"\n"
        head = STATUS_LINES[answer.status] + kind % len(text)
        self._transport.write(head + self._last_fields(request) + text)
        self._finish()

    def send(self, exchange: Exchange, head: bytes, data: bytes, *, is_end: bool) -> None:
        """Send a part of what the application answers; the first one brings a head."""
        if self._exchange is not exchange or self._answering is None:
            return
        if head:
            data = head + self._last_fields(self._answering) + data
        self._written += len(data)
        self._transport.write(data)
        if is_end:
            self._exchange = None
            self._finish()
        elif not self._is_paused:
            exchange.go_on()

    def break_off(self, exchange: Exchange) -> None:
        """End an answer that has begun in a way that no client takes for its end: by a reset."""
        if self._exchange is exchange and self._answering is not None:
            at_once = struct.pack("ii", 1, 0)
            connected = self._transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            self._transport.abort()

    def _last_fields(self, request: Request) -> bytes:
        """Return the end of a head, which says whether the connection stays open."""
        server = self._server
        has_more = self._is_feeding or self._held or self._waiting or self._reader.request
        is_at_its_end = server.is_stopping and not has_more
        if not self._is_over and (is_at_its_end or not request.is_persistent):
            # This is our wish, not the client's, and its next request may be on its way.
            self._is_over = self._has_unread = True
            self._waiting.clear()
        if self._is_over and not self._waiting:
            return server.date + b"Connection: close\r\n\r\n"
        if request.version == "1.0":
            return server.date + b"Connection: keep-alive\r\n\r\n"
        return server.date + b"\r\n"

    def _finish(self) -> None:
        self._answering = None
        if self._waiting or (self._held and not self._is_over):
            self._server.loop.call_soon(self._go_on)
        elif self._is_over:
            self._leave()
        elif not (self._is_feeding or self._is_paused):
            self._wait_for_more()

    # Deadlines and goodbyes.

    def stand_in(self, line: "Line | None") -> None:
        """Wait in `line`, and in no other, from now on."""
        if self.line is not None:
            self.line.discard(self)
        self.line = line
        if line is not None:
            line.add(self, self._server.loop.time())

    def pause_writing(self) -> None:
        """Let the application wait until the client has taken some of its answer."""
        self._is_paused = True
        self._wait_until_taken()

    def resume_writing(self) -> None:
        """Let the application go on, or the client with its next request."""
        self._is_paused = False
        if self._exchange is not None:
            self.stand_in(None)
            self._exchange.go_on()
        elif self._waiting or not self._is_over:
            self.stand_in(None)
            self._server.loop.call_soon(self._go_on)

    def time_out(self) -> None:
        """Answer a request that does not come to its end."""
        self._refuse(Answer(408, "the request took too long"))

    def close(self) -> None:
        """Close when all is sent."""
        self._is_over = True
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._wait_until_taken()
        else:
            self.stand_in(None)

    def abort(self) -> None:
        """Close at once."""
        self.stand_in(None)
        self._transport.abort()

    def look_whether_taken(self) -> None:
        """Break off when the client has taken next to nothing since the last look."""
        if self._count_taken() - self._taken < TAKEN_BYTES:
            self.abort()
        else:
            self._wait_until_taken()

    def turn_away(self) -> None:
        """Say that there is no room."""
        self._is_over = self._has_unread = True
        self._transport.write(BUSY)
        self._leave()

    def _wait_until_taken(self) -> None:
        self._taken = self._count_taken()
        self.stand_in(self._server.writing)

    def _count_taken(self) -> int:
        """Return how many bytes of its answers the client has, as far as the system knows."""
        unsent = array("i", [0])
        with suppress(OSError):
            fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, unsent)
        return self._written - self._transport.get_write_buffer_size() - unsent[0]

    def _leave(self) -> None:
        """Close; gently while the client may still be sending.

        A reset would take the answer away from it, so it gets our end and we read on for a moment.
        """
        if not self._has_unread or self._is_half_closed:
            self.close()
            return
        self._transport.resume_reading()
        self._transport.write_eof()
        self.stand_in(self._server.leaving)


def _problem(answer: Answer) -> bytes:
    """Return what the API answers when its views are not asked. Source: RFC 9457."""
    title = HTTPStatus(answer.status).phrase
    told = {"type": "about:blank", "title": title, "status": answer.status, "detail": answer.line}
    return json.dumps(told).encode() + b"\n"
