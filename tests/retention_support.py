"""Databases of long ago for the tests of retention and erasure."""

from datetime import timedelta

from sqlalchemy import select, update

from tracker.store.base import Base, UtcDateTime
from tracker.store.db import Sessions


def grow_older(sessions: Sessions, days: int) -> None:
    """Let everything that is kept have happened so many days earlier."""
    with sessions.begin() as session:
        for table in Base.metadata.sorted_tables:
            times = [column for column in table.c if isinstance(column.type, UtcDateTime)]
            keys = list(table.primary_key)
            for row in session.execute(select(*keys, *times)).all():
                key, moments = row[: len(keys)], row[len(keys) :]
                earlier = {
                    column.name: moment - timedelta(days=days)
                    for column, moment in zip(times, moments, strict=True)
                    if moment is not None
                }
                is_it = [column == value for column, value in zip(keys, key, strict=True)]
                if earlier:
                    session.execute(update(table).where(*is_it).values(earlier))
