"""The handset last seen behind each number. Receipts write it; see `ingest`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from .models import Handset, SendAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class HandsetRow:
    """A number's handset: who named it, when, and when a message was last sent by it."""

    number: str
    handset: str
    os: str | None
    source: str
    seen_at: datetime
    used_at: datetime | None


_COLUMNS = tuple(getattr(Handset, name) for name in HandsetRow.__dataclass_fields__)


def by_number(session: Session, number: str) -> HandsetRow | None:
    """Return the handset of a number; None when no receipt named one."""
    return by_numbers(session, [number]).get(number)


def by_numbers(
    session: Session, numbers: Collection[str], *, is_locked: bool = False
) -> dict[str, HandsetRow]:
    """Return the handsets of those numbers that have one; in key order, as receipts lock them."""
    statement = select(*_COLUMNS).where(Handset.number.in_(list(numbers))).order_by(Handset.number)
    found = session.execute(statement.with_for_update() if is_locked else statement)
    return {row["number"]: HandsetRow(**row) for row in found.mappings()}


def use(session: Session, numbers: Collection[str], now: datetime) -> None:
    """Write down that messages are sent by what is known of these numbers."""
    session.execute(
        update(Handset)
        .where(Handset.number.in_(list(numbers)))
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )


def note_calls(session: Session, notes: Mapping[UUID, str]) -> None:
    """Put a note to calls that have begun, by claim id."""
    session.flush()  # the rows of the calls may be waiting still
    statement = (
        update(SendAttempt)
        .where(SendAttempt.claim_id == bindparam("of_claim"))
        .values(note=bindparam("said"))
    )
    session.connection().execute(
        statement, [{"of_claim": claim, "said": note} for claim, note in notes.items()]
    )
