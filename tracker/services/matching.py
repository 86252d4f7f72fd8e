"""Postbacks that came before their tracking id was known, applied when it is."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from tracker.domain.fold import Outcome
from tracker.store import ingest as store
from tracker.store import postbacks
from tracker.store.ingest import Changes

from .arrivals import read_again
from .judging import Judgement, judge, links

BODIES_AT_ONCE: Final = 100  # of at most 1 MiB each


def match_waiting(session: Session, key: str, *, zone: ZoneInfo, now: datetime) -> None:
    """Apply the postbacks that came before their tracking id was known, in order of arrival.

    The caller has stored the key in this transaction and holds its lock.
    """
    waiting = postbacks.waiting_for(session, key)
    if not waiting:
        return
    known = store.known(session, [], [key])
    changes = Changes()
    matched = []
    for first in range(0, len(waiting), BODIES_AT_ONCE):
        some = waiting[first : first + BODIES_AT_ONCE]
        bodies = postbacks.bodies(session, some)
        for row in some:
            try:
                notification = read_again(bodies[row.body_id], row.position, zone)
            except ValueError as error:
                # The answer of a send is being stored: nothing on the shelf may stand in its way.
                judgement = Judgement(Outcome.QUARANTINED, str(error))
            else:
                judgement = judge(session, notification, known, row.received_at, changes)
                matched += [notification] if judgement.message_id is not None else []
            write_down(session, row.id, judgement)
    store.write(session, changes, now)
    for link in links(matched):
        store.lock(session, [link])
        match_waiting(session, link, zone=zone, now=now)


def write_down(session: Session, postback_id: int, judgement: Judgement) -> None:
    """Keep what became of a postback that waited."""
    postbacks.judge(session, postback_id, judgement.outcome, judgement.reason, judgement.message_id)
