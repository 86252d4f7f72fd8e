"""One request through the application, in a thread: the WSGI side of the worker.

The body has come whole by now. The answer goes out part by part, and the thread waits while the
client is slow in taking it; the loop never does.

Source: PEP 3333.
"""

import io
import logging
import re
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable
from functools import partial
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from .reading import Request, split_target

if TYPE_CHECKING:
    from .connection import Connection

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Headers = list[tuple[str, str]]
ErrorInfo = tuple[type[BaseException], BaseException, TracebackType]

# What these let through cannot begin a line of its own.
_STATUS: Final = re.compile(r"[1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# The server's own to say, whatever the application thinks.
_OURS: Final = frozenset(
    (
        "connection", "date", "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
        "trailer", "transfer-encoding", "upgrade",
    )
)  # fmt: skip

log = logging.getLogger(__name__)


class ClientGoneError(OSError):
    """The client does not wait for its answer any more."""


class Exchange:
    """The application's answer to one request, on its way."""

    def __init__(
        self,
        application: Application,
        request: Request,
        connection: "Connection",
        loop: AbstractEventLoop,
    ) -> None:
        self._application = application
        self._request = request
        self._connection = connection
        self._addresses = connection.local, connection.peer
        self._loop = loop
        self._may_send = Event()
        self._may_send.set()
        self._is_gone = False
        self._status = ""
        self._headers: Headers = []
        self._has_begun = self._has_ended = False
        self._has_one_part = False
        self._is_bodiless = request.method == b"HEAD"
        self._is_chunked = False
        self._left: int | None = None  # of the announced length

    # Called on the loop.

    def go_on(self) -> None:
        """Let the thread send the next part."""
        self._may_send.set()

    def give_up(self) -> None:
        """Let the thread find that nobody listens."""
        self._is_gone = True
        self._may_send.set()

    # Called in the thread.

    def run(self) -> None:
        """Answer the request; whatever goes wrong, the client gets an answer or an end."""
        if self._is_gone:
            return
        try:
            self._call()
        except ClientGoneError:
            pass
        except BaseException:
            log.exception("request failed")
            self._fail()

    def _call(self) -> None:
        environ = environ_of(self._request, *self._addresses)
        parts = self._application(environ, self._start_response)
        try:
            self._has_one_part = isinstance(parts, list | tuple) and len(parts) == 1
            for part in parts:
                self._write(part)
            self._end()
        finally:
            if hasattr(parts, "close"):
                parts.close()

    def _start_response(
        self, status: str, headers: Headers, exc_info: ErrorInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None and self._has_begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._status:
            raise AssertionError("start_response was called before")
        if not _STATUS.fullmatch(status):
            raise ValueError(f"not a status: {status!r}")
        for name, value in headers:
            if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
                raise ValueError(f"not a header field: {name!r}")
        self._status, self._headers = status, list(headers)
        return self._write

    def _write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"a part of the answer is not bytes: {type(data).__name__}")
        if not data or self._has_ended:
            return
        head = b"" if self._has_begun else self._head(len(data) if self._has_one_part else None)
        if self._is_bodiless:
            data = b""
        elif self._is_chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        elif self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        self._send(head, data, is_end=self._left == 0 and not self._is_bodiless)

    def _end(self) -> None:
        if self._has_ended:
            return
        head = b"" if self._has_begun else self._head(0)
        if self._left and not self._is_bodiless:
            raise ValueError(f"the answer is {self._left} bytes shorter than announced")
        self._send(head, b"0\r\n\r\n" if self._is_chunked else b"", is_end=True)

    def _head(self, length: int | None) -> bytes:
        """Return the head, all but what the connection adds; `length` if the body has but that."""
        if not self._status:
            raise AssertionError("start_response was not called")
        self._has_begun = True
        code = int(self._status[:3])
        is_head = self._is_bodiless
        self._is_bodiless = is_head or code in (204, 304) or code < 200
        given = {name.lower(): value for name, value in self._headers}
        lines = [f"{name}: {value}" for name, value in self._headers if name.lower() not in _OURS]
        if "content-length" in given:
            self._left = int(given["content-length"])
        elif length is not None and (length or not is_head) and code not in (204, 304):
            lines.append(f"Content-Length: {length}")
            self._left = length
        elif not self._is_bodiless and self._request.version == "1.1":
            lines.append("Transfer-Encoding: chunked")
            self._is_chunked = True
        elif not self._is_bodiless:
            self._request.is_persistent = False  # its end is the end of the connection
        if given.get("connection", "").lower() == "close":
            self._request.is_persistent = False
        return "\r\n".join([f"HTTP/1.1 {self._status}", *lines, ""]).encode("latin-1")

    def _send(self, head: bytes, data: bytes, *, is_end: bool) -> None:
        self._has_ended = is_end
        self._may_send.wait()  # for a client that takes nothing, the loop breaks off
        self._may_send.clear()
        if self._is_gone:
            raise ClientGoneError
        send = partial(self._connection.send, self, head, data, is_end=is_end)
        self._loop.call_soon_threadsafe(send)

    def _fail(self) -> None:
        if self._has_begun:
            self._loop.call_soon_threadsafe(self._connection.break_off, self)
            return
        text = b"internal error\n"
        self._status = "500 Internal Server Error"
        self._headers = [("Content-Type", "text/plain; charset=utf-8")]
        try:
            head = self._head(len(text))
            self._send(head, b"" if self._is_bodiless else text, is_end=True)
        except ClientGoneError:
            pass


def environ_of(request: Request, local: tuple[str, int], peer: tuple[str, int]) -> dict[str, Any]:
    """Return what the application learns of a request."""
    path, query = split_target(request.target)
    environ = {
        "REQUEST_METHOD": request.method.decode("latin-1"),
        "SCRIPT_NAME": "",
        "PATH_INFO": path.decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "RAW_URI": request.target.decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "SERVER_NAME": local[0],
        "SERVER_PORT": str(local[1]),
        "REMOTE_ADDR": peer[0],
        "REMOTE_PORT": str(peer[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": request.spill.opened() if request.spill else io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,  # gunicorn may have other workers, or will
        "wsgi.run_once": False,
    }
    if request.spill or request.body or request.field(b"content-length"):
        size = request.spill.size if request.spill else len(request.body)
        environ["CONTENT_LENGTH"] = str(size)
    _add_fields(environ, request)
    return environ


def _add_fields(environ: dict[str, Any], request: Request) -> None:
    for name, value in request.fields:
        if b"_" in name or name in (b"content-length", b"transfer-encoding"):
            continue  # X_Y would be taken for X-Y; the length is that of what has come
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        text = value.decode("latin-1")
        joint = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{joint}{text}" if key in environ else text
