"""What is known against rows of a file that are right by themselves, asked for many at once.

It is wrong that the number is suppressed, that the pass template refuses the row, and that the
batch's token has used the reference before, which names one message for ever. Worth a warning are
doubts of the template, and a reference that a message has already where no token is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from tracker.domain.message import Problem
from tracker.store import messages
from tracker.store.batches import BatchRow, NewMessage

from . import repeats, suppress, templates


@dataclass(frozen=True, slots=True)
class Known:
    """Problems by row."""

    wrong: dict[int, list[Problem]] = field(default_factory=dict)
    odd: dict[int, list[Problem]] = field(default_factory=dict)


def against(session: Session, batch: BatchRow, rows: Sequence[NewMessage]) -> Known:
    """Return what is known against rows of a batch."""
    known = Known()
    suppressed = suppress.problems(session, {new.message.to for new in rows})
    rules = templates.rules(session, {new.message.mms_id for new in rows})
    used = _used(session, batch, rows)
    for new in rows:
        judged = rules.judge(new.message)
        wrong = [refusal.problem for refusal in judged.refusals]
        odd = list(judged.warnings)
        if problem := suppressed.get(new.message.to):
            wrong.append(problem)
        if problem := used.get(new.message.reference or ""):
            (odd if batch.token_id is None else wrong).append(problem)
        if wrong:
            known.wrong[new.row] = wrong
        if odd:
            known.odd[new.row] = odd
    return known


def _used(session: Session, batch: BatchRow, rows: Sequence[NewMessage]) -> Mapping[str, Problem]:
    """Return what is to be said of references that messages have already."""
    references = {new.message.reference for new in rows if new.message.reference}
    if batch.token_id is not None:
        return repeats.used_references(session, batch.token_id, references)
    detail = "has a message already, of an earlier request"
    return {
        reference: Problem("reference", reference, detail)
        for reference in messages.known_references(session, references)
    }
