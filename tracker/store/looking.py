"""Pages of messages for questions that no index answers: each looks at so many rows and no more.

Most questions find a page among the newest few hundred. For others the rollups say in which hours
there is anything of the kind, and only these are looked through. A page that had to stop before it
was full says how far it looked; the next one goes on from there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, RowMapping, Select, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from .models import Message, Rollup, RollupMark
from .rollups import HOUR, hour_of, of_living

FEW: Final = 500  # rows that are looked at before anything else is asked
MOST: Final = 10_000  # rows that one page looks at
MOST_HOURS: Final = 200  # that one page asks the rollups for
MOST_RUNS: Final = 32  # of such hours, each of which is one question

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
    left: int = field(default_factory=lambda: MOST)

    def is_at_the_end(self) -> bool:
        """Look until the page is full or has looked enough; True when nothing is left."""
        if self._is_through(FEW):
            return True
        if self._is_done():
            return False
        if not self.alike:
            return self._is_through(self.left)
        hours = self._hours()
        runs = _runs(hours)
        for run in runs[:MOST_RUNS]:
            self._skip_to(run.end)
            if run.messages is None or run.messages > self.left:
                self._is_through(self.left, run.begin)
            else:
                self._look_at_all_of(run)
            if self._is_done():
                return False
        return len(hours) < MOST_HOURS and len(runs) <= MOST_RUNS

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

    def _look_at_all_of(self, run: "Run") -> None:
        rows = self._window(select(*self.columns), run.begin).where(*self.others)
        self.found += self.session.execute(rows.limit(self.limit - len(self.found))).mappings()
        self.left -= run.messages or 0
        self.place = (run.begin, 0)

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

    def _hours(self) -> dict[datetime, int | None]:
        """Return the newest hours that may have such messages, and how many they have of any kind.

        Of one that is out of date nobody knows how many: None.
        """
        marked = self._newest(select(RollupMark.hour), RollupMark.hour)
        alike = select(Rollup.hour).where(*self.alike, of_living())
        counted = self._newest(alike, Rollup.hour)
        sizes = select(Rollup.hour, func.sum(Rollup.messages))
        sizes = sizes.where(Rollup.hour.in_(counted), of_living())
        counts = self.session.execute(sizes.group_by(Rollup.hour))
        found: dict[datetime, int | None] = {row[0]: row[1] for row in counts}
        found |= dict.fromkeys(marked)
        return {hour: found[hour] for hour in sorted(found, reverse=True)[:MOST_HOURS]}

    def _newest(
        self, hours: Select[datetime], column: InstrumentedAttribute[datetime]
    ) -> list[datetime]:
        if self.place is not None:
            hours = hours.where(column <= hour_of(self.place[0]))
        newest = hours.distinct().order_by(column.desc()).limit(MOST_HOURS)
        return list(self.session.scalars(newest))


@dataclass(frozen=True, slots=True)
class Run:
    """Hours that follow one another, and how many messages they have; None: it is not known."""

    begin: datetime
    end: datetime
    messages: int | None

    def takes(self, hour: datetime) -> bool:
        """Say whether an hour joins it at its beginning."""
        return self.messages is not None and hour + HOUR == self.begin


def _runs(hours: Mapping[datetime, int | None]) -> list[Run]:
    """Join hours, the newest first, that follow one another and are counted."""
    runs: list[Run] = []
    for hour, messages in hours.items():
        if messages is not None and runs and runs[-1].takes(hour):
            runs[-1] = Run(hour, runs[-1].end, messages + (runs[-1].messages or 0))
        else:
            runs.append(Run(hour, hour + HOUR, messages))
    return runs
