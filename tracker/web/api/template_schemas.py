"""The description of a pass template as a JSON Schema, out of the words that the domain reads.

What JSON Schema cannot say stands in the texts: that nothing is dynamic and fixed at once, and that
a second primary field is only on boarding passes.
"""

from enum import StrEnum
from typing import Final

from tracker.domain.template_words import BARCODE_FIELDS, FIELDS, MAX_ENTRIES, MAX_TITLE
from tracker.domain.templates import (
    TEXT_FIELDS,
    AlternateText,
    BarcodeType,
    PassType,
    Symbology,
    ValueSource,
)
from tracker.protocol.passdata import SLOTS
from tracker.services.templates import MAX_MMS_ID

from .describing import component
from .shapes import ILLEGAL, TEXT, TIME, Json, closed, ref, said

MMS_ID: Final[Json] = {"type": "string", "pattern": f"^[0-9]{{1,{MAX_MMS_ID}}}$"}


def _word(words: type[StrEnum]) -> Json:
    """Return what may be left open: then it is null, or empty as in a form."""
    return {"enum": [*_one_of(words)["enum"], "", None]}


def _with(**needed: Json) -> Json:
    return {"properties": needed, "required": list(needed)}


def _one_of(words: type[StrEnum]) -> Json:
    return {"enum": [word.value for word in words]}


_NAMES: Final[Json] = {
    "type": "array",
    "items": {"type": "string", "enum": list(TEXT_FIELDS)},
    "maxItems": MAX_ENTRIES,
}
_NUMBERS: Final[Json] = {
    "type": "array",
    "items": {"type": "integer", "minimum": SLOTS[0], "maximum": SLOTS[-1]},
    "maxItems": MAX_ENTRIES,
}
_BARCODE_FIELDS: Final[Json] = {
    "allowed": {"type": "boolean", "default": False},
    "type": said(_word(BarcodeType), "Needed where a barcode is allowed."),
    "value_source": said(
        _word(ValueSource),
        "Needed for a dynamic barcode; of `dynamic value` each send gives BARCODEVALUE.",
    ),
    "alternate_text": _word(AlternateText),
    "symbology": said(
        _word(Symbology), "How the dashboard draws the barcode; the gateway is not told."
    ),
}
BARCODE: Final = component(
    "Barcode",
    {
        **closed({name: _BARCODE_FIELDS[name] for name in BARCODE_FIELDS}),
        "anyOf": [
            {"properties": {"allowed": {"const": False}}},
            _with(type={"const": BarcodeType.FIXED.value}),
            _with(type={"const": BarcodeType.DYNAMIC.value}, value_source=_one_of(ValueSource)),
        ],
    },
)
_FIELDS: Final[Json] = {
    "title": said(
        {
            "type": "string",
            "maxLength": MAX_TITLE,
            "pattern": rf"^[^{ILLEGAL}]*[^\s{ILLEGAL}][^{ILLEGAL}]*$",
        },
        "The name people know the pass by.",
    ),
    "pass_type": said(_word(PassType), "Needed where there is a pass."),
    "has_pass": said(
        {"type": "boolean", "default": True},
        "False for a stored MMS without a pass; the rest may be left out then.",
    ),
    "barcode": ref(BARCODE),
    "dynamic_fields": said(
        _NAMES,
        "Labels and values that each send may give. PRIMARYLABEL2 and PRIMARYVALUE2 are only on"
        " boarding passes.",
    ),
    "fixed_fields": said(
        _NAMES, "Labels and values that the template holds; none is dynamic and fixed at once."
    ),
    "dynamic_slots": said(_NUMBERS, "Places that each send may give."),
    "fixed_slots": said(
        _NUMBERS, "Places that the template holds; none is dynamic and fixed at once."
    ),
}

TICKET_EXAMPLE: Final[Json] = {
    "title": "Ticket",
    "pass_type": PassType.EVENT_TICKET.value,
    "has_pass": True,
    "barcode": {
        "allowed": True,
        "type": BarcodeType.DYNAMIC.value,
        "value_source": ValueSource.DYNAMIC_VALUE.value,
        "alternate_text": AlternateText.NONE.value,
        "symbology": Symbology.QR.value,
    },
    "dynamic_fields": ["HEADERVALUE1"],
    "fixed_fields": ["HEADERLABEL1"],
    "dynamic_slots": [1],
    "fixed_slots": [],
}
COUPON_EXAMPLE: Final[Json] = {
    "title": "Ten per cent",
    "pass_type": PassType.COUPON.value,
    "barcode": {"allowed": True, "type": BarcodeType.FIXED.value},
}
NO_PASS_EXAMPLE: Final[Json] = {"title": "Greeting", "has_pass": False}

DESCRIPTION: Final = component(
    "TemplateDescription",
    {
        **closed(
            {
                **{name: _FIELDS[name] for name in FIELDS},
                "mms_id": said(TEXT, "As in the address, or left out."),
                "updated_at": said({}, "Not read: what was answered may be sent back."),
                "updated_by": said({}, "Not read: what was answered may be sent back."),
            },
            ["title"],
        ),
        "anyOf": [_with(has_pass={"const": False}), _with(pass_type=_one_of(PassType))],
    },
    TICKET_EXAMPLE,
)
TEMPLATE_EXAMPLE: Final[Json] = {
    "mms_id": "45633",
    **TICKET_EXAMPLE,
    "updated_at": "2026-11-20T09:30:00Z",
    "updated_by": "user:olga",
}
TEMPLATE: Final = component(
    "Template",
    {
        "type": "object",
        "properties": {
            "mms_id": MMS_ID,
            **{name: _FIELDS[name] for name in FIELDS},
            "updated_at": TIME,
            "updated_by": said(TEXT, "Who changed it last."),
        },
        "required": [
            "mms_id",
            *(n for n in FIELDS if n != "pass_type"),
            "updated_at",
            "updated_by",
        ],
    },
    TEMPLATE_EXAMPLE,
)
