"""Recompute messages, handsets and rollups from the journal's bytes; report, and repair.

A step looks at some things at one moment and without a lock. What differs is told, and then
computed once more under locks and written, in the same short transaction that keeps how far the
run has come. Nothing is locked where nothing is wrong, so that it may run beside live traffic; and
whoever dies anywhere goes on from the last step, telling at most that one twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.exc import DBAPIError

from tracker.store import accounts
from tracker.store import rebuild as store
from tracker.store.db import Sessions

from . import rollups
from .recompute import Difference, Handsets, Hours, Look, Messages, Stage

STEP: Final = 200
RETRIES: Final = 5  # of a step that lost against live traffic
# Serialisation failure and deadlock of PostgreSQL; SQLite's writer was busy all the time.
_LOST_AGAINST_ANOTHER: Final = frozenset({"40001", "40P01", "SQLITE_BUSY"})


class Mode(StrEnum):
    """What is done about differences."""

    DRY_RUN = "dry-run"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run has come to, with what it did before it was stopped.

    `left` are differences that no recomputing can repair, `expired` messages and numbers whose
    bytes are gone, `pending` hours that are about to be counted anyway.
    """

    messages: int = 0
    numbers: int = 0
    hours: int = 0
    differences: int = 0
    repaired: int = 0
    left: int = 0
    expired: int = 0
    pending: int = 0

    def after(self, stage: str, look: Look, repaired: int) -> "Counts":
        """Return the counts after one more step."""
        return replace(
            self,
            **{stage: getattr(self, stage) + look.checked},
            differences=self.differences + len(look.differences),
            repaired=self.repaired + repaired,
            left=self.left + sum(not d.is_mendable for d in look.differences),
            expired=self.expired + look.expired,
            pending=self.pending + look.pending,
        )


_COUNTS: Final = tuple(Counts.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage has come."""

    stage: str
    done: int
    total: int


class Rebuild:
    """One run, from where an earlier one of the same mode was stopped."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        mode: Mode,
        zone: ZoneInfo,
        clock: Callable[[], datetime],
        tell: Callable[[Difference], None],
        step: int = STEP,
    ) -> None:
        self._sessions = sessions
        self._mode = mode
        self._clock = clock
        self._tell = tell
        self._step = step
        self._stages: tuple[Stage, ...] = (Messages(zone), Handsets(zone), Hours())
        self._names = [f"rebuild {mode} {name}" for name in ("stage", "position", *_COUNTS)]
        self._stage = 0
        self._position = 0
        self.counts = Counts()

    def resume(self) -> str | None:
        """Take up what was stopped, and name the stage it was in; None when nothing was."""
        with self._sessions() as session:
            kept = store.checkpoints(session, self._names)
        if not kept:
            return None
        self._stage, self._position, *counts = (kept.get(name, 0) for name in self._names)
        self.counts = Counts(*counts)
        return self._stages[min(self._stage, len(self._stages) - 1)].name

    def steps(self) -> Iterator[Progress]:
        """Do the work; each step is committed when it is yielded, and one may stop after any."""
        while self._stage < len(self._stages):
            stage = self._stages[self._stage]
            if self._mode is Mode.REPAIR and isinstance(stage, Hours):
                rollups.refresh(self._sessions)  # also what this run itself has marked
            with self._sessions() as session:
                total = stage.total(session)
            while self._do_step(stage):
                checked = getattr(self.counts, stage.name)
                yield Progress(stage.name, stage.done(self._position, checked), total)

    def end(self, actor: str, *, is_finished: bool) -> None:
        """Write the run into the audit; a finished one leaves nothing to take up."""
        counts = ", ".join(f"{number} {name}" for name, number in asdict(self.counts).items())
        detail = f"{self._mode}, {'finished' if is_finished else 'stopped'}: {counts}"
        now = self._clock()
        with self._sessions.begin() as session:
            if is_finished:
                store.forget(session, self._names)
            accounts.audit(session, actor, "rebuild", detail=detail, now=now)

    def forget(self) -> None:
        """Leave what was stopped where it is, and begin anew."""
        with self._sessions.begin() as session:
            store.forget(session, self._names)

    def _do_step(self, stage: Stage) -> bool:
        with self._sessions() as session:
            store.look_only(session)
            look = stage.look(session, self._position, self._step)
        for difference in look.differences:
            self._tell(difference)
        for _ in range(RETRIES):
            try:
                return self._settle(stage, look)
            except DBAPIError as error:
                if not _has_lost(error):
                    raise
        return self._settle(stage, look)

    def _settle(self, stage: Stage, look: Look) -> bool:
        """Commit a step; False when it was the last one of its stage."""
        now = self._clock()
        is_over = look.position is None
        place = (self._stage + 1, 0) if is_over else (self._stage, look.position or 0)
        with self._sessions.begin() as session:
            repaired = 0
            if look.suspects and self._mode is Mode.REPAIR:
                repaired = stage.repair(session, look.suspects, now)
            counts = self.counts.after(stage.name, look, repaired)
            store.keep(session, self._kept(place, counts), now)
        (self._stage, self._position), self.counts = place, counts
        return not is_over

    def _kept(self, place: tuple[int, int], counts: Counts) -> dict[str, int]:
        return dict(zip(self._names, (*place, *asdict(counts).values()), strict=True))


def _has_lost(error: DBAPIError) -> bool:
    names = ("sqlstate", "sqlite_errorname")
    return any(getattr(error.orig, name, None) in _LOST_AGAINST_ANOTHER for name in names)
