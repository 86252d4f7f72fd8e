"""A bulk action: what it would do, how far it is, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tracker.domain.status import LABELS, Status, label
from tracker.services.bulk_actions import MOST
from tracker.services.bulk_judging import Action
from tracker.store.bulk_actions import BulkActionRow

from .question import Question


@dataclass(frozen=True, slots=True)
class Words:
    """How an action is spoken of."""

    title: str
    will: str  # after "3 messages will be "
    button: str
    done: str  # after a number


WORDS: Final = {
    Action.CANCEL: Words("Cancel messages", "cancelled", "Cancel them", "cancelled"),
    Action.RESEND: Words(
        "Send messages again",
        "sent again, each as a new message with a new pass id",
        "Send them again",
        "queued again",
    ),
    Action.SENT: Words("Mark messages as sent", "marked as sent", "Mark them", "marked as sent"),
    Action.NOT_SENT: Words(
        "Mark messages as not sent",
        "marked as not sent, and can then be sent again",
        "Mark them",
        "marked as not sent",
    ),
}
TICKED: Final = "ticked"  # kept with the question: the messages were ticked, and not what it finds
_MAY_HAVE_IT: Final = frozenset(
    {label(Status.DELIVERED, "SMS")}
    | {
        LABELS[status]
        for status in (
            Status.DELIVERED, Status.SENT, Status.NO_RECEIPT, Status.ACCEPTED, Status.UNKNOWN,
        )
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkView:
    """All that the page shows; `skipped` are some messages of those, with why."""

    public_id: str
    action: str
    words: Words
    list_url: str
    said: str
    chosen: int
    left_out: int
    statuses: list[tuple[str, int]]
    against: list[tuple[str, int]]
    warning: str | None
    needs_reason: bool
    has_older: bool
    most: int
    is_confirmed: bool
    is_finished: bool
    rest: int  # that had no turn when it was stopped
    looked_at: int
    percent: int
    done: int
    reasons: list[tuple[str, int]]
    skipped_count: int
    skipped: Sequence[tuple[UUID, str]]


def bulk_view(
    row: BulkActionRow,
    reasons: Sequence[tuple[str, int]] = (),
    skipped: Sequence[tuple[UUID, str]] = (),
) -> BulkView:
    """Return a bulk action as its page shows it."""
    action, question = Action(row.action), Question.from_asked(row.asked)
    left_out = sum(row.against.values())
    return BulkView(
        public_id=str(row.public_id),
        action=action.value,
        words=WORDS[action],
        list_url=question.url(),
        said=_ticked(left_out + row.chosen) if TICKED in row.asked else question.said(),
        chosen=row.chosen,
        left_out=left_out,
        statuses=_by_number(row.statuses),
        against=_by_number(row.against),
        warning=_warning(action, row.statuses),
        needs_reason=action.needs_reason,
        has_older=row.next_cursor is not None,
        most=MOST,
        is_confirmed=row.confirmed_at is not None,
        is_finished=row.finished_at is not None,
        rest=row.chosen - row.looked_at,
        looked_at=row.looked_at,
        percent=100 * row.looked_at // row.chosen if row.chosen else 100,
        done=row.done,
        reasons=list(reasons),
        skipped_count=row.skipped,
        skipped=skipped,
    )


def _ticked(number: int) -> str:
    return f"{number} ticked message{'' if number == 1 else 's'}"


def _by_number(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _warning(action: Action, statuses: Mapping[str, int]) -> str | None:
    number = sum(count for name, count in statuses.items() if name in _MAY_HAVE_IT)
    if action is not Action.RESEND or not number:
        return None
    who = "1 recipient has" if number == 1 else f"{number:,} recipients have"
    return f"{who} the first message already, or may have it, and will get the pass twice."
