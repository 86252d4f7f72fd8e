"""The two faces of a pass, laid out by its type, with what is known and what is assumed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final

from tracker.domain.pass_face import BarcodeSource, Face, FaceBarcode, Field, Half, Origin, Place
from tracker.domain.templates import PassType, Symbology

from .barcodes import NAMES, Drawing, UndrawableError, draw
from .sight import WHOLE, Sight

TYPES: Final = {
    PassType.BOARDING_PASS: "Boarding pass",
    PassType.COUPON: "Coupon",
    PassType.EVENT_TICKET: "Event ticket",
    PassType.STORE_CARD: "Store card",
    PassType.GENERIC: "Generic pass",
}
# The lines between header and barcode, from the top; parts of one line stand side by side.
ROWS: Final = {
    PassType.BOARDING_PASS: (("PRIMARY",), ("AUX",), ("SEC",)),
    PassType.COUPON: (("PRIMARY",), ("SEC", "AUX")),
    PassType.EVENT_TICKET: (("PRIMARY",), ("SEC",), ("AUX",)),
    PassType.STORE_CARD: (("PRIMARY",), ("SEC", "AUX")),
    PassType.GENERIC: (("PRIMARY",), ("SEC",), ("AUX",)),
}
HELD: Final = "set by the template"
# Characters of a text on a face, where a phone has room for even fewer; the tables below have all.
LONGEST: Final = 80
LONGEST_LABEL: Final = 40
LONGEST_ON_BACK: Final = 600
LONGEST_BESIDE: Final = 240
# Pixels of a barcode that is wide, and of one that is square: its modules are whole pixels.
_WIDEST, _WIDEST_SQUARE = 272, 208
_WITHOUT_DRAWING: Final = {
    BarcodeSource.TEMPLATE: "The template holds one barcode for every pass; it is not known here.",
    BarcodeSource.GATEWAY: "The gateway makes the barcode of each pass; it is not known here.",
    BarcodeSource.MISSING: "The template takes the barcode from each send, and none was sent.",
    BarcodeSource.NONE: "The template has no barcode.",
    BarcodeSource.UNKNOWN: "No barcode was sent; the template may hold one of its own.",
}


@dataclass(frozen=True, slots=True)
class Text:
    """A text on a face; `is_held` is one of the template, which nobody here knows."""

    text: str
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field on a face; `name` is its place, such as Secondary 2."""

    name: str
    label: Text
    value: Text


@dataclass(frozen=True, slots=True)
class Row:
    """Fields that stand side by side."""

    kind: str
    fields: list[FieldView]


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to draw the barcode."""

    value: str
    name: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class BarcodeView:
    """The barcode: drawn, or in words why not. `width` and `height` are pixels."""

    name: str
    value: str
    text: Text
    drawing: Drawing | None
    width: int
    height: int
    note: str
    alternatives: list[Alternative]  # where nobody has said how it is drawn


@dataclass(frozen=True, slots=True)
class PlaceView:
    """A place near which the phone shows the pass by itself."""

    slot: int
    where: str
    text: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PassView:
    """All that is shown of a pass."""

    kind: str  # of the style
    type_name: str
    title: str
    mms_id: str
    is_described: bool
    is_changed_since: bool
    has_pass: bool
    header: list[FieldView]
    rows: list[Row]
    back: list[FieldView]
    barcode: BarcodeView
    places: list[PlaceView]
    empty: str
    ignored: list[tuple[str, str]]
    is_bare: bool  # nothing of it is known


def pass_view(
    face: Face,
    mms_id: str,
    *,
    sight: Sight = WHOLE,
    drawn_as: str | None = None,
    described_at: datetime | None = None,
    queued_at: datetime,
) -> PassView:
    """Return a pass as it is shown; `drawn_as` is the symbology that somebody wants to see."""
    rows = [row for parts in ROWS[face.pass_type] if (row := _row(face, parts)).fields]
    header = _fields(face.fields["HEADER"])
    back = _fields(face.fields["BACK"], LONGEST_ON_BACK)
    return PassView(
        kind=face.pass_type.value.replace(" ", "-"),
        type_name=TYPES[face.pass_type],
        title=sight.free(face.title or "Pass"),
        mms_id=mms_id,
        is_described=face.is_described,
        is_changed_since=described_at is not None and described_at > queued_at,
        has_pass=face.has_pass,
        header=header,
        rows=rows,
        back=back,
        barcode=_barcode(face.barcode, drawn_as),
        places=[_place(place) for place in face.places],
        empty=_in_short(face.empty),
        ignored=list(face.ignored),
        is_bare=not (header or rows or back or face.barcode.value),
    )


def _row(face: Face, parts: Sequence[str]) -> Row:
    fields = [field for part in parts for field in face.fields[part]]
    return Row(parts[0].lower(), _fields(fields))


def _fields(fields: Sequence[Field], longest: int = LONGEST) -> list[FieldView]:
    return [
        FieldView(field.name, _text(field.label, LONGEST_LABEL), _text(field.value, longest))
        for field in fields
    ]


def _in_short(names: Sequence[str]) -> str:
    """Return names as people list them: `Header, Secondary 2 to 4`."""
    told = []
    for title, alike in groupby(names, key=lambda name: name.split()[0]):
        numbers = [int(name.split()[1]) for name in alike if " " in name]
        told += [f"{title} {span}" for span in _spans(numbers)] or [title]
    return ", ".join(told)


def _spans(numbers: Sequence[int]) -> Iterator[str]:
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        found = [number for _, number in run]
        yield f"{found[0]} to {found[-1]}" if len(found) > 1 else str(found[0])


def _text(half: Half, longest: int) -> Text:
    if half.origin is Origin.TEMPLATE:
        return Text(HELD, is_held=True)
    return Text(_cut(half.text, longest))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


def _barcode(barcode: FaceBarcode, drawn_as: str | None) -> BarcodeView:
    wanted = next((one for one in Symbology if one.value == drawn_as), Symbology.QR)
    symbology = barcode.symbology or wanted
    drawing, note = _drawn(barcode, symbology)
    scale = _scale(drawing) if drawing else 1
    is_open = barcode.source is BarcodeSource.SENT and not barcode.symbology
    return BarcodeView(
        name=NAMES[symbology],
        value=_cut(barcode.value, LONGEST_BESIDE),
        text=_text(barcode.text, LONGEST),
        drawing=drawing,
        width=drawing.width * scale if drawing else 0,
        height=drawing.height * scale if drawing else 0,
        note=note,
        alternatives=list(_alternatives(symbology)) if is_open else [],
    )


def _scale(drawing: Drawing) -> int:
    is_square = drawing.width == drawing.height
    return max((_WIDEST_SQUARE if is_square else _WIDEST) // drawing.width, 1)


def _drawn(barcode: FaceBarcode, symbology: Symbology) -> tuple[Drawing | None, str]:
    if barcode.source is not BarcodeSource.SENT:
        return None, _WITHOUT_DRAWING[barcode.source]
    try:
        return draw(barcode.value, symbology), ""
    except UndrawableError as error:
        return None, str(error)


def _alternatives(current: Symbology) -> Iterator[Alternative]:
    for one, name in NAMES.items():
        yield Alternative(one.value, name, one is current)


def _place(place: Place) -> PlaceView:
    if place.origin is Origin.TEMPLATE:
        return PlaceView(place.slot, HELD, "", "")
    note = "" if place.is_complete else "dropped by the gateway: it needs both coordinates"
    where = ", ".join(filter(None, (place.latitude, place.longitude)))
    where = _cut(where, LONGEST) or "no coordinates"
    return PlaceView(place.slot, where, _cut(place.text, LONGEST_BESIDE), note)
