"""Whether the gateway may be called, and how fast: what all senders on all hosts share.

An answer may pause the queue, slow it down, or let it go on again; whoever takes messages keeps to
it. While neither a rate is set nor anything is wrong, nobody waits for anybody.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from tracker.domain import pace
from tracker.store import accounts, alerts, gateway_state
from tracker.store.gateway_state import StateRow

GATEWAY: Final = "gateway"  # who pauses when nobody does by hand
# While the gateway refuses the account, one message at a time tries it: after these minutes each.
PROBE_MINUTES: Final = (1, 2, 5, 10, 30)
PROBE_AGAIN: Final = timedelta(seconds=10)  # the answer said nothing about the account


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How many calls may begin now; `next_at` is when to ask again, if that is known."""

    count: int
    is_probe: bool = False
    next_at: datetime | None = None
    slots: pace.Slots | None = None
    probes: int = 0

    def take(self, session: Session, taken: int, now: datetime) -> None:
        """Reserve what was taken, in the transaction that takes it."""
        if self.is_probe and taken:
            gateway_state.note_probe(session, self.probes + 1, now + probe_delay(self.probes + 1))
        elif self.slots and taken:
            gateway_state.reserve(session, self.slots.after(taken))


def allowance(session: Session, limit: int, rate: float | None, now: datetime) -> Allowance:
    """Return how many calls may begin; the state is locked only where somebody must count."""
    state = gateway_state.read(session)
    if state.is_paused:
        return _probe(session, state, now)
    if rate is None and not state.slow_interval_ms:
        return Allowance(count=limit)
    state = gateway_state.locked(session)
    if state.is_paused:
        return Allowance(count=0)
    asked = _relaxed(session, state, now)
    slots = pace.slots(state.next_call_at, rate, asked, now)
    count = min(limit, slots.count)
    return Allowance(count=count, next_at=slots.after(count), slots=slots)


def refused_account(
    session: Session, code: str, why: str, begun_at: datetime | None, now: datetime
) -> None:
    """Pause the queue, since every other message would be refused too; a person must know.

    Calls under way when the queue was resumed say nothing about what was mended meanwhile.
    """
    alerts.sound(
        session, "account", code or "no code", f"The gateway refuses our account: {why}", now
    )
    state = gateway_state.locked(session)
    is_old = begun_at and state.changed_at and begun_at < state.changed_at
    if state.is_paused or is_old:
        return
    probe_at = now + probe_delay(0)
    gateway_state.pause(session, by=GATEWAY, why=why, code=code, probe_at=probe_at, now=now)
    accounts.audit(session, GATEWAY, "gateway.pause", subject=code, detail=why, now=now)


def throttled(
    session: Session, code: str, info: str | None, begun_at: datetime | None, now: datetime
) -> timedelta:
    """Slow all senders down, and return the interval between calls from now on."""
    state = gateway_state.locked(session)
    before = pace.relaxed(state.pace, now)
    after = pace.slowed(before, code, info, begun_at or now, now)
    gateway_state.set_pace(session, after)
    if after != before:
        gateway_state.reserve(session, now + after.interval)
    return after.interval


def probed(session: Session, *, is_accepted: bool, is_account: bool, now: datetime) -> None:
    """Let the queue go on after a probe that was accepted; any other answer leaves it paused."""
    state = gateway_state.locked(session)
    if not state.is_paused or state.paused_code is None:
        return  # a person has decided meanwhile
    if is_accepted:
        gateway_state.resume(session, now)
        detail = f"a message was accepted; paused by {state.paused_code} before"
        accounts.audit(session, "probe", "gateway.resume", detail=detail, now=now)
    elif not is_account:
        gateway_state.note_probe(session, state.probes, now + PROBE_AGAIN)


def probe_delay(probes: int) -> timedelta:
    """Return how long to wait after so many probes."""
    return timedelta(minutes=PROBE_MINUTES[min(probes, len(PROBE_MINUTES) - 1)])


def _probe(session: Session, state: StateRow, now: datetime) -> Allowance:
    if not state.is_probe_due(now):
        return Allowance(count=0, next_at=state.probe_at)
    state = gateway_state.locked(session)  # two senders may have seen it due
    if not state.is_probe_due(now):
        return Allowance(count=0, next_at=state.probe_at)
    return Allowance(count=1, is_probe=True, probes=state.probes)


def _relaxed(session: Session, state: StateRow, now: datetime) -> pace.Pace:
    relaxed = pace.relaxed(state.pace, now)
    if relaxed != state.pace:
        gateway_state.set_pace(session, relaxed)
    return relaxed
