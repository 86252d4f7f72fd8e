"""One call from its bytes to what the caller gets, whichever server it came through."""

from dataclasses import dataclass
from typing import Final

from tracker.protocol.request import PassRequest

from .checks import Refused, read_body, read_query, refused
from .gateway import Answer, Gateway

PATHS: Final = ("/API/wxml/1.3/index.php", "/API/wxml/1.3/")
_GARBAGE: Final = b"<html><body><b>Fatal error</b>: out of memory<br></html>"
_DEATH: Final = b"<html><body><h1>Internal Server Error</h1></body></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One HTTP request at the gateway's address; no body when it was too large."""

    method: str
    query: bytes
    body: bytes | None
    content_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back over the connection; a status of 0 closes it without a word."""

    status: int = 200
    content_type: str = "text/xml; charset=utf-8"
    body: bytes = b""
    wait_seconds: float = 0.0


def respond(gateway: Gateway, received: Received) -> tuple[Answer, Reply]:
    """Have the gateway judge a call; the answer's follow-up is the server's to start."""
    answer = gateway.answer(_read(received))
    return answer, _reply(gateway, answer)


def _read(received: Received) -> PassRequest | Refused:
    if received.method != "POST":
        return read_query(received.query)
    if received.body is None:
        return refused("E100", "too large")
    return read_body(received.body, received.content_type)


def _reply(gateway: Gateway, answer: Answer) -> Reply:
    wait = gateway.options.answer_delay_seconds
    match answer.fault:
        case "http500":
            return Reply(status=500, content_type="text/html", body=_DEATH, wait_seconds=wait)
        case "close":
            return Reply(status=0, wait_seconds=wait)
        case "slow":
            return Reply(body=answer.xml, wait_seconds=wait + gateway.options.slow_seconds)
        case "garbage":
            return Reply(content_type="text/html", body=_GARBAGE, wait_seconds=wait)
        case "empty":
            return Reply(content_type="text/html", wait_seconds=wait)
    return Reply(body=answer.xml, wait_seconds=wait)
