"""Judging postbacks anew, by the filter: their messages may be known by now, or the reader better.

It steps through the journal in order of arrival, in transactions of at most `STEP` rows, so that it
can run beside live traffic, and never goes beyond what was there when it began.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from tracker.domain.fold import Delivery, Outcome
from tracker.store import accounts, postbacks
from tracker.store.db import Sessions
from tracker.store.postbacks import PostbackFilter, Untold

from . import rejudge
from .receive import again_if_lost, is_fault_of_a_row
from .rejudge import Rejudged

STEP: Final = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFilter:
    """Which postbacks to judge anew; all conditions hold, None asks nothing.

    Without ids and outcome it is those on the shelf and those in quarantine. `received_to` itself
    is not included, `through_id` is.
    """

    ids: tuple[int, ...] = ()
    outcome: str | None = None
    code: str | None = None
    kind: str | None = None
    tracking_id: str | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None
    through_id: int | None = None

    @property
    def is_empty(self) -> bool:
        """Nothing was asked for; that must never mean everything."""
        return not self._asked()

    def __str__(self) -> str:
        return ", ".join(self._asked()) or "everything"

    def _asked(self) -> list[str]:
        ids = " ".join(map(str, self.ids[:20])) + (" ..." if len(self.ids) > 20 else "")
        texts = {
            "ids": ids,
            "outcome": self.outcome,
            "code": self.code,
            "kind": self.kind,
            "tracking id": self.tracking_id,
            "from": _utc(self.received_from),
            "to": _utc(self.received_to),
        }
        return [f"{name} {text}" for name, text in texts.items() if text]

    def untold(self) -> Untold:
        """Return the question to the store."""
        wanted = PostbackFilter(
            outcome=self.outcome,
            code=self.code,
            kind=self.kind,
            tracking_id=self.tracking_id,
            received_from=self.received_from,
            received_to=self.received_to,
        )
        return Untold(wanted=wanted, ids=self.ids, through_id=self.through_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One postback before and after; with `error` it could not be judged, and is as it was."""

    id: int
    code: str | None
    before: str
    after: str
    is_changed: bool
    message_id: UUID | None
    reason: str
    error: str | None = None


@dataclass(slots=True)
class Tally:
    """How many postbacks came to what."""

    changed: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def add(self, one: Replayed) -> None:
        """Count one more."""
        if one.error:
            self.failed += 1
        else:
            (self.changed if one.is_changed else self.kept)[one.after] += 1

    @property
    def total(self) -> int:
        """How many there were."""
        return self.changed.total() + self.kept.total() + self.failed

    def sentence(self, *, is_dry_run: bool) -> str:
        """Say it in words, such as `3 would be applied, 2 stay unmatched.`, with a full stop."""
        verb = " would be" if is_dry_run else ""
        parts = [f"{self.changed[o]:,}{verb} {o}" for o in Outcome if self.changed[o]]
        parts += [f"{n:,} stay{'s' if n == 1 else ''} {o}" for o in Outcome if (n := self.kept[o])]
        if self.failed:
            parts.append(f"{self.failed:,} still cannot be read")
        return (", ".join(parts) or "There is nothing to judge anew") + "."


def count(sessions: Sessions, wanted: ReplayFilter) -> int:
    """Return how many postbacks a replay would judge."""
    with sessions() as session:
        return postbacks.count(session, wanted.untold())


def missing(sessions: Sessions, ids: Sequence[int]) -> list[int]:
    """Return the ids that no postback has."""
    with sessions() as session:
        there = {row.id for row in postbacks.by_ids(session, ids)}
    return [id_ for id_ in ids if id_ not in there]


def run(
    sessions: Sessions,
    wanted: ReplayFilter,
    *,
    actor: str,
    is_dry_run: bool,
    zone: ZoneInfo,
    now: datetime,
    limit: int | None = None,
) -> Iterator[Replayed]:
    """Judge postbacks anew in order of arrival, and yield what each came to once it is committed.

    A dry run does the same work and takes it back: it says what would change, and changes nothing.
    At most `limit` are judged. The run is written down when it ends, also when it is broken off.
    """
    tally = Tally()
    job = _Job(sessions, actor, is_dry_run, zone, now)
    try:
        for ids in _steps(sessions, wanted, limit):
            for one in job.judge(ids):
                tally.add(one)
                yield one
    finally:
        if not is_dry_run:
            detail = f"{wanted}: {tally.sentence(is_dry_run=False)}"[:1000]
            with sessions.begin() as session:
                accounts.audit(session, actor, "postbacks.replay", detail=detail, now=now)


def _steps(sessions: Sessions, wanted: ReplayFilter, limit: int | None) -> Iterator[list[int]]:
    with sessions() as session:
        last = postbacks.last_id(session)
    if wanted.through_id is not None:
        last = min(last, wanted.through_id)
    untold = replace(wanted, through_id=last).untold()
    after, left = 0, limit
    while left is None or left > 0:
        with sessions() as session:
            ids = postbacks.ids_after(session, untold, after, min(STEP, left or STEP))
        if not ids:
            return
        yield ids
        after = ids[-1]
        left = None if left is None else left - len(ids)


@dataclass(slots=True)
class _Job:
    """The work of one replay; `ahead` is how a dry run would have left the messages so far."""

    sessions: Sessions
    actor: str
    is_dry_run: bool
    zone: ZoneInfo
    now: datetime
    ahead: dict[int, Delivery] = field(default_factory=dict)

    def judge(self, ids: Sequence[int]) -> list[Replayed]:
        """Judge in one transaction; when that fails for what one row holds, each in its own."""
        try:
            return again_if_lost(lambda: self._once(ids))
        except Exception as error:
            if not is_fault_of_a_row(error):
                raise
            log.exception("a step of a replay failed", extra={"first": ids[0], "rows": len(ids)})
            if len(ids) == 1:
                return self._unjudged(ids[0], error)
        return [one for id_ in ids for one in self.judge([id_])]

    def _once(self, ids: Sequence[int]) -> list[Replayed]:
        ahead = dict(self.ahead) if self.is_dry_run else None
        with self.sessions.begin() as session:
            found = rejudge.judge_all_anew(session, ids, zone=self.zone, now=self.now, ahead=ahead)
            if self.is_dry_run:
                session.rollback()
            else:
                self._write_down(session, found)
        self.ahead = ahead or {}
        return [_replayed(one) for one in found]

    def _write_down(self, session: Session, found: Sequence[Rejudged]) -> None:
        for one in found:
            if one.is_changed:
                detail = f"{one.before.outcome} -> {one.after.outcome}"
                accounts.audit(
                    session, self.actor, "postback.replay",
                    subject=str(one.before.id), detail=detail, now=self.now,
                )  # fmt: skip

    def _unjudged(self, postback_id: int, error: Exception) -> list[Replayed]:
        with self.sessions() as session:
            row = postbacks.by_id(session, postback_id)
        said = f"It could not be stored as it is: {type(error).__name__}."
        return [_replayed(Rejudged(row, row, said))] if row else []


def _utc(at: datetime | None) -> str | None:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else None


def _replayed(one: Rejudged) -> Replayed:
    return Replayed(
        id=one.before.id,
        code=one.after.code,
        before=one.before.outcome,
        after=one.after.outcome,
        is_changed=one.is_changed,
        message_id=one.after.message_public_id,
        reason=one.after.outcome_reason,
        error=one.error,
    )
