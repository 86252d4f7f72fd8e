"""Our own memory of handsets: what it knows of a number, and the discovery that it saves.

A discovery message asks a phone for what a receipt has told already. The gateway remembers too,
but for itself: where we know the handset, we do not ask. Source: PROTOCOL 4.5.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from tracker.domain.message import PassMessage
from tracker.store import handsets
from tracker.store.db import Sessions
from tracker.store.handsets import HandsetRow


def known(sessions: Sessions, number: str) -> HandsetRow | None:
    """Return what is known of a number on the wire."""
    with sessions() as session:
        return handsets.by_number(session, number)


def without_needless_discovery(
    session: Session, begun: Mapping[UUID, PassMessage], now: datetime, *, discover_known: bool
) -> dict[UUID, PassMessage]:
    """Return the messages, by claim id, without the discovery of handsets that are known.

    Belongs into the transaction that begins the calls, after their rows are added: each row says
    what was left out, and the handset when it was used. Any number of messages takes three
    statements, and none at all when nobody asks for a discovery.
    """
    asking = {claim: m for claim, m in begun.items() if m.ddm and m.ddm.text}
    if discover_known or not asking:
        return dict(begun)
    found = handsets.by_numbers(session, {m.to for m in asking.values()}, is_locked=True)
    known_of = {claim: found[m.to] for claim, m in asking.items() if m.to in found}
    if not known_of:
        return dict(begun)
    handsets.use(session, set(found), now)
    handsets.note_calls(session, {claim: _note(row) for claim, row in known_of.items()})
    return {c: replace(m, ddm=None) if c in known_of else m for c, m in begun.items()}


def _note(row: HandsetRow) -> str:
    return (
        f"Discovery left out: the handset {row.handset} is known"
        f" since {row.seen_at:%Y-%m-%d %H:%M} UTC ({row.source})."
    )
