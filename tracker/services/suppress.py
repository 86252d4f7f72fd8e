"""Numbers that must not be sent to: refused when asked for, before anything is spent on them.

They are looked at again when a message is taken out of the queue: the word may have come since.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy.orm import Session

from tracker.domain.message import InvalidMessageError, Problem
from tracker.domain.reasons import OUR_REFUSAL, suppressed
from tracker.store import suppressions
from tracker.store.rows import SuppressionRow

HOW_TO_LIFT = "an operator can lift this on the page Suppressed"


def check(session: Session, number: str) -> None:
    """Refuse a number that must not be sent to.

    Raises:
        InvalidMessageError: it is suppressed; says why, since when, and how to lift it.
    """
    if problem := problems(session, [number]).get(number):
        raise InvalidMessageError((problem,))


def problems(session: Session, numbers: Iterable[str]) -> Mapping[str, Problem]:
    """Return what is wrong with those of the numbers that must not be sent to, by number."""
    found = suppressions.among(session, numbers)
    return {number: Problem("to", number, _problem(row)) for number, row in found.items()}


def refusal(row: SuppressionRow) -> str:
    """Return what is kept with a message that is not sent because its number is suppressed."""
    detail = f": {row.detail}" if row.detail else ""
    return f"{OUR_REFUSAL}{suppressed(row.reason, row.since)}{detail}"[:1000]


def _problem(row: SuppressionRow) -> str:
    return f"{suppressed(row.reason, row.since)}; {HOW_TO_LIFT}"
