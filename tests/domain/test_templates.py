"""What a template takes and refuses; each rule is one of PROTOCOL 2.3, 4.1 or 4.2."""

from dataclasses import replace

import pytest
from template_strategies import TICKET

from tracker.domain.templates import (
    TEXT_FIELDS,
    AlternateText,
    Barcode,
    BarcodeType,
    PassType,
    Template,
    ValueSource,
    judge,
)
from tracker.protocol.codes import ERROR_CODES
from tracker.protocol.passdata import SLOTS, fixed_code, slot_fields

FINE = {"CUSTOMPASSID": "17", "BARCODEVALUE": "A-17"}


def refused(template: Template, **pass_data: str) -> list[tuple[str, str]]:
    """Return field and code of every refusal."""
    found = judge(template, "45633", pass_data)
    return [(refusal.problem.field, refusal.code) for refusal in found.refusals]


def ignored(template: Template, **pass_data: str) -> dict[str, str]:
    """Return the warnings by field."""
    return {w.field: w.detail for w in judge(template, "45633", pass_data).warnings}


def test_what_the_template_takes_is_neither_refused_nor_warned_of() -> None:
    place = {"RELLATITUDE2": "1", "RELLONGITUDE2": "2", "RELTEXT2": "Gate"}
    given = {**FINE, **place, "BARCODETEXT": "A-17", "HEADERVALUE1": "7", "THUMBNAILURL": "x"}
    assert refused(TICKET, **given) == []
    assert ignored(TICKET, **given) == {}


def test_a_dynamic_barcode_needs_its_value() -> None:
    assert refused(TICKET, CUSTOMPASSID="17") == [("pass_data.BARCODEVALUE", "E803")]


@pytest.mark.parametrize(
    "barcode",
    [
        Barcode(),
        replace(TICKET.barcode, is_allowed=False),
        replace(TICKET.barcode, type=BarcodeType.FIXED),
        replace(TICKET.barcode, value_source=ValueSource.OTHER),
    ],
)
def test_a_barcode_of_another_kind_needs_no_value_and_ignores_one(barcode: Barcode) -> None:
    template = replace(TICKET, barcode=barcode)
    assert refused(template) == []
    assert "is ignored by the gateway" in ignored(template, **FINE)["pass_data.BARCODEVALUE"]


@pytest.mark.parametrize("text", [AlternateText.NONE, AlternateText.FIXED])
def test_a_barcode_text_that_is_not_dynamic_is_warned_of(text: AlternateText) -> None:
    template = replace(TICKET, barcode=replace(TICKET.barcode, alternate_text=text))
    assert list(ignored(template, **FINE, BARCODETEXT="x")) == ["pass_data.BARCODETEXT"]


def test_a_fixed_field_is_refused_with_the_code_of_that_field() -> None:
    everything_fixed = Template(
        title="x",
        pass_type=PassType.BOARDING_PASS,
        fixed_fields=frozenset(TEXT_FIELDS),
        fixed_slots=frozenset(SLOTS),
    )
    for name in [*TEXT_FIELDS, *(name for slot in SLOTS for name in slot_fields(slot))]:
        code = fixed_code(name)
        assert code in ERROR_CODES
        assert refused(everything_fixed, **{name: "1"}) == [(f"pass_data.{name}", code)]


def test_all_problems_come_at_once_in_the_gateways_order() -> None:
    given = {"RELTEXT3": "x", "HEADERLABEL1": "Gate"}
    assert refused(TICKET, **given) == [
        ("pass_data.BARCODEVALUE", "E803"),
        ("pass_data.HEADERLABEL1", "E840"),
        ("pass_data.RELTEXT3", "E872"),
    ]


def test_a_refusal_says_what_would_be_right_and_what_the_gateway_would_answer() -> None:
    (refusal,) = judge(TICKET, "45633", {**FINE, "HEADERLABEL1": "Gate"}).refusals
    assert refusal.problem.value == "Gate"
    assert refusal.problem.detail == (
        "is fixed in the template; leave it out (the gateway would answer E840: headerlabel1 sent"
        " but it is fixed in the template)"
    )


def test_a_stored_mms_without_a_pass_takes_none_at_all() -> None:
    no_pass = replace(TICKET, has_pass=False)
    assert refused(no_pass, HEADERLABEL1="x") == [("mms_id", "E822")]
    assert ignored(no_pass, SECLABEL1="x") == {}


def test_the_second_primary_field_is_for_boarding_passes() -> None:
    coupon = replace(TICKET, fixed_fields=frozenset({"PRIMARYVALUE2"}))
    assert refused(coupon, **FINE, PRIMARYVALUE2="x") == []
    assert "only boarding passes" in ignored(coupon, PRIMARYVALUE2="x")["pass_data.PRIMARYVALUE2"]
    boarding = replace(coupon, pass_type=PassType.BOARDING_PASS)
    assert refused(boarding, **FINE, PRIMARYVALUE2="x") == [("pass_data.PRIMARYVALUE2", "E845")]


def test_fields_and_places_that_the_template_has_not_are_warned_of() -> None:
    found = ignored(TICKET, **FINE, SECLABEL1="x", RELLATITUDE9="1", RELLONGITUDE9="2")
    assert set(found) == {f"pass_data.{n}" for n in ("SECLABEL1", "RELLATITUDE9", "RELLONGITUDE9")}
    assert found["pass_data.SECLABEL1"].endswith("the template has no such field")
    assert found["pass_data.RELLATITUDE9"].endswith("the template has no place 9")
