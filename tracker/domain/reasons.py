"""One plain sentence that explains a status to a person."""

from datetime import datetime
from typing import Protocol

from tracker.protocol.codes import error_meaning

from .status import Status


class Explained(Protocol):
    """What a sentence may draw on."""

    @property
    def status(self) -> Status: ...  # noqa: D102
    @property
    def attempts(self) -> int: ...  # noqa: D102
    @property
    def send_at(self) -> datetime | None: ...  # noqa: D102
    @property
    def due_at(self) -> datetime | None: ...  # noqa: D102
    @property
    def sent_as(self) -> str | None: ...  # noqa: D102
    @property
    def handset(self) -> str | None: ...  # noqa: D102
    @property
    def status_details(self) -> str | None: ...  # noqa: D102
    @property
    def error_code(self) -> str | None: ...  # noqa: D102
    @property
    def error_info(self) -> str | None: ...  # noqa: D102


def status_reason(message: Explained) -> str:
    """Return why a message is where it is, in one sentence."""
    match message.status:
        case Status.QUEUED:
            return _queued(message)
        case Status.REFUSED:
            return f"The gateway refused it: {_error(message)}"
        case Status.DELIVERED:
            return _delivered(message)
        case Status.EXPIRED | Status.REJECTED | Status.UNSUPPORTED | Status.FAILED:
            return f"{_FAILED[message.status]}{_details(message)}."
        case status:
            return _PLAIN[status]


_PLAIN = {
    Status.SENDING: "It is being handed to the gateway right now.",
    Status.CANCELLED: "It was cancelled before it was sent.",
    Status.UNKNOWN: (
        "The gateway's answer was lost, so it may or may not have been sent; it is never sent again"
        " by itself."
    ),
    Status.ACCEPTED: "The gateway took it and has queued it; no word since.",
    Status.SENT: (
        "The gateway is sending it; no receipt has come yet, and not every carrier gives one."
    ),
    Status.NO_RECEIPT: (
        "It was sent and no receipt came; many carriers give none, so this is not a failure."
    ),
}
_FAILED = {
    Status.EXPIRED: "The phone could not be reached in time, and the carrier gave up",
    Status.REJECTED: "The recipient's carrier refused it",
    Status.UNSUPPORTED: "The handset or its carrier cannot take such a message",
    Status.FAILED: "The gateway could not send or deliver it",
}


def _queued(message: Explained) -> str:
    if message.due_at is None:
        return "Its batch is paused; it waits until the batch is resumed."
    due = f"{message.due_at:%Y-%m-%d %H:%M:%S} UTC"
    if message.attempts and message.error_code:
        return f"It waits for the next try at {due}; the last one was refused: {_error(message)}"
    if message.attempts:
        return f"It waits for the next try at {due}; the gateway could not be reached."
    if message.send_at:
        return f"It is to be sent at {due}."
    return "It waits for its turn to be sent."


def _delivered(message: Explained) -> str:
    if message.sent_as == "SMS":
        return "A text message with a link to the pass reached the phone."
    if message.handset:
        return f"The handset ({message.handset}) confirmed receipt."
    return "The carrier confirmed receipt."


def _error(message: Explained) -> str:
    code = message.error_code or "no code"
    meaning = error_meaning(code) or "a code nobody documented"
    info = message.error_info
    said = f" (it says: {info})" if info and info.strip(" .") != meaning else ""
    return f"{code}, {meaning}{said}."


def _details(message: Explained) -> str:
    return f": {message.status_details.rstrip('.')}" if message.status_details else ""
