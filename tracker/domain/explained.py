"""What each status and each outcome of a postback means, and what a person does next.

`reasons` says why one message is where it is; this module says what the word means for all of them
and what follows from it. Pages take their words from here alone, so that they cannot differ.
"""

from dataclasses import dataclass
from typing import Final

from tracker.protocol.codes import ErrorClass, error_class

from .fold import Outcome
from .reasons import OUR_REFUSAL, Explained
from .settling import Settled
from .status import Status


@dataclass(frozen=True, slots=True)
class Meaning:
    """A word in plain words: `says` what it means, `next` what a person does about it."""

    says: str
    next: str


@dataclass(frozen=True, slots=True)
class Group:
    """Statuses that ask for the same attention."""

    title: str
    about: str
    statuses: tuple[Status, ...]


GROUPS: Final = (
    Group(
        "On its way",
        "These change by themselves.",
        (Status.QUEUED, Status.SENDING, Status.ACCEPTED, Status.SENT),
    ),
    Group("Arrived", "This is where a message should end.", (Status.DELIVERED,)),
    Group(
        "Nobody can say",
        "Neither good news nor bad: something that others should have told did not come.",
        (Status.NO_RECEIPT, Status.UNKNOWN),
    ),
    Group(
        "Did not arrive",
        "A carrier, a handset or the gateway said so.",
        (Status.EXPIRED, Status.REJECTED, Status.UNSUPPORTED, Status.FAILED),
    ),
    Group("Was not sent", "No pass left for the recipient.", (Status.REFUSED, Status.CANCELLED)),
)

STATUSES: Final = {
    Status.QUEUED: Meaning(
        "The message is checked and written down here, and waits for its turn, for the time it was"
        " asked for, or for the next try.",
        "Nothing: it goes out by itself. Until then it can be cancelled.",
    ),
    Status.SENDING: Meaning(
        "The gateway is being asked to send it at this moment.",
        "Nothing: the answer comes within a minute, or the outcome is shown as unknown.",
    ),
    Status.ACCEPTED: Meaning(
        "The gateway took it and gave it a tracking id. It has only queued it: nothing was sent to"
        " the phone yet.",
        "Wait: the next word comes within seconds, or after the discovery message has had its time."
        " If none comes for hours, look whether postbacks of other messages arrive.",
    ),
    Status.SENT: Meaning(
        "The gateway is sending it. What becomes of it is for the carrier to say, and not every"
        " carrier does.",
        "Wait for a receipt. That none comes is no sign of failure: a phone that is off gets the"
        " message later.",
    ),
    Status.DELIVERED: Meaning(
        "The carrier or the handset confirmed receipt. As a link, a text message with a link to the"
        " pass arrived in its place; whether it was opened, nobody tells.",
        "Nothing. If the recipient misses the pass, it lies among the messages of the phone and has"
        " to be added to the wallet there.",
    ),
    Status.NO_RECEIPT: Meaning(
        "It was sent, and no receipt came for a long time. Many carriers give none, so this is not"
        " a failure, and a late receipt still counts.",
        "Nothing, unless the recipient says that it is missing: then send it again.",
    ),
    Status.UNKNOWN: Meaning(
        "The gateway was called and its answer was lost. The message may have gone out or not, so"
        " it is never sent again by itself.",
        "Look it up in the gateway's report by number and time, then say here what became of it."
        " Sending it again may give the recipient the pass twice.",
    ),
    Status.EXPIRED: Meaning(
        "The phone could not be reached in the time the carrier tries: it was off, or without"
        " reception.",
        "Send it again when the phone is on; ask whether the number still is the right one.",
    ),
    Status.REJECTED: Meaning(
        "The recipient's carrier refused to deliver it.",
        "Check the number with the recipient, and whether the contract takes picture messages."
        " Sending the same again seldom helps.",
    ),
    Status.UNSUPPORTED: Meaning(
        "The handset or its carrier cannot take such a message.",
        "Give this recipient the pass in another way; sending it again does not help.",
    ),
    Status.FAILED: Meaning(
        "The gateway tried and could not send or deliver it.",
        "Read the details; then send it again once. If it fails again, ask the gateway and name"
        " the tracking id.",
    ),
    Status.REFUSED: Meaning(
        "The gateway did not take it, or it was refused here before the gateway was asked. The"
        " error says why.",
        "Put right what the error names, and send anew.",
    ),
    Status.CANCELLED: Meaning(
        "Somebody took it out of the queue before it was sent.",
        "Nothing. It can still be sent again, as a new message.",
    ),
}
OUTCOMES: Final = {
    Outcome.APPLIED: Meaning(
        "It says something of a message here, and was taken over.",
        "Nothing.",
    ),
    Outcome.OUTRANKED: Meaning(
        "It fits a message, but a stronger or a later word is known already, such as a delivery"
        " before a late “sent”.",
        "Nothing: it is kept, and the status stays.",
    ),
    Outcome.UNMATCHED: Meaning(
        "No message here has its tracking id. It may have come before the answer of its own send,"
        " or belong to another system of the same account.",
        "Usually nothing: it is matched as soon as its message is known.",
    ),
    Outcome.QUARANTINED: Meaning(
        "It cannot be trusted or read: damaged, or its number contradicts the message. Its bytes"
        " are kept.",
        "Read the reason. Many of them at once are a sign of a fault or of forgery.",
    ),
    Outcome.NOTED: Meaning(
        "It is kept, and concerns no status: a discovery message, a subscription, an answer from a"
        " phone, a code that no document names.",
        "Nothing.",
    ),
}
DUPLICATE: Final = Meaning(
    "It tells an event that is known already, perhaps in another spelling: the gateway posts again"
    " when it is not sure that it was heard. It is counted and changes nothing.",
    "Nothing.",
)

_BY_CLASS: Final = {
    ErrorClass.PERMANENT_REQUEST: (
        "Put right what the gateway objects to and send anew; the same message would be refused"
        " again."
    ),
    ErrorClass.PERMANENT_ACCOUNT: (
        "Put the account right at the gateway, look at the page Gateway, then send it again."
    ),
    ErrorClass.TRANSIENT: "The gateway had trouble of its own; send it again later.",
    ErrorClass.THROTTLE: "The gateway was called too fast; send it again later.",
    ErrorClass.NUMBER_SPECIFIC: (
        "It is this number that cannot be sent to; check it with the recipient."
    ),
}


def next_step(message: Explained, offers: int = 0) -> str:
    """Return what a person does next about a message.

    `offers` is how many postbacks on the shelf may be its answer.
    """
    if message.resent_as:
        return "It was sent again as a new message; follow that one."
    if message.status is Status.UNKNOWN and offers:
        return "Look at what may be its answer, and take it if it fits."
    tell = _SPECIAL.get(message.status)
    return (tell and tell(message)) or STATUSES[message.status].next


def _queued(message: Explained) -> str | None:
    if message.due_at is None:
        return "Resume its batch when it is to go out, or cancel it."
    if message.error_code and error_class(message.error_code) is ErrorClass.PERMANENT_ACCOUNT:
        return "Put the account right at the gateway, then resume the queue on the page Gateway."
    return None


def _refused(message: Explained) -> str | None:
    if message.settled_as == Settled.NOT_SENT:
        return "Send it again if the recipient is still to get it."
    if (message.error_info or "").startswith(OUR_REFUSAL):
        return "It can be sent again when the reason no longer holds."
    return _BY_CLASS[error_class(message.error_code)] if message.error_code else None


def _sent(message: Explained) -> str | None:
    if message.settled_as == Settled.SENT and not message.tracking_id:
        return "Give its tracking id as soon as you know it: then its receipt can be found."
    return None


def _delivered(message: Explained) -> str | None:
    if message.sent_as == "SMS":
        return "Nothing here; the recipient has to open the link to get the pass."
    return None


_SPECIAL: Final = {
    Status.QUEUED: _queued,
    Status.REFUSED: _refused,
    Status.SENT: _sent,
    Status.DELIVERED: _delivered,
}
