"""The gateway's state, as people read it."""

from dataclasses import dataclass
from datetime import datetime

from tracker.domain.pace import Pace
from tracker.protocol.codes import error_meaning
from tracker.services.gateway import GatewayView, explained
from tracker.services.pace import GATEWAY
from tracker.store.gateway_state import StateRow

from .sight import WHOLE, Sight


@dataclass(frozen=True, slots=True)
class Banner:
    """Why nothing is sent, for every page."""

    by: str
    since: datetime | None
    why: str
    advice: str
    next_probe_at: datetime | None


@dataclass(frozen=True, slots=True)
class Slowed:
    """How much the gateway has slowed us down."""

    every: str
    code: str
    meaning: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class GatewayPage:
    """What the page shows."""

    banner: Banner | None
    rate: str
    slowed: Slowed | None
    due: str
    later: str
    sending: str
    oldest_due_at: datetime | None


def banner_of(state: StateRow, sight: Sight = WHOLE) -> Banner:
    """Return why the queue is paused; people type reasons, and the gateway names numbers."""
    by = state.paused_by or "somebody"
    return Banner(
        by="the tracker itself" if by == GATEWAY else by.removeprefix("user:"),
        since=state.paused_at,
        why=sight.any_text(state.paused_why or ""),
        advice=explained(state),
        next_probe_at=state.probe_at,
    )


def gateway_view(view: GatewayView, sight: Sight = WHOLE) -> GatewayPage:
    """Return what the page shows."""
    rate = f"at most {view.rate:g} a second, over all senders" if view.rate else "as fast as it can"
    return GatewayPage(
        banner=banner_of(view.state, sight) if view.state.is_paused else None,
        rate=rate,
        slowed=slowed_of(view.pace) if view.pace.interval else None,
        due=f"{view.queue.due:,}",
        later=f"{view.queue.later:,}",
        sending=f"{view.queue.sending:,}",
        oldest_due_at=view.queue.oldest_due_at,
    )


def slowed_of(pace: Pace) -> Slowed:
    """Return how much the gateway has slowed us down, and why."""
    code = pace.code or ""
    return Slowed(
        every=f"{pace.interval.total_seconds():g} s",
        code=code,
        meaning=error_meaning(code) or "a code nobody documented",
        since=pace.since,
        until=pace.until,
    )
