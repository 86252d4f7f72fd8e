"""Taking messages out of the queue: what may be sent now, and whose call begins at once.

One transaction looks whether the gateway may be called, locks what is due, leaves out what must not
be sent or not yet, and writes down that the calls begin. Its messages are loaded in it too, so that
nothing stands between its commit and the first byte.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from tracker.domain.message import Discovery, PassMessage, SlideText
from tracker.domain.windows import SendWindow
from tracker.store import messages, outbox, suppressions
from tracker.store.db import Sessions
from tracker.store.outbox import Claim, Due
from tracker.store.rows import ContentRow, MessageRow

from . import handsets, pace, suppress


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the settings say about sending; by default nothing is held back."""

    rate: float | None = None  # messages a second, over all senders
    window: SendWindow | None = None
    default_from: str | None = None
    discover_known: bool = False  # ask phones whose handset is known all the same


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has begun as far as anybody else knows: it must be made now."""

    claim: Claim
    message: PassMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was taken; `next_at` is when it is worth to ask again, if that is known."""

    calls: Sequence[Call] = ()
    next_at: datetime | None = None
    is_more: bool = False  # some of what was due was set aside, and there may be more behind it


def take(sessions: Sessions, limit: int, now: datetime, policy: Policy) -> Taken:
    """Take up to `limit` due messages and commit that their calls begin."""
    with sessions.begin() as session:
        allowed = pace.allowance(session, limit, policy.rate, now)
        if not allowed.count:
            return Taken(next_at=allowed.next_at)
        due = outbox.due(session, allowed.count, now)
        ready = _ready(session, due, policy.window, now)
        allowed.take(session, len(ready), now)
        calls = _begun(session, ready, now, policy, is_probe=allowed.is_probe) if ready else []
    # Where nothing more is due, no slot is worth waiting for.
    next_at = allowed.next_at if len(due) == allowed.count else None
    return Taken(calls=calls, next_at=next_at, is_more=len(ready) < len(due))


def _begun(
    session: Session, ready: Sequence[Due], now: datetime, policy: Policy, *, is_probe: bool
) -> list[Call]:
    """Write down that these calls begin, and return them with what they send."""
    claims = outbox.begin_these(session, ready, now, is_probe=is_probe)
    contents = messages.contents(session, [message.id for message in ready])
    begun = {
        claim.claim_id: pass_message(message, contents[message.id])
        for claim, message in zip(claims, ready, strict=True)
    }
    sent = handsets.without_needless_discovery(
        session, begun, now, discover_known=policy.discover_known
    )
    return [Call(claim, sent[claim.claim_id]) for claim in claims]


def claim(session: Session, limit: int, now: datetime, policy: Policy) -> list[Claim]:
    """Take up to `limit` due messages in the caller's transaction; their calls begin later."""
    allowed = pace.allowance(session, limit, policy.rate, now)
    if not allowed.count:
        return []
    ready = _ready(session, outbox.due(session, allowed.count, now), policy.window, now)
    allowed.take(session, len(ready), now)
    return outbox.claim_these(session, ready, now)


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
