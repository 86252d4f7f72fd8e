"""One message: where it is, why, and how it got there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from tracker.domain import numbers
from tracker.domain.explained import next_step
from tracker.domain.reasons import status_reason
from tracker.domain.status import FAILURES, Status
from tracker.services import answers
from tracker.services.habits import Habit
from tracker.services.timeline import TimelineEntry
from tracker.store.handsets import HandsetRow
from tracker.store.rows import MessageRow

from .habits import habit_words
from .handsets import handset_facts
from .parts import Fact, Facts, known
from .sight import WHOLE, Sight
from .texts import document, gap

SOURCES: Final = {
    "ours": "Tracker",
    "gateway": "Gateway",
    "postback": "Postback",
    "statistics": "Statistics",
}
SENT_AS: Final = {"MMS": "MMS with the pass", "SMS": "SMS with a link to the pass"}

_FAST, _SLOW, _REST = 2, 15, 30  # seconds between two looks at a message
_FRESH: Final = timedelta(minutes=10)

_ACCEPTED, _SENT, _DELIVERED = "Accepted", "Sent", "Delivered"
_STILL_TO_COME: Final = {
    Status.QUEUED: (_ACCEPTED, _SENT, _DELIVERED),
    Status.SENDING: (_ACCEPTED, _SENT, _DELIVERED),
    Status.ACCEPTED: (_SENT, _DELIVERED),
    Status.SENT: (_DELIVERED,),
}
_AWAITING: Final = frozenset({Status.ACCEPTED, Status.SENT, Status.NO_RECEIPT})
_STATES: Final = {
    Status.DELIVERED: "done",
    Status.UNKNOWN: "odd",
    Status.NO_RECEIPT: "odd",
    Status.CANCELLED: "odd",
    Status.REFUSED: "bad",
    **dict.fromkeys(FAILURES, "bad"),
}
_REACHED: Final = {
    Status.QUEUED: "created_at",
    Status.SENDING: "updated_at",
    Status.UNKNOWN: "updated_at",
    Status.ACCEPTED: "accepted_at",
    Status.SENT: "sent_at",
}
_ON_ITS_WAY: Final = "The first message is on its way: the recipient may get the pass twice."
_RESEND_WARNINGS: Final = {
    Status.UNKNOWN: (
        "Nobody knows whether the first message went out."
        " If it did, the recipient gets the pass twice."
    ),
    Status.ACCEPTED: _ON_ITS_WAY,
    Status.SENT: _ON_ITS_WAY,
    Status.NO_RECEIPT: "The first message may have arrived: the recipient may get the pass twice.",
    Status.DELIVERED: "The first message arrived: the recipient gets the pass twice.",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One station on the way from queued to delivered; `state` is done, now, bad, odd or todo.

    `gap` is the time since the station before.
    """

    label: str
    state: str
    at: datetime | None = None
    gap: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the timeline."""

    key: str
    at: datetime
    gap: str | None
    title: str
    detail: str
    source: str
    source_label: str
    outcome: str | None
    outcome_reason: str | None
    times: str | None
    occurred_at: datetime | None
    postback_id: int | None
    raw: str | None
    content_type: str | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known around a message: its carrier, its handset, its answer, and who looks."""

    carrier: str | None = None
    handset: HandsetRow | None = None
    habit: Habit | None = None
    offers: int = 0  # postbacks on the shelf that may be its answer
    sight: Sight = WHOLE


@dataclass(frozen=True, slots=True)
class MessageView:
    """The live part of a message page; equal views need no second look."""

    public_id: str
    recipient: str
    masked: str
    status: str
    status_label: str
    reason: str
    next_step: str
    habit: str | None  # of its carrier, while its receipt is awaited
    steps: list[Step]
    facts: list[Facts]
    events: list[Event]
    can_cancel: bool
    can_resend: bool
    resent_as: str | None
    resend_warning: str | None
    refresh_seconds: int
    can_settle: bool
    offers: int  # postbacks on the shelf that may be its answer


def message_view(
    row: MessageRow,
    entries: Sequence[TimelineEntry],
    around: Surroundings,
    now: datetime,
) -> MessageView:
    """Return all of a message that may still change."""
    habit = habit_words(around.habit) if around.habit else None
    return MessageView(
        public_id=str(row.public_id),
        recipient=around.sight.number(row.recipient),
        masked=numbers.masked(row.recipient),
        status=row.status.value,
        status_label=row.status_label,
        reason=around.sight.reason(status_reason(row), row.recipient),
        next_step=next_step(row, around.offers),
        habit=habit if row.status in _AWAITING else None,
        steps=steps(row),
        facts=[
            Facts("Recipient", _recipient_facts(row, around, habit)),
            Facts(
                "Message", _seen_facts(_message_facts(around.sight.message(row)), row, around.sight)
            ),
            Facts("Progress", _why_facts(row, around.sight)),
            Facts("Handset known for this number", _known_handset(around.handset)),
        ],
        events=events(entries, row.recipient, around.sight),
        can_cancel=row.status is Status.QUEUED,
        can_resend=row.status not in (Status.QUEUED, Status.SENDING) and not row.resent_as,
        resent_as=str(row.resent_as) if row.resent_as else None,
        resend_warning=_RESEND_WARNINGS.get(row.status),
        refresh_seconds=_refresh_seconds(row, now),
        can_settle=answers.is_open(row),
        offers=around.offers,
    )


def steps(row: MessageRow) -> list[Step]:
    """Return the way of a message, as far as it went and as it should go on."""
    reached = getattr(row, _REACHED.get(row.status, "finished_at"))
    here = Step(row.status_label, _STATES.get(row.status, "now"), reached)
    stations = (("Queued", row.created_at), (_ACCEPTED, row.accepted_at), (_SENT, row.sent_at))
    past = [Step(name, "done", at) for name, at in stations if at and name != here.label]
    to_come = (Step(name, "todo") for name in _STILL_TO_COME.get(row.status, ()))
    return [*_with_gaps([*past, here]), *to_come]


def _with_gaps(reached: Sequence[Step]) -> Iterator[Step]:
    last: datetime | None = None
    for step in reached:
        yield replace(step, gap=gap(step.at - last)) if step.at and last else step
        last = step.at or last


def events(entries: Sequence[TimelineEntry], recipient: str, sight: Sight = WHOLE) -> list[Event]:
    """Return the timeline, each entry with the time since the one before."""
    before: list[TimelineEntry | None] = [None, *entries[:-1]]
    seen = [_seen(entry, recipient, sight) for entry in entries]
    return [
        _event(number, entry, last)
        for number, (entry, last) in enumerate(zip(seen, before, strict=True))
    ]


def _seen(entry: TimelineEntry, recipient: str, sight: Sight) -> TimelineEntry:
    """Return an entry as a person reads it; beside its document, people may have typed numbers."""
    return replace(
        entry,
        what=sight.reason(entry.what, recipient),
        detail=sight.reason(entry.detail, recipient),
        outcome_reason=entry.outcome_reason and sight.reason(entry.outcome_reason, recipient),
        raw=sight.document(entry.raw, recipient) if entry.raw else None,
    )


def _seen_facts(facts: list[Fact], row: MessageRow, sight: Sight) -> list[Fact]:
    return [replace(fact, text=sight.text(fact.text, row.recipient)) for fact in facts]


def _why_facts(row: MessageRow, sight: Sight) -> list[Fact]:
    return [
        replace(fact, text=sight.reason(fact.text, row.recipient)) for fact in _progress_facts(row)
    ]


def _event(number: int, entry: TimelineEntry, last: TimelineEntry | None) -> Event:
    return Event(
        key=f"postback-{entry.postback_id}" if entry.postback_id else f"step-{number}",
        at=entry.at,
        gap=gap(entry.at - last.at) if last else None,
        title=entry.what,
        detail=entry.detail,
        source=entry.source,
        source_label=SOURCES[entry.source],
        outcome=entry.outcome,
        outcome_reason=entry.outcome_reason,
        times=_times(entry.repeats) if entry.repeats else None,
        occurred_at=entry.occurred_at,
        postback_id=entry.postback_id,
        raw=document(entry.raw) if entry.raw else None,
        content_type=entry.content_type,
    )


def _times(repeats: int) -> str:
    duplicates = "1 duplicate" if repeats == 1 else f"{repeats:,} duplicates"
    return f"received {repeats + 1:,} times, {duplicates}"


def _refresh_seconds(row: MessageRow, now: datetime) -> int:
    if row.status.is_final:
        return _REST
    return _FAST if now - row.updated_at < _FRESH else _SLOW


def _recipient_facts(row: MessageRow, around: Surroundings, habit: str | None) -> list[Fact]:
    named = f"{around.carrier} ({row.spid})" if around.carrier else row.spid
    return known(
        Fact("Number", around.sight.number(row.recipient)),
        Fact("Handset", row.handset or "Not known yet"),
        Fact("System", row.os or ""),
        Fact("Carrier", named or "Not known yet"),
        Fact("Carrier's habits", habit or ""),
        Fact("Operator id", row.operator_id or ""),
        Fact("Sent as", SENT_AS.get(row.sent_as or "", row.sent_as or "Not known yet")),
        Fact("Discovery message", (row.ddm_status or "no word of one").capitalize()),
    )


def _known_handset(handset: HandsetRow | None) -> list[Fact]:
    """Return what any message to this number has told; it may be newer than this one."""
    return handset_facts(handset) if handset else [Fact("Handset", "Not known yet")]


def _message_facts(row: MessageRow) -> list[Fact]:
    replaced = row.sender_used is not None and row.sender_used != row.sender
    return known(
        Fact("Tracking id", row.tracking_id or "", is_code=True),
        Fact("MMS id", row.mms_id, is_code=True),
        Fact("Sender asked for", row.sender),
        Fact("Sender used", (row.sender_used or "") + (" (the gateway's)" if replaced else "")),
        Fact("Campaign", row.campaign_ref or ""),
        Fact("Reference", row.reference or "", is_code=True),
        Fact("Custom pass id", row.custom_pass_id, is_code=True),
        Fact("Message id", str(row.public_id), is_code=True),
        Fact("Aggregator id", row.aggregator_id or "", is_code=True),
    )


def _progress_facts(row: MessageRow) -> list[Fact]:
    return known(
        Fact(
            "Gateway's error" if row.error_code else "Why",
            " ".join(filter(None, (row.error_code, row.error_info))),
        ),
        Fact("Details", row.status_details or ""),
        Fact("Attempts", str(row.attempts)),
        Fact("Created", at=row.created_at),
        Fact("Not before", at=row.send_at),
        Fact("Accepted", at=row.accepted_at),
        Fact("Sent", at=row.sent_at),
        Fact("Finished", at=row.finished_at),
    )
