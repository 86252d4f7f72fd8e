"""The gateway's statistics file: what it says became of every sending. Source: PROTOCOL 8.

The file is not well-formed (steps stay open, sections are closed twice, a bare `&`), so it is read
tag by tag and no tree is built; its size costs no memory.
"""

import codecs
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Final

from lxml import etree

from .characters import replace_illegal
from .notification import digits
from .timestamps import utc_timestamp

# ORIGIN of a postback of our own making, which says what only the statistics did.
REPORT: Final = "REPORT"
STEPS: Final = frozenset({"inque", "init", "ack", "opened", "dlr", "expired", "rejected", "error"})
MOST_STEPS: Final = 50  # of one sending; a real one has six
MOST_OPEN: Final = 1024 * 1024  # characters of a tag that is not closed yet
MOST_TEXT: Final = 256  # characters of a handset's name
_HANDSETS: Final = frozenset({"mm7_handsetid", "xhtml_handsetid"})
_UNKNOWN_HANDSET: Final = "Default"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of MSG_STATUS; `gw` is the gateway's code of it, `at` our reading of its clock."""

    name: str  # in lower case
    gw: str | None
    at: datetime | None
    info: str | None


@dataclass(frozen=True, slots=True)
class Sending:
    """One MMS of the list of sendings that came through the API, as far as the file tells."""

    history_id: str
    to: str  # digits
    sender: str | None
    mms_id: str
    is_link: bool  # delivered as a link, not as a binary MMS
    handset: str | None
    steps: tuple[Step, ...]

    @property
    def queued_at(self) -> datetime | None:
        """When the gateway took it; else its earliest step, for they are in no order."""
        first = [step.at for step in self.steps if step.name == "inque" and step.at]
        every = [step.at for step in self.steps if step.at]
        return min(first or every, default=None)


def postback_of(fields: Mapping[str, str | None]) -> bytes:
    """Write what the statistics say as the postback that should have told it, by element name."""
    root = etree.Element("POSTBACK")
    for name, text in {"ORIGIN": REPORT, **fields}.items():
        if text:
            etree.SubElement(root, name).text = replace_illegal(text)
    return etree.tostring(root, encoding="utf-8", pretty_print=True)


class NotStatisticsError(ValueError):
    """The file has no list of sendings, or a tag that never ends."""


def sendings(chunks: Iterable[bytes]) -> Iterator[Sending]:
    """Read a file piece by piece.

    Raises:
        NotStatisticsError: there is no SENDING_LIST in it, or a tag of more than 1 MiB.
    """
    reader = _Reader()
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for chunk in chunks:
        reader.feed(decoder.decode(chunk))
        yield from reader.taken()
        if len(reader.rawdata) > MOST_OPEN:  # it would be looked through again with every piece
            raise NotStatisticsError("It has a tag that does not end, so it is no statistics file.")
    reader.close()
    reader.finish()
    yield from reader.taken()
    if not reader.has_list:
        raise NotStatisticsError("It has no SENDING_LIST, so it is no statistics file.")


class _Reader(HTMLParser):
    """Keeps no more than one sending open: an entry ends where it is closed, or the next begins."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.has_list = False
        self._is_in_list = False
        self._shared: dict[str, str] = {}
        self._entry: dict[str, str] | None = None
        self._steps: list[Step] = []
        self._handset: list[str] | None = None  # its text while its element is open
        self._found: list[Sending] = []

    def taken(self) -> list[Sending]:
        """Return what was found since the last time."""
        found, self._found = self._found, []
        return found

    def set_cdata_mode(self, elem: str, **_: object) -> None:
        """Let no element hide what follows it: this is no HTML."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: (text or "").strip() for name, text in attrs}
        if tag == "sending_list":
            self.has_list = self._is_in_list = True
            self._shared = told
        elif tag in {"content", "text"}:
            self.finish()
            if tag == "content" and self._is_in_list:
                self._entry = {**self._shared, **told}
        elif tag in STEPS and self._entry is not None and len(self._steps) < MOST_STEPS:
            at = utc_timestamp(told.get("time"), UTC).instant
            self._steps.append(Step(tag, told.get("gw") or None, at, told.get("info") or None))
        elif tag in _HANDSETS and self._entry is not None:
            self._handset = []

    def handle_endtag(self, tag: str) -> None:
        if tag in _HANDSETS and self._handset is not None and self._entry is not None:
            name = "".join(self._handset).strip()[:MOST_TEXT]
            self._entry["handset"] = "" if name == _UNKNOWN_HANDSET else name
            self._handset = None
        elif tag == "content":
            self.finish()
        elif tag == "sending_list":
            self.finish()
            self._is_in_list = False

    def handle_data(self, data: str) -> None:
        if self._handset is not None and len(self._handset) < MOST_TEXT:
            self._handset.append(data[:MOST_TEXT])

    def finish(self) -> None:
        """End the sending that is open, if any."""
        told, self._entry = self._entry, None
        steps, self._steps, self._handset = tuple(self._steps), [], None
        if told is None:
            return
        is_link = told.get("delivery", "").lower() == "xhtml"
        self._found.append(
            Sending(
                history_id=told.get("id", ""),
                to=digits(told.get("to")),
                sender=told.get("from") or None,
                mms_id=told.get("contentid", ""),
                is_link=is_link,
                # A link's is its browser's identification, and names no handset.
                handset=None if is_link else told.get("handset") or None,
                steps=steps,
            )
        )
