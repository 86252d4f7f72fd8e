"""One sendPassInMMS call, and its XML form both ways; the GET form is in getform.py.

Errors:
    ValueError
    ├── RequestFormatError   the text is no REQUEST document
    └── UnencodableError     a value or name that XML cannot carry

Source: PROTOCOL 2.2 and 2.3.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from lxml import etree

from .characters import first_illegal
from .xml import XmlError, parse_xml, text_of

# Elements with plain text, in the seed's order, and the attributes that hold them.
_TEXT_ELEMENTS: Final = {
    "ACTION": "action",
    "API_KEY": "api_key",
    "MMSID": "mms_id",
    "TO": "to",
    "FROM": "from_",
    "CAMPAIGNREF": "campaign_ref",
    "DDMTITLE": "ddm_title",
    "DDMTEXT": "ddm_text",
    "DDMTIMEOUT": "ddm_timeout",
    "CUSTOMSUBJECT": "custom_subject",
}
_NESTED_ELEMENTS: Final = frozenset({"CUSTOMTEXT", "DATA", "PASSDATA"})
_OF_PROTOCOL: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class RequestFormatError(ValueError):
    """Not well-formed, with a DOCTYPE, beyond limits, or its root is not REQUEST."""


class UnencodableError(ValueError):
    """A value has a character that XML cannot carry, or a name is no XML name."""

    def __init__(self, field: str, value: str) -> None:
        super().__init__(f"{field} cannot be written as XML")
        self.field = field
        self.value = value


@dataclass(frozen=True, slots=True)
class CustomText:
    """The text that replaces one slide's; `slide` is text as received, "" when missing."""

    value: str
    slide: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRequest:
    """One sendPassInMMS call, as text, as it stands in the document; nothing is judged here.

    None and absent names stand for elements that are missing or empty.
    """

    action: str | None = None
    api_key: str | None = field(default=None, repr=False)
    mms_id: str | None = None
    to: str | None = None
    from_: str | None = None
    campaign_ref: str | None = None
    ddm_title: str | None = None
    ddm_text: str | None = None
    ddm_timeout: str | None = None
    custom_subject: str | None = None
    custom_text: tuple[CustomText, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)  # names as received; from GET upper case
    pass_data: Mapping[str, str] = field(default_factory=dict)  # upper case, unknown names too
    has_pass_data: bool = True  # the PASSDATA element is there, be it empty
    others: Mapping[str, str] = field(default_factory=dict)  # other top-level elements, upper case


def to_xml(request: PassRequest) -> bytes:
    """Write the request in UTF-8, elements in the seed's order, PASSDATA always there.

    Raises:
        UnencodableError: a value or name does not fit into XML.
    """
    return _written(_element(request))


def passed_on(request: PassRequest, original: str | None) -> bytes:
    """Write a call that somebody else made, with all that this module does not know of it.

    Unknown elements of the document `original` go along as they stand there. A GET call has none;
    of its unknown parameters those go along whose names look like the protocol's own.

    Raises:
        UnencodableError: a value or name does not fit into XML.
    """
    if original is not None:
        root = _element(replace(request, others={}))
        for child in list(parse_xml(original)):
            if _upper_name(child) not in _TEXT_ELEMENTS.keys() | _NESTED_ELEMENTS:
                child.tail = None
                root.append(child)
        return _written(root)
    others = {name: text for name, text in request.others.items() if _OF_PROTOCOL.fullmatch(name)}
    fields = {n: text for n, text in request.pass_data.items() if _OF_PROTOCOL.fullmatch(n)}
    return _written(_element(replace(request, others=others, pass_data=fields)))


def _written(root: etree._Element) -> bytes:
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)


def _element(request: PassRequest) -> etree._Element:
    root = etree.Element("REQUEST")
    for name, field_name, value in plain_texts(request):
        _add(root, name, value, field_name)
    _add_custom_text(root, request.custom_text)
    if (subject := root.find("CUSTOMSUBJECT")) is not None:
        root.append(subject)  # moves it behind CUSTOMTEXT
    _add_all(root, request.others, "others")
    if request.data:
        _add_all(etree.SubElement(root, "DATA"), request.data, "data")
    _add_all(etree.SubElement(root, "PASSDATA"), request.pass_data, "pass_data")
    return root


def from_xml(text: str) -> PassRequest:
    """Read a REQUEST document: names in any case, ends of values trimmed, empty values absent.

    Of a repeated element the first that is not empty counts, CUSTOMTEXT excepted.

    Raises:
        RequestFormatError: as strict as the gateway, which answers E108.
    """
    try:
        root = parse_xml(text)
    except XmlError as error:
        raise RequestFormatError(str(error)) from error
    if _upper_name(root) != "REQUEST":
        raise RequestFormatError("the root element is not REQUEST")
    plain = [child for child in root if _upper_name(child) not in _NESTED_ELEMENTS]
    return request_of(
        _texts((_upper_name(child), child) for child in plain),
        custom_text=tuple(_custom_texts(root)),
        data=_texts((_local_name(child), child) for child in _children_of(root, "DATA")),
        pass_data=_texts((_upper_name(child), child) for child in _children_of(root, "PASSDATA")),
        has_pass_data=any(_upper_name(child) == "PASSDATA" for child in root),
    )


def request_of(
    texts: Mapping[str, str],
    *,
    custom_text: tuple[CustomText, ...],
    data: Mapping[str, str],
    pass_data: Mapping[str, str],
    has_pass_data: bool,
) -> PassRequest:
    """Make a request of its plain texts, by element name in upper case, and its other parts."""
    return PassRequest(
        action=texts.get("ACTION"),
        api_key=texts.get("API_KEY"),
        mms_id=texts.get("MMSID"),
        to=texts.get("TO"),
        from_=texts.get("FROM"),
        campaign_ref=texts.get("CAMPAIGNREF"),
        ddm_title=texts.get("DDMTITLE"),
        ddm_text=texts.get("DDMTEXT"),
        ddm_timeout=texts.get("DDMTIMEOUT"),
        custom_subject=texts.get("CUSTOMSUBJECT"),
        custom_text=custom_text,
        data=data,
        pass_data=pass_data,
        has_pass_data=has_pass_data,
        others={name: text for name, text in texts.items() if name not in _TEXT_ELEMENTS},
    )


def plain_texts(request: PassRequest) -> Iterator[tuple[str, str, str]]:
    """Give element name, our name and text of every plain element that has a text."""
    for name, attribute in _TEXT_ELEMENTS.items():
        if value := getattr(request, attribute):
            yield name, attribute.rstrip("_"), value


def checked_text(value: str, field_name: str) -> str:
    """Return `value` when XML can carry every character of it.

    Raises:
        UnencodableError: it cannot; a NUL, another control character or half a surrogate pair.
    """
    if first_illegal(value) is not None:
        raise UnencodableError(field_name, value)
    return value


def checked_name(name: str, field_name: str) -> str:
    """Return `name` when it may be the name of an element.

    Raises:
        UnencodableError: it is no XML name, or has a colon.
    """
    try:
        is_plain = etree.QName(name).namespace is None
    except ValueError:
        is_plain = False
    if not is_plain:
        raise UnencodableError(field_name, name)
    return name


def _add(parent: etree._Element, name: str, value: str | None, field_name: str) -> None:
    if value:
        element = etree.SubElement(parent, checked_name(name, field_name))
        element.text = checked_text(value, field_name)


def _add_all(parent: etree._Element, texts: Mapping[str, str], part: str) -> None:
    for name, value in texts.items():
        _add(parent, name, value, f"{part}.{name}")


def _add_custom_text(root: etree._Element, texts: tuple[CustomText, ...]) -> None:
    for number, text in enumerate(texts):
        element = etree.SubElement(root, "CUSTOMTEXT")
        _add(element, "VALUE", text.value, f"custom_text.{number}.value")
        _add(element, "SLIDE", text.slide, f"custom_text.{number}.slide")


def _custom_texts(root: etree._Element) -> Iterator[CustomText]:
    for child in root:
        if _upper_name(child) == "CUSTOMTEXT":
            parts = _texts((_upper_name(part), part) for part in child)
            if parts:
                yield CustomText(parts.get("VALUE", ""), parts.get("SLIDE", ""))


def _children_of(root: etree._Element, name: str) -> Iterator[etree._Element]:
    for child in root:
        if _upper_name(child) == name:
            yield from child


def _texts(named: Iterator[tuple[str, etree._Element]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, element in named:
        if name not in found and (text := text_of(element)):
            found[name] = text
    return found


def _local_name(element: etree._Element) -> str:
    return etree.QName(element).localname


def _upper_name(element: etree._Element) -> str:
    return _local_name(element).upper()
