"""Serving the sandbox over HTTP: until told to stop, or for the length of a test."""

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import uvloop

from .app import create_pages
from .calls import PATHS
from .gateway import Gateway
from .options import SandboxOptions
from .records import Call, Posted
from .serving import BACKLOG, Server


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that serves on a loopback port."""

    url: str
    gateway: Gateway

    @property
    def gateway_url(self) -> str:
        """Where the client sends its calls."""
        return self.url + PATHS[0]

    @property
    def calls(self) -> list[Call]:
        """The calls so far, refused ones too."""
        return self.gateway.calls

    @property
    def accepted(self) -> list[Call]:
        """The calls that made a message."""
        return [call for call in self.gateway.calls if call.tracking_id]

    @property
    def postbacks(self) -> list[Posted]:
        """The postbacks so far, waiting ones too."""
        return self.gateway.postbacks

    def post_to(self, url: str | None) -> None:
        """Send postbacks to this URL from now on."""
        self.gateway.postman.url = url


def serve(host: str, port: int, options: SandboxOptions) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        OSError: the address cannot be had, for one because the port is in use.
    """
    with suppress(KeyboardInterrupt), _signals_interrupt(), _serving(host, port, options):
        threading.Event().wait()


@contextmanager
def running(options: SandboxOptions, *, port: int = 0) -> Iterator[RunningSandbox]:
    """Serve on the loopback interface, on a free port unless one is named, while the block runs."""
    with _serving("127.0.0.1", port, options) as (bound_port, gateway):
        yield RunningSandbox(f"http://127.0.0.1:{bound_port}", gateway)


@contextmanager
def _serving(host: str, port: int, options: SandboxOptions) -> Iterator[tuple[int, Gateway]]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, port), family=family, backlog=BACKLOG) as bound,
        _looping() as loop,
    ):
        gateway = Gateway(options, loop, datetime.now(UTC))
        address = f"[{host}]" if ":" in host else host
        gateway.reports.base_url = f"http://{address}:{bound.getsockname()[1]}"
        server = Server(loop, create_pages(gateway), gateway)
        asyncio.run_coroutine_threadsafe(server.listen(bound), loop).result()
        try:
            yield bound.getsockname()[1], gateway
        finally:
            asyncio.run_coroutine_threadsafe(server.close(), loop).result()


@contextmanager
def _looping() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread while the block runs."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sandbox", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Make SIGTERM, and SIGINT even in the background of a shell, raise KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
