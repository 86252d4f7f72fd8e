"""One POST on a connection of its own, on the event loop: no proxy, no redirect, no repetition."""

import asyncio
import base64
import ssl
from typing import Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

import httptools

_ANSWER_BYTES: Final = 65536  # more of an answer is not read


async def post(url: str, body: bytes, content_type: str, seconds: float) -> int:
    """Post a body and return the status of the answer; connecting and all takes `seconds` at most.

    Raises:
        OSError: there was no answer, or none in time.
        ValueError: the URL is none, or what came back is no HTTP.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http address")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    asked = _request(parts, body, content_type)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds):
        transport, posted = await loop.create_connection(
            lambda: _Posted(loop, asked), parts.hostname, port, ssl=context
        )
        try:
            return await posted.status
        finally:
            transport.close()


def _request(parts: SplitResult, body: bytes, content_type: str) -> bytes:
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    host = parts.netloc.rpartition("@")[2]
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}", f"Content-Type: {content_type}"]
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        lines.append(f"Authorization: Basic {base64.b64encode(pair).decode('ascii')}")
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace") + body


class _Posted(asyncio.Protocol):
    """Waits for the answer; `status` is there when all of it has come, or as much as is read."""

    def __init__(self, loop: asyncio.AbstractEventLoop, asked: bytes) -> None:
        self.status: asyncio.Future[int] = loop.create_future()
        self._asked = asked
        self._parser = httptools.HttpResponseParser(self)
        self._told = 0
        self._read = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._asked)

    def data_received(self, data: bytes) -> None:
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(ValueError("no HTTP"))
        if self._read > _ANSWER_BYTES:
            self._end(ValueError("no status"))

    def on_headers_complete(self) -> None:
        self._told = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        if self._told >= 200:
            self._end(ConnectionResetError())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._end(ConnectionResetError())

    def _end(self, otherwise: Exception) -> None:
        if self.status.done():
            return
        if self._told >= 200:
            self.status.set_result(self._told)
        else:
            self.status.set_exception(otherwise)
