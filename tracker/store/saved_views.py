"""Questions to the list of messages that people gave a name."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from .models import IS_SHARED, SavedView, User


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedViewRow:
    """One saved view; `asked` is the question, and `owner` the name of whoever saved it."""

    id: int
    user_id: int
    name: str
    asked: Mapping[str, list[str]]
    is_shared: bool
    owner: str


_COLUMNS = (
    SavedView.id, SavedView.user_id, SavedView.name, SavedView.asked, SavedView.is_shared,
    User.username.label("owner"),
)  # fmt: skip
_VIEWS = select(*_COLUMNS).join(User, User.id == SavedView.user_id)


def own(session: Session, user_id: int, limit: int) -> list[SavedViewRow]:
    """Return the views of a person, by name."""
    mine = _VIEWS.where(SavedView.user_id == user_id).order_by(SavedView.name)
    return [SavedViewRow(**row) for row in session.execute(mine.limit(limit)).mappings()]


def shared_by_others(session: Session, user_id: int, limit: int) -> list[SavedViewRow]:
    """Return the views that others share, by name."""
    theirs = _VIEWS.where(IS_SHARED, SavedView.user_id != user_id).order_by(SavedView.name)
    return [SavedViewRow(**row) for row in session.execute(theirs.limit(limit)).mappings()]


def by_id(session: Session, view_id: int, user_id: int) -> SavedViewRow | None:
    """Return a view that a person may see: her own, or a shared one."""
    may_see = or_(SavedView.user_id == user_id, IS_SHARED)
    found = session.execute(_VIEWS.where(SavedView.id == view_id, may_see)).mappings().first()
    return SavedViewRow(**found) if found else None


def count(session: Session, user_id: int) -> int:
    """Return how many views a person has."""
    mine = select(func.count()).select_from(SavedView).where(SavedView.user_id == user_id)
    return session.scalar(mine) or 0


def add(
    session: Session,
    user_id: int,
    name: str,
    asked: Mapping[str, list[str]],
    *,
    is_shared: bool,
    now: datetime,
) -> None:
    """Keep a view; a second one of that name violates the index."""
    session.add(
        SavedView(
            user_id=user_id, name=name, asked=dict(asked), is_shared=is_shared, created_at=now
        )
    )
    session.flush()


def change(session: Session, view_id: int, name: str, *, is_shared: bool) -> None:
    """Give a view another name, or share it or not; a name that is taken violates the index."""
    session.execute(
        update(SavedView)
        .where(SavedView.id == view_id)
        .values(name=name, is_shared=is_shared)
        .execution_options(synchronize_session=False)
    )


def remove(session: Session, view_id: int) -> None:
    """Forget a view."""
    session.execute(delete(SavedView).where(SavedView.id == view_id))
