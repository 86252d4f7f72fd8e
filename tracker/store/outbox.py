"""The queue of messages to send, in the `messages` table itself.

    queued --claim--> sending --begin--> (the call) --finish--> accepted, refused, unknown, queued

A claim takes the message for one sender until the lease ends; to begin writes down that a call is
about to be made, over a connection that stands. A lease that ends without that line goes back to
queued; with it, the call may have gone through, and the message is `unknown`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import case, exists, func, select, update
from sqlalchemy.orm import Session

from tracker.domain.message import PassMessage
from tracker.domain.status import Status
from tracker.domain.windows import SendWindow, due_from

from . import batches, bulk, ingest
from .models import IS_IN_OUTBOX, Message, MessageContent, SendAttempt

LEASE: Final = timedelta(seconds=60)
VANISHED: Final = {"error_code": None, "error_info": "the sender stopped during the call"}


@dataclass(frozen=True, slots=True)
class Claim:
    """One message taken by one sender; `begun_at` is None until its call is about to be made."""

    message_id: int
    public_id: UUID
    claim_id: UUID
    begun_at: datetime | None = None
    is_probe: bool = False  # it tries whether a paused gateway works again

    @property
    def as_claimed(self) -> "Claim":
        """The claim as it was before its call began."""
        return replace(self, begun_at=None)


def add(
    session: Session,
    message: PassMessage,
    public_id: UUID,
    now: datetime,
    window: SendWindow | None = None,
) -> int:
    """Queue a message for its time, within the window, and return its internal id."""
    row = Message(
        public_id=public_id,
        status=Status.QUEUED,
        recipient=message.to,
        sender=message.from_,
        mms_id=message.mms_id,
        campaign_ref=message.campaign_ref,
        reference=message.reference,
        custom_pass_id=message.pass_data["CUSTOMPASSID"],
        created_at=now,
        updated_at=now,
        send_at=message.send_at,
        due_at=due_from(message, now, window),
    )
    session.add(row)
    session.flush()
    session.add(
        MessageContent(
            message_id=row.id,
            custom_subject=message.custom_subject,
            custom_text=[asdict(text) for text in message.custom_text],
            ddm=asdict(message.ddm) if message.ddm else None,
            data=dict(message.data),
            pass_data=dict(message.pass_data),
        )
    )
    return row.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A queued message whose time has come, locked for whoever asked."""

    id: int
    public_id: UUID
    recipient: str
    sender: str
    mms_id: str
    campaign_ref: str | None
    reference: str | None
    created_at: datetime
    send_at: datetime | None
    attempts: int


def due(session: Session, limit: int, now: datetime) -> list[Due]:
    """Lock and return up to `limit` due messages; two senders never get the same one."""
    found = (
        select(*(getattr(Message, name) for name in Due.__dataclass_fields__))
        .where(IS_IN_OUTBOX, Message.status == Status.QUEUED, Message.due_at <= now)
        .order_by(Message.due_at, Message.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [Due(**row) for row in session.execute(found).mappings()]


def claim_these(
    session: Session, taken: Sequence[Due], now: datetime, *, is_probe: bool = False
) -> list[Claim]:
    """Take messages that `due` gave in this transaction; their calls have yet to begin."""
    claims = [Claim(m.id, m.public_id, uuid4(), is_probe=is_probe) for m in taken]
    rows = [
        {"id": c.message_id, "status": Status.SENDING, "claim_id": c.claim_id,
         "lease_until": now + LEASE, "updated_at": now}
        for c in claims
    ]  # fmt: skip
    bulk.write(session, bulk.change(Message, rows))
    ingest.mark_hours(session, {message.created_at for message in taken})
    return claims


def begin_these(
    session: Session, claims: Iterable[Claim], now: datetime
) -> list[tuple[Claim, Due]]:
    """Write down that the calls of these claims begin; those that are lost are left out.

    Whoever commits it must make the calls at once: a call that was written down and not made is
    `unknown` all the same. Who does not know whether it was committed may do it again.
    """
    held = _held(session, claims, now)
    begun = [
        {"id": m.id, "attempts": 1, "lease_until": now + LEASE, "updated_at": now} for _, m in held
    ]
    attempts = [
        {"message_id": c.message_id, "claim_id": c.claim_id, "started_at": now} for c, _ in held
    ]
    bulk.write(
        session,
        bulk.change(Message, begun, plus="attempts"),
        bulk.add(SendAttempt, attempts, "claim_id"),
    )
    return [(replace(claim, begun_at=now), message) for claim, message in held]


def _held(session: Session, claims: Iterable[Claim], now: datetime) -> list[tuple[Claim, Due]]:
    """Lock the messages of claims, and return them with those that still hold them."""
    by_claim_id = {claim.claim_id: claim for claim in claims}
    ids = sorted({claim.message_id for claim in by_claim_id.values()})
    found = (
        select(Message.claim_id, *(getattr(Message, name) for name in Due.__dataclass_fields__))
        .where(
            bulk.among(session, Message.id, ids),
            Message.status == Status.SENDING,
            Message.lease_until > now,
        )
        .order_by(Message.id)
        .with_for_update()
    )
    rows = map(dict, session.execute(found).mappings())
    held = ((by_claim_id.get(row.pop("claim_id")), Due(**row)) for row in rows)
    return [(claim, message) for claim, message in held if claim is not None]


def refuse(session: Session, message: Due, code: str, info: str, now: datetime) -> None:
    """Take a message out of the queue that must not be sent; the gateway was not asked."""
    values = {"error_code": code[:16], "error_info": info[:1000], "finished_at": now}
    row = {"id": message.id, "status": Status.REFUSED, "due_at": None, "updated_at": now, **values}
    bulk.write(session, bulk.change(Message, [row]))
    ingest.mark_hours(session, {message.created_at})


def postpone(session: Session, due_at: Mapping[int, datetime], now: datetime) -> None:
    """Have messages that `due` gave in this transaction wait for another time, by id."""
    rows = [{"id": id_, "due_at": at, "updated_at": now} for id_, at in due_at.items()]
    bulk.write(session, bulk.change(Message, rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """What is kept of one call: `answer` is the body word for word."""

    outcome: str
    detail: str | None
    answer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A message whose call has ended, locked for whoever asked."""

    id: int
    status: Status
    claim_id: UUID | None
    recipient: str
    sender: str
    campaign_ref: str | None
    created_at: datetime
    has_begun: bool  # the call of its last claim

    def is_held_by(self, claim: Claim) -> bool:
        """Say whether the message is still that claim's; if not, somebody else has settled it.

        One whose lease ran out during the call is `unknown` by then; the answer that came after
        all is the truth about it and still counts.
        """
        is_open = self.status in (Status.SENDING, Status.UNKNOWN)
        return is_open and self.claim_id == claim.claim_id


def called(session: Session, claims: Iterable[Claim]) -> dict[int, Called]:
    """Lock and return the messages of claims, by id."""
    names = [name for name in Called.__dataclass_fields__ if name != "has_begun"]
    has_begun = exists().where(SendAttempt.claim_id == Message.claim_id).label("has_begun")
    found = (
        select(*(getattr(Message, name) for name in names), has_begun)
        .where(bulk.among(session, Message.id, sorted(claim.message_id for claim in claims)))
        .order_by(Message.id)
        .with_for_update(of=Message)
    )
    return {row["id"]: Called(**row) for row in session.execute(found).mappings()}


def tries(session: Session, message_ids: Iterable[int]) -> Counter[tuple[int, str]]:
    """Return how often calls ended so, by message and outcome."""
    found = (
        select(SendAttempt.message_id, SendAttempt.outcome, func.count())
        .where(
            bulk.among(session, SendAttempt.message_id, sorted(message_ids)),
            SendAttempt.outcome.is_not(None),
        )
        .group_by(SendAttempt.message_id, SendAttempt.outcome)
    )
    return Counter({(id_, str(outcome)): count for id_, outcome, count in session.execute(found)})


def finish(
    session: Session,
    reports: Mapping[UUID, CallReport],
    not_begun: Mapping[UUID, int],
    changes: Mapping[int, Mapping[str, Any]],
    now: datetime,
) -> None:
    """Record how calls ended, by claim id, and move their messages, by id.

    `not_begun` are those that ended before they began, with the ids of their messages. The caller
    has locked the messages. They leave the queue unless it is said when they are due.
    """
    attempts = [
        {"claim_id": claim_id, "finished_at": now, **asdict(report)}
        for claim_id, report in reports.items()
    ]
    begun = [row for row in attempts if row["claim_id"] not in not_begun]
    others = [
        {**row, "message_id": not_begun[row["claim_id"]], "started_at": now}
        for row in attempts
        if row["claim_id"] in not_begun
    ]
    tried = set(not_begun.values())
    rows: list[dict[str, Any]] = [
        {"id": id_, "updated_at": now, "due_at": None, **changes[id_],
         **({"attempts": 1} if id_ in tried else {})}
        for id_ in sorted(changes)
    ]  # fmt: skip
    rows.sort(key=tuple)  # rows of one step have the same names
    alike = [list(some) for _, some in groupby(rows, key=tuple)]
    bulk.write(
        session,
        bulk.change(SendAttempt, begun, key="claim_id"),
        bulk.add(SendAttempt, others),
        *(bulk.change(Message, some, plus="attempts") for some in alike),
    )
    batches.keep_held(session, [row["id"] for row in rows if row["due_at"]])


def expire_leases(session: Session, now: datetime) -> list[int]:
    """Settle messages whose sender vanished; returns the ids of those that are unknown by it.

    Before the call began they are queued again, after it they are `unknown`. They are locked first:
    who is just writing down that a call begins is left alone, and what is judged afterwards is what
    was committed before.
    """
    found = select(Message.id).where(
        IS_IN_OUTBOX, Message.status == Status.SENDING, Message.lease_until <= now
    )
    late = session.scalars(found.with_for_update(skip_locked=True)).all()
    if not late:
        return []
    is_late = bulk.among(session, Message.id, late)
    called = exists().where(SendAttempt.claim_id == Message.claim_id)
    moved: list[tuple[int, Status, datetime]] = []
    ends = (
        (called, {"status": Status.UNKNOWN, "due_at": None, **VANISHED}),
        (~called, {"status": Status.QUEUED}),
    )
    for condition, values in ends:
        changed = session.execute(
            update(Message)
            .where(is_late, condition)
            .values(updated_at=now, **values)
            .returning(Message.id, Message.status, Message.created_at)
            .execution_options(synchronize_session=False)
        )
        moved += [(id_, status, created_at) for id_, status, created_at in changed]
    batches.keep_held(session, [id_ for id_, status, _ in moved if status is Status.QUEUED])
    ingest.mark_hours(session, {created_at for _, _, created_at in moved})
    return [id_ for id_, status, _ in moved if status is Status.UNKNOWN]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCounts:
    """How much waits: queued and due, queued for later, being sent; and since when."""

    due: int
    later: int
    sending: int
    oldest_due_at: datetime | None


def counts(session: Session, now: datetime) -> QueueCounts:
    """Count what is in the outbox, by its own index."""
    is_queued = Message.status == Status.QUEUED
    is_due = is_queued & (Message.due_at <= now)
    found = select(
        func.count(case((is_due, 1))),
        func.count(case((is_queued & (Message.due_at > now), 1))),
        func.count(case((Message.status == Status.SENDING, 1))),
        func.min(case((is_due, Message.due_at))),
    ).where(IS_IN_OUTBOX)
    due, later, sending, oldest = session.execute(found).one()
    return QueueCounts(due=due, later=later, sending=sending, oldest_due_at=oldest)
