"""The fields of a postback as text, one `RawFields` a notification; nothing is made of them yet.

XML and JSON, flat or wrapped, all end here. Source: PROTOCOL 6.8 (dialects), 6.10 (values).
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from lxml import etree

from .xml import normal_name, text_of

POSTBACK: Final = "POSTBACK"
NOTIFICATION: Final = "NOTIFICATION"
CONTAINERS: Final = frozenset({POSTBACK, NOTIFICATION, "BODY", "CONTENT", "PASSDATA"})

# Our name, and the normal names of the elements that carry it, the usual one first.
FIELDS: Final = {
    "code": ("CODE", "STATUSCODE"),  # pass postbacks say STATUSCODE
    "origin": ("ORIGIN",),
    "tracking_id": ("TRACKINGID",),
    "to": ("TO",),
    "from_": ("FROM",),
    "from_mask": ("FROMMASK",),
    "mms_id": ("MMSID",),
    "sent_as": ("SENTAS",),
    "status": ("STATUS",),
    "status_details": ("STATUSDETAILS",),
    "spid": ("SPID",),
    "operator_id": ("OPERATORID",),
    "handset": ("HANDSET",),
    "os": ("OS",),
    "aggregator_id": ("AGGREGATORID", "AGGREGATOR"),
    "timestamp": ("TIMESTAMP", "RECEIVED"),
    "custom_pass_id": ("CUSTOMPASSID",),
    "pass_data_id": ("PASSDATAID",),
    "serial_number": ("SERIALNUMBER",),
    "referenced_by": ("REFERENCEDBY",),
    "reference_value": ("REFERENCEVALUE",),
    "mobile": ("MOBILE",),
    "email": ("EMAIL",),
    "campaign_id": ("CAMPAIGNID",),
    "sub_id": ("SUBID",),
    "shortcode": ("SHORTCODE",),
    "campaign_title": ("CAMPAIGNTITLE",),
    "brand_name": ("BRANDNAME",),
    "source": ("SOURCE",),
    "keyword": ("KEYWORD",),
    "subject": ("SUBJECT", "MESSAGESUBJECT"),
    "text": ("TEXT",),
    "transaction_id": ("TRANSACTIONID",),
    "audio_name": ("AUDIONAME",),
    "video_name": ("VIDEONAME",),
    "sms_id": ("SMSID",),
    "history_id": ("HISTORYID",),
    "scheduled_id": ("SCHEDULEDID",),
}
_FIELD_OF: Final = {element: name for name, elements in FIELDS.items() for element in elements}
LEAVES: Final = frozenset(_FIELD_OF) | {"FILE"}

# Names come from strangers: what is remembered of them is neither long nor much.
_SHORT: Final = 64  # characters
_REMEMBERED: Final = 512


@dataclass(slots=True)
class RawFields:
    """The texts of one notification by normal name, trimmed; what is empty is not there."""

    values: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    status_attributes: dict[str, str] = field(default_factory=dict)
    notification_id: str | None = None
    is_wrapped: bool = False  # in NOTIFICATION or BODY: the legacy dialect
    remarks: list[str] = field(default_factory=list)

    def add(self, name: str, text: str | None) -> None:
        """Keep a text; empty is absent."""
        if text and (text := text.strip()):
            self.values.setdefault(name, []).append(text)

    def told(self, field_name: str) -> list[str]:
        """Return all texts told for one of our names, those of the usual element first."""
        return [text for name in FIELDS[field_name] for text in self.values.get(name, ())]

    def first(self) -> dict[str, str]:
        """Return the first text told for each of our names that has one."""
        texts: dict[str, str] = {}
        for element, told in self.values.items():
            if name := _FIELD_OF.get(element):
                texts[name] = self.told(name)[0] if name in texts else told[0]
        return texts

    def repeated(self) -> list[str]:
        """Return those of our names that more than one text is told for."""
        if len(self.first()) == sum(map(len, self.values.values())):
            return []  # nearly always, and found out without asking for every name
        return [name for name in FIELDS if len(self.told(name)) > 1]

    @property
    def is_empty(self) -> bool:
        """There is nothing here that we know."""
        return not (self.values or self.files or self.status_attributes)


def read_element(root: etree._Element) -> list[RawFields]:
    """Return the notifications of a POSTBACK or NOTIFICATION element, in their order.

    Fields count only as direct children of POSTBACK, NOTIFICATION or BODY: what lies deeper, such
    as PASSDATA, belongs to something else.
    """
    children = _named(root)
    own = _fields_of(root, children)
    wrapped = [child for name, child in children if name == NOTIFICATION]
    if not wrapped:
        return [own]
    others = [_fields_of(child, _named(child)) for child in wrapped]
    return [own, *others] if own.told("code") else others


def element_name(element: etree._Element) -> str:
    """Return the name of an element as all dialects spell it."""
    tag = str(element.tag)
    return _remembered(tag) if len(tag) <= _SHORT else normal_name(tag)


_remembered: Final = lru_cache(_REMEMBERED)(normal_name)


def _named(element: etree._Element) -> list[tuple[str, etree._Element]]:
    return [(element_name(child), child) for child in element]


def _fields_of(element: etree._Element, children: list[tuple[str, etree._Element]]) -> RawFields:
    raw = RawFields()
    if element_name(element) == NOTIFICATION:
        raw.is_wrapped = True
        raw.notification_id = _attributes(element).get("ID")
    for name, child in children:
        if name == "BODY":
            raw.is_wrapped = True
            for inner_name, inner in _named(child):
                _read_child(raw, inner_name, inner)
        else:
            _read_child(raw, name, child)
    return raw


def _read_child(raw: RawFields, name: str, child: etree._Element) -> None:
    if name == "CONTENT":
        files = (text_of(file) for file in child if element_name(file) == "FILE")
        raw.files.extend(filter(None, files))
    elif name in LEAVES:
        raw.add(name, _own_text(raw, name, child))
        if name == "STATUS":
            _read_status_attributes(raw, child)


def _own_text(raw: RawFields, name: str, leaf: etree._Element) -> str | None:
    if len(leaf) == 0:
        return leaf.text
    raw.remarks.append(f"{name} holds other elements, only the text beside them was read.")
    return "".join([leaf.text or "", *(child.tail or "" for child in leaf)])


def _read_status_attributes(raw: RawFields, status: etree._Element) -> None:
    attributes = _attributes(status)
    raw.status_attributes.update(attributes)
    if "STATUS" not in raw.values:
        raw.add("STATUS", attributes.get("TEXT"))


def _attributes(element: etree._Element) -> dict[str, str]:
    named = ((normal_name(str(name)), str(text).strip()) for name, text in element.items())
    return {name: text for name, text in named if text}
