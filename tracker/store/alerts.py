"""What a person must know of. The same trouble has one open row, and counts how often it came."""

from datetime import datetime

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .db import dialect_of
from .models import IS_OPEN, Alert
from .rows import AlertRow, Page

_COLUMNS = tuple(getattr(Alert, name) for name in AlertRow.__dataclass_fields__)


def sound(session: Session, kind: str, subject: str, detail: str, now: datetime) -> None:
    """Open an alert, or count one that is open already."""
    dialect = sqlite if dialect_of(session) == "sqlite" else postgresql
    statement = dialect.insert(Alert).values(
        kind=kind[:32], subject=subject[:128], detail=detail[:1000], count=1,
        first_at=now, last_at=now,
    )  # fmt: skip
    again = {"count": Alert.count + 1, "last_at": now, "detail": detail[:1000]}
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["kind", "subject"], index_where=IS_OPEN, set_=again
        )
    )


def close(session: Session, alert_id: int, actor: str, now: datetime) -> bool:
    """Close an alert; False when it was not open."""
    closed = (
        update(Alert)
        .where(Alert.id == alert_id, IS_OPEN)
        .values(closed_at=now, closed_by=actor[:80])
        .returning(Alert.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(closed) is not None


def open_count(session: Session) -> int:
    """Return how many are open; few ever are."""
    return session.scalar(select(func.count()).select_from(Alert).where(IS_OPEN)) or 0


def open_ones(session: Session, limit: int) -> list[AlertRow]:
    """Return what is open, what came last first."""
    newest = select(*_COLUMNS).where(IS_OPEN).order_by(Alert.last_at.desc(), Alert.id.desc())
    return _rows(session, newest.limit(limit))


def closed_ones(session: Session, *, limit: int, before_id: int | None = None) -> Page[AlertRow]:
    """Return one page of what is closed, newest first; the cursor is the last id shown."""
    closed = select(*_COLUMNS).where(Alert.closed_at.is_not(None))
    if before_id is not None:
        closed = closed.where(Alert.id < before_id)
    found = _rows(session, closed.order_by(Alert.id.desc()).limit(limit + 1))
    more = len(found) > limit
    return Page(found[:limit], str(found[limit - 1].id) if more else None)


def by_id(session: Session, alert_id: int) -> AlertRow | None:
    """Return one alert."""
    found = _rows(session, select(*_COLUMNS).where(Alert.id == alert_id))
    return found[0] if found else None


def _rows(session: Session, statement: Select[*tuple[object, ...]]) -> list[AlertRow]:
    return [AlertRow(**row) for row in session.execute(statement).mappings()]
