"""A broken document as the pieces it was meant to have: tags and text. Linear in its length.

Source: PROTOCOL 6.10 and 7.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from .xml import MAX_ELEMENTS, normal_name

MAX_PIECES: Final = 4 * MAX_ELEMENTS  # two tags an element, and text beside each

# Quantifiers are possessive: what they took they keep, so no input makes them try again.
_NAME: Final = r"[A-Za-z_\u0080-\U0010ffff][\w.\-]*+"
QNAME: Final = rf"{_NAME}(?::{_NAME})?+"
VALUE: Final = r"""(?:"[^"<]*+"|'[^'<]*+')"""
_TAG: Final = re.compile(rf"""</?+(?P<name>{QNAME})(?:(?:[^<>"']++|{VALUE})*+>|[^<>]*+>)""")
_TAG_START: Final = re.compile(r"[A-Za-z_:/!?\u0080-\U0010ffff]")
_CDATA: Final = "<![CDATA["
_SECTIONS: Final = (("<!--", "-->"), (_CDATA, "]]>"), ("<?", "?>"))


class Token(NamedTuple):
    """One piece of a document, as it was sent."""

    kind: Literal["text", "cdata", "open", "close", "empty"]
    text: str
    name: str = ""  # of a tag, as spelled

    @property
    def local(self) -> str:
        """The name without prefix."""
        return self.name.rpartition(":")[2]

    @property
    def normal(self) -> str:
        """The name as all dialects spell it."""
        return normal_name(self.name)


class UnrepairableError(ValueError):
    """The document is broken in a way that only guessing could mend."""


def tokens_of(text: str) -> Iterator[Token]:
    """Yield the pieces, without comments and processing instructions: they carry no value.

    Raises:
        UnrepairableError: a tag or section has no end, or there are too many of them.
    """
    position = pieces = 0
    while (start := text.find("<", position)) >= 0:
        if start > position:
            yield Token("text", text[position:start])
        token, position = _markup(text, start)
        pieces += 2
        if pieces > MAX_PIECES:
            raise UnrepairableError
        if token.text:
            yield token
    if position < len(text):
        yield Token("text", text[position:])


def _markup(text: str, start: int) -> tuple[Token, int]:
    for opening, closing in _SECTIONS:
        if text.startswith(opening, start):
            end = text.find(closing, start + len(opening)) + len(closing)
            if end < len(closing):
                raise UnrepairableError
            return Token("cdata", text[start:end] if opening == _CDATA else ""), end
    if found := _TAG.match(text, start):
        return _tag(found.group(), found["name"]), found.end()
    if _TAG_START.match(text, start + 1):
        raise UnrepairableError
    return Token("text", "<"), start + 1  # "I <3 you": no tag begins so


def _tag(text: str, name: str) -> Token:
    if text.startswith("</"):
        return Token("close", text, name)
    return Token("empty" if text.endswith("/>") else "open", text, name)
