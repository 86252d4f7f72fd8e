"""Taking messages out of the queue: what may be sent now, and whose call begins.

`claim` looks in one transaction whether the gateway may be called, locks what is due, and leaves
out what must not be sent or not yet. When the connections stand, `begin` writes down that the calls
are made. Its messages are loaded in the same transaction, so that nothing stands between its commit
and the first byte.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy.orm import Session

from tracker.domain.message import Discovery, PassMessage, SlideText
from tracker.domain.windows import SendWindow
from tracker.store import messages, outbox, suppressions
from tracker.store.db import Sessions
from tracker.store.outbox import Claim, Due
from tracker.store.rows import ContentRow, MessageRow

from . import handsets, pace, suppress

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the settings say about sending; by default nothing is held back."""

    rate: float | None = None  # messages a second, over all senders
    window: SendWindow | None = None
    default_from: str | None = None
    discover_known: bool = False  # ask phones whose handset is known all the same
    receipt_patience: timedelta = timedelta(hours=72)  # without a word, then none is expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken; `next_at` is when it is worth to ask again, if that is known."""

    claims: Sequence[Claim] = ()
    next_at: datetime | None = None
    is_more: bool = False  # some of what was due was set aside, and there may be more behind it


def claim(sessions: Sessions, limit: int, now: datetime, policy: Policy) -> Taken:
    """Commit that up to `limit` due messages are this sender's until the lease ends."""
    with sessions.begin() as session:
        allowed = pace.allowance(session, limit, policy.rate, now)
        if not allowed.count:
            return Taken(next_at=allowed.next_at)
        due = outbox.due(session, allowed.count, now)
        ready = _ready(session, due, policy.window, now)
        allowed.take(session, len(ready), now)
        claims = outbox.claim_these(session, ready, now, is_probe=allowed.is_probe)
    # Where nothing more is due, no slot is worth waiting for.
    next_at = allowed.next_at if len(due) == allowed.count else None
    return Taken(claims=claims, next_at=next_at, is_more=len(ready) < len(due))


def begin(
    sessions: Sessions,
    claims: Sequence[Claim],
    now: datetime,
    policy: Policy,
    request_of: Callable[[PassMessage], T],
) -> dict[Claim, T]:
    """Commit that the calls of these claims begin, and return their requests.

    A claim that was lost meanwhile is left out. All others are unknown if their call is not made,
    so the requests are ready before the commit.
    """
    with sessions.begin() as session:
        held = outbox.begin_these(session, claims, now)
        contents = messages.contents(session, [message.id for _, message in held])
        begun = {c.claim_id: pass_message(m, contents[m.id]) for c, m in held}
        sent = handsets.without_needless_discovery(
            session, begun, now, discover_known=policy.discover_known
        )
        return {claim: request_of(sent[claim.claim_id]) for claim, _ in held}


def _ready(
    session: Session, due: Sequence[Due], window: SendWindow | None, now: datetime
) -> list[Due]:
    """Return what may be sent now; what must not be sent is refused, and some wait for morning."""
    blocked = suppressions.among(session, {message.recipient for message in due})
    for message in due:
        if row := blocked.get(message.recipient):
            outbox.refuse(session, message, row.reason, suppress.refusal(row), now)
    ready = [message for message in due if message.recipient not in blocked]
    if window is None:
        return ready
    opens = {message.id: window.next_open(message.recipient, now) for message in ready}
    late = {id_: at for id_, at in opens.items() if at > now}
    if late:
        outbox.postpone(session, late, now)
    return [message for message in ready if message.id not in late]


def pass_message(row: Due | MessageRow, content: ContentRow) -> PassMessage:
    """Return what is to be sent of a message."""
    return PassMessage(
        to=row.recipient,
        mms_id=row.mms_id,
        from_=row.sender,
        campaign_ref=row.campaign_ref,
        reference=row.reference,
        custom_subject=content.custom_subject,
        custom_text=tuple(SlideText(**text) for text in content.custom_text),
        ddm=Discovery(**content.ddm) if content.ddm else None,
        data=content.data,
        pass_data=content.pass_data,
        send_at=row.send_at,
    )
