"""Reading TOML strictly: every value is checked, and a key that nobody asked for is an error."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .chance import Span

LONGEST: Final = 86_400.0  # seconds of any delay
_DIGITS: Final = re.compile(r"[0-9]{1,15}")


class ScenarioError(ValueError):
    """A scenario cannot be used: which key, what it holds, and what would be right."""

    def __init__(self, key: str, value: object, right: str) -> None:
        shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
        super().__init__(f"{key}: {shown} is not {right}")
        self.key = key


class Table:
    """One table of a file; `done` complains about what was not read."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path
        self._asked: set[str] = set()

    def path(self, key: str) -> str:
        """Return a key as it is found in the file."""
        return f"{self._path}.{key}" if self._path else key

    def has(self, key: str) -> bool:
        """Say whether the file sets a key."""
        self._asked.add(key)
        return key in self._values

    def wrong(self, key: str, right: str) -> ScenarioError:
        """Return what to raise about the value of a key."""
        return ScenarioError(self.path(key), self._values.get(key), right)

    def table(self, key: str) -> "Table":
        """Return a table within this one; an empty one when it is missing."""
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"a table, such as [{self.path(key)}]")
        return Table(value, self.path(key))

    def tables(self, key: str) -> list["Table"]:
        """Return the tables of a list of tables, counted from 1."""
        value = self._get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.wrong(key, f"a list of tables, each under [[{self.path(key)}]]")
        return [Table(each, f"{self.path(key)}[{n}]") for n, each in enumerate(value, 1)]

    def names(self, among: str, right: str) -> list[str]:
        """Return all keys, as read, each of which fits a pattern: where keys are data."""
        for key in self._values:
            if not re.fullmatch(among, key):
                raise ScenarioError(self.path(key), key, right)
        self._asked |= self._values.keys()
        return list(self._values)

    def given(self) -> list[str]:
        """Return the keys that the file sets, in its order; they are still to be read."""
        return list(self._values)

    def told(self, keys: Iterable[str]) -> str:
        """Return keys and values on one line, as the file has them."""
        return ", ".join(f"{key} = {json.dumps(self._values[key], default=str)}" for key in keys)

    def text(self, key: str, default: str, *, longest: int = 300) -> str:
        """Return a text."""
        value = self._get(key, default)
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise self.wrong(key, f"a text of 1 to {longest} characters")
        return value

    def digits(self, key: str) -> str | None:
        """Return a number that stands for a phone, an MMS or a sender, as text."""
        if not self.has(key):
            return None
        value = self._values[key]
        if not isinstance(value, str) or not _DIGITS.fullmatch(value):
            raise self.wrong(key, 'digits in quotes, such as "12025550143"')
        return value

    def texts(self, key: str, right: str, default: Iterable[str], among: str) -> frozenset[str]:
        """Return a list of texts, each of which fits the pattern `among`."""
        value = self._get(key, list(default))
        if not isinstance(value, list):
            raise self.wrong(key, f"a list of {right}")
        for each in value:
            if not isinstance(each, str) or not re.fullmatch(among, each):
                raise ScenarioError(self.path(key), each, right)
        return frozenset(value)

    def ordered(
        self, key: str, right: str, default: tuple[str, ...], among: str
    ) -> tuple[str, ...]:
        """Return a list of texts in its order; it may not be empty."""
        self.texts(key, right, default, among)
        value = tuple(self._get(key, list(default)))
        if not value:
            raise self.wrong(key, f"a list of at least one of {right}")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """Return a number within limits."""
        value = self._get(key, default)
        if not _is_number(value) or not low <= value <= high:
            raise self.wrong(key, f"a number from {low:g} to {high:g}")
        return float(value)

    def count(self, key: str, low: int = 1, high: int = 10_000_000) -> int | None:
        """Return a whole number within limits; None when it is not set."""
        if not self.has(key):
            return None
        value = self._values[key]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, f"a whole number from {low} to {high}")
        return value

    def counts(self, key: str) -> frozenset[int]:
        """Return one whole number from 1, or a list of them."""
        value = self._get(key, [])
        several = value if isinstance(value, list) else [value]
        if any(isinstance(each, bool) or not isinstance(each, int) or each < 1 for each in several):
            raise self.wrong(key, "a whole number from 1, or a list of them")
        return frozenset(several)

    def span(self, key: str) -> Span | None:
        """Return a duration in seconds, or a range of two; None when it is not set."""
        if not self.has(key):
            return None
        value = self._values[key]
        ends = value if isinstance(value, list) and len(value) == 2 else [value, value]
        if not all(_is_number(end) and 0 <= end <= LONGEST for end in ends) or ends[0] > ends[1]:
            raise self.wrong(
                key, f"a number of seconds from 0 to {LONGEST:g}, or a range such as [1, 5]"
            )
        return Span(float(ends[0]), float(ends[1]))

    def one_of(self, key: str, default: str, known: Iterable[str]) -> str:
        """Return one of several words."""
        value = self._get(key, default)
        if value not in (known := tuple(known)):
            raise self.wrong(key, f"one of {', '.join(known)}")
        return str(value)

    def done(self) -> None:
        """Complain about a key that nobody asked for.

        Raises:
            ScenarioError: there is one; it names the key that may have been meant.
        """
        for key in self._values:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, n=1)
                meant = f"did you mean {near[0]}?" if near else ", ".join(sorted(self._asked))
                raise ScenarioError(self.path(key), self._values[key], f"known here ({meant})")

    def _get(self, key: str, default: Any) -> Any:  # noqa: ANN401  # whatever TOML can hold
        self._asked.add(key)
        return self._values.get(key, default)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
