"""What was sent, as tables by group."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tracker.domain.pass_face import PARTS
from tracker.protocol.passdata import PASS_FIELDS, SLOTS, slot_fields
from tracker.store.rows import ContentRow

from .parts import Table

_SINGLE: Final = {
    "CUSTOMPASSID": "Custom pass id",
    "THUMBNAILURL": "Thumbnail address",
    "BARCODEVALUE": "Barcode value",
    "BARCODETEXT": "Barcode text",
}
_DISCOVERY: Final = (("title", "Title"), ("text", "Text"), ("timeout_minutes", "Wait, in minutes"))


@dataclass(frozen=True, slots=True)
class ContentView:
    """What was sent."""

    subject: str | None
    tables: list[Table]


def content_view(row: ContentRow) -> ContentView:
    """Return what was sent; groups without a value are left out."""
    tables = [
        Table("Texts of slides", ("Slide", "Text"), _texts(row)),
        Table("Discovery message", ("Part", "Value"), _discovery(row)),
        Table("Data for merge tags", ("Name", "Value"), list(row.data.items())),
        *_pass_tables(row.pass_data),
    ]
    return ContentView(row.custom_subject, [table for table in tables if table.rows])


def _texts(row: ContentRow) -> list[tuple[str, ...]]:
    return [(str(text.get("slide", "")), str(text.get("value", ""))) for text in row.custom_text]


def _discovery(row: ContentRow) -> list[tuple[str, ...]]:
    ddm = row.ddm or {}
    return [(title, str(ddm[key])) for key, title in _DISCOVERY if ddm.get(key) is not None]


def _pass_tables(data: Mapping[str, str]) -> list[Table]:
    others = [(name, value) for name, value in data.items() if name not in PASS_FIELDS]
    singles = [(title, data[name]) for name, title in _SINGLE.items() if name in data]
    return [
        Table("Pass and barcode", ("Field", "Value"), list(singles)),
        Table("Pass texts", ("Field", "Label", "Value"), list(_labelled(data))),
        Table("Relevant places", ("Slot", "Latitude", "Longitude", "Text"), list(_places(data))),
        Table("Fields that the gateway ignores", ("Field", "Value"), list(others)),
    ]


def _labelled(data: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for name, title, count in PARTS:
        for number in range(1, count + 1):
            texts = [data.get(f"{name}{half}{number}", "") for half in ("LABEL", "VALUE")]
            if any(texts):
                yield (f"{title} {number}", *texts)


def _places(data: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for slot in SLOTS:
        values = [data.get(name, "") for name in slot_fields(slot)]
        if any(values):
            yield (str(slot), *values)
