"""The gateway as people see it: whether it is called, how fast, what waits; pause and resume."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from tracker.domain import pace
from tracker.domain.pace import Pace
from tracker.domain.remark import fault_of
from tracker.store import accounts, gateway_state, outbox
from tracker.store.db import Sessions
from tracker.store.gateway_state import StateRow
from tracker.store.outbox import QueueCounts

from .describe import Json, iso
from .pace import GATEWAY

MOST_REASON: Final = 500


class NoReasonError(ValueError):
    """Who pauses or resumes has to say why."""


class NotPausedError(Exception):
    """There is nothing to resume."""


@dataclass(frozen=True, slots=True)
class GatewayView:
    """The state at one moment."""

    state: StateRow
    pace: Pace
    rate: float | None
    queue: QueueCounts


def view(session: Session, rate: float | None, now: datetime) -> GatewayView:
    """Return the state of the gateway and of the queue before it."""
    state = gateway_state.read(session)
    return GatewayView(state, pace.relaxed(state.pace, now), rate, outbox.counts(session, now))


def paused(sessions: Sessions) -> StateRow | None:
    """Return the state while the queue is paused, else None."""
    with sessions() as session:
        state = gateway_state.read(session)
    return state if state.is_paused else None


def pause(sessions: Sessions, actor: str, reason: str, now: datetime) -> None:
    """Let nobody send anything until somebody resumes; no probe is made.

    Who pauses what a person has paused already adds a reason to the first one's.

    Raises:
        NoReasonError: no reason, or one that is too long.
    """
    reason = checked_reason(reason)
    with sessions.begin() as session:
        state = gateway_state.locked(session)
        if state.is_paused and state.paused_by != GATEWAY:
            gateway_state.add_reason(session, f"{state.paused_why} Also {actor}: {reason}")
        else:
            gateway_state.pause(session, by=actor, why=reason, code=None, probe_at=None, now=now)
        accounts.audit(session, actor, "gateway.pause", detail=reason, now=now)


def resume(sessions: Sessions, actor: str, reason: str, now: datetime) -> None:
    """Let messages be sent again.

    Raises:
        NoReasonError: no reason, or one that is too long.
        NotPausedError: it is not paused.
    """
    reason = checked_reason(reason)
    with sessions.begin() as session:
        if not gateway_state.locked(session).is_paused:
            raise NotPausedError("the queue is not paused")
        gateway_state.resume(session, now)
        accounts.audit(session, actor, "gateway.resume", detail=reason, now=now)


def checked_reason(reason: object) -> str:
    """Return a reason fit to be kept.

    Raises:
        NoReasonError: it is none.
    """
    text = " ".join(reason.split()) if isinstance(reason, str) else ""
    if fault := fault_of(text, MOST_REASON):
        raise NoReasonError(fault)
    return text


def describe(view: GatewayView) -> Json:
    """Return the state as a JSON object."""
    state, slow = view.state, view.pace if view.pace.interval else None
    return {
        "state": "paused" if state.is_paused else "slowed" if slow else "running",
        "paused": {
            "since": iso(state.paused_at),
            "by": state.paused_by,
            "reason": state.paused_why,
            "code": state.paused_code,
            "next_probe_at": iso(state.probe_at),
        }
        if state.is_paused
        else None,
        "rate_per_second": view.rate,
        "slowed": {
            "interval_seconds": slow.interval.total_seconds(),
            "since": iso(slow.since),
            "until": iso(slow.until),
            "code": slow.code,
        }
        if slow
        else None,
        "queue": {
            "due": view.queue.due,
            "later": view.queue.later,
            "sending": view.queue.sending,
            "oldest_due_at": iso(view.queue.oldest_due_at),
        },
    }


def explained(state: StateRow) -> str:
    """Return in a sentence or two why the queue is paused, and what to do."""
    if state.paused_by == GATEWAY:
        return (
            "The gateway refuses our account. Nothing is sent meanwhile, and nothing is lost."
            " Mend what it says with the gateway;"
            " one message tries it now and then, and when it is accepted the rest follows by"
            " itself. Or resume by hand."
        )
    return "Nothing is sent until somebody resumes, and nothing is lost."
