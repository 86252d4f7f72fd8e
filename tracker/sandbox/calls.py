"""One call from its bytes to what the caller gets, whichever server it came through."""

from dataclasses import dataclass, replace
from typing import Final, Literal

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
    """What goes back over the connection, and how."""

    how: Literal["whole", "drip", "cut", "close", "reset"] = "whole"
    status: int = 200
    content_type: str = "text/xml; charset=utf-8"
    body: bytes = b""
    wait_seconds: float = 0.0
    drip_seconds: float = 0.0


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
    usual = Reply(body=answer.xml, wait_seconds=answer.wait_seconds)
    match answer.fault:
        case "http500":
            return replace(usual, status=500, content_type="text/html", body=_DEATH)
        case "close" | "reset" | "cut" as how:
            return replace(usual, how=how)
        case "drip":
            return replace(usual, how="drip", drip_seconds=answer.drip_seconds)
        case "slow":
            return replace(usual, wait_seconds=usual.wait_seconds + gateway.options.slow_seconds)
        case "garbage" | "empty":
            body = _GARBAGE if answer.fault == "garbage" else b""
            return replace(usual, content_type="text/html", body=body)
    return usual
