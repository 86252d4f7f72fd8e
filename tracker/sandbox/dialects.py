"""Writing a postback as the gateway's editions did.

Source: PROTOCOL 6.2, 6.3 (1.3), 6.8 (successor, legacy), 7 no. 7 (xsi); samples/.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from lxml import etree

from tracker.protocol.characters import replace_illegal

from .behaviour import Dialect
from .message import Event

_ZONE: Final = ZoneInfo("America/New_York")
_DECLARATION: Final = b"<?xml version='1.0'?>\n"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA: Final = "mms-postback.xsd"

# The order of the samples; what is not named here stands behind SPID, as it came.
_BEFORE: Final = ("SENTAS", "STATUS", "MMSID", "FROM", "TO", "TRACKINGID", "SPID")
_AFTER: Final = ("TIMESTAMP", "HANDSET", "AGGREGATORID", "STATUSDETAILS")
_LEGACY_ONLY: Final = frozenset({"HISTORYID", "SMSID"})
_LEGACY_NEVER: Final = frozenset({"SENTAS", "FROM", "AGGREGATORID", "STATUSDETAILS"})
_SINCH_NEVER: Final = _LEGACY_ONLY | {"AGGREGATORID"}

_SINCH_NAMES: Final = {
    "SENTAS": "sent-as",
    "MMSID": "mms-id",
    "TRACKINGID": "tracking-id",
    "SPID": "operator-id",
    "STATUSDETAILS": "status-details",
    "AUDIONAME": "audio-name",
    "VIDEONAME": "video-name",
    "SUBJECT": "message-subject",
}
_SINCH_OPERATORS: Final = {"0001890": "31002", "0001570": "31004", "0001140": "31003"}
_LEGACY_STATUS: Final = {  # phrase: CELLY and TEXT. Source: PROTOCOL 6.8
    "Message Sent/Delivered": ("20", "Retrieved"),
    "Message Sent/Expired": ("30", "Expired"),
    "Message Sent/Rejected": ("35", "Rejected"),
}


def content_type(dialect: Dialect, *, is_form: bool) -> str:
    """Return how a postback of this dialect is labelled."""
    if is_form:
        return "application/x-www-form-urlencoded"
    return "application/json" if dialect == "json" else "text/xml; charset=utf-8"


def postback_body(events: Sequence[Event], dialect: Dialect, now: datetime) -> bytes:
    """Write the body of a POST that leaves now; several events in the legacy dialects only."""
    if dialect in ("legacy", "legacy_bare"):
        return _legacy(events, now, has_body=dialect == "legacy")
    (event,) = events
    if dialect == "sinch":
        return _sinch(event, now)
    if dialect == "json":
        pairs = {name: text for name, text in _sinch_pairs(event, now) if text}
        return json.dumps(pairs, ensure_ascii=False, indent=2).encode("utf-8", "replace")
    return _skycore(event, now, is_xsi=dialect == "xsi")


def _skycore(event: Event, now: datetime, *, is_xsi: bool) -> bytes:
    root = _element("POSTBACK", is_xsi=is_xsi)
    _add(root, "ORIGIN", event.origin)
    _add(root, _code_name(event), event.code)
    timestamp = now.astimezone(_ZONE).isoformat(timespec="seconds")
    for name, value in _ordered(event, timestamp):
        if name not in _LEGACY_ONLY:
            _add(root, name, value)
    return _written(root)


def _code_name(event: Event) -> str:
    return "STATUSCODE" if event.origin == "GENERATE_PASS" else "CODE"


def _ordered(event: Event, timestamp: str) -> list[tuple[str, str]]:
    fields = dict(event.fields)
    if event.is_timed:
        fields["RECEIVED" if event.origin == "SMS_MO" else "TIMESTAMP"] = timestamp
    others = [name for name in fields if name not in _BEFORE and name not in _AFTER]
    return [(name, fields[name]) for name in (*_BEFORE, *others, *_AFTER) if fields.get(name)]


def _sinch(event: Event, now: datetime) -> bytes:
    root = _element("postback")
    for name, text in _sinch_pairs(event, now):
        if text:
            _add(root, name, text)
        else:
            etree.SubElement(root, name)
    return _written(root)


def _sinch_pairs(event: Event, now: datetime) -> Iterator[tuple[str, str]]:
    """Give lower case names with hyphens, operator ids, no aggregator id, and times in UTC."""
    yield "origin", event.origin
    yield _code_name(event).lower(), event.code
    timestamp = now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    for name, value in _ordered(event, timestamp):
        is_left_out = name in _SINCH_NEVER or (name == "TIMESTAMP" and event.code == "E102")
        if not is_left_out:
            text = _SINCH_OPERATORS.get(value, "10488") if name == "SPID" else value
            yield _SINCH_NAMES.get(name, name.lower()), text
        if name == "FROM":
            yield "from-mask", ""


def _legacy(events: Sequence[Event], now: datetime, *, has_body: bool) -> bytes:
    """Write one NOTIFICATION an event: plain ids, six-digit SPID, STATUS as attributes."""
    root = _element("POSTBACK")
    for event in events:
        _add_notification(root, event, now, has_body=has_body)
    return _written(root)


def _add_notification(root: etree._Element, event: Event, now: datetime, *, has_body: bool) -> None:
    local = now.astimezone(_ZONE)
    created = f"{local:%Y-%m-%d %H:%M:%S.%f}{local:%z}"[:-2]
    number = event.fields.get("HISTORYID", "521495")
    note = etree.SubElement(root, "NOTIFICATION", {"id": number, "created": created})
    _add(note, "ORIGIN", event.origin)
    _add(note, _code_name(event), event.code)
    body = etree.SubElement(note, "BODY") if has_body else note
    # The first word of a message comes without offset, in the gateway's local time.
    timestamp = f"{local:%Y-%m-%d %H:%M:%S}" if event.code == "N101" else created
    for name, value in _ordered(event, timestamp):
        if name == "STATUS":
            _add_legacy_status(body, event, value)
        elif name not in _LEGACY_NEVER or event.origin not in ("MMS_MT", "SMS_MT"):
            _add(body, name, value[:-1] if name == "SPID" else value)


def _add_legacy_status(body: etree._Element, event: Event, phrase: str) -> None:
    if event.origin == "SMS_MT":
        status = "1" if event.code.startswith("N") else "2"
        etree.SubElement(body, "STATUS", {"protocole": "3", "status": status})
    elif "SMSID" in event.fields:
        etree.SubElement(body, "STATUS", {"celly": "10", "provider": "1000"})
    elif phrase in _LEGACY_STATUS:
        celly, text = _LEGACY_STATUS[phrase]
        provider = "1000" if celly == "20" else "0"
        etree.SubElement(
            body,
            "STATUS",
            {"celly": celly, "provider": provider, "text": text, "description": ""},
        )
    elif phrase != "Message Sent":  # of N101 there is no STATUS
        etree.SubElement(body, "STATUS", {"text": phrase})


def _element(name: str, *, is_xsi: bool = False) -> etree._Element:
    if not is_xsi:
        return etree.Element(name)
    root = etree.Element(name, nsmap={"xsi": _XSI})
    root.set(etree.QName(_XSI, "noNamespaceSchemaLocation"), _SCHEMA)
    return root


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, name).text = replace_illegal(text)


def _written(root: etree._Element) -> bytes:
    etree.indent(root, space="    ")
    return _DECLARATION + etree.tostring(root, encoding="utf-8")
