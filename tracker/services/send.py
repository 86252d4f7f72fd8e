"""What comes after a call, for one message; and after a sender that died.

Sending is: claim, connect, write down that the call begins, call, record. Each step that writes has
its own short transaction, and none is open while anybody waits for the gateway. A process that dies
anywhere leaves a state from which nobody sends twice. The sender claims, begins and records many at
a time (`take`, `record`).
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.exc import OperationalError

from tracker.gateway import Answer
from tracker.store import outbox
from tracker.store.db import Sessions
from tracker.store.outbox import Claim

from . import answers
from .record import Sent, record_all

Clock = Callable[[], datetime]
RECORD_PAUSES_SECONDS: Final = (0.2, 0.5, 1, 2, 4, 8, 8, 8)


def expire_leases(sessions: Sessions, now: datetime) -> None:
    """Settle what senders left behind that are gone."""
    with sessions.begin() as session:
        answers.take_for(session, outbox.expire_leases(session, now), now)


def record(
    sessions: Sessions,
    claimed: Claim,
    answer: Answer,
    *,
    zone: ZoneInfo,
    default_from: str | None = None,
    now: datetime,
    is_final: bool = False,
) -> Sent:
    """Commit what the gateway answered; see `record_all`."""
    ended = [(claimed, answer)]
    return record_all(
        sessions, ended, zone=zone, default_from=default_from, now=now, is_final=is_final
    )[0]


def record_patiently(
    sessions: Sessions,
    claimed: Claim,
    answer: Answer,
    *,
    zone: ZoneInfo,
    clock: Clock,
    default_from: str | None = None,
    is_final: bool = False,
) -> Sent:
    """Record an answer, through an outage that ends soon: nobody will give it a second time."""

    def once() -> Sent:
        return record(
            sessions, claimed, answer,
            zone=zone, default_from=default_from, now=clock(), is_final=is_final,
        )  # fmt: skip

    for pause in RECORD_PAUSES_SECONDS:
        try:
            return once()
        except OperationalError:
            time.sleep(pause)
    return once()
