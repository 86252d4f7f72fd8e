"""The lines of the list of postbacks, and of what a replay would change."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tracker.domain.fold import Outcome
from tracker.domain.status import LABELS, Status
from tracker.protocol.notification import Kind, digits
from tracker.services.replay import Replayed
from tracker.services.shelf import Candidate, Waiting
from tracker.store.rows import PostbackRow

from .journal_question import KINDS, OUTCOMES
from .postback import people_in
from .sight import WHOLE, Sight
from .texts import age, short_utc

WAITING: Final = frozenset({Outcome.UNMATCHED, Outcome.QUARANTINED})
_LONGEST_TITLE: Final = 80


@dataclass(frozen=True, slots=True)
class CandidateLine:
    """A message that a postback may be about."""

    public_id: str
    status: str
    status_label: str
    mms_id: str
    sent_at: datetime
    sent: str
    why: str

    @property
    def can_take(self) -> bool:
        """The postback may be taken as the answer to this message."""
        return self.status == Status.UNKNOWN


@dataclass(frozen=True, slots=True)
class PostbackLine:
    """One postback in the list; only what waits has an age."""

    id: int
    title: str
    kind: str
    outcome: str
    outcome_label: str
    reason: str
    received_at: datetime
    received: str
    age: str | None
    number: str | None
    tracking_id: str | None
    message_id: str | None
    candidates: list[CandidateLine]

    @property
    def is_waiting(self) -> bool:
        """It may be judged anew."""
        return self.outcome in WAITING

    @property
    def is_quarantined(self) -> bool:
        """It is kept aside, with its bytes."""
        return self.outcome == Outcome.QUARANTINED


@dataclass(frozen=True, slots=True)
class ReplayLine:
    """One postback that would come to something else."""

    id: int
    title: str
    before: str
    before_label: str
    after: str
    after_label: str
    message_id: str | None
    reason: str


def postback_lines(
    found: Iterable[Waiting], now: datetime, sight: Sight = WHOLE
) -> list[PostbackLine]:
    """Return postbacks as lines of the list."""
    return [postback_line(one, now, sight) for one in found]


def postback_line(one: Waiting, now: datetime, sight: Sight = WHOLE) -> PostbackLine:
    """Return one postback as a line of the list."""
    row = one.row
    is_waiting = row.outcome in WAITING
    return PostbackLine(
        id=row.id,
        title=sight.any_text(title(row)),
        kind=KINDS[Kind(row.kind)],
        outcome=row.outcome,
        outcome_label=OUTCOMES[Outcome(row.outcome)],
        reason=sight.any_text(row.outcome_reason),
        received_at=row.received_at,
        received=short_utc(row.received_at, now),
        age=age(one.age) if is_waiting else None,
        number=_number(row, sight),
        tracking_id=sight.text(_text(row, "tracking_id") or "", *people_in(row)) or None,
        message_id=str(row.message_public_id) if row.message_public_id else None,
        candidates=[_candidate(candidate, now) for candidate in one.candidates],
    )


def news_of(lines: Sequence[PostbackLine], seen_id: int) -> str:
    """Say to those who do not see the list what came since `seen_id`; no two sayings are alike."""
    fresh = [line for line in lines if line.id > seen_id]
    if not fresh:
        return ""
    newest = f"{fresh[0].title}, {fresh[0].outcome_label.lower()}"
    if len(fresh) == 1:
        return f"New postback {fresh[0].id}: {newest}."
    many = "a page full of" if len(fresh) == len(lines) else str(len(fresh))
    return f"{many.capitalize()} new postbacks, the newest {fresh[0].id}: {newest}."


def title(row: PostbackRow) -> str:
    """Return code and phrase of a postback, or that it could not be read."""
    text = " ".join(filter(None, (row.code, _text(row, "status")))) or "Could not be read"
    return text if len(text) <= _LONGEST_TITLE else text[: _LONGEST_TITLE - 1] + "…"


def replay_lines(found: Iterable[Replayed]) -> list[ReplayLine]:
    """Return what a replay would change."""
    return [
        ReplayLine(
            id=one.id,
            title=one.code or "Could not be read",
            before=one.before,
            before_label=OUTCOMES[Outcome(one.before)],
            after=one.after,
            after_label=OUTCOMES[Outcome(one.after)],
            message_id=str(one.message_id) if one.message_id else None,
            reason=one.reason,
        )
        for one in found
    ]


def _candidate(candidate: Candidate, now: datetime) -> CandidateLine:
    return CandidateLine(
        public_id=str(candidate.public_id),
        status=candidate.status.value,
        status_label=LABELS[candidate.status],
        mms_id=candidate.mms_id,
        sent_at=candidate.sent_at,
        sent=short_utc(candidate.sent_at, now),
        why=candidate.why,
    )


def _number(row: PostbackRow, sight: Sight) -> str | None:
    to = _text(row, "to")
    if not to:
        return None
    return sight.number(digits(to) or to) if sight.is_whole else sight.cell(to)


def _text(row: PostbackRow, name: str) -> str | None:
    value = row.fields.get(name)
    return str(value) if value else None
