"""The pass as its recipient sees it, as far as the tracker can know.

A send carries texts; the gateway's template decides which of them are on the pass, and holds others
that nobody sends. Where an operator has described the template, this module follows the
description; where nobody has, it takes all that was sent for what is shown, and `is_described`
says so.

Source: PROTOCOL 2.3, 4.1 and 4.2.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tracker.protocol.passdata import SLOTS, slot_fields

from .templates import (
    BARCODE_TEXT,
    BARCODE_VALUE,
    SECOND_PRIMARY,
    AlternateText,
    BarcodeType,
    PassType,
    Symbology,
    Template,
    judge,
)

PARTS: Final = (
    ("HEADER", "Header", 1),
    ("PRIMARY", "Primary", 2),
    ("SEC", "Secondary", 4),
    ("AUX", "Auxiliary", 4),
    ("BACK", "Back", 4),
)


class Origin(StrEnum):
    """Where a text of the pass comes from."""

    SENT = "sent"  # with this message
    TEMPLATE = "template"  # the template holds it, and the tracker does not know it
    EMPTY = "empty"  # each send may give it, and this one does not
    ABSENT = "absent"  # it is not on the pass


@dataclass(frozen=True, slots=True)
class Half:
    """A label or a value; `text` is there when it was sent."""

    origin: Origin
    text: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the pass, such as Secondary 2."""

    name: str
    label: Half
    value: Half

    @property
    def is_shown(self) -> bool:
        """Something stands there on the pass."""
        return bool({self.label.origin, self.value.origin} & {Origin.SENT, Origin.TEMPLATE})


class BarcodeSource(StrEnum):
    """Who gives the value of the barcode."""

    SENT = "sent"
    TEMPLATE = "template"
    GATEWAY = "gateway"  # makes one for each pass
    MISSING = "missing"  # the template wants one with each send, and none was sent
    NONE = "none"  # the pass has no barcode
    UNKNOWN = "unknown"  # none was sent, and nobody has described the template


@dataclass(frozen=True, slots=True)
class FaceBarcode:
    """The barcode; a `symbology` of None is one that nobody has told."""

    source: BarcodeSource
    value: str
    text: Half
    symbology: Symbology | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A place near which the phone shows the pass by itself."""

    slot: int
    origin: Origin
    latitude: str = ""
    longitude: str = ""
    text: str = ""

    @property
    def is_complete(self) -> bool:
        """Without both coordinates the gateway drops the slot. Source: PROTOCOL 4.2."""
        return self.origin is Origin.TEMPLATE or bool(self.latitude and self.longitude)


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """Front and back of a pass. `fields` are by part: HEADER, PRIMARY, SEC, AUX, BACK."""

    is_described: bool
    has_pass: bool
    pass_type: PassType
    title: str | None
    fields: Mapping[str, tuple[Field, ...]]
    empty: tuple[str, ...]  # names of the fields that each send may give, and this one does not
    barcode: FaceBarcode
    places: tuple[Place, ...]
    ignored: tuple[tuple[str, str], ...]  # names of PASSDATA with why the gateway ignores them


def face(template: Template | None, mms_id: str, pass_data: Mapping[str, str]) -> Face:
    """Return the pass that this pass data makes; None stands for a template nobody described."""
    every = {
        part: tuple(_fields(template, pass_data, part, title, count))
        for part, title, count in PARTS
    }
    return Face(
        is_described=template is not None,
        has_pass=template.has_pass if template else True,
        pass_type=(template and template.pass_type) or PassType.GENERIC,
        title=template.title if template else None,
        fields={part: tuple(f for f in found if f.is_shown) for part, found in every.items()},
        empty=tuple(f.name for found in every.values() for f in found if _is_left_empty(f)),
        barcode=_barcode(template, pass_data),
        places=tuple(_places(template, pass_data)),
        ignored=tuple(_ignored(template, mms_id, pass_data)),
    )


def _fields(
    template: Template | None, pass_data: Mapping[str, str], part: str, title: str, count: int
) -> Iterator[Field]:
    for number in range(1, count + 1):
        name = title if count == 1 else f"{title} {number}"
        label, value = (f"{part}{half}{number}" for half in ("LABEL", "VALUE"))
        yield Field(name, _half(template, pass_data, label), _half(template, pass_data, value))


def _half(template: Template | None, pass_data: Mapping[str, str], name: str) -> Half:
    sent = pass_data.get(name)
    if template is None:
        return Half(Origin.SENT, sent) if sent else Half(Origin.ABSENT)
    if name in SECOND_PRIMARY and template.pass_type is not PassType.BOARDING_PASS:
        return Half(Origin.ABSENT)
    if name in template.fixed_fields:
        return Half(Origin.TEMPLATE)
    if name in template.dynamic_fields:
        return Half(Origin.SENT, sent) if sent else Half(Origin.EMPTY)
    return Half(Origin.ABSENT)


def _is_left_empty(field: Field) -> bool:
    return not field.is_shown and Origin.EMPTY in (field.label.origin, field.value.origin)


def _barcode(template: Template | None, pass_data: Mapping[str, str]) -> FaceBarcode:
    value, text = pass_data.get(BARCODE_VALUE, ""), pass_data.get(BARCODE_TEXT, "")
    if template is None:
        source = BarcodeSource.SENT if value else BarcodeSource.UNKNOWN
        return FaceBarcode(source, value, _sent_or(Origin.ABSENT, text))
    source = _source(template, value)
    return FaceBarcode(
        source,
        value if source is BarcodeSource.SENT else "",
        _text_below(template, text),
        template.barcode.symbology,
    )


def _source(template: Template, value: str) -> BarcodeSource:
    if not template.barcode.is_allowed:
        return BarcodeSource.NONE
    if template.barcode.type is BarcodeType.FIXED:
        return BarcodeSource.TEMPLATE
    if not template.barcode.takes_value:
        return BarcodeSource.GATEWAY
    return BarcodeSource.SENT if value else BarcodeSource.MISSING


def _text_below(template: Template, text: str) -> Half:
    if not template.barcode.is_allowed:
        return Half(Origin.ABSENT)
    match template.barcode.alternate_text:
        case AlternateText.DYNAMIC:
            return _sent_or(Origin.EMPTY, text)
        case AlternateText.FIXED:
            return Half(Origin.TEMPLATE)
        case _:
            return Half(Origin.ABSENT)


def _sent_or(otherwise: Origin, text: str) -> Half:
    return Half(Origin.SENT, text) if text else Half(otherwise)


def _places(template: Template | None, pass_data: Mapping[str, str]) -> Iterator[Place]:
    for slot in SLOTS:
        texts = [pass_data.get(name, "") for name in slot_fields(slot)]
        if template is not None and slot in template.fixed_slots:
            yield Place(slot, Origin.TEMPLATE)
        elif any(texts) and (template is None or slot in template.dynamic_slots):
            yield Place(slot, Origin.SENT, *texts)


def _ignored(
    template: Template | None, mms_id: str, pass_data: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    if template is None or not template.has_pass:
        return
    for problem in judge(template, mms_id, pass_data).warnings:
        yield problem.field.removeprefix("pass_data."), problem.detail
