"""The fields of a list's filter form: what was typed, and the days among it, those of UTC."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from werkzeug.datastructures import MultiDict

from .texts import printable

LONGEST: Final = 256  # characters of one field


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of the filter form, as it was filled in."""

    name: str
    label: str
    text: str
    problem: str | None = None


def typed(args: MultiDict[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return what was typed into those of the fields that were filled in, fit for a page."""
    texts = {name: printable(args.get(name, "").strip()[:LONGEST]) for name in names}
    return {name: text for name, text in texts.items() if text}


def day(text: str | None) -> date | None:
    """Return the day that `text` names; None when it names none."""
    try:
        found = date.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found if found != date.max else None  # no day comes after it


def date_fields(labels: Mapping[str, str], dates: Mapping[str, str]) -> list[Field]:
    """Return the days of a form, with what is wrong with them."""
    texts = ((name, label, dates.get(name, "")) for name, label in labels.items())
    wrong = "Not a day; write it as 2026-11-22."
    return [
        Field(name=name, label=label, text=text, problem=wrong if text and not day(text) else None)
        for name, label, text in texts
    ]


def period(dates: Mapping[str, str], of: str) -> dict[str, datetime | None]:
    """Return the period between the days `<of>_from` and `<of>_to`; the last one counts whole."""
    first, last = day(dates.get(f"{of}_from")), day(dates.get(f"{of}_to"))
    return {
        f"{of}_from": _midnight(first) if first else None,
        f"{of}_to": _midnight(last + timedelta(days=1)) if last else None,
    }


def _midnight(of: date) -> datetime:
    return datetime.combine(of, time.min, UTC)
