"""Find what postbacks should have told and never did, in the gateway's own statistics.

A word of the statistics that is stronger than all we know is written into the journal as a postback
of its own origin, `REPORT`, and takes the way of every other one: the fold, a rebuild and the
timeline know of no exception. It has no TIMESTAMP, so that of two failures a postback's word holds,
also one that comes later. A message whose answer was lost is marked as sent when the statistics
have it; what could be about several messages is left to a person.

Source: PROTOCOL 8.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from tracker.domain.reconciling import DELAY, SPREAD, Taken, Word, pairs, tells_more, word
from tracker.domain.status import Status
from tracker.protocol.statistics import Sending, postback_of, sendings
from tracker.store import accounts, alerts, reconciling, settling
from tracker.store.db import Sessions
from tracker.store.reconciling import Candidate

from . import arrivals, manage, receive, settle
from .manage import NotPossibleError
from .rebuild import Progress
from .settle import Verdict
from .words_by_message import WordsByMessage

T = TypeVar("T")

ALERT: Final = "lost_postbacks"
STEP: Final = 100  # numbers that are looked up at once
_CONTENT_TYPE: Final = "text/xml"
_PHRASES: Final = {
    Status.SENT: ("N101", "Message Sent"),
    Status.DELIVERED: ("N102", "Message Sent/Delivered"),
    Status.EXPIRED: ("N102", "Message Sent/Expired"),
    Status.REJECTED: ("N102", "Message Sent/Rejected"),
    Status.FAILED: ("E102", "Message Failed"),
}


class Found(StrEnum):
    """What was found out by one sending of the statistics."""

    AGREES = "agrees"
    REPAIRED = "repaired"  # the statistics know more than the postbacks told
    SETTLED = "settled"  # its answer was lost, and the gateway has it
    AMBIGUOUS = "ambiguous"  # it could be one of several, or several could be it
    STRANGE = "strange"  # no message of ours
    UNUSABLE = "unusable"  # without number, MMS id or time


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One sending of the statistics, and what was done about it."""

    found: Found
    word: Word | None = None
    message: UUID | None = None
    before: Status | None = None


_REPAIRS: Final = (Found.REPAIRED, Found.SETTLED)


class Tally(Counter[Found]):
    """How many sendings came to what."""

    @property
    def repaired(self) -> int:
        """How many messages know more than before."""
        return sum(self[one] for one in _REPAIRS)

    def sentence(self, *, is_dry_run: bool) -> str:
        """Return it in words."""
        would = "would be " if is_dry_run else ""
        return (
            f"{self.total():,} sendings: {self[Found.AGREES]:,} known already,"
            f" {self[Found.REPAIRED]:,} {would}repaired, {self[Found.SETTLED]:,} {would}settled,"
            f" {self[Found.AMBIGUOUS]:,} ambiguous, {self[Found.STRANGE]:,} not ours,"
            f" {self[Found.UNUSABLE]:,} unusable."
        )


def run(
    sessions: Sessions,
    chunks: Iterable[bytes],
    *,
    actor: str,
    is_dry_run: bool,
    zone: ZoneInfo,
    now: datetime,
    watch: Callable[[Progress], None] = lambda _: None,
) -> Iterator[Reconciled]:
    """Compare a statistics file with what is known, and repair what is missing, step by step.

    Safe to repeat, and beside another run: what was repaired agrees the next time. The alarm
    sounds before the first repair, for a run that is killed may have made some. `watch` is told how
    many sendings are compared, after each step.

    Raises:
        NotStatisticsError: the file is none; nothing was done.
    """
    tally = Tally()
    with closing(WordsByMessage()) as words:
        unusable = _keep(words, sendings(chunks))
        tally[Found.UNUSABLE] += unusable
        yield from (Reconciled(Found.UNUSABLE) for _ in range(unusable))
        for some in _by(STEP, words.groups()):
            judged = list(_compared(sessions, some))
            if not is_dry_run:
                if not tally.repaired and any(one.found in _REPAIRS for one, _ in judged):
                    _sound(sessions, now)
                _repair(sessions, judged, zone, now)
            for one, _ in judged:
                done = one if is_dry_run else _settled(sessions, one, actor, now)
                tally[done.found] += 1
                yield done
            watch(Progress("comparing", tally.total(), words.count + unusable))
    if not is_dry_run:
        said = tally.sentence(is_dry_run=False)
        with sessions.begin() as session:
            accounts.audit(session, actor, "reconcile", now=now, detail=said)


def _by(count: int, items: Iterator[T]) -> Iterator[list[T]]:
    while some := list(islice(items, count)):
        yield some


def _keep(words: WordsByMessage, found: Iterator[Sending]) -> int:
    """Keep what messages can be found by, and return how many sendings say too little."""
    unusable = 0
    for some in _by(1000, found):
        usable = [one for sending in some if (one := word(sending))]
        words.add(usable)
        unusable += len(some) - len(usable)
    return unusable


def _compared(
    sessions: Sessions, groups: Sequence[list[Word]]
) -> Iterator[tuple[Reconciled, Candidate | None]]:
    """Judge each word by the messages that its group may be about."""
    times = [one.queued_at for words in groups for one in words]
    around = SPREAD + DELAY
    with sessions() as session:
        found = reconciling.candidates(
            session, {words[0].to for words in groups}, min(times) - around, max(times) + around
        )
    if found is None:  # too many to tell them apart
        yield from ((Reconciled(Found.AMBIGUOUS, one), None) for words in groups for one in words)
        return
    ours: dict[tuple[str, str], list[Candidate]] = {}
    for one in found:
        ours.setdefault((one.recipient, one.mms_id), []).append(one)
    for words in groups:
        yield from _judged(words, ours.get((words[0].to, words[0].mms_id), []))


def _judged(
    words: Sequence[Word], ours: Sequence[Candidate]
) -> Iterator[tuple[Reconciled, Candidate | None]]:
    sure, ambiguous = pairs(words, [Taken(one.id, one.sender, one.taken_at) for one in ours])
    for place, one in enumerate(words):
        if place in ambiguous:
            yield Reconciled(Found.AMBIGUOUS, one), None
        elif place not in sure:
            yield Reconciled(Found.STRANGE, one), None
        else:
            message = ours[sure[place]]
            yield Reconciled(_what(one, message), one, message.public_id, message.status), message


def _what(one: Word, message: Candidate) -> Found:
    if message.tracking_id is None:
        return Found.SETTLED if message.status is Status.UNKNOWN else Found.AGREES
    return Found.REPAIRED if tells_more(one.status, message.status) else Found.AGREES


def _repair(
    sessions: Sessions,
    judged: Sequence[tuple[Reconciled, Candidate | None]],
    zone: ZoneInfo,
    now: datetime,
) -> None:
    """Commit what the statistics know more as postbacks, all of a step together."""
    bodies = [
        _postback(one.word, ours.tracking_id)
        for one, ours in judged
        if one.found is Found.REPAIRED and one.word and ours and ours.tracking_id
    ]
    read = [arrivals.read(body, _CONTENT_TYPE, zone=zone, now=now) for body in bodies]
    receive.ingest(sessions, read, zone=zone, now=now)


def _postback(one: Word, tracking_id: str) -> bytes:
    """Write a word of the statistics as the postback that should have told it."""
    assert one.status is not None  # noqa: S101  # it tells more than we knew
    code, phrase = _PHRASES[one.status]
    return postback_of(
        {
            "CODE": code,
            "SENTAS": one.sent_as,
            "STATUS": phrase,
            "STATUSDETAILS": f"By the gateway's statistics: {one.step}",
            "MMSID": one.mms_id,
            "FROM": one.sender,
            "TO": one.to,
            "TRACKINGID": tracking_id,
            "HISTORYID": one.history_id,
            "HANDSET": one.handset,
        }
    )


def _settled(sessions: Sessions, found: Reconciled, actor: str, now: datetime) -> Reconciled:
    """Mark a message as sent when its answer was lost, and the gateway's statistics have it."""
    if found.found is not Found.SETTLED or found.word is None or found.message is None:
        return found
    told = found.word
    reason = f"The gateway's statistics have it as sending {told.history_id}: {told.step}."
    try:
        with sessions.begin() as session:
            settling.lock(session, [told.to])
            message = manage.the_message(session, found.message)
            settle.mark(session, message, Verdict.SENT, reason, actor=actor, now=now)
    except NotPossibleError:  # its answer has come meanwhile
        return Reconciled(Found.AGREES, told, found.message, found.before)
    return found


def _sound(sessions: Sessions, now: datetime) -> None:
    detail = "Postbacks were lost; the gateway's statistics make up for them. The audit has counts."
    with sessions.begin() as session:
        alerts.sound(session, ALERT, "statistics", detail, now)
