"""The gunicorn worker of the web part: an event loop that takes postbacks by itself.

gunicorn's own workers keep a thread while a request comes and while an answer goes. A few clients
that say nothing, or say it slowly, then keep every postback waiting. Here the loop does all the
waiting, for any number of clients, and a thread gets a request only when it has come whole and is
for the application. gunicorn forks, watches and stops the processes as ever.

    worker      the process: its listening sockets, its signals, its end
    serving     all clients: deadlines, and who has to make room
    connection  one client: answers in order, a polite goodbye
    reading     one client's requests: grammar and limits
    wsgi        one request's way through the application
"""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from functools import partial
from typing import Final

import uvloop
from gunicorn.config import Config
from gunicorn.errors import ConfigError
from gunicorn.workers.base import Worker as BaseWorker

from .connection import Connection
from .dropin import DROP_IN
from .reading import Limits
from .receiver import RECEIVER, Receiver
from .serving import Server

TICK_SECONDS: Final = 0.5  # from one look at the deadlines to the next
ARRIVAL_SECONDS: Final = 0.1  # to read what has arrived, before idle clients are left
QUICK_SECONDS: Final = 1.0  # for the answers that are due when somebody presses Ctrl-C
LAST_SECONDS: Final = 2.0  # of the graceful timeout, in which the receiver stops
# So long the committer waits for its turn after each answer of the database while the loop is
# busy; with Python's own 5 ms that would be most of a commit.
SWITCH_SECONDS: Final = 0.0005
SPARE_FILES: Final = 128  # beside the clients: database, spool, logs

log = logging.getLogger(__name__)


class Worker(BaseWorker):  # type: ignore[misc]  # gunicorn is not typed
    """One process of the web part."""

    alive: bool
    max_requests: int

    @classmethod
    def check_config(cls, cfg: Config, log: logging.Logger) -> None:
        """Refuse what the loop cannot do."""
        if cfg.is_ssl:
            raise ConfigError("TLS is the work of the proxy in front; set no certfile or keyfile")
        if cfg.accesslog:
            log.warning("no access log is written: it would hold the postback token")

    def run(self) -> None:
        """Serve until told to stop, and then until all is answered."""
        sys.setswitchinterval(SWITCH_SECONDS)
        extensions = getattr(self.wsgi, "extensions", {})
        receiver: Receiver | None = extensions.get(RECEIVER)
        if DROP_IN in extensions:
            extensions[DROP_IN].limit(self.cfg.threads // 2)
        loop = uvloop.new_event_loop()
        if receiver is not None:
            receiver.start(loop)
        try:
            loop.run_until_complete(self._serve(Server(loop, self.wsgi, receiver, self._limits())))
        finally:
            if receiver is not None:
                receiver.stop()
            loop.close()

    def _limits(self) -> Limits:
        cfg = self.cfg
        return Limits(
            # Zero is gunicorn's word for its own maximum.
            target_bytes=cfg.limit_request_line or 8190,
            fields=cfg.limit_request_fields,
            field_bytes=cfg.limit_request_field_size or 8190,
            connections=_connections(cfg.worker_connections),
            threads=cfg.threads,
            keep_alive_seconds=cfg.keepalive,
        )

    async def _serve(self, server: Server) -> None:
        self._stop = asyncio.Event()
        self._grace = max(self.cfg.graceful_timeout - LAST_SECONDS, QUICK_SECONDS)
        server.loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        for number in (signal.SIGINT, signal.SIGQUIT):
            server.loop.add_signal_handler(number, self._stop_quickly)
        listeners = await self._listen(server)
        while self.alive and not self._stop.is_set():
            self._look_round(server)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TICK_SECONDS)
        self.alive = False
        for listener in listeners:
            listener.close()
        await self._finish(server)

    async def _listen(self, server: Server) -> list[asyncio.AbstractServer]:
        # The loop closes what it gets, and we need these at the end.
        return [
            await server.loop.create_server(
                partial(Connection, server), sock=listener.sock.dup(), backlog=self.cfg.backlog
            )
            for listener in self.sockets
        ]

    def _look_round(self, server: Server) -> None:
        self.notify()
        server.look_round()
        if self.alive and self.ppid != os.getppid():
            log.warning("gunicorn's master is gone")
            self.alive = False
        if server.begun >= self.max_requests:
            self.alive = False

    def _stop_quickly(self) -> None:
        self._grace = QUICK_SECONDS
        self.cfg.worker_int(self)
        self._stop.set()

    async def _finish(self, server: Server) -> None:
        """Answer what has arrived, and close."""
        began = server.loop.time()
        server.is_stopping = True
        await self._accept_rest(server)
        await asyncio.sleep(ARRIVAL_SECONDS)
        server.stop()
        while not server.is_empty() and server.loop.time() - began < self._grace:
            self._look_round(server)
            await asyncio.sleep(ARRIVAL_SECONDS / 2)
        server.close()
        await asyncio.sleep(ARRIVAL_SECONDS / 2)  # threads learn that their clients are gone

    async def _accept_rest(self, server: Server) -> None:
        """Let in who has been waiting at the door; closing it would send them away."""
        for listener in self.sockets:
            with contextlib.suppress(OSError):  # nobody waits any more
                while True:
                    client, _ = listener.sock.accept()
                    await server.loop.connect_accepted_socket(partial(Connection, server), client)
            listener.close()


def _connections(wanted: int) -> int:
    """Return how many clients may be connected, with more open files if they are to be had."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_FILES
    if files < needed and files != resource.RLIM_INFINITY:
        files = needed if most == resource.RLIM_INFINITY else min(needed, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, files - SPARE_FILES))
