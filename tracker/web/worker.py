"""The gunicorn worker of the web part: a thread gets a request only when it has arrived.

gthread waits for requests in its threads, and for a goodbye in its only loop. A few clients
that say nothing, or say it slowly, then keep every postback waiting: 200 idle connections for a
minute, 16 half requests for ever. Here the loop does the waiting, for any number of connections.
"""

import errno
import re
import selectors
import socket
import struct
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Final

from gunicorn.config import Config
from gunicorn.errors import ConfigError
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from tracker.protocol.transport import MAX_BODY_BYTES

READ_SECONDS: Final = 20.0  # for a whole request; the gateway gives up after 10
WRITE_SECONDS: Final = 30  # without a byte of an answer taken
LEAVE_SECONDS: Final = 2.0  # for the other side to close too
WAITING_BYTES: Final = 65_536  # a larger request is read by a thread; real postbacks have 2 kB

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked", re.IGNORECASE)
_EXPECT: Final = re.compile(rb"\r\nexpect:", re.IGNORECASE)


class Connection(TConn):  # type: ignore[misc]  # gunicorn is not typed
    """One connection, and what has come of its next request."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.received = bytearray()
        self.timeout = 0.0


class Worker(ThreadWorker):  # type: ignore[misc]
    """gthread with a loop that reads requests, ends what takes too long, and never waits."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._handled: dict[Connection, float] = {}  # in a thread; until when it may read
        self._leaving: deque[Connection] = deque()

    @classmethod
    def check_config(cls, cfg: Config, log: object) -> None:
        """Refuse what the loop cannot read."""
        super().check_config(cfg, log)
        if cfg.is_ssl:
            raise ConfigError("TLS is the work of the proxy in front; set no certfile or keyfile")

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, and wait for its first request."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return
        self.nr_conns += 1
        patience = struct.pack("ll", WRITE_SECONDS, 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        self._wait(Connection(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Wait for the next request of a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._wait(conn)

    def on_pending_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """Take what has come, and go on when the request is there or its sender gone."""
        data = _received(client)
        if data is None:
            return
        conn.received += data
        if data and not is_ready(conn.received):
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if conn.received:
            self._hand_over(conn)
        else:
            self._close(conn)

    def enqueue_req(self, conn: Connection) -> None:
        """Go on with a connection whose next request came along with the last one."""
        conn.received += conn.parser.unreader.take_buffered()
        if is_ready(conn.received):
            self._hand_over(conn)
        else:
            self._wait(conn)

    def handle(self, conn: Connection) -> object:
        """Answer one request; runs in a thread."""
        received, conn.received = bytes(conn.received), bytearray()
        conn.data_ready = True
        conn.init()
        conn.parser.unreader.unread(received)
        return super().handle(conn)

    def finish_request(self, conn: Connection, fs: "Future[object]") -> None:
        """Keep the connection, or take leave of it."""
        self._handled.pop(conn, None)
        if not fs.cancelled() and fs.exception() is None and fs.result():
            super().finish_request(conn, fs)
        else:
            self._leave(conn)

    def murder_pending(self) -> None:
        """End what takes too long."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [conn for conn, until in self._handled.items() if until < now]:
            self._handled[conn] = float("inf")
            _shut(conn.sock, socket.SHUT_RD)  # its thread reads on, and finds the end
        while self._leaving and self._leaving[0].timeout < now:
            conn = self._leaving.popleft()
            self.poller.unregister(conn.sock)
            self._close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _keepalive_after(self, conn: Connection, keepalive: object) -> bool:
        # gthread gives a body that nobody read five seconds of a thread to arrive.
        return bool(keepalive and conn.parser.finish_body(deadline=time.monotonic() + 0.1))

    def _wait(self, conn: Connection) -> None:
        conn.sock.setblocking(False)  # noqa: FBT003
        conn.timeout = time.monotonic() + (READ_SECONDS if self.alive else STOP_KEEPALIVE_LINGER)
        self.pending_conns.append(conn)
        then = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, then)

    def _hand_over(self, conn: Connection) -> None:
        self._handled[conn] = time.monotonic() + READ_SECONDS
        conn.sock.setblocking(True)  # noqa: FBT003
        super().enqueue_req(conn)

    def _leave(self, conn: Connection) -> None:
        """Close our side, and read on for a moment: a reset could take the answer away."""
        if not _shut(conn.sock, socket.SHUT_WR):
            self._close(conn)
            return
        conn.sock.setblocking(False)  # noqa: FBT003
        conn.timeout = time.monotonic() + LEAVE_SECONDS
        self._leaving.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_leaving, conn))

    def _on_leaving(self, conn: Connection, client: socket.socket) -> None:
        if _received(client) == b"":
            self.poller.unregister(client)
            self._leaving.remove(conn)
            self._close(conn)

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()


def _received(client: socket.socket) -> bytes | None:
    """Return what has come, empty at the end; None when it was nothing yet."""
    try:
        return client.recv(WAITING_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _shut(client: socket.socket, how: int) -> bool:
    """Close one direction; False when the connection is gone."""
    try:
        client.shutdown(how)
    except OSError:
        return False
    return True


def is_ready(data: bytearray) -> bool:
    """Say whether a thread may have what came: a request, or as much of one as it takes to begin.

    gunicorn decides what it is; whatever looks odd is ready, for it to refuse.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return len(data) >= WAITING_BYTES
    head = bytes(data[: end + 2])
    if len(data) >= WAITING_BYTES or _EXPECT.search(head):
        return True
    if _CHUNKED.search(head):
        return _has_last_chunk(data, end + 4)
    length = _LENGTH.search(head)
    body = int(length[1]) if length else 0
    return body > MAX_BODY_BYTES or len(data) >= end + 4 + body


def _has_last_chunk(data: bytearray, position: int) -> bool:
    while (end := data.find(b"\r\n", position)) >= 0:
        try:
            size = int(data[position:end].partition(b";")[0], 16)
        except ValueError:
            return True
        if size <= 0:
            return data.find(b"\r\n\r\n", end) >= 0
        position = end + 2 + size + 2
    return False
