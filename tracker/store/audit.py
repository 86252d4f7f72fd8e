"""Reading the audit trail. It is written by `accounts.audit`."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session

from . import cursors
from .models import AuditEntry
from .rows import AuditRow, Page

_COLUMNS = tuple(getattr(AuditEntry, name) for name in AuditRow.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Conditions that all hold; None asks nothing."""

    actor: str | None = None
    action: str | None = None
    at_from: datetime | None = None
    at_to: datetime | None = None  # exclusive


def search(
    session: Session, wanted: AuditFilter, *, limit: int, cursor: str | None = None
) -> Page[AuditRow]:
    """Return one page, newest first.

    Raises:
        BadCursorError: `cursor` is not one that an earlier page gave.
    """
    statement = select(*_COLUMNS).where(*_conditions(wanted))
    if cursor is not None:
        statement = statement.where(tuple_(AuditEntry.at, AuditEntry.id) < cursors.read(cursor))
    ordered = statement.order_by(AuditEntry.at.desc(), AuditEntry.id.desc()).limit(limit + 1)
    found = [AuditRow(**row) for row in session.execute(ordered).mappings()]
    last = found[limit - 1] if len(found) > limit else None
    return Page(found[:limit], cursors.write(last.at, last.id) if last else None)


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    equal = {AuditEntry.actor: wanted.actor, AuditEntry.action: wanted.action}
    conditions = [column == value for column, value in equal.items() if value is not None]
    if wanted.at_from is not None:
        conditions.append(AuditEntry.at >= wanted.at_from)
    if wanted.at_to is not None:
        conditions.append(AuditEntry.at < wanted.at_to)
    return conditions
