"""Reading and writing XML safely: decoding, one hardened parser, normal names, strict text.

Errors:
    XmlError
    ├── NotWellFormedError   a resend of the same bytes cannot mend it
    ├── DoctypeError         a DOCTYPE, which no document of this protocol has
    └── XmlLimitError        deeper or larger than any real document
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lxml import etree

MAX_DEPTH: Final = 32
MAX_ELEMENTS: Final = 5000

_FEW_TAGS: Final = 2 * MAX_DEPTH  # what is nested deeper has more, for each element is closed

# Python's codecs include some that are no character sets (unicode_escape, punycode, utf-7 ...).
_CHARSETS: Final = re.compile(
    r"utf-?(8(-sig)?|16|32)|ascii|iso8859|cp\d+|mac-|koi8|gb|big5|euc|shift_jis"
)
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with the shorter one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARKS: Final = tuple(mark for mark, _ in _BOMS)
_WIDE: Final = (  # how ASCII begins; the longer units first, for the others begin like them
    (rb"[^\0]\0\0\0", "utf-32-le"),
    (rb"\0\0\0[^\0]", "utf-32-be"),
    (rb"[^\0]\0", "utf-16-le"),
    (rb"\0[^\0]", "utf-16-be"),
)
_DECLARED: Final = re.compile(
    rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']"""
)
_DECLARATION: Final = re.compile(r"^\s*<\?xml\s[^>]*>")
_PROLOG: Final = re.compile(r"\s+|<!--.*?-->|<\?.*?\?>", re.DOTALL)
# One for all, for to make one costs as much as to read a document; threads take turns at it.
_PARSER: Final = etree.XMLParser(
    encoding="utf-8",
    resolve_entities=False,
    load_dtd=False,
    dtd_validation=False,
    no_network=True,
    huge_tree=False,
    remove_comments=True,
    remove_pis=True,
)


class XmlError(ValueError):
    """The document cannot be used."""


class NotWellFormedError(XmlError):
    """The text is not well-formed XML."""


class DoctypeError(XmlError):
    """The document has a DOCTYPE; entities and external subsets are never read."""


class XmlLimitError(XmlError):
    """The document is nested deeper or has more elements than is reasonable."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text of a body, and whether some of its bytes had to be replaced by U+FFFD."""

    text: str
    is_repaired: bool = False


def decode(body: bytes, charset: str | None = None, *, heed_declaration: bool = True) -> Decoded:
    """Decode a body: byte order mark, else `charset` of the header, else declaration, else UTF-8.

    The declaration of a document inside a form field says nothing about the field's bytes: there
    `heed_declaration` is False.

    A charset that does not fit the bytes gives way to the next one; only when none fits are
    characters replaced.

    Source: PROTOCOL 6.10, Decoding.
    """
    if body.startswith(_MARKS):
        mark, encoding = next(bom for bom in _BOMS if body.startswith(bom[0]))
        return _decode_replacing(body[len(mark) :], encoding)
    candidates = list(_encodings(body, charset, heed_declaration=heed_declaration))
    for encoding in candidates:
        try:
            return Decoded(body.decode(encoding))
        except UnicodeDecodeError:
            continue
    return _decode_replacing(body, candidates[0])


def _encodings(body: bytes, charset: str | None, *, heed_declaration: bool) -> Iterator[str]:
    if wide := _wide_encoding(body):
        yield wide
    declared = _DECLARED.match(body) if heed_declaration else None
    for name in (charset, declared and declared.group(1).decode("ascii")):
        known = _charset(name) if name else None
        # Some senders declare UTF-16, which their strings are, over the UTF-8 that they send.
        if known and not (known.startswith(("utf-16", "utf-32")) and b"\x00" not in body):
            yield known
    yield "utf-8"


def _wide_encoding(body: bytes) -> str | None:
    """Return the UTF-16 or UTF-32 of a body without byte order mark, told by its NUL bytes."""
    head = body[:64]
    if head.count(0) * 4 < len(head):
        return None
    return next((name for shape, name in _WIDE if re.match(shape, head)), None)


def _charset(name: str) -> str | None:
    try:
        found = codecs.lookup(name.strip("\"' ")).name
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return None
    return found if _CHARSETS.match(found) else None


def _decode_replacing(body: bytes, encoding: str) -> Decoded:
    text = body.decode(encoding, errors="replace")
    return Decoded(text, is_repaired="\ufffd" in text)


def parse_xml(text: str) -> etree._Element:
    """Parse one document and return its root, as strictly as the gateway does (E108).

    Nothing is fetched, expanded or included, whatever the document asks for. The encoding that
    the declaration names is ignored: the text is decoded already.

    Raises:
        NotWellFormedError: not XML.
        DoctypeError: it has a DOCTYPE.
        XmlLimitError: nested deeper than 32 or more than 5000 elements.
    """
    text = _without_declaration(text.lstrip("\ufeff")).lstrip()
    if _has_doctype(text):
        raise DoctypeError("a DOCTYPE is not accepted")
    try:
        root = etree.fromstring(text.encode("utf-8"), _PARSER)
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        raise NotWellFormedError(str(error)) from error
    if text.count("<") > _FEW_TAGS:  # those of an ordinary postback are too few for any limit
        _check_limits(root)
    return root


def _without_declaration(text: str) -> str:
    found = _DECLARATION.match(text)
    return text[found.end() :] if found else text


def _has_doctype(text: str) -> bool:
    end = _prolog_end(text)
    return text[end : end + 9].upper() == "<!DOCTYPE"


def _prolog_end(text: str) -> int:
    position = 0
    while found := _PROLOG.match(text, position):
        position = found.end()
    return position


def _check_limits(root: etree._Element) -> None:
    depth = 0
    for number, (event, _) in enumerate(etree.iterwalk(root, events=("start", "end"))):
        depth += 1 if event == "start" else -1
        if depth > MAX_DEPTH or number > 2 * MAX_ELEMENTS:
            raise XmlLimitError(f"deeper than {MAX_DEPTH} or more than {MAX_ELEMENTS} elements")


def normal_name(tag: str) -> str:
    """Return an element name as all dialects spell it: local part, upper case, no `-` or `_`.

    Source: PROTOCOL 6.8.
    """
    local = tag.rpartition("}")[2].rpartition(":")[2]
    return local.upper().replace("-", "").replace("_", "")


def text_of(element: etree._Element) -> str | None:
    """Return the trimmed text of an element, CDATA and all; None when there is none."""
    text = "".join(element.itertext()) if len(element) else element.text or ""
    return text.strip() or None
