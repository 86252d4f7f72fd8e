"""How people want pages to be."""

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .db import dialect_of
from .models import UserPreference


def of(session: Session, user_id: int, name: str) -> list[Any] | None:
    """Return what a person wants; None when she never said."""
    wanted = UserPreference.user_id == user_id, UserPreference.name == name
    return session.scalar(select(UserPreference.value).where(*wanted))


def put(session: Session, user_id: int, name: str, value: list[Any] | None) -> None:
    """Keep what a person wants; None: what is usual."""
    if value is None:
        wanted = UserPreference.user_id == user_id, UserPreference.name == name
        session.execute(delete(UserPreference).where(*wanted))
        return
    dialect = sqlite if dialect_of(session) == "sqlite" else postgresql
    statement = dialect.insert(UserPreference).values(user_id=user_id, name=name, value=value)
    session.execute(
        statement.on_conflict_do_update(index_elements=["user_id", "name"], set_={"value": value})
    )
