"""Pages of messages for questions that no index answers: each looks at so many rows and no more.

Most questions find a page among the newest few hundred. For others the rollups say in which hours
there is anything of the kind, and only these are looked through. A page that had to stop before it
was full says how far it looked; the next one goes on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, Select, select, tuple_, union
from sqlalchemy.orm import Session

from .models import Message, Rollup, RollupMark
from .rollups import HOUR, hour_of

FEW: Final = 500  # rows that are looked at before anything else is asked
MOST: Final = 20_000  # rows that one page looks at
MOST_HOURS: Final = 200  # that one page asks the rollups for

Place = tuple[datetime, int]  # in the list: when a message was made, and its id
_ORDER: Final = (Message.created_at.desc(), Message.id.desc())


@dataclass(slots=True)
class Look:
    """One page in the making: what was found so far, and how far it looked.

    `indexed` conditions have an index in the order of the list; `others` are looked for row by row.
    `alike` are those of them that rollups can answer, by their columns there.
    """

    session: Session
    columns: Sequence[ColumnElement[Any]]
    indexed: Sequence[ColumnElement[bool]]
    others: Sequence[ColumnElement[bool]]
    alike: Sequence[ColumnElement[bool]]
    limit: int  # with one more than is shown
    place: Place | None  # only what lies below it is looked at
    found: list[RowMapping] = field(default_factory=list)
    left: int = MOST

    def is_at_the_end(self) -> bool:
        """Look until the page is full or has looked enough; True when nothing is left."""
        if self._is_through(FEW):
            return True
        if self._is_done():
            return False
        if not self.alike:
            return self._is_through(self.left)
        hours = self._hours()
        for hour in hours:
            self._skip_to(hour + HOUR)
            self._is_through(self.left, hour)
            if self._is_done():
                return False
        return len(hours) < MOST_HOURS

    def _is_done(self) -> bool:
        return len(self.found) >= self.limit or self.left <= 0

    def _is_through(self, size: int, floor: datetime | None = None) -> bool:
        """Look at so many more rows; True when there are no more above `floor`."""
        window = self._window(select(Message.id), floor).limit(size).subquery()
        rows = (
            select(*self.columns)
            .join(window, window.c.id == Message.id)
            .where(*self.others)
            .order_by(*_ORDER)
            .limit(self.limit - len(self.found))
        )
        ends = self._window(select(Message.created_at, Message.id), floor)
        last = self.session.execute(ends.offset(size - 1).limit(1)).one_or_none()
        self.found += self.session.execute(rows).mappings()
        if last is not None:
            self.left -= size
            self.place = (last.created_at, last.id)
        elif floor is not None:
            self.place = (floor, 0)
        return last is None

    def _window(self, columns: Select[*tuple[Any, ...]], floor: datetime | None) -> Select[Any]:
        where = list(self.indexed)
        if self.place is not None:
            where.append(tuple_(Message.created_at, Message.id) < self.place)
        if floor is not None:
            where.append(Message.created_at >= floor)
        return columns.where(*where).order_by(*_ORDER)

    def _skip_to(self, moment: datetime) -> None:
        """Look next at what was made before a moment."""
        if self.place is None or self.place[0] >= moment:
            self.place = (moment, 0)

    def _hours(self) -> list[datetime]:
        """Return the newest hours that may have such messages: by their counts, or out of date."""
        below = [] if self.place is None else [hour_of(self.place[0])]
        counted = select(Rollup.hour).where(*self.alike, *(Rollup.hour <= at for at in below))
        marked = select(RollupMark.hour).where(*(RollupMark.hour <= at for at in below))
        hours = union(counted, marked).subquery()
        newest = select(hours.c.hour).order_by(hours.c.hour.desc()).limit(MOST_HOURS)
        return list(self.session.scalars(newest))
