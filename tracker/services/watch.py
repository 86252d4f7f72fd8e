"""What a person watches: alerts, to be closed, and suppressed numbers, to be lifted."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from tracker.domain import numbers
from tracker.store import accounts, alerts, suppressions
from tracker.store.db import Sessions
from tracker.store.rows import AlertRow, Page, SuppressionRow

MOST_OPEN: Final = 200  # on one page; the same trouble is one alert, so there are few


class NoSuchAlertError(LookupError):
    """No alert has this id."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """One page of alerts; `open_count` may be more than are shown."""

    open: list[AlertRow]
    open_count: int
    closed: Page[AlertRow]


def alerts_page(session: Session, *, limit: int, before_id: int | None = None) -> Alerts:
    """Return what is open, and one page of what is closed."""
    return Alerts(
        alerts.open_ones(session, MOST_OPEN),
        alerts.open_count(session),
        alerts.closed_ones(session, limit=limit, before_id=before_id),
    )


def close_alert(sessions: Sessions, alert_id: int, actor: str, now: datetime) -> bool:
    """Close an alert; False when somebody had closed it already.

    Raises:
        NoSuchAlertError: no alert has this id.
    """
    with sessions.begin() as session:
        row = alerts.by_id(session, alert_id)
        if row is None:
            raise NoSuchAlertError(str(alert_id))
        is_closed = alerts.close(session, alert_id, actor, now)
        if is_closed:
            detail = f"{row.kind} {row.subject}"
            accounts.audit(
                session, actor, "alert.close", subject=str(alert_id), detail=detail, now=now
            )
    return is_closed


def suppressed(
    session: Session, *, limit: int, after_number: str | None = None
) -> Page[SuppressionRow]:
    """Return one page of the numbers that must not be sent to."""
    return suppressions.page(session, limit=limit, after_number=after_number)


def lift(sessions: Sessions, number: str, actor: str, now: datetime) -> bool:
    """Let a number be sent to again; False when it was not suppressed.

    The audit trail has its last digits only: it outlives what is known of the person.
    """
    with sessions.begin() as session:
        is_lifted = suppressions.lift(session, number, actor, told_at=None, now=now)
        if is_lifted:
            subject = numbers.masked(number)
            accounts.audit(session, actor, "suppression.lift", subject=subject, now=now)
    return is_lifted
