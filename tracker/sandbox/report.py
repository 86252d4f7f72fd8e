"""The statistics file, as ill-formed as the documents show theirs. Pure.

Source: PROTOCOL 8; samples/report_content_binary.xml. ACK, DLR and ERROR stay open in every other
entry, BATCH and AUTORESPONDER are closed twice, an ampersand stands bare, the steps of every third
entry are out of order, times have 4 to 6 digits. What every entry shares stands on the section.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from .message import Event, Message
from .records import Call
from .reports import Period

_CARRIERS: Final = {"0001890": "Verizon Wireless", "0001570": "T-Mobile", "0001140": "AT&T"}
_BROWSER: Final = "Mozilla/5.0 (iPhone; CPU iPhone OS 5_0 like Mac OS X) AppleWebKit/534.46"
_TEXT: Final = "Your pass & more"
_OPENED_SECONDS: Final = 5.0  # of gateway time from the receipt of a link, for every other link


@dataclass(frozen=True, slots=True)
class _Mark:
    """One step of MSG_STATUS."""

    name: str
    at: datetime
    gw: str | None = None
    net: str | None = None
    info: str | None = None


# The step that a phrase means. Source: PROTOCOL 8, the table.
_RECEIPTS: Final = {
    "Message Sent/Delivered": ("DLR", "20", "1000"),
    "Message Sent/Expired": ("EXPIRED", "30", "0"),
    "Message Sent/Rejected": ("REJECTED", "35", "0"),
}
_DISCOVERY: Final = {"N501": ("ACK", "80", "0"), "N502": ("DLR", "81", "1000")}


def report_document(
    calls: Iterable[Call],
    titles: Mapping[str, str],
    period: Period,
    time_factor: float,
    now: datetime,
) -> bytes:
    """Write what has become of the messages of a period by now; postbacks never sent count too."""
    told = [
        entry
        for call in calls
        if call.message and period.start <= call.received_at <= period.end
        for entry in _entries(call, call.message, titles, time_factor, now)
    ]
    scheduled = f"{period.start:%Y-%m-%d %H:%M:%S}@server localtime"
    senders = {entry.sender for entry in told}
    shared = senders.pop() if len(told) > 1 and len(senders) == 1 else None
    lines = [
        "<?xml version='1.0'?>",
        "<RESPONSE>",
        "<BATCHES>",
        f'  <BATCH id="7001" name="Spring & summer" scheduled_date="{scheduled}"/>',
        "  </BATCH>",
        "</BATCHES>",
        "<AUTORESPONDERS>",
        f'  <AUTORESPONDER id="8001" scheduled_date="{scheduled}"/>',
        "  </AUTORESPONDER>",
        "</AUTORESPONDERS>",
        "<SUBSCRIPTIONS>",
        "</SUBSCRIPTIONS>",
        f'<SENDING_LIST from="{shared}">' if shared else "<SENDING_LIST>",
    ]
    for entry in told:
        lines += entry.lines(has_sender=shared is None)
    lines += ["</SENDING_LIST>", "</RESPONSE>", ""]
    return "\n".join(lines).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One TEXT or CONTENT element."""

    element: str
    number: int
    attributes: Mapping[str, str]
    sender: str
    marks: tuple[_Mark, ...]
    handset: tuple[str, str] | None

    def lines(self, *, has_sender: bool) -> Iterator[str]:
        """Give the lines of the entry."""
        known = {"id": str(self.number), **self.attributes}
        if has_sender:
            known["from"] = self.sender
        pairs = " ".join(f'{name}="{_bare(value)}"' for name, value in known.items())
        yield f"  <{self.element} {pairs}>"
        yield "    <MSG_STATUS>"
        for mark in self._in_order():
            yield f"      {self._mark(mark)}"
        yield "    </MSG_STATUS>"
        if self.handset:
            name, value = self.handset
            yield f"    <{name}>{_bare(value)}</{name}>"
        yield f"  </{self.element}>"

    def _in_order(self) -> tuple[_Mark, ...]:
        """Put the last step ahead of the one before it, in every third entry."""
        marks = self.marks
        if self.number % 3 == 0 and len(marks) > 3:
            return (*marks[:-2], marks[-1], marks[-2])
        return marks

    def _mark(self, mark: _Mark) -> str:
        known = {"gw": mark.gw, "net": mark.net, "info": mark.info}
        pairs = [f'{name}="{_bare(value)}"' for name, value in known.items() if value is not None]
        pairs.append(f'time="{self._time(mark.at)}"')
        is_open = mark.name in ("ACK", "DLR", "ERROR") and self.number // 2 % 2 == 1
        return f"<{mark.name} {' '.join(pairs)}{'>' if is_open else '/>'}"

    def _time(self, at: datetime) -> str:
        digits = 4 + self.number // 2 % 3
        return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[: 20 + digits] + "Z"


def _entries(
    call: Call, message: Message, titles: Mapping[str, str], time_factor: float, now: datetime
) -> Iterator[_Entry]:
    marks = [mark for mark in _marks(call, message, time_factor) if mark.at <= now]
    is_link = any(mark.gw in ("10", "11") for mark in marks)
    carrier = _CARRIERS.get(message.spid, f"Carrier {message.spid}")
    yield _Entry(
        element="CONTENT",
        number=message.history_number,
        attributes={
            "carrier": carrier,
            "to": message.to,
            "delivery": "xhtml" if is_link else "binary",
            "contentid": message.mms_id,
            "contentname": titles.get(message.mms_id, ""),
        },
        sender=message.sender,
        marks=tuple(marks),
        handset=_handset(message, marks, is_link=is_link),
    )
    if is_link:  # the SMS with the link has a number of the history too
        yield _Entry(
            element="TEXT",
            number=message.history_number + 1,
            attributes={"carrier": carrier, "to": message.to, "text": _TEXT},
            sender=message.sender,
            marks=tuple(mark for mark in marks if mark.name != "OPENED" and mark.gw != "80"),
            handset=None,
        )


def _marks(call: Call, message: Message, time_factor: float) -> Iterator[_Mark]:
    began = call.received_at
    yield _Mark("INQUE", began)
    yield _Mark("INIT", began + timedelta(seconds=0.02), "0", "0")
    for step in call.steps:
        at = began + timedelta(seconds=0.04 + step.at * time_factor)
        if mark := _mark_of(step.event, at):
            yield mark
            is_link = step.event.fields.get("SENTAS") == "SMS" or step.event.origin == "SMS_MT"
            if mark.name == "DLR" and is_link and message.history_number // 2 % 2 == 0:
                later = timedelta(seconds=_OPENED_SECONDS * time_factor)
                yield _Mark("OPENED", at + later, "11", "0")


def _mark_of(event: Event, at: datetime) -> _Mark | None:
    """Return the step that a postback tells of; None for those that tell of none."""
    phrase = event.fields.get("STATUS", "")
    if event.code in _DISCOVERY:
        name, gw, net = _DISCOVERY[event.code]
        return _Mark(name, at, gw, net)
    if event.code in ("N101", "N102", "N103", "N202", "E101", "E102", "E202"):
        if event.code == "N101":
            return _Mark("ACK", at, "10" if event.fields.get("SENTAS") == "SMS" else "9", "0")
        if phrase in _RECEIPTS:
            name, gw, net = _RECEIPTS[phrase]
            return _Mark(name, at, gw, net)
        if phrase != "Message Sent":  # of the legacy link, that its SMS left
            info = event.fields.get("STATUSDETAILS") or phrase
            return _Mark("ERROR", at, info=info)
    return None


def _handset(message: Message, marks: list[_Mark], *, is_link: bool) -> tuple[str, str]:
    if is_link:
        return "XHTML_HANDSETID", _BROWSER
    is_known = any(mark.name == "DLR" for mark in marks)
    return "MM7_HANDSETID", message.handset if is_known else "Default"


def _bare(text: str) -> str:
    """Return text for an attribute or element; its ampersands stay bare, as theirs do."""
    return text.replace('"', "'").replace("<", "(").replace(">", ")")
