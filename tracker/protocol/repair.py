"""Repairs of postbacks that are not well-formed, as the gateway's own documents print them.

A repair never invents a value and never closes what a cut-off transmission left open. The work is
linear in the length of the document, which may be hostile.

Source: PROTOCOL 6.10 (repairs) and 7 (irregularities 1, 2, 7, 9 and 17).
"""

import re
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from .characters import replace_illegal
from .postback_fields import CONTAINERS
from .repair_leaves import Remarks, with_closings_respelled, with_leaves_closed
from .repair_tokens import QNAME, VALUE, Token, UnrepairableError, tokens_of

_GOOD_TAG: Final = re.compile(
    rf"<(?:/{QNAME}\s*+|{QNAME}(?:\s++{QNAME}\s*+=\s*+{VALUE})*+\s*+/?+)>"
)
_ATTRIBUTE: Final = re.compile(rf"(?<![\w:.\-])(?P<name>{QNAME})\s*+=\s*+(?P<value>{VALUE})")
_REFERENCE: Final = re.compile(
    r"&(?:#(?P<decimal>[0-9]++);|#x(?P<hex>[0-9A-Fa-f]++);|(?P<named>(?:amp|lt|gt|quot|apos);))?+"
)
_QUOTES: Final = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2018\u2019\u2032", "'"),
    }
)
_CHARACTERS: Final = "Characters that XML cannot carry were dropped or replaced."
_EDGES: Final = "\ufeff\ufffd \t\r\n"


class Repaired(NamedTuple):
    """A repaired document and, in plain sentences, what was done to it."""

    text: str
    remarks: tuple[str, ...]


def repairs(text: str) -> Iterator[Repaired]:
    """Yield a document repaired ever more boldly: its characters and tags, then its structure."""
    remarks = Remarks()
    legal = replace_illegal(text)
    if legal != text:
        remarks.add(_CHARACTERS)
    try:
        tokens = [_mended(token, remarks) for token in tokens_of(legal.strip(_EDGES))]
    except UnrepairableError:
        return
    yield Repaired(_joined(tokens), remarks.sentences)
    closed = with_closings_respelled(with_leaves_closed(tokens, remarks), remarks)
    if closed != tokens:
        yield Repaired(_joined(closed), remarks.sentences)


def _joined(tokens: list[Token]) -> str:
    return "".join(token.text for token in tokens)


def _mended(token: Token, remarks: Remarks) -> Token:
    if token.kind == "cdata":
        return token
    if token.kind == "text":
        return token._replace(text=_mended_text(token.text, remarks))
    return token._replace(text=_mended_references(_mended_tag(token, remarks), remarks))


def _mended_text(text: str, remarks: Remarks) -> str:
    if text == "<":
        remarks.add("A bare < was read as text.")
        return "&lt;"
    if "]]>" in text:
        remarks.add("A bare ]]> was read as text.")
    return _mended_references(text, remarks).replace("]]>", "]]&gt;")


def _mended_references(text: str, remarks: Remarks) -> str:
    def mended(found: re.Match[str]) -> str:
        if found["named"] or _is_character(found):
            return found.group()
        if found["decimal"] or found["hex"]:
            remarks.add(_CHARACTERS)
            return "\ufffd"
        remarks.add("A bare & was read as text.")
        return "&amp;"

    return _REFERENCE.sub(mended, text) if "&" in text else text


def _is_character(found: re.Match[str]) -> bool:
    digits = (found["decimal"] or found["hex"] or "").lstrip("0")
    if not 0 < len(digits) <= 7:
        return False
    point = int(digits, 10 if found["decimal"] else 16)
    return point <= sys.maxunicode and replace_illegal(chr(point)) == chr(point)


def _mended_tag(token: Token, remarks: Remarks) -> str:
    text = token.text if _GOOD_TAG.fullmatch(token.text) else token.text.translate(_QUOTES)
    if text != token.text:
        remarks.add("Typographic quotes in a tag were read as plain ones.")
    is_good = _GOOD_TAG.fullmatch(text) is not None
    attributes = _attributes(text)
    if is_good and not any(":" in name for name in (token.name, *attributes)):
        return text
    if not is_good and token.normal not in CONTAINERS:
        return text  # a leaf of unclear name or attributes is not ours to guess
    remarks.add("Prefixes and unreadable attributes of tags were dropped.")
    return _rewritten(token, attributes)


def _attributes(tag: str) -> dict[str, str]:
    """Return the attributes that can be read, with their quotes; the first of each name."""
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(tag):
        found.setdefault(match["name"], match["value"])
    return found


def _rewritten(token: Token, attributes: dict[str, str]) -> str:
    if token.kind == "close":
        return f"</{token.local}>"
    kept = "".join(f" {name}={value}" for name, value in attributes.items() if ":" not in name)
    return f"<{token.local}{kept}{'/' if token.kind == 'empty' else ''}>"
