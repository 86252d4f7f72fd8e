"""The names by which the address of a list may ask, and those that mean nothing there.

A list passes over a name that it does not know, and shows more than was asked for: the page says
so, and names the filter that may be meant. A file or an action is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flask import request

from tracker.domain.near import nearest

from .presenting import audit, journal_question, question
from .presenting.texts import printable
from .whole_question import UnreadableError

CURSOR: Final = "cursor"
LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "pages.list_messages": question.NAMES,
    "pages.download_messages": question.NAMES,
    "journal.list_postbacks": journal_question.NAMES,
    "journal.show_replay": (*journal_question.NAMES, "id", "through"),
    "audit.show": audit.NAMES,
    "audit.download": audit.NAMES,
    "batches.list_batches": (),
    "carriers.list_carriers": ("q",),
    "pass_templates.list_templates": (),
    "watch.list_alerts": (),
    "watch.list_suppressed": (),
}
_MOST: Final = 5  # names that are said
_LONGEST: Final = 60  # characters of one


@dataclass(frozen=True, slots=True)
class Strange:
    """A name that the list does not know, and the one that may be meant."""

    name: str
    nearest: str | None


def strange_names() -> list[Strange]:
    """Return what the address of this list asks by in vain."""
    known = LISTS.get(request.endpoint or "")
    if known is None:
        return []
    unknown = [name for name in request.args if name not in (*known, CURSOR)]
    return [Strange(printable(n[:_LONGEST]), nearest(n.lower(), known)) for n in unknown[:_MOST]]


def refuse_strange() -> None:
    """Refuse to do for all what was asked for a part.

    Raises:
        UnreadableError: the address asks by a name that is none.
    """
    for one in strange_names():
        meant = f"; did you mean “{one.nearest}”?" if one.nearest else "."
        raise UnreadableError(f"Nothing was done. “{one.name}” is not a filter{meant}")
