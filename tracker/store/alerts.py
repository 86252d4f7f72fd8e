"""What a person must know of. The same trouble has one open row, and counts how often it came."""

from datetime import datetime

from sqlalchemy import func, select, update
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


def page(session: Session, *, limit: int, before_id: int | None = None) -> Page[AlertRow]:
    """Return one page, the newest first; the cursor is the last id shown."""
    statement = select(*_COLUMNS).order_by(Alert.id.desc()).limit(limit + 1)
    if before_id is not None:
        statement = statement.where(Alert.id < before_id)
    found = [AlertRow(**row) for row in session.execute(statement).mappings()]
    more = len(found) > limit
    return Page(found[:limit], str(found[limit - 1].id) if more else None)
