"""What all senders know of the gateway: whether they may call it, and how fast. One row, of id 1.

Reading it costs nothing to others. Whoever changes it, or reserves calls, locks it first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from tracker.domain.pace import Pace

from .models import GatewayState

_ID: Final = 1
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """The state as it was read. It is paused by hand, or because of a code of the gateway."""

    paused_at: datetime | None
    paused_by: str | None
    paused_code: str | None
    paused_why: str | None
    probe_at: datetime | None
    probes: int
    next_call_at: datetime | None
    slow_interval_ms: int
    slow_since: datetime | None
    slow_until: datetime | None
    slow_code: str | None
    changed_at: datetime | None

    @property
    def is_paused(self) -> bool:
        """Nothing may be claimed but a probe."""
        return self.paused_at is not None

    @property
    def pace(self) -> Pace:
        """The pace that the gateway asked for."""
        interval = self.slow_interval_ms * _MILLISECOND
        return Pace(interval, self.slow_until, self.slow_since, self.slow_code)

    def is_probe_due(self, now: datetime) -> bool:
        """Say whether one message is to try now whether the gateway works again."""
        return self.is_paused and self.probe_at is not None and self.probe_at <= now


def read(session: Session) -> StateRow:
    """Return the state as it is."""
    return _row(session, _STATE)


def locked(session: Session) -> StateRow:
    """Return the state, locked until the transaction ends."""
    return _row(session, _STATE.with_for_update())


def pause(
    session: Session,
    *,
    by: str,
    why: str,
    code: str | None,
    probe_at: datetime | None,
    now: datetime,
) -> None:
    """Let nobody claim anything from now on; the caller has locked the state."""
    _change(
        session,
        paused_at=now, paused_by=by[:80], paused_why=why[:1000], paused_code=code and code[:16],
        probe_at=probe_at, probes=0, changed_at=now,
    )  # fmt: skip


def add_reason(session: Session, why: str) -> None:
    """Have a pause say more about why; the caller has locked the state."""
    _change(session, paused_why=why[:1000])


def resume(session: Session, now: datetime) -> None:
    """Let messages be claimed again."""
    _change(
        session,
        paused_at=None, paused_by=None, paused_why=None, paused_code=None,
        probe_at=None, probes=0, changed_at=now,
    )  # fmt: skip


def note_probe(session: Session, probes: int, probe_at: datetime) -> None:
    """Note how many probes were made, and when the next one is due."""
    _change(session, probes=probes, probe_at=probe_at)


def set_pace(session: Session, pace: Pace) -> None:
    """Keep the pace that the gateway asked for."""
    _change(
        session,
        slow_interval_ms=max(0, round(pace.interval / _MILLISECOND)),
        slow_since=pace.since,
        slow_until=pace.until,
        slow_code=pace.code,
    )


def reserve(session: Session, next_call_at: datetime) -> None:
    """Keep when the next call may begin."""
    _change(session, next_call_at=next_call_at)


_STATE: Final = select(
    *(getattr(GatewayState, name) for name in StateRow.__dataclass_fields__)
).where(GatewayState.id == _ID)


def _row(session: Session, statement: Select[Any]) -> StateRow:
    return StateRow(**session.execute(statement).mappings().one())


def _change(session: Session, **values: object) -> None:
    session.execute(
        update(GatewayState)
        .where(GatewayState.id == _ID)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
