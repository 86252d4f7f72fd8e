"""The small things that several pages are made of."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a definition list: a text or a time."""

    name: str
    text: str = ""
    at: datetime | None = None
    is_code: bool = False  # an id that people copy


@dataclass(frozen=True, slots=True)
class Facts:
    """A titled definition list."""

    title: str
    facts: list[Fact]


@dataclass(frozen=True, slots=True)
class Table:
    """A small table of texts; `rows` are as wide as `columns`."""

    caption: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def known(*facts: Fact) -> list[Fact]:
    """Return the facts that say something."""
    return [fact for fact in facts if fact.text or fact.at]
