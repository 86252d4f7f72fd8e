"""Alerts and suppressed numbers, as people read them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tracker.protocol.codes import error_meaning
from tracker.store.rows import AlertRow, SuppressionRow

from .sight import WHOLE, Sight

_KINDS: Final = {
    "queue_error": "Error in the gateway's queue",
    "account": "Word about the account",
    "content": "Stored MMS cannot be used",
    "guessing": "Somebody guesses postback addresses",
    "lost_postbacks": "Postbacks were lost and made up for",
}
_REASONS: Final = {
    "N302": "Unsubscribed",
    "STOP": "Answered with a stop word",
}


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One alert."""

    id: int
    title: str
    subject: str
    detail: str
    times: str
    first_at: datetime
    last_at: datetime
    closed_at: datetime | None
    closed_by: str | None


@dataclass(frozen=True, slots=True)
class SuppressedLine:
    """One number that must not be sent to; `number` is for the forms of those who may act."""

    number: str
    shown: str
    code: str
    reason: str
    detail: str | None
    since: datetime


def alert_lines(rows: Iterable[AlertRow], sight: Sight = WHOLE) -> list[AlertLine]:
    """Return alerts as lines of their lists."""
    return [
        AlertLine(
            id=row.id,
            title=_KINDS.get(row.kind, row.kind.replace("_", " ").capitalize()),
            subject=sight.any_text(row.subject),
            detail=sight.any_text(row.detail),
            times="once" if row.count == 1 else f"{row.count:,} times",
            first_at=row.first_at,
            last_at=row.last_at,
            closed_at=row.closed_at,
            closed_by=_person(row.closed_by),
        )
        for row in rows
    ]


def suppressed_lines(rows: Iterable[SuppressionRow], sight: Sight = WHOLE) -> list[SuppressedLine]:
    """Return suppressed numbers as lines of their list."""
    return [
        SuppressedLine(
            number=row.number,
            shown=sight.number(row.number),
            code=row.reason,
            reason=_REASONS.get(row.reason) or error_meaning(row.reason) or "Suppressed",
            detail=sight.any_text(row.detail) if row.detail else None,
            since=row.since,
        )
        for row in rows
    ]


def _person(actor: str | None) -> str | None:
    return actor.removeprefix("user:") if actor else None
