"""The list of carriers, and what an import would change, as people read them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from flask import url_for

from tracker.domain.carriers import Difference, Entry
from tracker.services.habits import Habit
from tracker.store.carriers import CarrierRow

from .habits import share_words, time_words

MOST_SHOWN: Final = 50  # of each kind of change


@dataclass(frozen=True, slots=True)
class CarrierLine:
    """One carrier; no name where no list has one, `share` and `time` where too little is known."""

    spid: str
    country: str
    name: str
    messages: str
    share: str
    time: str
    url: str


@dataclass(frozen=True, slots=True)
class Change:
    """One entry that would be new, changed or gone."""

    what: str
    spid: str
    before: str
    after: str


def carrier_lines(rows: Iterable[CarrierRow], habits: Mapping[str, Habit]) -> list[CarrierLine]:
    """Return carriers as lines of their list."""
    return [_line(row, habits.get(row.spid)) for row in rows]


def most_used(habits: Mapping[str, Habit], limit: int) -> list[str]:
    """Return the SPIDs that most of the newest messages went to, the first of them first."""
    return sorted(habits, key=lambda spid: (-habits[spid].messages, spid))[:limit]


def used_lines(
    spids: Iterable[str], named: Iterable[CarrierRow], habits: Mapping[str, Habit]
) -> list[CarrierLine]:
    """Return a line for each of the SPIDs in their order, also for one without a name."""
    rows: dict[str, list[CarrierRow]] = defaultdict(list)
    for row in named:
        rows[row.spid].append(row)
    return [_line(_as_one(spid, rows[spid]), habits.get(spid)) for spid in spids]


def changes(found: Difference) -> tuple[list[Change], int]:
    """Return what would change, what is lost first, and how many more there are."""
    all_ = [
        *(Change("Gone", one.spid, _named(one), "") for one in found.gone),
        *(Change("Changed", old.spid, _named(old), _named(new)) for old, new in found.changed),
        *(Change("New", one.spid, "", _named(one)) for one in found.new),
    ]
    return all_[:MOST_SHOWN], len(all_[MOST_SHOWN:])


def _as_one(spid: str, rows: list[CarrierRow]) -> CarrierRow:
    """Return one row for a SPID, which may stand for two carriers."""
    countries = dict.fromkeys(row.country for row in rows)
    return CarrierRow(0, spid, " / ".join(countries), " / ".join(row.name for row in rows))


def _line(row: CarrierRow, habit: Habit | None) -> CarrierLine:
    return CarrierLine(
        spid=row.spid,
        country=row.country,
        name=row.name,
        messages=f"{habit.messages:,}" if habit else "",
        share=share_words(habit),
        time=time_words(habit),
        url=url_for("pages.list_messages", spid=row.spid),
    )


def _named(entry: Entry) -> str:
    return f"{entry.name}, {entry.country}"
