"""Which numbers a person may see: operators whole ones, viewers their last digits."""

import re
from dataclasses import dataclass
from typing import Final

from tracker.domain import numbers

# What stands in these is a person's number, whatever else the document says.
_OF_PEOPLE: Final = re.compile(
    r"(<(?:TO|MOBILE|REFERENCEVALUE)\b[^>]*>\s*\+?)([0-9]{7,15})(?![0-9])", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one person sees of numbers."""

    is_whole: bool

    def number(self, number: str) -> str:
        """Return a number on the wire as this person reads it."""
        return numbers.display(number) if self.is_whole else numbers.masked(number)

    def document(self, text: str, recipient: str | None) -> str:
        """Return a document about a message to `recipient` as this person reads it."""
        if self.is_whole:
            return text
        if recipient and numbers.WIRE.fullmatch(recipient):
            text = text.replace(recipient, numbers.masked(recipient))
        return _OF_PEOPLE.sub(lambda found: found[1] + numbers.masked(found[2]), text)


WHOLE: Final = Sight(is_whole=True)
