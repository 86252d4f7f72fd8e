"""Numbers that must not be sent to, and what the gateway said of stored MMS."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from . import bulk
from .db import dialect_of
from .models import MmsContent, Suppression
from .rows import Page, SuppressionRow

_COLUMNS = tuple(getattr(Suppression, name) for name in SuppressionRow.__dataclass_fields__)


def add(
    session: Session,
    number: str,
    reason: str,
    detail: str | None,
    *,
    told_at: datetime | None,
    now: datetime,
) -> None:
    """Suppress a number, unless a later word is known; a lifted one is suppressed again."""
    values = {
        "reason": reason[:16], "detail": detail and detail[:1000], "since": now,
        "told_at": told_at, "lifted_at": None, "lifted_by": None,
    }  # fmt: skip
    _put(session, Suppression, {"number": number[:15]}, values, told_at)


def lift(
    session: Session, number: str, actor: str, *, told_at: datetime | None, now: datetime
) -> bool:
    """Let a number be sent to again; False when it was not suppressed, or later than `told_at`.

    A word with a time is kept even when there is nothing to lift: an older one may come after it.
    """
    is_suppressed = find(session, number) is not None
    lifted = {"lifted_at": now, "lifted_by": actor[:80]}
    if told_at is not None:
        values = {"reason": actor[:16], "since": now, "told_at": told_at, **lifted}
        return (
            _put(session, Suppression, {"number": number[:15]}, values, told_at) and is_suppressed
        )
    session.execute(
        update(Suppression)
        .where(Suppression.number == number, Suppression.lifted_at.is_(None))
        .values(**lifted)
        .execution_options(synchronize_session=False)
    )
    return is_suppressed


def find(session: Session, number: str) -> SuppressionRow | None:
    """Return why a number must not be sent to; None when it may."""
    statement = select(*_COLUMNS).where(
        Suppression.number == number, Suppression.lifted_at.is_(None)
    )
    found = session.execute(statement).mappings().first()
    return SuppressionRow(**found) if found else None


def among(session: Session, numbers: Iterable[str]) -> dict[str, SuppressionRow]:
    """Return why some of these numbers must not be sent to, by number."""
    wanted = set(numbers)
    if not wanted:
        return {}
    statement = select(*_COLUMNS).where(
        bulk.among(session, Suppression.number, sorted(wanted)), Suppression.lifted_at.is_(None)
    )
    found = [SuppressionRow(**row) for row in session.execute(statement).mappings()]
    return {row.number: row for row in found}


def page(session: Session, *, limit: int, after_number: str | None = None) -> Page[SuppressionRow]:
    """Return one page of the numbers that are suppressed now, in their order."""
    statement = select(*_COLUMNS).where(Suppression.lifted_at.is_(None))
    if after_number is not None:
        statement = statement.where(Suppression.number > after_number)
    statement = statement.order_by(Suppression.number).limit(limit + 1)
    found = [SuppressionRow(**row) for row in session.execute(statement).mappings()]
    more = len(found) > limit
    return Page(found[:limit], found[limit - 1].number if more else None)


def note_content(
    session: Session,
    mms_id: str,
    *,
    is_usable: bool,
    code: str,
    detail: str | None,
    told_at: datetime | None,
    now: datetime,
) -> None:
    """Keep what the gateway said of a stored MMS, unless a later word is known."""
    values = {
        "is_usable": is_usable, "code": code[:32], "detail": detail and detail[:1000],
        "told_at": told_at, "seen_at": now,
    }  # fmt: skip
    _put(session, MmsContent, {"mms_id": mms_id[:32]}, values, told_at)


def _put(
    session: Session,
    model: type[Suppression] | type[MmsContent],
    key: dict[str, str],
    values: dict[str, Any],
    told_at: datetime | None,
) -> bool:
    """Write a row, unless a later word is there; False then."""
    dialect = sqlite if dialect_of(session) == "sqlite" else postgresql
    statement = dialect.insert(model).values(**key, **values)
    is_later = or_(model.told_at.is_(None), model.told_at <= told_at) if told_at else None
    statement = statement.on_conflict_do_update(
        index_elements=list(key), set_=values, where=is_later
    )
    return session.execute(statement.returning(*model.__table__.primary_key)).first() is not None
