"""From postbacks to a status: one pure step, in any order and any number of times.

    delivered  >  expired, rejected, unsupported, failed  >  sent  >  accepted

What comes late takes nothing back: a weaker word only fills in facts that are still missing.
Between two failures the later TIMESTAMP holds, one with a TIMESTAMP before one without, and
without any the later arrival; so every order of arrival ends in the same status.

Source: PROTOCOL 6.3 to 6.5.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from tracker.protocol.notification import Kind, Notification, digits
from tracker.protocol.phrases import State

from .status import FAILURES, LABELS, Status

RANK: Final = {
    Status.ACCEPTED: 0,
    Status.SENT: 1,
    Status.NO_RECEIPT: 2,  # our own word for "sent, and long silent": any receipt still wins
    Status.EXPIRED: 3,
    Status.REJECTED: 3,
    Status.UNSUPPORTED: 3,
    Status.FAILED: 3,
    Status.DELIVERED: 4,
}
# Only for two failures of one instant: the more telling word, whichever came first.
TIE: Final = (Status.FAILED, Status.EXPIRED, Status.UNSUPPORTED, Status.REJECTED)
DISCOVERY_RANK: Final = {None: 0, State.SENT: 1, State.DELIVERED: 3}
DISCOVERY_FAILED: Final = 2  # any other word
_LINK_CODES: Final = frozenset({"N201", "N202", "E201", "E202"})
# Nothing was sent because a part could not be encoded. Source: PROTOCOL 6.4.
_CONTENT_FAILURES: Final = frozenset({"E012", "E013"})
FACTS: Final = (
    "sent_as", "spid", "operator_id", "handset", "os", "aggregator_id", "status_details",
)  # fmt: skip


class Outcome(StrEnum):
    """What became of a postback. Source: DESIGN 3.5."""

    APPLIED = "applied"
    OUTRANKED = "outranked"
    UNMATCHED = "unmatched"
    QUARANTINED = "quarantined"
    NOTED = "noted"


class Reason(StrEnum):
    """Why a postback did what it did, with the labels of two statuses to be put in."""

    CONFIRMED = "Confirmed {told}."
    SET = "Set the status to {told}."
    TOO_LATE = "Says {told}, but the handset had confirmed receipt."
    LATER_WORD = "Says {told}; a later word says {before}."
    KNOWN = "Says {told}; {before} is known already."


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The part of a message that postbacks may change."""

    status: Status
    told_at: datetime | None = None  # TIMESTAMP of the postback that set the status
    sender_used: str | None = None
    sent_as: str | None = None
    spid: str | None = None
    operator_id: str | None = None
    handset: str | None = None
    os: str | None = None
    aggregator_id: str | None = None
    status_details: str | None = None
    ddm_status: str | None = None
    sent_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Folded:
    """A message after one postback, what became of the postback, and why, in one sentence."""

    delivery: Delivery
    outcome: Outcome
    reason: str


def fold(current: Delivery, notification: Notification, received_at: datetime) -> Folded:
    """Return `current` after `notification`, which came at `received_at` by our own clock."""
    if notification.kind is Kind.DDM:
        return _discovered(current, notification)
    told = told_status(notification)
    if told is None:
        return Folded(current, Outcome.NOTED, noted_reason(notification))
    wins = _wins(current, told, notification.timestamp)
    changes = _facts(current, notification, is_stronger=wins)
    if wins:
        changes |= _status(current, told, notification.timestamp, received_at)
    if told is Status.SENT and current.sent_at is None:
        changes["sent_at"] = received_at
    return Folded(replace(current, **changes), *_verdict(current.status, told, wins=wins))


def agrees(notification: Notification, recipient: str) -> bool:
    """TO, where there is one, must be the recipient: tracking ids can be guessed (PROTOCOL 6.7)."""
    to = digits(notification.to)
    return not to or to == recipient


def doubt(notification: Notification, mms_id: str) -> str:
    """A differing MMSID is said, and blocks nothing: the documents' own example has one."""
    if notification.mms_id and notification.mms_id != mms_id:
        return f" It names MMS id {notification.mms_id[:32]}, not {mms_id}."
    return ""


def told_status(notification: Notification) -> Status | None:
    """Return what a postback says of the message; None when it concerns no message status."""
    if notification.state is not None:
        return Status(notification.state.value)
    if notification.code in _CONTENT_FAILURES and notification.tracking_id:
        return Status.FAILED
    return None


def noted_reason(notification: Notification) -> str:
    """Say why a postback is kept without a change of any status."""
    return _NOTED.get(notification.kind, f"Code {notification.code} is not known; kept as it is.")


_NOTED: Final = {
    Kind.DDM: "Concerns the discovery message; the status of the pass stays.",
    Kind.CONTENT: "Concerns the stored MMS, not one message.",
    Kind.MO_SMS: "An SMS from a phone; it changes no message.",
    Kind.MO_MMS: "An MMS from a phone; it changes no message.",
    Kind.SUBSCRIPTION: "A subscription changed; it changes no message.",
    Kind.PASS: "Concerns the making of the pass; the status of the message stays.",
    Kind.QUEUE_ERROR: "The gateway reports an error in its queue; the status stays.",
}


def _wins(current: Delivery, told: Status, timestamp: datetime | None) -> bool:
    if told in FAILURES and current.status in FAILURES:
        return _failure_key(told, timestamp) >= _failure_key(current.status, current.told_at)
    return RANK[told] >= RANK.get(current.status, -1)


def _failure_key(status: Status, timestamp: datetime | None) -> tuple[float, int]:
    if timestamp is None:
        return (float("-inf"), 0)  # equal to each other: the later arrival holds
    return (timestamp.timestamp(), TIE.index(status))


def _status(
    current: Delivery, told: Status, timestamp: datetime | None, received_at: datetime
) -> dict[str, Any]:
    if told is current.status:
        return {"told_at": max(filter(None, (timestamp, current.told_at)), default=None)}
    finished = received_at if told.is_final else current.finished_at
    return {"status": told, "told_at": timestamp, "finished_at": finished}


def _facts(current: Delivery, notification: Notification, *, is_stronger: bool) -> dict[str, Any]:
    """Return the facts to take over; an absent one blanks nothing, a weaker one fills a gap."""
    return {
        name: value
        for name, value in brought(notification).items()
        if is_stronger or getattr(current, name) is None
    }


def brought(notification: Notification) -> dict[str, Any]:
    """Return the facts that a postback brings, by their names in `Delivery`."""
    if notification.kind is Kind.DDM:
        return {"handset": notification.handset} if notification.handset else {}
    facts = {name: getattr(notification, name) for name in FACTS}
    facts["sender_used"] = notification.from_
    if notification.code in _LINK_CODES:
        facts["sent_as"] = facts["sent_as"] or "SMS"
    return {name: value for name, value in facts.items() if value}


def discovery_rank(told: State | None) -> int:
    """Return how strong a word on the discovery message is; an equal one replaces another."""
    return DISCOVERY_RANK.get(told, DISCOVERY_FAILED)


def _discovered(current: Delivery, notification: Notification) -> Folded:
    changes = _facts(current, notification, is_stronger=False)
    told = notification.ddm_state
    if told is not None:
        before = State(current.ddm_status) if current.ddm_status else None
        if discovery_rank(told) >= discovery_rank(before):
            changes["ddm_status"] = told.value
    return Folded(replace(current, **changes), Outcome.NOTED, noted_reason(notification))


def _verdict(before: Status, told: Status, *, wins: bool) -> tuple[Outcome, str]:
    if wins:
        reason = Reason.CONFIRMED if told is before else Reason.SET
    elif told in FAILURES:
        reason = Reason.TOO_LATE if before is Status.DELIVERED else Reason.LATER_WORD
    else:
        reason = Reason.KNOWN
    sentence = reason.value.format(told=LABELS[told], before=LABELS[before])
    return Outcome.APPLIED if wins else Outcome.OUTRANKED, sentence
