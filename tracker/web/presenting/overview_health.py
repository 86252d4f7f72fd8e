"""How the gateway, the queue and the spool do, as people read it. None is a dash, never 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tracker.domain.pace import Pace
from tracker.store.gateway_state import StateRow
from tracker.store.overview import Queue
from tracker.store.rows import AlertRow
from tracker.store.spool import SpoolState

from .gateway import Slowed, banner_of, slowed_of
from .overview_lines import bounded
from .sight import WHOLE, Sight
from .texts import age
from .watch import AlertLine, alert_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the gateway, the queue and the spool do; None is a dash."""

    state: str | None
    is_paused: bool
    why: str
    since: datetime | None
    pace: str | None
    slowed: Slowed | None
    due: str | None
    oldest_due: str
    later: str | None
    sending: str | None
    last_postback_at: datetime | None
    last_postback: str | None
    spool: str | None
    is_spool_bad: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class OpenAlerts:
    """The open alerts: the newest of them, and how many there are."""

    count: int | None
    lines: list[AlertLine]

    @property
    def news(self) -> str:
        """What is told to those who cannot see it change."""
        return "" if self.count is None else f"{self.count} open alerts."


def health_view(
    *,
    state: StateRow | None,
    pace: Pace | None,
    rate: float | None,
    queue: Queue | None,
    last_postback: tuple[datetime | None] | None,
    spool: SpoolState | None,
    now: datetime,
    sight: Sight = WHOLE,
) -> Health:
    """Return how the gateway, the queue and the spool do."""
    banner = banner_of(state, sight) if state and state.is_paused else None
    slowed = slowed_of(pace) if pace and pace.interval else None
    at = last_postback[0] if last_postback else None
    return Health(
        state=_state(state, slowed) if state else None,
        is_paused=banner is not None,
        why=f"By {banner.by}: {banner.why}" if banner else "",
        since=banner.since if banner else None,
        pace=_pace(rate) if state else None,
        slowed=slowed,
        due=bounded(queue.due) if queue else None,
        oldest_due=f"the oldest {age(now - queue.oldest_due_at)}"
        if queue and queue.oldest_due_at
        else "",
        later=f"{queue.later:,}" if queue else None,
        sending=f"{queue.sending:,}" if queue else None,
        last_postback_at=at,
        last_postback=last_postback and (age(now - at) if at else "None yet"),
        spool=_spool(spool, now) if spool else None,
        is_spool_bad=bool(spool and (spool.records or spool.set_aside)),
        now=now,
    )


def alerts_view(
    count: int | None, rows: Sequence[AlertRow] | None, sight: Sight = WHOLE
) -> OpenAlerts:
    """Return the open alerts; without their number nothing is said of them."""
    return OpenAlerts(None if rows is None else count, alert_lines(rows or (), sight))


def _state(state: StateRow, slowed: Slowed | None) -> str:
    if state.is_paused:
        return "Paused"
    return "Sending, slowed" if slowed else "Sending"


def _pace(rate: float | None) -> str:
    return f"At most {rate:g} a second, over all senders" if rate else "As fast as it can"


def _spool(spool: SpoolState, now: datetime) -> str:
    parts = []
    if spool.records:
        since = f", the oldest {age(now - spool.oldest_at)}" if spool.oldest_at else ""
        parts.append(f"{spool.records:,} postbacks wait on disk for the database{since}")
    if spool.set_aside:
        parts.append(f"{spool.set_aside} damaged pieces set aside")
    return "; ".join(parts) or "Empty"
