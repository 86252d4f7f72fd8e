"""Send what is queued: claim, write down that the call begins, call, record.

Each step has its own short transaction, and none is open during the call. A process that dies
anywhere leaves a state from which nobody sends twice. The sender takes and records many at a time
(`take`, `record`); here is one message's way, step by step.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.exc import OperationalError

from tracker.domain.message import PassMessage
from tracker.gateway import Answer
from tracker.store import messages, outbox
from tracker.store.db import Sessions
from tracker.store.outbox import Claim

from . import answers, handsets, take
from .record import Sent, record_all
from .take import Policy

Clock = Callable[[], datetime]
RECORD_PAUSES_SECONDS: Final = (0.2, 0.5, 1, 2, 4, 8, 8, 8)


def claim(
    sessions: Sessions, limit: int, now: datetime, policy: Policy | None = None
) -> list[Claim]:
    """Take up to `limit` due messages for this sender, after settling what others left behind."""
    with sessions.begin() as session:
        answers.take_for(session, outbox.expire_leases(session, now), now)
        return take.claim(session, limit, now, policy or Policy())


def expire_leases(sessions: Sessions, now: datetime) -> None:
    """Settle what senders left behind that are gone."""
    with sessions.begin() as session:
        answers.take_for(session, outbox.expire_leases(session, now), now)


def begin(
    sessions: Sessions, claimed: Claim, now: datetime, *, discover_known: bool = False
) -> PassMessage | None:
    """Commit that the call is about to be made; None when the claim is lost."""
    with sessions.begin() as session:
        if not outbox.begin_call(session, claimed, now):
            return None
        row = messages.by_id(session, claimed.message_id)
        assert row is not None  # noqa: S101  # claimed in this transaction, and never deleted alone
        begun = {claimed.claim_id: take.pass_message(row, messages.content(session, row.id))}
        return handsets.without_needless_discovery(
            session, begun, now, discover_known=discover_known
        )[claimed.claim_id]


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
