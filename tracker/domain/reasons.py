"""One plain sentence that explains a status to a person."""

from datetime import UTC, datetime
from typing import Final, Protocol

from tracker.protocol.codes import ErrorClass, error_class, error_meaning

from .settling import Settled
from .status import Status
from .windows import zones_of

OUR_REFUSAL: Final = "Not sent: "  # begins an ERRORINFO of our own, where no gateway was asked


class Explained(Protocol):
    """What a sentence may draw on."""

    @property
    def status(self) -> Status: ...  # noqa: D102
    @property
    def recipient(self) -> str: ...  # noqa: D102
    @property
    def created_at(self) -> datetime: ...  # noqa: D102
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
    @property
    def tracking_id(self) -> str | None: ...  # noqa: D102
    @property
    def resent_as(self) -> object: ...  # noqa: D102
    @property
    def settled_as(self) -> str | None: ...  # noqa: D102


def status_reason(message: Explained) -> str:
    """Return why a message is where it is, in one sentence."""
    if message.settled_as in (Settled.SENT, Settled.NOT_SENT) and message.status in _BY_WORD:
        return _BY_WORD[message.status](message)
    if message.status in _TOLD:
        return _TOLD[message.status](message)
    if message.status in _FAILED:
        return f"{_FAILED[message.status]}{_details(message)}."
    return _PLAIN[message.status]


_PLAIN = {
    Status.SENDING: "It is being handed to the gateway right now.",
    Status.CANCELLED: "It was cancelled before it was sent.",
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


def suppression_words(reason: str) -> str:
    """Return in words why a number must not be sent to."""
    words = _SUPPRESSED.get(reason) or error_meaning(reason) or "suppressed"
    return words[0].lower() + words[1:]


def suppressed(reason: str, since: datetime) -> str:
    """Return that a number must not be sent to, since when and why, as part of a sentence."""
    return (
        f"the number must not be sent to since {since:%Y-%m-%d %H:%M} UTC"
        f" ({reason}, {suppression_words(reason)})"
    )


_SUPPRESSED = {
    "N302": "it unsubscribed",
    "STOP": "it answered with a stop word",
}


def _queued(message: Explained) -> str:
    if message.due_at is None:
        return "Its batch is paused; it waits until the batch is resumed."
    due = f"{message.due_at:%Y-%m-%d %H:%M:%S} UTC"
    if message.attempts:
        return _queued_again(message, due)
    if message.due_at > max(message.created_at, message.send_at or _NEVER):
        return f"It waits until {_local(message.recipient, message.due_at)}, which is {due}."
    if message.send_at:
        return f"It is to be sent at {due}."
    return "It waits for its turn to be sent."


def _unknown(message: Explained) -> str:
    why = (message.error_info or "its answer was lost").strip().rstrip(".")
    what = f"Nobody knows whether it was sent: {why}"
    if message.resent_as:
        return f"{what}; it was sent again as a new message."
    return (
        f"{what}; it is never sent again by itself, so take a postback that fits as its answer,"
        " mark it as sent or as not sent, or send it again."
    )


def _sent_by_word(message: Explained) -> str:
    if message.tracking_id:
        return (
            "A person marked it as sent; no receipt has come yet, and not every carrier gives one."
        )
    return "A person marked it as sent; no receipt can find it before its tracking id is known."


def _not_sent_by_word(message: Explained) -> str:
    said = (message.error_info or "A person marked it as not sent").rstrip(".")
    return f"{said}; it can be sent again."


def _queued_again(message: Explained, due: str) -> str:
    if not message.error_code:
        return f"It waits for the next try at {due}; the gateway could not be reached."
    error = _error(message)
    match error_class(message.error_code):
        case ErrorClass.TRANSIENT:
            return f"It waits for the next try at {due}; the last one was refused: {error}"
        case ErrorClass.THROTTLE:
            return f"It waits for the next try at {due}; the gateway was called too fast: {error}"
        case _:
            return (
                "It was not sent, and goes first when the queue is no longer paused; the gateway "
                f"refuses the account: {error}"
            )


_NEVER = datetime.min.replace(tzinfo=UTC)


def _local(number: str, moment: datetime) -> str:
    """Return a time as the recipient's clock shows it."""
    zones = zones_of(number)
    if len(zones) != 1:
        return f"{moment:%H:%M} UTC on {moment.day} {moment:%B}, when its recipient may be sent to"
    local = moment.astimezone(zones[0])
    return f"{local:%H:%M} on {local.day} {local:%B} in the recipient's zone ({zones[0].key})"


def _refused(message: Explained) -> str:
    info = message.error_info or ""
    if info.startswith(OUR_REFUSAL):  # the gateway was not asked
        return f"It was not sent: {info.removeprefix(OUR_REFUSAL).rstrip('.')}."
    return f"The gateway refused it: {_error(message)}"


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


_TOLD: Final = {
    Status.QUEUED: _queued,
    Status.UNKNOWN: _unknown,
    Status.REFUSED: _refused,
    Status.DELIVERED: _delivered,
}
_BY_WORD: Final = {Status.SENT: _sent_by_word, Status.REFUSED: _not_sent_by_word}
