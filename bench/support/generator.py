"""The load: asks a server on the loopback, and says what came of it. A process of its own.

A job comes as JSON on stdin, a result goes as JSON to stdout. It works on bare sockets and one
epoll, since it shares the processors with the server that it measures; Linux alone.

closed loop   so many connections ask again as soon as they are answered, for some seconds
open loop     requests leave at a fixed rate, whatever the server does; a time counts from when
              the request was due, so that a server that stalls is not asked less often
"""

import gc
import json
import math
import re
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from postbacks import BASE, template

PATIENCE_SECONDS = 15  # for the last answers; the gateway gives up after 10
MOST_OPEN = 1000
NO_ANSWER = 0
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_clock = time.perf_counter


class Client:
    """Requests under way, the answers so far, and how long they took."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.address = ("127.0.0.1", job["port"])
        self.template = template(job["path"], keep_alive=job["keep_alive"])
        self.next_id, self.last_id = job["first"], job["first"] + job["limit"]
        self.epoll = select.epoll()
        self.under_way: dict[int, tuple[socket.socket, float]] = {}
        self.received: dict[int, bytes] = {}  # of answers that came in parts
        self.statuses: Counter[int] = Counter()
        self.times: list[float] = []

    @property
    def has_more(self) -> bool:
        return self.next_id < self.last_id

    def start(self, due: float, kept: socket.socket | None = None) -> None:
        """Send the next request, on a kept connection or a new one."""
        client = kept or self._connected()
        self.under_way[client.fileno()] = (client, due)
        request = self.template % {b"number": BASE + self.next_id}
        self.next_id += 1
        try:
            client.send(request)
        except BlockingIOError:  # the server's queue of new connections is full
            client.settimeout(PATIENCE_SECONDS)
            client.send(request)
        except OSError:
            self._end(client.fileno(), NO_ANSWER)

    def finished(self, timeout: float) -> Iterator[socket.socket]:
        """Wait for events, and yield the connections on which an answer is complete."""
        if timeout < 1:  # epoll itself counts in whole milliseconds
            select.select([self.epoll], [], [], timeout)
            timeout = 0
        for descriptor, _ in self.epoll.poll(timeout):
            if self._receive(descriptor):
                yield self.under_way.pop(descriptor)[0]

    def give_up(self) -> None:
        """Count what is still under way as not answered."""
        for descriptor in list(self.under_way):
            self._end(descriptor, NO_ANSWER)

    def _connected(self) -> socket.socket:
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        client.connect_ex(self.address)  # on the loopback it is done when it returns
        self.epoll.register(client.fileno(), select.EPOLLIN)
        return client

    def _receive(self, descriptor: int) -> bool:
        client, due = self.under_way[descriptor]
        try:
            data = client.recv(65536)
        except OSError:
            data = b""
        is_over = not data
        if descriptor in self.received:
            data = self.received.pop(descriptor) + data
        if not is_over and not _is_complete(data):
            self.received[descriptor] = data
            return False
        self.statuses[_status(data)] += 1
        self.times.append(_clock() - due)
        return True

    def _end(self, descriptor: int, status: int) -> None:
        self.under_way.pop(descriptor)[0].close()
        self.statuses[status] += 1


def _is_complete(data: bytes) -> bool:
    end = data.find(b"\r\n\r\n")
    length = _LENGTH.search(data, 0, end + 2) if end >= 0 else None
    return length is not None and len(data) >= end + 4 + int(length[1])


def _status(data: bytes) -> int:
    return int(data[9:12]) if data[:5] == b"HTTP/" and data[9:12].isdigit() else NO_ANSWER


def closed_loop(client: Client, job: dict[str, Any]) -> None:
    """Keep a number of connections busy for some seconds."""
    until = _clock() + job["seconds"]
    for _ in range(min(job["connections"], job["limit"])):
        client.start(_clock())
    while client.under_way and (now := _clock()) < until + PATIENCE_SECONDS:
        for connection in client.finished(1.0):
            goes_on = now < until and client.has_more
            if goes_on and job["keep_alive"]:
                client.start(_clock(), connection)
                continue
            connection.close()
            if goes_on:
                client.start(_clock())


def open_loop(client: Client, job: dict[str, Any]) -> None:
    """Send at a fixed rate for some seconds, each request on a new connection."""
    pause, started = 1 / job["rate"], _clock()
    last, sent = math.ceil(min(job["seconds"] * job["rate"], job["limit"])), 0
    deadline = started + job["seconds"] + PATIENCE_SECONDS
    while (sent < last or client.under_way) and (now := _clock()) < deadline:
        while sent < last and started + sent * pause <= now and len(client.under_way) < MOST_OPEN:
            client.start(started + sent * pause)
            sent += 1
        rest = started + sent * pause - _clock() if sent < last else 1.0
        for connection in client.finished(max(rest, 0.0)):
            connection.close()


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do a job and return what came of it; times in milliseconds."""
    client = Client(job)
    gc.disable()
    started, used = _clock(), time.process_time()
    (open_loop if job["rate"] else closed_loop)(client, job)
    seconds, used = _clock() - started, time.process_time() - used
    client.give_up()
    times = sorted(client.times) or [0.0]
    return {
        "sent": client.next_id - job["first"],
        "statuses": client.statuses,
        "seconds": seconds,
        "processor_seconds": used,
        "median_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[math.ceil(len(times) * 0.99) - 1],
    }


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
