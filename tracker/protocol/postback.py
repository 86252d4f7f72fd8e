"""Postbacks: from one POST of the gateway to typed notifications, in every dialect it ever spoke.

Parsing makes types and decides nothing. What no resend can mend is an error of one of two kinds:

    ValueError
    ├── UnreadablePostbackError   plausibly a postback: its bytes are kept for the operator
    └── NotAPostbackError         something else: refused

Source: PROTOCOL 6 and 7.
"""

import re
from collections.abc import Callable, Iterator
from datetime import tzinfo
from typing import Any, Final, NoReturn

from lxml import etree

from .characters import replace_illegal
from .legacy import attribute_state, full_spid
from .notification import Kind, Notification, digits
from .phrases import State, phrase_outcome, resolved_state
from .postback_fields import FIELDS, NOTIFICATION, POSTBACK, RawFields, element_name, read_element
from .postback_json import JsonLimitError, looks_like_postback, read_json
from .repair import repairs
from .timestamps import Reading, utc_timestamp
from .tracking import tracking_key, tracking_ref, without_blanks
from .transport import Document
from .xml import NotWellFormedError, XmlError, normal_name, parse_xml

__all__ = [
    "Kind",
    "NotAPostbackError",
    "Notification",
    "State",
    "UnreadablePostbackError",
    "parse_postback",
]

_JSON_DEFECT: Final = "It is JSON, kept aside: the gateway of this protocol posts XML."
PLAUSIBLE_WITHIN: Final = 65536  # characters

_EDGES: Final = "\ufeff\x00 \t\r\n"
_LATE_DECLARATION: Final = re.compile(r"\ufeff?\s+<\?xml\s")
_OPENING: Final = re.compile(r"<([^\s<>/!?]+)")

_KINDS: Final = {
    Kind.MMS: "N101 N102 N103 E101 E102",
    Kind.SMS: "N201 N202 E201 E202",
    Kind.DDM: "N501 N502 E501 E502",
    Kind.CONTENT: "N002 N003 N013 E001 E002 E003 E004 E011 E012 E013",
    Kind.MO_SMS: "N211",
    Kind.MO_MMS: "N401",
    Kind.SUBSCRIPTION: "N301 N302 N303 N304",
    Kind.PASS: "N801 N802 N803 N804 N805 N811",
    Kind.QUEUE_ERROR: "E999",
}
_KIND_OF: Final = {code: kind for kind, codes in _KINDS.items() for code in codes.split()}
_WITH_STATE: Final = frozenset({Kind.MMS, Kind.SMS})

# Fields whose texts are one value in several spellings; the others are kept letter for letter.
_SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "code": str.upper,
    "origin": str.upper,
    "sent_as": str.upper,
    "tracking_id": without_blanks,
}
# Fields that tell which event of which message this is: two values of one contradict each other.
_KEYS: Final[dict[str, Callable[[str], str]]] = {
    "code": str.upper,
    "tracking_id": tracking_key,
    "to": lambda text: digits(text) or text,
}


class UnreadablePostbackError(ValueError):
    """Plausibly a postback, but unusable: quarantine the bytes. `reason` is one plain sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotAPostbackError(ValueError):
    """Not a postback at all: empty, HTML, other JSON, another root element."""


def parse_postback(document: Document, *, zone: tzinfo) -> list[Notification]:
    """Read one postback; nearly always one notification, several in the oldest dialect.

    A timestamp without an offset is local time of `zone`. A notification that cannot be acted upon
    comes with its `defect`, so that it does not take the others of its body with it.

    Raises:
        UnreadablePostbackError: a postback broken beyond repair, or with nothing in it.
        NotAPostbackError: something else.

    Source: PROTOCOL 6.8 and 6.10.
    """
    is_json = document.text.lstrip(_EDGES).startswith(("{", "["))
    raws, remarks = (_read_json if is_json else _read_xml)(document.text)
    if all(raw.is_empty and not raw.is_wrapped for raw in raws):
        raise UnreadablePostbackError("It has no code, nor any other field we know.")
    if document.is_repaired:
        remarks = ("Bytes that fit no character set were replaced.", *remarks)
    defects = (_JSON_DEFECT,) if is_json else ()
    return [_notification(raw, zone, remarks, defects) for raw in raws]


def _read_json(text: str) -> tuple[list[RawFields], tuple[str, ...]]:
    try:
        raws = read_json(text.strip(_EDGES))
    except JsonLimitError as error:
        raise UnreadablePostbackError(f"It has {error}.") from error
    except ValueError as error:
        if looks_like_postback(text):
            raise UnreadablePostbackError("It is JSON that cannot be read.") from error
        raws = []
    if not raws:
        _refuse(text, "It is JSON without the names of a postback.")
    return raws, ()


def _read_xml(text: str) -> tuple[list[RawFields], tuple[str, ...]]:
    if not text.strip(_EDGES):
        raise NotAPostbackError("The body is empty.")
    root, remarks = _parsed(text)
    if element_name(root) not in {POSTBACK, NOTIFICATION}:
        _refuse(text, f"The root element is {element_name(root)[:60]}.")
    return read_element(root), remarks


def _parsed(text: str) -> tuple[etree._Element, tuple[str, ...]]:
    try:
        root = parse_xml(text)
    except NotWellFormedError as error:
        if not _is_plausible(text):
            raise NotAPostbackError("It is not XML.") from error
        return _repaired(text, replace_illegal(str(error)))
    except XmlError as error:
        _refuse(text, f"It is XML that is never read: {error}.")
    if _LATE_DECLARATION.match(text):
        return root, ("White space before the XML declaration was passed over.",)
    return root, ()


def _repaired(text: str, complaint: str) -> tuple[etree._Element, tuple[str, ...]]:
    for repaired in repairs(text):
        try:
            return parse_xml(repaired.text), repaired.remarks
        except NotWellFormedError:
            continue
        except XmlError as error:
            raise UnreadablePostbackError(f"It is XML that is never read: {error}.") from error
    raise UnreadablePostbackError(f"It is not well-formed and not repairable: {complaint[:200]}.")


def _refuse(text: str, reason: str) -> NoReturn:
    raise UnreadablePostbackError(reason) if _is_plausible(text) else NotAPostbackError(reason)


def _is_plausible(text: str) -> bool:
    """Tell whether an opening tag postback or notification, any case and prefix, comes early."""
    tags = (found.group(1) for found in _OPENING.finditer(text, 0, PLAUSIBLE_WITHIN))
    return any(normal_name(tag) in {POSTBACK, NOTIFICATION} for tag in tags)


def _notification(
    raw: RawFields, zone: tzinfo, remarks: tuple[str, ...], defects: tuple[str, ...]
) -> Notification:
    repeated = raw.repeated()
    texts = _texts(raw)
    timestamp_text = texts.pop("timestamp", None)
    reading = utc_timestamp(timestamp_text, zone)
    tracking_id = texts.get("tracking_id")
    kind = _kind(texts["code"], texts.get("origin"))
    state = _state(raw, texts)
    return Notification(
        **texts,
        kind=kind,
        state=state if kind in _WITH_STATE else None,
        ddm_state=state if kind is Kind.DDM else None,
        tracking_ref=tracking_ref(tracking_id) if tracking_id else None,
        timestamp=reading.instant,
        timestamp_text=timestamp_text,
        files=tuple(raw.files),
        notification_id=raw.notification_id,
        celly=raw.status_attributes.get("CELLY"),
        remarks=(
            *remarks,
            *raw.remarks,
            *_repetitions(raw, repeated),
            *_zone_remarks(reading, zone),
        ),
        defect=" ".join([*defects, *_defects(raw, repeated)]) or None,
    )


def _texts(raw: RawFields) -> dict[str, Any]:
    texts: dict[str, Any] = {"code": None, **raw.first()}
    for name, spelled in _SPELLINGS.items():
        if text := texts.get(name):
            texts[name] = spelled(text)
    if spid := texts.get("spid"):
        is_legacy = raw.is_wrapped or raw.status_attributes or "history_id" in texts
        texts["spid"] = full_spid(spid) if is_legacy else spid
    return texts


def _state(raw: RawFields, texts: dict[str, Any]) -> State | None:
    outcomes = attribute_state(raw.status_attributes), phrase_outcome(texts.get("status"))
    return resolved_state(texts["code"] or "", *outcomes)


def _kind(code: str | None, origin: str | None) -> Kind:
    kind = _KIND_OF.get(code or "", Kind.UNKNOWN)
    # The link SMS of an MMS has the codes of an SMS.
    return Kind.MMS if kind is Kind.SMS and origin == "MMS_MT" else kind


def _zone_remarks(reading: Reading, zone: tzinfo) -> Iterator[str]:
    if reading.is_zone_assumed:
        yield f"TIMESTAMP has no offset, read as {zone}."


def _repetitions(raw: RawFields, repeated: list[str]) -> Iterator[str]:
    for name in repeated:
        spelled = _SPELLINGS.get(name, str)
        if name not in _KEYS and len({spelled(text) for text in raw.told(name)}) > 1:
            yield f"{FIELDS[name][0]} is given twice and differs; the first was taken."


def _defects(raw: RawFields, repeated: list[str]) -> Iterator[str]:
    """Yield why a notification must not be acted upon. Source: PROTOCOL 6.10, quarantined."""
    if not raw.told("code"):
        yield "It has no code."
    for name, key in _KEYS.items():
        if name not in repeated:
            continue
        different = {key(text): text for text in raw.told(name)}
        if len(different) > 1:
            first, second, *_ = different.values()
            yield f"It has two different {FIELDS[name][0]}s: {_shown(first)} and {_shown(second)}."


def _shown(text: str) -> str:
    return "…" + text[-4:] if len(text) > 8 else text  # a whole number is nobody's business
