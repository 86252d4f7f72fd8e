"""All clients of one worker process: who waits how long for what, and who has to make room."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from itertools import takewhile
from operator import itemgetter
from threading import get_ident
from typing import TYPE_CHECKING, Final

import uvloop

from .connection import Connection
from .reading import Limits, Request
from .wsgi import Application, Exchange

if TYPE_CHECKING:
    from .receiver import Receiver

READ_SECONDS: Final = 20.0  # for a whole request, or for the first; the gateway gives up after 10
UPLOAD_SECONDS: Final = 300.0  # for a request that may bring a large file
WRITE_SECONDS: Final = 30.0  # in which a client takes a reasonable part of its answer
LEAVE_SECONDS: Final = 3.0  # for a client to stop sending, when it has its answer already
LIVENESS: Final = b"/healthz"
STOP_SECONDS: Final = 1.0  # for a new client's first byte and an old one's goodbye, while we stop


class Line:
    """Connections that wait for the same thing, equally long: the first to come is first due."""

    def __init__(self, seconds: float, when_due: Callable[[Connection], None]) -> None:
        self.seconds = seconds
        self.when_due = when_due
        self._since: OrderedDict[Connection, float] = OrderedDict()

    def add(self, connection: Connection, now: float) -> None:
        """Let a connection wait, behind all others."""
        self._since[connection] = now

    def discard(self, connection: Connection) -> None:
        """Let a connection wait no more."""
        del self._since[connection]

    def first(self) -> tuple[float, Connection] | None:
        """Return who waits longest, and since when."""
        return next(((since, connection) for connection, since in self._since.items()), None)

    def due(self, now: float) -> list[Connection]:
        """Return all that have waited long enough."""
        waited = takewhile(lambda item: item[1] + self.seconds <= now, self._since.items())
        return [connection for connection, _ in waited]

    def all(self) -> list[Connection]:
        """Return all that wait."""
        return list(self._since)


class Server:
    """The clients, the threads, and what both need of each other."""

    def __init__(
        self,
        loop: uvloop.Loop,
        application: Application,
        receiver: "Receiver | None",
        limits: Limits,
    ) -> None:
        self.loop = loop
        self.thread = get_ident()
        self.receiver = receiver
        self.is_stopping = False
        self.begun = 0  # requests
        self.date = b""
        self._application = application
        self.limits = limits
        self._connections: set[Connection] = set()
        self._threads = ThreadPoolExecutor(limits.threads, "request")
        # Slow pages may fill the threads above; a large postback and whoever asks whether this
        # process lives do not wait for them.
        self._aside = ThreadPoolExecutor(1, "aside")
        self.fresh = Line(READ_SECONDS, Connection.close)
        self.kept = Line(limits.keep_alive_seconds, Connection.close)
        self.reading = Line(READ_SECONDS, Connection.time_out)
        self.uploading = Line(UPLOAD_SECONDS, Connection.time_out)
        self.writing = Line(WRITE_SECONDS, Connection.look_whether_taken)
        self.leaving = Line(LEAVE_SECONDS, Connection.close)
        self.look_round()

    def look_round(self) -> None:
        """End what takes too long; called every now and then."""
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        now = self.loop.time()
        lines = (
            self.fresh, self.kept, self.reading, self.uploading, self.writing, self.leaving,
        )  # fmt: skip
        for line in lines:
            for connection in line.due(now):
                line.when_due(connection)

    # Clients come and go.

    def admit(self, connection: Connection) -> None:
        """Let a client in, even if another has to go for it."""
        self._connections.add(connection)
        if len(self._connections) <= self.limits.connections or self._make_room():
            connection.stand_in(self.fresh)
        else:
            connection.turn_away()

    def forget(self, connection: Connection) -> None:
        """Take note that a client is gone."""
        connection.stand_in(None)
        self._connections.discard(connection)

    def _make_room(self) -> bool:
        """Drop who has idled longest, else who has its answer, else who speaks most slowly.

        A gateway says what it wants as soon as it is let in, so it is never the longest.
        """
        idle = [first for line in (self.fresh, self.kept) if (first := line.first())]
        found = (
            min(idle, key=itemgetter(0), default=None)
            or self.leaving.first()
            or self.reading.first()
            or self.uploading.first()
        )
        if found is not None:
            found[1].abort()
        return found is not None

    # Work for threads.

    def run(self, connection: Connection, request: Request) -> Exchange:
        """Let the application answer a request."""
        exchange = Exchange(self._application, request, connection, self.loop)
        threads = self._aside if request.target == LIVENESS else self._threads
        threads.submit(exchange.run)
        return exchange

    def in_thread(self, job: Callable[..., None], *arguments: object) -> None:
        """Do what would keep the loop for too long."""
        self._aside.submit(job, *arguments)

    # The end.

    def stop(self) -> None:
        """Keep no client for a next request."""
        self.is_stopping = True
        self.fresh.seconds = self.leaving.seconds = STOP_SECONDS
        for connection in self.kept.all():
            connection.close()

    def is_empty(self) -> bool:
        """Say whether all clients are gone."""
        return not self._connections

    def close(self) -> None:
        """Leave the clients that are still there, and the threads to themselves."""
        for connection in list(self._connections):
            connection.abort()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._aside.shutdown(wait=False)
