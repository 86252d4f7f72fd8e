"""The fields of PASSDATA, and the error codes that go with each of them.

Source: PROTOCOL 2.3 (fields) and 4.1 (codes).
"""

from typing import Final

SLOTS: Final = range(1, 11)

_ONCE: Final = ("CUSTOMPASSID", "THUMBNAILURL", "BARCODEVALUE", "BARCODETEXT")
_LABELLED: Final = tuple(
    f"{part}{half}{number}"
    for part, count in (("HEADER", 1), ("PRIMARY", 2), ("SEC", 4), ("AUX", 4), ("BACK", 4))
    for number in range(1, count + 1)
    for half in ("LABEL", "VALUE")
)


def latitude_field(slot: int) -> str:
    """Return the name of the latitude of relevance slot 1 to 10."""
    return f"RELLATITUDE{slot}"


def longitude_field(slot: int) -> str:
    """Return the name of the longitude of relevance slot 1 to 10."""
    return f"RELLONGITUDE{slot}"


def text_field(slot: int) -> str:
    """Return the name of the text of relevance slot 1 to 10."""
    return f"RELTEXT{slot}"


def slot_fields(slot: int) -> tuple[str, str, str]:
    """Return the three fields of relevance slot 1 to 10: latitude, longitude, text."""
    return latitude_field(slot), longitude_field(slot), text_field(slot)


PASS_FIELDS: Final[tuple[str, ...]] = (
    *_ONCE,
    *_LABELLED,
    *(field for slot in SLOTS for field in slot_fields(slot)),
)

_FIXED_CODES: Final = {
    **{field: f"E{840 + number}" for number, field in enumerate(_LABELLED)},
    **{field: f"E{869 + slot}" for slot in SLOTS for field in slot_fields(slot)},
}


def fixed_code(field: str) -> str | None:
    """Return the code for `field` "sent but fixed in the template", E840 to E879.

    None for the fields that are ignored instead: pass id, thumbnail, barcode and unknown names.

    Source: PROTOCOL 4.1; the three fields of a relevance slot share one code.
    """
    return _FIXED_CODES.get(field)


def latitude_code(slot: int) -> str:
    """Return the code for a bad latitude in relevance slot 1 to 10. Source: PROTOCOL 4.1."""
    return f"E{879 + slot}"


def longitude_code(slot: int) -> str:
    """Return the code for a bad longitude in relevance slot 1 to 10. Source: PROTOCOL 4.1."""
    return f"E{889 + slot}"
