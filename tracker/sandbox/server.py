"""Serving the sandbox over HTTP: until told to stop, or for the length of a test."""

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from .app import PATHS, create_sandbox
from .gateway import Gateway
from .options import SandboxOptions
from .records import Call, Posted

_LOG: Final = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.05


class _Handler(WSGIRequestHandler):
    """Logs without the query, which holds the key of a GET call, and answers without delay."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        path = getattr(self, "path", "").partition("?")[0]
        if path == "/healthz":
            return
        _LOG.info("Call answered", extra={"path": path, "status": str(code), "size": size})

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        _LOG.log(logging.getLevelNamesMapping().get(type.upper(), logging.INFO), message, *args)


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
    with _serving("127.0.0.1", port, options) as (server, gateway):
        yield RunningSandbox(f"http://127.0.0.1:{server.port}", gateway)


@contextmanager
def _serving(
    host: str, port: int, options: SandboxOptions
) -> Iterator[tuple[BaseWSGIServer, Gateway]]:
    app = create_sandbox(options)
    gateway: Gateway = app.extensions["gateway"]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Bound here, since werkzeug ends the process when it cannot bind.
    with socket.create_server((host, port), family=family, backlog=128) as bound:
        server = make_server(
            host, port, app, threaded=True, request_handler=_Handler, fd=bound.fileno()
        )
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield server, gateway
    finally:
        gateway.close()
        server.shutdown()
        thread.join()


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
