"""HTTP for the sandbox on one event loop: calls wait there for their answers, without threads.

A client under trial keeps hundreds of calls open, each waiting for an answer that is late on
purpose. Calls are judged on the loop; the pages, which are few, run in a handful of threads.
"""

import asyncio
import logging
import socket
import struct
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import Final, cast

import httptools
from flask import Flask
from werkzeug.test import create_environ, run_wsgi_app

from tracker.protocol.transport import MAX_BODY_BYTES

from .calls import PATHS, Received, Reply, respond
from .gateway import Gateway

BACKLOG: Final = 1024
MAX_CLIENTS: Final = 2048  # a further one is turned away
IDLE_SECONDS: Final = 90.0
PAGE_THREADS: Final = 4
_SWEEP_SECONDS: Final = 5.0
_HEAD_BYTES: Final = 32_768
_WHOLE_BYTES: Final = 16 * MAX_BODY_BYTES  # read and thrown away, to answer that it is too much
_DRIPS: Final = 20  # pieces of an answer that drips
_AT_ONCE: Final = struct.pack("ii", 1, 0)
_HELD_REQUESTS: Final = 64  # sent ahead by one client

_LOG: Final = logging.getLogger(__name__)
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_CALL_PATHS: Final = frozenset(path.encode("ascii") for path in PATHS)


class Request:
    """One request while it is read and until it is answered."""

    __slots__ = (
        "body", "head_bytes", "headers", "is_persistent", "is_too_large", "method", "read",
        "reply_is_due", "target",
    )  # fmt: skip

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.headers: list[tuple[str, str]] = []  # names in lower case
        self.body = bytearray()
        self.head_bytes = 0
        self.read = 0  # bytes of head and body
        self.is_too_large = False
        self.is_persistent = False
        self.reply_is_due = False

    def header(self, name: str) -> str | None:
        """Return the first header of this name in lower case."""
        return next((value for known, value in self.headers if known == name), None)


class Server:
    """All clients of one sandbox."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: Flask, gateway: Gateway) -> None:
        self.loop = loop
        self.app = app
        self.gateway = gateway
        self.clients: set[Client] = set()
        self.threads = ThreadPoolExecutor(PAGE_THREADS, thread_name_prefix="sandbox-page")

    async def listen(self, bound: socket.socket) -> None:
        """Take clients from now on."""
        self._listener = await self.loop.create_server(
            lambda: Client(self), sock=bound, backlog=BACKLOG
        )
        self._sweep()

    async def close(self) -> None:
        """Hang up on everyone, and post nothing more."""
        self._listener.close()
        await self.gateway.postman.close()
        for client in list(self.clients):
            client.hang_up()
        self.threads.shutdown(wait=False, cancel_futures=True)

    def _sweep(self) -> None:
        """Hang up on clients that have been silent for too long."""
        oldest = self.loop.time() - IDLE_SECONDS
        for client in [client for client in self.clients if client.idle_since < oldest]:
            client.hang_up()
        self.loop.call_later(_SWEEP_SECONDS, self._sweep)


class Client(asyncio.Protocol):
    """One connection: its requests are answered one after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._waiting: deque[Request] = deque()
        self._answering: Request | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.idle_since = server.loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in while there is room."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.clients.add(self)
        if len(self._server.clients) > MAX_CLIENTS:
            self._refuse(Reply(status=503, content_type="text/plain", body=b"too many clients\n"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the client; what it asked for has been done all the same."""
        self._server.clients.discard(self)
        self._waiting.clear()
        self._answering = None
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self.idle_since = self._server.loop.time()
        self._request.read += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.hang_up()
        except httptools.HttpParserError:
            self._refuse(Reply(status=400, content_type="text/plain", body=b"not HTTP\n"))
        if self._request.read > _WHOLE_BYTES or len(self._waiting) > _HELD_REQUESTS:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection."""
        self._transport.close()

    # What the parser says.

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._request.target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        self._request.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))
        self._count_head(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        """Let a client go on that waits for a word before it sends its body."""
        request = self._request
        request.method = self._parser.get_method().decode("ascii")
        request.is_persistent = self._parser.should_keep_alive()
        if (request.header("expect") or "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Keep the body up to its limit."""
        request = self._request
        request.is_too_large |= len(request.body) + len(body) > MAX_BODY_BYTES
        if not request.is_too_large:
            request.body += body

    def on_message_complete(self) -> None:
        """Answer, or remember what was asked ahead of time."""
        request, self._request = self._request, Request()
        if self._answering is None:
            self._begin(request)
        else:
            self._waiting.append(request)

    def _count_head(self, added: int) -> None:
        self._request.head_bytes += added
        if self._request.head_bytes > _HEAD_BYTES:
            raise httptools.HttpParserError("too large a head")

    # Answers.

    def _begin(self, request: Request) -> None:
        self._answering = request
        self.idle_since = float("inf")  # it waits for us
        path, _, query = request.target.partition(b"?")
        if path in _CALL_PATHS and request.method in ("GET", "POST"):
            self._answer_call(request, query)
        elif request.is_too_large:
            self._reply(request, Reply(status=413, content_type="text/plain"))
        else:
            self._server.threads.submit(self._answer_page, request)

    def _answer_call(self, request: Request, query: bytes) -> None:
        received = Received(
            method=request.method,
            query=query,
            body=None if request.is_too_large else bytes(request.body),
            content_type=request.header("content-type"),
        )
        gateway, loop = self._server.gateway, self._server.loop
        try:
            answer, reply = respond(gateway, received)
        except Exception:  # noqa: BLE001  # it is logged, and the sandbox goes on
            _LOG.exception("Call failed")
            self._reply(request, Reply(status=500, content_type="text/plain"))
            return
        if answer.first:
            # Whichever comes sooner; the other one finds the request answered.
            loop.call_later(gateway.options.receiver_seconds, self._answer_later, request, reply)
            # Postbacks are tried on the loop, and so is this.
            answer.first(partial(self._answer_later, request, reply))
        else:
            self._answer_later(request, reply)
        if answer.follow_up:  # once the answer is on its way, or lost
            wait = reply.wait_seconds if answer.fault == "normal" else 0.0
            loop.call_later(wait, answer.follow_up)

    def _answer_later(self, request: Request, reply: Reply) -> None:
        if self._answering is not request or request.reply_is_due:
            return
        request.reply_is_due = True
        if reply.wait_seconds > 0:
            loop = self._server.loop
            self._timer = loop.call_later(reply.wait_seconds, self._reply, request, reply)
        else:
            self._reply(request, reply)

    def _reply(self, request: Request, reply: Reply) -> None:
        if self._answering is not request:
            return
        if reply.how == "reset":
            connected = self._transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self._transport.abort()
        elif reply.how == "close":
            self.hang_up()
        elif reply.how == "cut":
            self._transport.write(_whole(reply, is_persistent=False)[: -len(reply.body) // 2])
            self.hang_up()
        elif reply.how == "drip":
            whole = _whole(reply, is_persistent=request.is_persistent)
            self._drip(request, reply, whole, reply.drip_seconds / _DRIPS)
        else:
            self._transport.write(_whole(reply, is_persistent=request.is_persistent))
            self._finish(request)

    def _drip(self, request: Request, reply: Reply, rest: bytes, pause: float) -> None:
        """Send some of an answer, and the rest in a while."""
        if self._answering is not request:
            return
        size = -(-len(_whole(reply, is_persistent=request.is_persistent)) // _DRIPS)
        self._transport.write(rest[:size])
        if rest := rest[size:]:
            self._timer = self._server.loop.call_later(
                pause, self._drip, request, reply, rest, pause
            )
        else:
            self._finish(request)

    def _answer_page(self, request: Request) -> None:
        """Run the pages' application, in a thread."""
        try:
            status, headers, body = _page(self._server.app, request)
        except Exception:  # noqa: BLE001  # it is logged, and the sandbox goes on
            _LOG.exception("Page failed")
            status, headers, body = "500 Internal Server Error", [], b""
        self._server.loop.call_soon_threadsafe(self._send_page, request, status, headers, body)

    def _send_page(
        self, request: Request, status: str, headers: list[tuple[str, str]], body: bytes
    ) -> None:
        if self._answering is not request:
            return
        lines = [f"{name}: {value}" for name, value in headers if name.lower() != "content-length"]
        head = _head(status, lines, len(body), is_persistent=request.is_persistent)
        self._transport.write(head if request.method == "HEAD" else head + body)
        self._finish(request)

    def _refuse(self, reply: Reply) -> None:
        self._transport.write(_whole(reply, is_persistent=False))
        self.hang_up()

    def _finish(self, request: Request) -> None:
        self._answering = None
        self.idle_since = self._server.loop.time()
        if not request.is_persistent:
            self.hang_up()
            self._waiting.clear()
        elif self._waiting:
            self._begin(self._waiting.popleft())


def _whole(reply: Reply, *, is_persistent: bool) -> bytes:
    status = f"{reply.status} {_PHRASES.get(reply.status, '')}"
    lines = [f"Content-Type: {reply.content_type}"]
    return _head(status, lines, len(reply.body), is_persistent=is_persistent) + reply.body


def _head(status: str, lines: list[str], length: int, *, is_persistent: bool) -> bytes:
    connection = "keep-alive" if is_persistent else "close"
    head = [f"HTTP/1.1 {status}", *lines, f"Content-Length: {length}", f"Connection: {connection}"]
    return "\r\n".join([*head, "", ""]).encode("latin-1", "replace")


def _page(app: Flask, request: Request) -> tuple[str, list[tuple[str, str]], bytes]:
    path, _, query = request.target.partition(b"?")
    environ = create_environ(
        path=path.decode("latin-1"),
        query_string=query.decode("latin-1"),
        method=request.method,
        headers=request.headers,
        input_stream=BytesIO(request.body),
        content_length=len(request.body),
    )
    environ["HTTP_HOST"] = request.header("host") or ""  # as it came: the pages judge it
    chunks, status, headers = run_wsgi_app(app, environ, buffered=True)
    return status, list(headers), b"".join(chunks)
