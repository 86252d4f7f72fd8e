"""What the tests of the sandbox share: requests, a receiver of postbacks, and patience."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import requests

from tracker.protocol.request import PassRequest, to_xml
from tracker.protocol.response import GatewayResponse, parse_response
from tracker.sandbox.fixture import API_KEY
from tracker.sandbox.options import Behaviour, SandboxOptions
from tracker.sandbox.server import RunningSandbox

PATIENCE = 20.0  # seconds; reached only when a test fails
NUMBER = "12025550143"


def a_request(**changes: Any) -> PassRequest:
    """Make a call that the fixture accepts."""
    request = PassRequest(
        action="sendPassInMMS",
        api_key=API_KEY,
        mms_id="45633",
        to=NUMBER,
        from_="11111",
        pass_data={"BARCODEVALUE": "HL31-000117"},
    )
    return replace(request, **changes)


def behaving(behaviour: Behaviour, **changes: Any) -> SandboxOptions:
    """Make fast options under which every number behaves like this."""
    usual: dict[str, Any] = {
        "behaviours": {NUMBER: behaviour},
        "time_factor": 0.01,
        "receiver_seconds": PATIENCE,
    }
    return SandboxOptions(**(usual | changes))


def send(sandbox: RunningSandbox, request: PassRequest) -> GatewayResponse:
    """Call the sandbox as our client does by default."""
    answer = requests.post(sandbox.gateway_url, data={"xml": to_xml(request)}, timeout=PATIENCE)
    assert answer.status_code == 200
    return parse_response(answer.text)


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.005)


def codes_of(sandbox: RunningSandbox) -> list[str]:
    """Return the codes of all postbacks made so far."""
    return [posted.code for posted in sandbox.postbacks]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One POST at the receiver."""

    at: float
    body: bytes
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """The code, found without an XML reader, which is not on trial here."""
        return self.body.decode().partition("CODE>")[2].partition("<")[0]


@dataclass(slots=True)
class Receiver:
    """Receives postbacks; `status` says what the nth POST is answered with."""

    url: str = ""
    status: Callable[[int], int] = lambda _number: 200
    pause: Callable[[int], float] = lambda _number: 0.0
    arrivals: list[Arrival] = field(default_factory=list)

    def wait(self, number: int) -> None:
        """Let the nth POST wait for its answer."""
        time.sleep(self.pause(number))

    @property
    def codes(self) -> list[str]:
        """The codes in the order of their arrival."""
        return [arrival.code for arrival in self.arrivals]


@dataclass(slots=True)
class Holding(Receiver):
    """Holds its first answer back until it is released."""

    released: Event = field(default_factory=Event)

    def wait(self, number: int) -> None:
        """Let the first POST wait."""
        if number == 1:
            self.released.wait(PATIENCE)


@contextmanager
def receiving(receiver: Receiver) -> Iterator[Receiver]:
    """Serve the receiver on a free loopback port while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.arrivals.append(Arrival(time.monotonic(), body, dict(self.headers)))
            number = len(receiver.arrivals)
            receiver.wait(number)
            try:
                self.send_response(receiver.status(number))
                self.send_header("Location", receiver.url + "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                pass  # the sandbox did not wait

        def log_message(self, *_args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/postbacks/token"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
