"""The shelf and the quarantine: what waits there, and which messages it may be about.

Nothing there has a time limit: a postback waits until its message is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from tracker.domain.fold import Outcome
from tracker.domain.status import Status
from tracker.protocol.notification import digits
from tracker.store import postbacks
from tracker.store import shelf as store
from tracker.store.postbacks import PostbackFilter
from tracker.store.rows import Page, PostbackRow
from tracker.store.shelf import Asked, CandidateRow, Rank

MOST_CANDIDATES: Final = 3
SOON: Final = timedelta(minutes=10)  # between a send and its first postback. Source: PROTOCOL 4.8
LONG_AGO: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A message that an unmatched postback may be about, and why."""

    public_id: UUID
    status: Status
    mms_id: str
    sent_at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A postback of the journal; only an unmatched one has candidates."""

    row: PostbackRow
    age: timedelta
    candidates: tuple[Candidate, ...] = ()


def waiting(
    session: Session, outcome: Outcome, *, limit: int, before_id: int | None, now: datetime
) -> Page[Waiting]:
    """Return one page of the shelf or of the quarantine, newest first."""
    wanted = PostbackFilter(outcome=outcome)
    return journal(session, wanted, limit=limit, before_id=before_id, now=now)


def journal(
    session: Session,
    wanted: PostbackFilter,
    *,
    limit: int,
    before_id: int | None,
    now: datetime,
) -> Page[Waiting]:
    """Return one page of the journal, newest first, with two queries whatever its length."""
    page = postbacks.search(session, wanted, limit=limit, before_id=before_id)
    return Page(described(session, page.items, now), page.next_cursor, page.looked_to)


def described(session: Session, rows: Sequence[PostbackRow], now: datetime) -> list[Waiting]:
    """Return postbacks with their ages and candidates."""
    asked = [one for row in rows if (one := _asked(row))]
    sent_at = {one.postback_id: one.until for one in asked}
    found: dict[int, list[Candidate]] = {}
    for row in store.candidates(session, asked, MOST_CANDIDATES):
        candidate = _candidate(row, sent_at[row.postback_id])
        found.setdefault(row.postback_id, []).append(candidate)
    return [Waiting(row, now - row.received_at, tuple(found.get(row.id, ()))) for row in rows]


def _asked(row: PostbackRow) -> Asked | None:
    number = digits(str(row.fields.get("to", "")))
    if row.outcome != Outcome.UNMATCHED or not number:
        return None
    return Asked(
        postback_id=row.id,
        number=number,
        mms_id=row.fields.get("mms_id"),
        since=row.received_at - LONG_AGO,
        soon=row.received_at - SOON,
        until=row.received_at,
    )


def _candidate(row: CandidateRow, came_at: datetime) -> Candidate:
    why = _WHY[Rank(row.rank)].format(before=_before(came_at - row.sent_at))
    return Candidate(
        public_id=row.public_id, status=row.status, mms_id=row.mms_id, sent_at=row.sent_at, why=why
    )


_WHY: Final = {
    Rank.UNKNOWN_SOON_SAME_MMS: (
        "Sent to this number {before} the postback came, with the same MMS id,"
        " and nobody knows whether it went through."
    ),
    Rank.UNKNOWN_SOON: (
        "Sent to this number {before} the postback came, though with another MMS id,"
        " and nobody knows whether it went through."
    ),
    Rank.UNKNOWN: (
        "Sent to this number {before} the postback came, and nobody knows whether it went through."
    ),
    Rank.UNHEARD_OF: (
        "Accepted for this number {before} the postback came,"
        " and no postback has told of it so far."
    ),
}


def _before(between: timedelta) -> str:
    seconds = max(round(between.total_seconds()), 0)
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if count := seconds // size:
            return f"{count} {unit}{'s' if count > 1 else ''} before"
    return "just before"
