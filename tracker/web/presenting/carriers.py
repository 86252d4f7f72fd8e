"""The list of carriers, and what an import would change, as people read them."""

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
    """One carrier; `share` and `time` are empty where too little is known."""

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


def changes(found: Difference) -> tuple[list[Change], int]:
    """Return what would change, what is lost first, and how many more there are."""
    all_ = [
        *(Change("Gone", one.spid, _named(one), "") for one in found.gone),
        *(Change("Changed", old.spid, _named(old), _named(new)) for old, new in found.changed),
        *(Change("New", one.spid, "", _named(one)) for one in found.new),
    ]
    return all_[:MOST_SHOWN], len(all_[MOST_SHOWN:])


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
