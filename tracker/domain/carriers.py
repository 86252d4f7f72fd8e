"""The list of carriers: what a row of it must be, and what a new list changes.

A SPID is text of seven digits with its zeros, and may stand for two carriers (PROTOCOL 7 and 14),
so a row is known by all it says.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .message import Problem

COLUMNS: Final = ("spid", "country", "carrier")
LONGEST: Final = {"country": 64, "carrier": 128}
_SPID: Final = re.compile(r"[0-9]{7}")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One carrier of the list."""

    spid: str
    country: str
    name: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What a new list changes; a pair of `changed` is how an entry was and is to be."""

    new: tuple[Entry, ...]
    changed: tuple[tuple[Entry, Entry], ...]
    gone: tuple[Entry, ...]
    same: int

    @property
    def is_none(self) -> bool:
        """The lists are alike."""
        return not (self.new or self.changed or self.gone)

    @property
    def words(self) -> str:
        """Return the counts in words."""
        counts = (len(self.new), "new"), (len(self.changed), "changed"), (len(self.gone), "gone")
        return ", ".join(f"{n:,} {what}" for n, what in (*counts, (self.same, "as before")))


def columns_of(headers: Sequence[str]) -> tuple[dict[str, int], list[Problem]]:
    """Return where each column stands in a header row, and what is wrong with the row."""
    names = ["carrier" if (n := h.strip().lower()) == "name" else n for h in headers]
    problems = [
        Problem(name, None, f"is missing; the first row must name {', '.join(COLUMNS)}")
        for name in COLUMNS
        if name not in names
    ]
    problems += [Problem(name, None, "is there twice") for name in COLUMNS if names.count(name) > 1]
    return {name: names.index(name) for name in COLUMNS if name in names}, problems


def entry_of(cells: Mapping[str, str]) -> tuple[Entry | None, list[Problem]]:
    """Return the entry that a row makes, or what is wrong with its cells."""
    values = {name: " ".join(cells[name].split()) for name in COLUMNS}
    found = ((name, _wrong(name, values[name])) for name in COLUMNS)
    problems = [Problem(name, values[name], detail) for name, detail in found if detail]
    return (None if problems else Entry(*values.values())), problems


def compare(known: Iterable[Entry], wanted: Iterable[Entry]) -> Difference:
    """Return what makes `wanted` out of `known`; what has the same SPID is changed, not gone."""
    before, after = set(known), set(wanted)
    old, new = _by_spid(before - after), _by_spid(after - before)
    changed = [pair for spid in sorted(new) for pair in zip(old[spid], new[spid], strict=False)]
    return Difference(
        new=tuple(entry for spid in sorted(new) for entry in new[spid][len(old[spid]) :]),
        changed=tuple(changed),
        gone=tuple(entry for spid in sorted(old) for entry in old[spid][len(new[spid]) :]),
        same=len(before & after),
    )


def _by_spid(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(entries):
        found[entry.spid].append(entry)
    return found


def _wrong(name: str, value: str) -> str | None:
    if not value:
        return "is empty"
    if name == "spid":
        return _wrong_spid(value)
    if not value.isprintable():
        return "has a character that cannot be seen"
    if len(value) > LONGEST[name]:
        return f"has {len(value)} characters; at most {LONGEST[name]}"
    return None


def _wrong_spid(value: str) -> str | None:
    if _SPID.fullmatch(value):
        return None
    if value.isascii() and value.isdecimal() and len(value) < 7:
        return (
            f"has {len(value)} digits and needs 7; a spreadsheet may have dropped its first zeros:"
            " make the column text and export again"
        )
    return "is no SPID; it has 7 digits, such as 0001890"
