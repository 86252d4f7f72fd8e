"""What happened to one message, in order: our own steps, the gateway's answers, its postbacks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from tracker.domain.settling import Settled
from tracker.domain.status import Status
from tracker.protocol.codes import postback_meaning
from tracker.protocol.statistics import REPORT
from tracker.protocol.transport import document_of
from tracker.store import messages, postbacks, settling
from tracker.store.rows import AttemptRow, BodyRow, MessageRow, PostbackRow, SettlementRow


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One line of the timeline; `at` is our own clock, `occurred_at` the gateway's TIMESTAMP."""

    at: datetime
    what: str
    detail: str
    source: Literal["ours", "gateway", "postback", "statistics"]
    outcome: str | None = None
    outcome_reason: str | None = None
    repeats: int = 0
    postback_id: int | None = None
    occurred_at: datetime | None = None
    raw: str | None = None
    content_type: str | None = None  # of a postback: the only header that reading it depends on


_ANSWERS = {
    "accepted": ("Accepted", "The gateway took it and gave a tracking id."),
    "refused": ("Refused", "The gateway refused it"),
    "throttled": ("Too fast", "The gateway was called too fast; all sending slows down"),
    "account": ("Account refused", "The gateway refused our account, and the queue was paused"),
    "unknown": ("Outcome unknown", "The call may or may not have gone through"),
    "not_sent": ("Not reached", "The call never reached the gateway"),
}
_SETTLED = {
    Settled.SENT: "Marked as sent",
    Settled.NOT_SENT: "Marked as not sent",
    Settled.TAKEN: "Answer found in a postback",
    Settled.RESENT: "Sent again knowingly",
}


def of_message(session: Session, message: MessageRow) -> list[TimelineEntry]:
    """Return the timeline of a message, oldest first."""
    calls = messages.attempts(session, message.id)
    entries = [_queued(message, calls)]
    for attempt in calls:
        entries += _attempt(attempt)
    entries += _without_answer(message, calls)
    entries += [_settlement(row) for row in settling.of_message(session, message.id)]
    told = postbacks.of_message(session, message.id)
    bodies = postbacks.bodies(session, told)
    entries += [_postback(row, bodies[row.body_id]) for row in told]
    if message.status is Status.CANCELLED and message.finished_at:
        cancelled = "Taken out of the queue before it was sent."
        entries.append(_ours(message.finished_at, "Cancelled", cancelled))
    return sorted(entries, key=lambda entry: entry.at)  # stable: equal times stay in this order


def _ours(at: datetime, what: str, detail: str) -> TimelineEntry:
    return TimelineEntry(at=at, what=what, detail=detail, source="ours")


def _queued(message: MessageRow, calls: list[AttemptRow]) -> TimelineEntry:
    if calls and calls[0].started_at == message.created_at:  # no sender is as quick as that
        waits = "A client of the gateway's own protocol asked for it, and waits for the answer."
        return _ours(message.created_at, "Received", waits)
    if _is_refused_unasked(message, calls) and message.finished_at == message.created_at:
        refused = f"Refused at once, without a call: {_said(message)}"
        return _ours(message.created_at, "Received", refused)
    detail = "Checked and written down; a sender takes it from here."
    if message.send_at and message.send_at > message.created_at:
        detail = f"Checked and written down, to be sent at {message.send_at:%Y-%m-%d %H:%M} UTC."
    return _ours(message.created_at, "Queued", detail)


def _is_refused_unasked(message: MessageRow, calls: list[AttemptRow]) -> bool:
    return message.status is Status.REFUSED and not calls


def _said(message: MessageRow) -> str:
    return f"{(message.error_info or 'no reason was kept').rstrip('.')}."


def _without_answer(message: MessageRow, calls: list[AttemptRow]) -> list[TimelineEntry]:
    """Return how it ended where no answer of the gateway tells it."""
    late = message.finished_at
    if late and _is_refused_unasked(message, calls) and late > message.created_at:
        return [_ours(late, "Refused", f"Without a call: {_said(message)}")]
    if message.status is Status.UNKNOWN and calls and calls[-1].finished_at is None:
        vanished = f"Nobody recorded an answer: {_said(message)}"
        return [_ours(message.updated_at, "Outcome unknown", vanished)]
    return []


def _attempt(attempt: AttemptRow) -> list[TimelineEntry]:
    began = " ".join(filter(None, ("The call began.", attempt.note)))
    entries = [_ours(attempt.started_at, "Calling the gateway", began)]
    if attempt.finished_at and attempt.outcome:
        what, detail = _ANSWERS[attempt.outcome]
        if attempt.detail:
            detail = f"{detail}: {attempt.detail}"
        entries.append(
            TimelineEntry(
                at=attempt.finished_at,
                what=what,
                detail=detail,
                source="gateway",
                raw=attempt.answer,
            )
        )
    return entries


def _settlement(row: SettlementRow) -> TimelineEntry:
    return _ours(row.at, _SETTLED[row.outcome], f"By {row.actor}: {row.reason}")


def _postback(row: PostbackRow, kept: BodyRow) -> TimelineEntry:
    phrase = row.fields.get("status")
    is_made_up_for = row.fields.get("origin") == REPORT
    meaning = postback_meaning(row.code or "", row.fields.get("origin"))
    if is_made_up_for:
        meaning = "No postback told it: it was made up for out of the gateway's statistics."
    return TimelineEntry(
        at=row.received_at,
        what=" ".join(filter(None, (row.code, phrase))) or "Postback",
        detail=meaning or "A code that no document names.",
        source="statistics" if is_made_up_for else "postback",
        outcome=row.outcome,
        outcome_reason=row.outcome_reason,
        repeats=row.repeats,
        postback_id=row.id,
        occurred_at=row.occurred_at,
        raw=None if kept.is_gone else document_of(kept.body, kept.content_type).text,
        content_type=kept.content_type,
    )
