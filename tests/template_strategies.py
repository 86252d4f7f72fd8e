"""Templates and pass data as Hypothesis makes them."""

from hypothesis import strategies as st

from tracker.domain.templates import (
    SECOND_PRIMARY,
    TEXT_FIELDS,
    AlternateText,
    Barcode,
    BarcodeType,
    PassType,
    Symbology,
    Template,
    ValueSource,
)
from tracker.protocol.passdata import PASS_FIELDS, SLOTS, latitude_field, longitude_field

COORDINATES = frozenset(f(slot) for slot in SLOTS for f in (latitude_field, longitude_field))
TICKET = Template(
    title="Ticket",
    pass_type=PassType.EVENT_TICKET,
    barcode=Barcode(
        is_allowed=True,
        type=BarcodeType.DYNAMIC,
        value_source=ValueSource.DYNAMIC_VALUE,
        alternate_text=AlternateText.DYNAMIC,
    ),
    dynamic_fields=frozenset({"HEADERVALUE1"}),
    fixed_fields=frozenset({"HEADERLABEL1"}),
    dynamic_slots=frozenset({2}),
    fixed_slots=frozenset({3}),
)
_KINDS = st.sampled_from(("absent", "dynamic", "fixed"))


@st.composite
def barcodes(draw: st.DrawFn) -> Barcode:
    """Barcodes that can be described: what means nothing is left as it is."""
    if not draw(st.booleans()):
        return Barcode()
    kind = draw(st.sampled_from(BarcodeType))
    source = draw(st.sampled_from(ValueSource)) if kind is BarcodeType.DYNAMIC else None
    return Barcode(
        is_allowed=True,
        type=kind,
        value_source=source or ValueSource.OTHER,
        alternate_text=draw(st.sampled_from(AlternateText)),
        symbology=draw(st.sampled_from((None, *Symbology))),
    )


@st.composite
def templates(draw: st.DrawFn, *, is_describable: bool = True) -> Template:
    """Templates; not only those that `template_words` lets pass, unless asked for."""
    pass_type = draw(st.sampled_from(PassType))
    fields = draw(st.fixed_dictionaries(dict.fromkeys(TEXT_FIELDS, _KINDS)))
    slots = draw(st.fixed_dictionaries(dict.fromkeys(SLOTS, _KINDS)))
    if is_describable and pass_type is not PassType.BOARDING_PASS:
        fields.update(dict.fromkeys(SECOND_PRIMARY, "absent"))
    return Template(
        title=draw(st.sampled_from(("Ticket", 'Käse "und" \\ Brot', "😀\t#"))),
        pass_type=pass_type,
        has_pass=draw(st.integers(0, 9)) > 0,
        barcode=draw(barcodes()),
        dynamic_fields=frozenset(n for n, kind in fields.items() if kind == "dynamic"),
        fixed_fields=frozenset(n for n, kind in fields.items() if kind == "fixed"),
        dynamic_slots=frozenset(n for n, kind in slots.items() if kind == "dynamic"),
        fixed_slots=frozenset(n for n, kind in slots.items() if kind == "fixed"),
    )


@st.composite
def pass_data(draw: st.DrawFn) -> dict[str, str]:
    """Any fields with any text; coordinates are good, bad, or lack the other one."""
    names = draw(st.sets(st.sampled_from(PASS_FIELDS), max_size=draw(st.sampled_from((2, 6, 64)))))
    degrees = st.sampled_from(("40.7", "-74", "0", "91", "181", "north", "+7.", ".5", "1e1"))
    return {name: draw(degrees if name in COORDINATES else st.just("x")) for name in sorted(names)}
