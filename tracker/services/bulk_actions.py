"""One action for many messages: what it would do is counted first, then confirmed, then done.

    propose    which messages, frozen; how many can be acted on, and why the others cannot
    confirm    once, whoever asks again
    go_on      steps of a few messages for as long as a request may take; anybody may go on
    stop       where it is; what was not looked at stays as it is

The id of the proposal is the key. What was done with a message is committed together with how far
the action has come, under the lock of its row: whatever is sent twice, or dies between, no message
is acted on a second time.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from tracker.domain.message import InvalidMessageError
from tracker.store import accounts, messages, settling
from tracker.store import bulk_actions as store
from tracker.store.bulk_actions import BulkActionRow, NewBulkAction
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter
from tracker.store.rows import MessageRow

from . import manage, settle
from .bulk_judging import Action, against, judged
from .settle import Verdict

MOST: Final = 10_000  # messages that one action looks at
STEP: Final = 25  # messages a transaction; other writers have their turn between two
PAGE: Final = 1000
SECONDS: Final = 1.0  # of work in one request
# SQLite gives its lock to whoever asks at the right moment: who takes it back at once keeps it.
REST: Final = 0.02  # seconds between two steps at least; else as long as the step took
LIFE: Final = timedelta(days=1)  # of a proposal that nobody confirms
_working: Final[set[UUID]] = set()  # the actions that a request of this process works on
_lock: Final = threading.Lock()


class NoSuchActionError(LookupError):
    """No bulk action has this id; one that nobody confirms is forgotten after a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be done with which messages: the named ones, or what a question finds."""

    action: Action
    named: Sequence[UUID] = ()
    question: MessageFilter = field(default_factory=MessageFilter)
    asked: Mapping[str, list[str]] = field(default_factory=dict)  # the question, to show it again
    cursor: str | None = None  # where in the list to begin


def propose(sessions: Sessions, wanted: Wanted, *, actor: str, now: datetime) -> UUID:
    """Look at what an action would do, keep which messages it is for, and return its id.

    Raises:
        BadCursorError: `cursor` is not one that the list gave.
    """
    rows, next_cursor = _chosen(sessions, wanted)
    with sessions.begin() as session:
        store.forget_unconfirmed(session, now - LIFE)
        fit, against = judged(session, wanted.action, rows)
        new = NewBulkAction(
            public_id=uuid4(),
            action=wanted.action,
            actor=actor[:80],
            asked=dict(wanted.asked),
            statuses=dict(Counter(row.status_label for row in fit)),
            against=against,
            next_cursor=next_cursor,
            created_at=now,
        )
        store.add(session, new, [row.id for row in fit])
    return new.public_id


def confirm(
    sessions: Sessions, public_id: UUID, *, reason: str, said: str, actor: str, now: datetime
) -> None:
    """Let an action be done; what was confirmed before stays as it is.

    Raises:
        NoSuchActionError: there is none, or it is too old.
        InvalidMessageError: the reason is not fit to be kept.
    """
    with sessions.begin() as session:
        action = _the_action(session, public_id, is_locked=True)
        if action.confirmed_at is not None:
            return
        if action.created_at < now - LIFE:
            raise NoSuchActionError(str(public_id))
        why = settle.checked_reason(reason) if Action(action.action).needs_reason else None
        values = {"confirmed_at": now, "actor": actor[:80], "reason": why}
        store.set_values(session, action.id, values)
        number = f"{action.chosen} message{'' if action.chosen == 1 else 's'}"
        told = f"{action.action}, {number}; {said}" + (f"; {why}" if why else "")
        accounts.audit(
            session, actor, "messages.bulk", subject=str(public_id), detail=told[:1000], now=now
        )


def go_on(
    sessions: Sessions,
    public_id: UUID,
    clock: Callable[[], datetime],
    seconds: float = SECONDS,
) -> BulkActionRow:
    """Work on a confirmed action for some time, at least one step, and return how far it is.

    While another request works on it, this one only says how far it is.

    Raises:
        NoSuchActionError: there is none.
    """
    with _alone_with(public_id) as is_alone:
        if not is_alone:
            with sessions() as session:
                return _the_action(session, public_id)
        return _work(sessions, public_id, clock, time.monotonic() + seconds)


def stop(sessions: Sessions, public_id: UUID, *, actor: str, now: datetime) -> None:
    """End a confirmed action where it is; one that is finished stays as it is.

    Raises:
        NoSuchActionError: there is none.
    """
    with sessions.begin() as session:
        action = _the_action(session, public_id, is_locked=True)
        if action.confirmed_at is None or action.finished_at is not None:
            return
        store.set_values(session, action.id, {"finished_at": now})
        told = f"{action.action}, after {action.looked_at} of {action.chosen} messages"
        accounts.audit(
            session, actor, "messages.bulk_stop", subject=str(public_id), detail=told, now=now
        )


def _chosen(sessions: Sessions, wanted: Wanted) -> tuple[list[MessageRow], str | None]:
    """Return the messages that are meant, and where the list goes on."""
    if wanted.named:
        with sessions() as session:
            return messages.by_public_ids(session, wanted.named), None
    rows: list[MessageRow] = []
    cursor = wanted.cursor
    while True:
        with sessions() as session:
            page = messages.search(session, wanted.question, limit=PAGE, cursor=cursor)
        rows += page.items
        cursor = page.next_cursor
        if cursor is None or len(rows) >= MOST:
            return rows, cursor


@contextmanager
def _alone_with(public_id: UUID) -> Iterator[bool]:
    """Say whether no other request of this process works on an action, and keep others from it."""
    with _lock:
        is_alone = public_id not in _working
        _working.add(public_id)
    try:
        yield is_alone
    finally:
        if is_alone:
            with _lock:
                _working.discard(public_id)


def _work(
    sessions: Sessions, public_id: UUID, clock: Callable[[], datetime], until: float
) -> BulkActionRow:
    """Take steps until the time is over, the action ends, or another process goes on with it."""
    left_at: int | None = None
    while True:
        began = time.monotonic()
        before, action = _step(sessions, public_id, clock(), left_at)
        rest = max(time.monotonic() - began, REST)
        if action.looked_at == before or action.finished_at or time.monotonic() + rest > until:
            return action
        left_at = action.looked_at
        time.sleep(rest)


def _step(
    sessions: Sessions, public_id: UUID, now: datetime, left_at: int | None
) -> tuple[int, BulkActionRow]:
    """Act on the next messages, unless somebody did since; returns how far it was and is."""
    with sessions.begin() as session:
        action = _the_action(session, public_id, is_locked=True)
        before = action.looked_at
        is_taken = left_at is not None and before != left_at
        if action.confirmed_at is None or action.finished_at is not None or is_taken:
            return before, action
        ids = store.next_ids(session, action, STEP)
        store.set_values(session, action.id, _done_with(session, action, ids, now))
        return before, _the_action(session, public_id)


def _done_with(
    session: Session, action: BulkActionRow, ids: Sequence[int], now: datetime
) -> dict[str, object]:
    """Act on these messages, and return how far the action is then."""
    if not ids:
        return {"finished_at": now}
    came_of = _act(session, action, ids, now)
    store.note(session, action.id, came_of)
    done = sum(detail is None for detail in came_of.values())
    return {
        "position": ids[-1],
        "done": action.done + done,
        "skipped": action.skipped + len(ids) - done,
    }


def _act(
    session: Session, action: BulkActionRow, ids: Sequence[int], now: datetime
) -> dict[int, str | None]:
    """Act on each of these messages; returns why some were skipped.

    They are locked, so what is refused is refused before anything of it is written.
    """
    kind = Action(action.action)
    if kind.needs_reason:
        found = settling.recipients(session, ids)
        settling.lock(session, {number for number, _ in found})
    rows = store.locked_messages(session, ids)
    return {
        id_: _act_on(session, kind, action, rows[id_], now) if id_ in rows else "It was erased."
        for id_ in ids
    }


def _act_on(
    session: Session, kind: Action, action: BulkActionRow, message: MessageRow, now: datetime
) -> str | None:
    if why := against(kind, message):
        return why
    try:
        match kind:
            case Action.CANCEL:
                manage.take_out(session, message.public_id, action.actor, now)
            case Action.RESEND:
                manage.queue_again(session, message.public_id, action.actor, now)
            case Action.SENT | Action.NOT_SENT:
                verdict, reason = Verdict(kind.value), action.reason or ""
                settle.mark(session, message, verdict, reason, actor=action.actor, now=now)
    except (manage.NotPossibleError, InvalidMessageError) as error:
        return str(error)
    return None


def _the_action(session: Session, public_id: UUID, *, is_locked: bool = False) -> BulkActionRow:
    found = store.by_public_id(session, public_id, is_locked=is_locked)
    if found is None:
        raise NoSuchActionError(str(public_id))
    return found
