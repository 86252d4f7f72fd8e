"""Searches by a number, which lead to whole numbers: each is one line of the audit.

The line has the last digits and the newest message that was found, never the number or a hash of
it: a trail that is never changed must have nothing that a person's erasure would have to change.
Who looked for a person is found by the ids of her messages for as long as there are any.
"""

from collections.abc import Sequence
from datetime import datetime

from tracker.domain import numbers
from tracker.store import accounts
from tracker.store.db import Sessions
from tracker.store.rows import MessageRow


def note_search(
    sessions: Sessions, text: str, found: Sequence[MessageRow], *, actor: str, now: datetime
) -> None:
    """Write down that somebody looked for a number; for any other text nothing."""
    if number := numbers.clean(text):
        _note(sessions, "number.search", number, _said(found), actor, now)


def note_handset(
    sessions: Sessions, number: str, *, is_known: bool, actor: str, now: datetime
) -> None:
    """Write down that somebody asked for the handset behind a number."""
    said = "a handset is known" if is_known else "no handset is known"
    _note(sessions, "handset.search", number, said, actor, now)


def _said(found: Sequence[MessageRow]) -> str:
    if not found:
        return "no message"
    if len(found) == 1:
        return f"message {found[0].public_id}"
    return f"{len(found)} messages, the newest {found[0].public_id}"


def _note(
    sessions: Sessions, action: str, number: str, said: str, actor: str, now: datetime
) -> None:
    with sessions.begin() as session:
        masked = numbers.masked(number)
        accounts.audit(session, actor, action, subject=masked, detail=said, now=now)
