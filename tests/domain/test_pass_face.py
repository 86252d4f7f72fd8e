"""The pass as its recipient sees it: what is known of it, and what is only taken for granted."""

from dataclasses import replace

import pytest
from hypothesis import given
from template_strategies import TICKET, pass_data, templates

from tracker.domain.pass_face import BarcodeSource, Face, Field, Half, Origin, Place, face
from tracker.domain.templates import (
    BarcodeType,
    PassType,
    Symbology,
    Template,
    ValueSource,
    judge,
)

DRAWN = replace(
    TICKET,
    barcode=replace(TICKET.barcode, symbology=Symbology.AZTEC),
    dynamic_fields=frozenset({"HEADERVALUE1", "SECLABEL2", "SECVALUE2"}),
)


def of(template: Template | None, **sent: str) -> Face:
    return face(template, "45633", sent)


def test_a_described_template_says_what_is_on_the_pass() -> None:
    found = of(DRAWN, HEADERVALUE1="12", SECVALUE2="19:00", AUXVALUE1="nowhere")
    assert (found.is_described, found.pass_type, found.title) == (
        True,
        PassType.EVENT_TICKET,
        "Ticket",
    )
    assert found.fields["HEADER"] == (
        Field("Header", Half(Origin.TEMPLATE), Half(Origin.SENT, "12")),
    )
    assert found.fields["SEC"] == (
        Field("Secondary 2", Half(Origin.EMPTY), Half(Origin.SENT, "19:00")),
    )
    assert found.fields["AUX"] == ()
    assert [name for name, _ in found.ignored] == ["AUXVALUE1"]


def test_a_field_that_may_be_sent_and_was_not_is_left_empty() -> None:
    assert of(DRAWN).empty == ("Secondary 2",)
    assert of(DRAWN).fields["SEC"] == ()


def test_without_a_description_all_that_was_sent_is_taken_for_shown() -> None:
    found = of(None, PRIMARYVALUE2="MUC", BARCODEVALUE="17", BARCODETEXT="no. 17")
    assert (found.is_described, found.pass_type) == (False, PassType.GENERIC)
    assert [one.name for one in found.fields["PRIMARY"]] == ["Primary 2"]
    assert found.barcode.source is BarcodeSource.SENT
    assert found.barcode.symbology is None
    assert found.barcode.text == Half(Origin.SENT, "no. 17")
    assert found.ignored == ()


def test_only_a_boarding_pass_has_a_second_primary_field() -> None:
    both = frozenset({"PRIMARYVALUE1", "PRIMARYVALUE2"})
    ticket = replace(DRAWN, dynamic_fields=both)
    flight = replace(ticket, pass_type=PassType.BOARDING_PASS)
    sent = {"PRIMARYVALUE1": "JFK", "PRIMARYVALUE2": "MUC"}
    assert [one.name for one in of(ticket, **sent).fields["PRIMARY"]] == ["Primary 1"]
    assert [one.name for one in of(flight, **sent).fields["PRIMARY"]] == ["Primary 1", "Primary 2"]


@pytest.mark.parametrize(
    ("changes", "sent", "source"),
    [
        ({}, "17", BarcodeSource.SENT),
        ({}, "", BarcodeSource.MISSING),
        ({"value_source": ValueSource.OTHER}, "17", BarcodeSource.GATEWAY),
        ({"type": BarcodeType.FIXED}, "17", BarcodeSource.TEMPLATE),
        ({"is_allowed": False}, "17", BarcodeSource.NONE),
    ],
)
def test_the_template_says_who_gives_the_barcode(
    changes: dict[str, object], sent: str, source: BarcodeSource
) -> None:
    template = replace(DRAWN, barcode=replace(DRAWN.barcode, **changes))  # type: ignore[arg-type]
    found = of(template, BARCODEVALUE=sent).barcode
    assert found.source is source
    assert found.value == (sent if source is BarcodeSource.SENT else "")


def test_places_are_those_of_the_template_and_those_that_were_sent() -> None:
    sent = {"RELLATITUDE2": "45.4", "RELLONGITUDE2": "10.9", "RELTEXT2": "Near", "RELTEXT9": "No"}
    assert of(DRAWN, **sent).places == (
        Place(2, Origin.SENT, "45.4", "10.9", "Near"),
        Place(3, Origin.TEMPLATE),
    )


def test_a_place_without_coordinates_is_not_complete() -> None:
    (place,) = of(None, RELTEXT9="Far").places
    assert not place.is_complete


@given(templates(is_describable=False), pass_data())
def test_all_that_is_sent_is_either_shown_or_ignored(
    template: Template, sent: dict[str, str]
) -> None:
    named = {name: f"text of {name}" for name in sent}
    if not template.has_pass or judge(template, "45633", named).refusals:
        return
    found = face(template, "45633", named)
    halves = [
        half for fields in found.fields.values() for f in fields for half in (f.label, f.value)
    ]
    places = [text for one in found.places for text in (one.latitude, one.longitude, one.text)]
    shown = {half.text for half in (*halves, found.barcode.text)} | {*places, found.barcode.value}
    ignored = {named[name] for name, _ in found.ignored}
    unseen = {"text of CUSTOMPASSID", "text of THUMBNAILURL"}
    assert not shown & ignored
    assert (shown | ignored | unseen) - {""} == {*named.values()} | unseen
