"""What a sending of the gateway's statistics says of a message, and which message it is about.

Nothing is read or written here. Source: PROTOCOL 8.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tracker.protocol.statistics import Sending, Step

from .fold import RANK
from .status import Status

# Older editions print local time of the gateway as UTC: four hours off, five in winter.
SPREAD: Final = timedelta(hours=5)
DELAY: Final = timedelta(minutes=10)  # from the answer to a call until it stands in the queue
MOST_PAIRS: Final = 100_000  # that are tried; among more nobody could tell one from another

_OF_CODE: Final = {
    "9": Status.SENT,
    "10": Status.SENT,
    "11": Status.DELIVERED,
    "20": Status.DELIVERED,
    "30": Status.EXPIRED,
    "35": Status.REJECTED,
    # Of the discovery message: nothing about the pass.
    "80": None,
    "81": None,
}
_OF_NAME: Final = {
    "ack": Status.SENT,
    "opened": Status.DELIVERED,
    "dlr": Status.DELIVERED,
    "expired": Status.EXPIRED,
    "rejected": Status.REJECTED,
    "error": Status.FAILED,
}


@dataclass(frozen=True, slots=True)
class Word:
    """The strongest word of a sending; `status` is None while the gateway has not sent it."""

    history_id: str
    to: str  # digits
    mms_id: str
    sender: str | None
    sent_as: str  # MMS or SMS
    handset: str | None
    queued_at: datetime
    status: Status | None
    step: str  # in words, for people


def word(sending: Sending) -> Word | None:
    """Return the strongest word of a sending; None when no message can be found by it.

    The steps are in no order, and their clock is trusted less than their words: of two failures
    the later one holds.
    """
    queued_at = sending.queued_at
    if not (sending.to and sending.mms_id and queued_at):
        return None
    said = [(status, step) for step in sending.steps if (status := _status(step)) is not None]
    status, step = max(said, key=_strength, default=(None, None))
    return Word(
        history_id=sending.history_id[:64],
        to=sending.to[:32],
        mms_id=sending.mms_id[:64],
        sender=sending.sender[:32] if sending.sender else None,
        sent_as="SMS" if sending.is_link else "MMS",
        handset=sending.handset,
        queued_at=queued_at,
        status=status,
        step=_in_words(step) if step else "no step yet",
    )


def _status(step: Step) -> Status | None:
    if step.gw in _OF_CODE:
        return _OF_CODE[step.gw]
    return _OF_NAME.get(step.name)


def _strength(said: tuple[Status, Step]) -> tuple[int, float]:
    status, step = said
    return RANK[status], step.at.timestamp() if step.at else float("-inf")


def _in_words(step: Step) -> str:
    at = f"{step.at:%Y-%m-%d %H:%M:%S} UTC" if step.at else None
    code = f"gw {step.gw[:8]}" if step.gw else None
    info = step.info[:200] if step.info else None
    return ", ".join(filter(None, (step.name.upper(), code, at, info)))


def tells_more(told: Status | None, known: Status) -> bool:
    """Tell whether the statistics say more than we know; an equal word of a postback stays."""
    return told is not None and RANK[told] > RANK.get(known, -1)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that the gateway took, or may have taken, at `at`; to one number, one MMS id."""

    id: int
    sender: str
    at: datetime


def pairs(words: Sequence[Word], messages: Sequence[Taken]) -> tuple[dict[int, int], set[int]]:
    """Pair the words about one number and one MMS id with the messages of the same.

    Returns the place of the message by the place of the word, and the places of those words that
    could be about one of several, or share theirs with another: these are left to a person.
    """
    if len(words) * len(messages) > MOST_PAIRS:
        return {}, set(range(len(words)))
    fitting = {
        place: [number for number, message in enumerate(messages) if _fits(one, message)]
        for place, one in enumerate(words)
    }
    wanted = Counter(number for numbers in fitting.values() for number in numbers)
    sure = {
        place: numbers[0]
        for place, numbers in fitting.items()
        if len(numbers) == 1 and wanted[numbers[0]] == 1
    }
    return sure, {place for place, numbers in fitting.items() if numbers} - sure.keys()


def _fits(one: Word, message: Taken) -> bool:
    if one.sender and one.sender != message.sender:
        return False
    return abs(one.queued_at - message.at) <= SPREAD + DELAY
