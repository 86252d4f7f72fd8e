"""A batch as its pages show it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tracker.domain.batch_columns import field_of, near
from tracker.domain.status import LABELS, Status
from tracker.services import batch_results
from tracker.store.batches import BatchRow, Hold, ProblemRow, Stage

from .sight import WHOLE, Sight

MOVING_SECONDS: Final = 2
QUIET_SECONDS: Final = 5
_TONES: Final = {
    Stage.CHECKING: "way", Stage.QUEUEING: "way", Stage.CANCELLING: "way", Stage.RECEIVING: "way",
    Stage.DRAFT: "plain", Stage.CHECKED: "good", Stage.QUEUED: "good", Stage.REFUSED: "bad",
    Stage.FAILED: "bad", Stage.CANCELLED: "plain",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLine:
    """One batch in the list."""

    public_id: str
    name: str
    label: str
    tone: str
    created_at: datetime
    rows: int
    wrong_rows: int
    queued_rows: int
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """One batch on its own page; `left` messages can still be cancelled."""

    public_id: str
    name: str
    label: str
    tone: str
    reason: str
    percent: int
    is_moving: bool
    rows: int
    wrong_rows: int
    warnings: int
    queued_rows: int
    counts: tuple[tuple[str, str, int], ...]  # status, its label, how many
    left: int
    gone: int
    is_draft: bool
    can_pause: bool
    can_resume: bool
    can_cancel: bool
    can_start: bool
    is_dry_run: bool
    encoding: str
    separator: str
    columns: tuple[tuple[str, str | None], ...]
    problems: tuple[ProblemRow, ...]
    warnings_shown: tuple[ProblemRow, ...]
    created_at: datetime
    finished_at: datetime | None
    actor: str
    refresh_seconds: int


@dataclass(frozen=True, slots=True)
class ColumnField:
    """One column of a draft, to be given a field; `hint` is the one that may be meant."""

    header: str
    field: str
    hint: str | None
    samples: tuple[str, ...]
    problem: str | None


def batch_line(batch: BatchRow, sight: Sight = WHOLE) -> BatchLine:
    """Return a batch as one line."""
    return BatchLine(
        public_id=str(batch.public_id),
        name=sight.free(batch.name),
        label=batch_results.label(batch),
        tone=_tone(batch),
        created_at=batch.created_at,
        rows=batch.rows,
        wrong_rows=batch.wrong_rows,
        queued_rows=batch.queued_rows,
        actor=batch.actor.partition(":")[2] or batch.actor,
    )


def batch_view(
    batch: BatchRow,
    counts: Mapping[Status, int],
    problems: list[ProblemRow],
    warnings: list[ProblemRow],
    sight: Sight = WHOLE,
) -> BatchView:
    """Return a batch with all that its page shows."""
    left = counts.get(Status.QUEUED, 0)
    is_moving = batch.hold in (Hold.PAUSING, Hold.RESUMING) or (
        batch.hold is None and batch.status in (Stage.CHECKING, Stage.QUEUEING, Stage.CANCELLING)
    )
    is_open = batch.status in (Stage.CHECKING, Stage.QUEUEING)
    is_over = batch.status in (Stage.CANCELLING, Stage.CANCELLED)
    was_checked = batch.status in (Stage.CHECKED, Stage.REFUSED)
    is_paused = batch.hold in (Hold.PAUSING, Hold.PAUSED)
    line = batch_line(batch, sight)
    return BatchView(
        public_id=line.public_id,
        name=line.name,
        label=line.label,
        tone=line.tone,
        reason=sight.any_text(batch_results.reason(batch)),
        percent=int(100 * batch_results.progress(batch)),
        is_moving=is_moving,
        rows=batch.rows,
        wrong_rows=batch.wrong_rows,
        warnings=batch.warnings,
        queued_rows=batch.queued_rows,
        counts=tuple((s.value, LABELS[s], counts[s]) for s in LABELS if counts.get(s)),
        left=left,
        gone=sum(counts.values()) - left - counts.get(Status.CANCELLED, 0),
        is_draft=batch.status == Stage.DRAFT,
        can_pause=not is_paused and not is_over and (is_open or left > 0),
        can_resume=is_paused and not is_over,
        can_cancel=not is_over
        and (is_open or was_checked or batch.status == Stage.DRAFT or left > 0),
        can_start=was_checked and batch.rows > batch.wrong_rows,
        is_dry_run=batch.is_dry_run,
        encoding=batch.format.get("encoding", ""),
        separator=batch_results.separator_name(batch) or "",
        # Of a file without a header these are the cells of its first row.
        columns=tuple((sight.free(one["header"]), one["field"]) for one in batch.columns),
        problems=_seen(problems, batch, sight),
        warnings_shown=_seen(warnings, batch, sight),
        created_at=batch.created_at,
        finished_at=batch.finished_at,
        actor=line.actor,
        refresh_seconds=MOVING_SECONDS if is_moving else QUIET_SECONDS,
    )


def _seen(problems: Iterable[ProblemRow], batch: BatchRow, sight: Sight) -> tuple[ProblemRow, ...]:
    """Return problems as a person reads them: what is wrong with a number still has its digits."""
    of_people = {column["header"] for column in batch.columns if column["field"] == "to"}
    return tuple(
        replace(
            problem,
            column=problem.column and sight.free(problem.column),
            value=problem.value
            and _value(problem.value, sight, is_number=problem.column in of_people),
            reason=sight.any_text(problem.reason),
        )
        for problem in problems
    )


def _value(value: str, sight: Sight, *, is_number: bool) -> str:
    return sight.cell(value) if is_number else sight.any_text(value)


def column_fields(
    headers: list[str],
    samples: list[list[str]],
    chosen: Mapping[str, str | None],
    problems: Mapping[str, str],
) -> list[ColumnField]:
    """Return the columns of a draft with the fields they have so far."""
    return [
        ColumnField(
            header,
            chosen[header] or "" if header in chosen else field_of(header) or "",
            near(header) if field_of(header) is None else None,
            tuple(row[index][:60] for row in samples if index < len(row)),
            problems.get(header),
        )
        for index, header in enumerate(headers)
        if header
    ]


def _tone(batch: BatchRow) -> str:
    return "odd" if batch.hold else _TONES[Stage(batch.status)]
