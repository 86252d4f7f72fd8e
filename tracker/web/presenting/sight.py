"""Which numbers a person may see: operators whole ones, viewers their last digits."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from tracker.domain import numbers
from tracker.store.rows import ContentRow, MessageRow

_BETWEEN: Final = r"[\s().\-/_:\u00a0\u2010-\u2015]{0,3}"  # what people put between digits
# What stands in these is a person's number, whatever else the document says; in FROM it is one
# where a phone wrote, and what is as short as our own sender stays.
_OF_PEOPLE: Final = re.compile(
    r"""(<(?:TO|FROM|MOBILE|REFERENCEVALUE)\b[^<>]*>"""
    r"""|"(?:to|from|mobile|reference[_-]?value)"\s*:\s*"?)([^<",}]+)""",
    re.IGNORECASE,
)
_ID: Final = (
    r"(?<![A-Za-z0-9])"
    r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,128})(?![A-Za-z0-9])"
)
_CLOCK: Final = (
    r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{3,6})?)?(?:[+-][0-9]{2}:[0-9]{2})?"
)
_DAY: Final = r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}([./])[0-9]{1,2}\2[0-9]{4})"
_DAY_OR_CLOCK: Final = rf"(?<![A-Za-z0-9.\-])(?:{_DAY}(?:[ T]{_CLOCK})?|{_CLOCK})"
_NO_ADDRESS: Final = r"(?![0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]))"
# Beside a letter fewer digits are part of a code.
_GLUED: Final = rf"(?:\+|00)?\(?[0-9](?:{_BETWEEN}[0-9]){{9,14}}"
# Digits in a row, or in groups; days and addresses of the network are no numbers of people.
_LOOKS_LIKE_ONE: Final = re.compile(
    rf"(?P<other>{_ID}|{_DAY_OR_CLOCK}(?!{_BETWEEN}[0-9]))"
    r"|(?<![A-Za-z0-9])\+?[1-9][0-9]{6,14}(?![A-Za-z0-9])"
    r"|(?<![A-Za-z0-9.\-])(?![0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9]))"
    rf"{_NO_ADDRESS}(?:\+|00)?\(?[0-9](?:{_BETWEEN}[0-9]){{6,16}}(?![A-Za-z0-9])"
    rf"|(?<=[A-Za-z]){_GLUED}(?![0-9])|(?<![0-9.\-]){_NO_ADDRESS}{_GLUED}(?=[A-Za-z])"
)
_WORDS: Final = ("reference", "campaign_ref", "custom_pass_id")
# Fields of a pass with long digits of their own: a place, and what a barcode draws.
_NO_WORDS: Final = re.compile("RELLATITUDE|RELLONGITUDE|BARCODEVALUE")
_ALWAYS_ONE: Final = 10  # digits: fewer are one only where a numbering plan has the number
_KNOWN_BY: Final = 7  # last digits; with or without its country code it is the same number
_NO_DIGIT: Final = re.compile(r"[^0-9]+")


@dataclass(frozen=True, slots=True)
class Sight:
    """What one person sees of numbers."""

    is_whole: bool

    def number(self, number: str) -> str:
        """Return a number on the wire as this person reads it."""
        return numbers.display(number) if self.is_whole else numbers.masked(number)

    def cell(self, text: str) -> str:
        """Return what stands where a number should, in whatever spelling."""
        digits = _NO_DIGIT.sub("", text)
        if self.is_whole or len(digits) < _KNOWN_BY:
            return text
        return numbers.masked(digits)

    def text(self, text: str, *people: str | None) -> str:
        """Return text without the numbers of `people`, in whatever spelling it has them."""
        if self.is_whole:
            return text
        for number in people:
            if number and numbers.WIRE.fullmatch(number):
                text = _spellings(number[-_KNOWN_BY:]).sub(numbers.masked(number), text)
        return text

    def any_text(self, text: str) -> str:
        """Return text of which nobody knows whose numbers it has: all that looks like one."""
        if self.is_whole:
            return text
        return _LOOKS_LIKE_ONE.sub(lambda found: found["other"] or self.cell(found[0]), text)

    def reason(self, text: str, *people: str | None) -> str:
        """Return why something is so: numbers of `people`, and all else that looks like one."""
        return self.any_text(self.text(text, *people))

    def free(self, text: str, *people: str | None) -> str:
        """Return what somebody wrote into a field of her own; a short order's number stays."""
        if self.is_whole:
            return text
        return _LOOKS_LIKE_ONE.sub(_unless_an_order, self.text(text, *people))

    def document(self, text: str, *people: str | None) -> str:
        """Return a document about `people` as this person reads it."""
        if self.is_whole:
            return text
        text = _OF_PEOPLE.sub(lambda found: found[1] + self.cell(found[2]), text)
        return self.text(text, *people) if any(people) else self.any_text(text)

    def message(self, row: MessageRow) -> MessageRow:
        """Return a message with the words of its sender as this person reads them."""
        if self.is_whole:
            return row
        said: dict[str, Any] = {
            name: text and self.free(text, row.recipient)
            for name in _WORDS
            for text in (getattr(row, name),)
        }
        return replace(row, **said)

    def content(self, row: ContentRow, recipient: str) -> ContentRow:
        """Return what a message to `recipient` says as this person reads it."""
        if self.is_whole:
            return row
        fields = {name: getattr(row, name) for name in ContentRow.__dataclass_fields__}
        return replace(row, **{name: self._within(v, recipient) for name, v in fields.items()})

    def _within(self, value: Any, recipient: str) -> Any:  # noqa: ANN401  # whatever JSON can hold
        if isinstance(value, str):
            return self.free(value, recipient)
        if isinstance(value, dict):
            return {
                name: self.text(inner, recipient)
                if isinstance(inner, str) and _NO_WORDS.match(name)
                else self._within(inner, recipient)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._within(inner, recipient) for inner in value]
        return value


WHOLE: Final = Sight(is_whole=True)


def _unless_an_order(found: re.Match[str]) -> str:
    digits = _NO_DIGIT.sub("", found[0])
    is_one = len(digits) >= _ALWAYS_ONE or numbers.is_dialled(digits)
    return numbers.masked(digits) if is_one and not found["other"] else found[0]


@lru_cache(maxsize=256)
def _spellings(last: str) -> re.Pattern[str]:
    return re.compile(rf"(?:\+|\()?(?:[0-9]{_BETWEEN}){{0,8}}" + _BETWEEN.join(last) + "(?![0-9])")
