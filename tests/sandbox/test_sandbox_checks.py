"""What the sandbox refuses and in which order. Source: PROTOCOL 2.3, 4.1, 4.2, 4.4, 5."""

from dataclasses import replace
from typing import Any

import pytest
from sandbox_support import a_request

from tracker.protocol.codes import ERROR_CODES
from tracker.protocol.passdata import PASS_FIELDS, fixed_code, latitude_code, longitude_code
from tracker.protocol.request import PassRequest
from tracker.sandbox.checks import Accepted, Refused, judge
from tracker.sandbox.options import SandboxOptions, Template

FIXTURE = SandboxOptions()
BARCODE = {"BARCODEVALUE": "x"}


def code_of(
    request: PassRequest, options: SandboxOptions = FIXTURE, demanded: str = "normal"
) -> str | None:
    judged = judge(request, options, demanded)
    return judged.code if isinstance(judged, Refused) else None


def with_pass_data(**pass_data: str) -> PassRequest:
    return a_request(pass_data=BARCODE | pass_data)


def test_a_complete_request_is_accepted() -> None:
    assert judge(a_request(), FIXTURE) == Accepted("12025550143", "45633", "11111")


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("E101", {"action": None}),
        ("E101", {"action": "sendSavedMMS"}),
        ("E101", {"action": " sendpassinmms"}),
        ("E102", {"api_key": None}),
        ("E104", {"api_key": "wrong"}),
        ("E104", {"api_key": FIXTURE.api_key.lower()}),
        ("E104", {"api_key": FIXTURE.api_key + " "}),
        ("E620", {"mms_id": None}),
        ("E621", {"to": None}),
        ("E111", {"from_": None}),
        ("E111", {"from_": "22222"}),
        ("E111", {"from_": "+11111"}),
        ("E114", {"to": "16505550199"}),
        ("E241", {"mms_id": "1"}),
        ("E241", {"mms_id": "045633"}),
        ("E241", {"mms_id": "abc"}),
        ("E626", {"mms_id": "40301"}),
        ("E822", {"mms_id": "39755"}),
        ("E803", {"pass_data": {}}),
        ("E803", {"pass_data": {}, "has_pass_data": False}),
        ("E803", {"pass_data": {"BARCODETEXT": "x"}}),
    ],
)
def test_a_request_with_one_fault_is_refused_with_its_code(
    code: str, changes: dict[str, Any]
) -> None:
    assert code_of(a_request(**changes)) == code


@pytest.mark.parametrize("action", ["sendpassinmms", "SENDPASSINMMS", "SendPassInMms"])
def test_the_action_is_read_in_any_case(action: str) -> None:
    assert code_of(a_request(action=action)) is None


@pytest.mark.parametrize(
    "number",
    [
        "+12025550143",
        "0012025550143",
        "02025550143",
        " 12025550143",
        "12025550143 ",
        "1202555 0143",
        "1-202-555-0143",
        "(202)5550143",
        "123456",
        "1234567890123456",
        "12025550143,12025550144",
        "1202555014x",
        "١٢٠٢٥٥٥٠١٤٣",
        "12025550143\n",
    ],
)
def test_what_is_not_seven_to_fifteen_digits_is_e110(number: str) -> None:
    assert code_of(a_request(to=number)) == "E110"


@pytest.mark.parametrize("number", ["1234567", "123456789012345", "16501234123"])
def test_seven_to_fifteen_digits_are_a_number(number: str) -> None:
    assert code_of(a_request(to=number)) is None


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("E101", {"action": "x"}),
    ("E102", {"api_key": None}),
    ("E104", {"api_key": "x"}),
    ("E620", {"mms_id": None}),
    ("E621", {"to": None}),
    ("E111", {"from_": "x"}),
    ("E110", {"to": "+1"}),
    ("E114", {"to": "16505550199"}),
    ("E241", {"mms_id": "x"}),
    ("E626", {"mms_id": "40301"}),
    ("E822", {"mms_id": "39755"}),
    ("E714", {"campaign_ref": "x"}),
    ("E715", {"to": "12025550144"}),
    ("E803", {"pass_data": {"SECLABEL1": "x", "RELTEXT1": "x", "RELLATITUDE2": "x"}}),
    ("E846", {"pass_data": BARCODE | {"SECLABEL1": "x", "RELTEXT1": "x", "RELLATITUDE2": "x"}}),
    ("E870", {"pass_data": BARCODE | {"RELTEXT1": "x", "RELLATITUDE2": "x"}}),
    ("E881", {"pass_data": BARCODE | {"RELLATITUDE2": "x", "RELLONGITUDE2": "x"}}),
    ("E891", {"pass_data": BARCODE | {"RELLATITUDE2": "1", "RELLONGITUDE2": "x"}}),
]
STRICT = replace(
    FIXTURE,
    campaign_check=True,
    subscriptions={"2071": frozenset({"12025550143", "16505550199"})},
    templates={
        **FIXTURE.templates,
        "45633": Template(
            title="Strict",
            fixed=frozenset({"SECLABEL1"}),
            fixed_slots=frozenset({1}),
            dynamic_slots=frozenset({2}),
            needs_barcode_value=True,
        ),
    },
)


@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_of_several_faults_the_first_in_the_documented_order_is_answered(first: int) -> None:
    changes: dict[str, Any] = {"campaign_ref": "2071"}
    for _, fault in reversed(FAULTS[first:]):  # the earlier ones last, so that they stay
        changes |= fault
    assert code_of(a_request(**changes), STRICT) == FAULTS[first][0]


@pytest.mark.parametrize(
    ("demanded", "fault", "code"),
    [
        ("E105", {"mms_id": None}, "E105"),
        ("E112", {"mms_id": None}, "E112"),
        ("E105", {"api_key": "x"}, "E104"),
        ("E106", {"to": None}, "E106"),
        ("E120", {"to": None}, "E120"),
        ("E713", {"pass_data": {}}, "E803"),
        ("E713", {}, "E713"),
        ("E628", {}, "E628"),
        ("E503", {}, "E503"),
    ],
)
def test_an_error_on_demand_is_answered_at_its_place(
    demanded: str, fault: dict[str, Any], code: str
) -> None:
    assert code_of(a_request(**fault), demanded=demanded) == code


@pytest.mark.parametrize("demanded", sorted(ERROR_CODES))
def test_every_code_can_be_had_on_demand_with_its_meaning(demanded: str) -> None:
    judged = judge(a_request(), FIXTURE, demanded)
    assert judged == Refused(demanded, ERROR_CODES[demanded].meaning)


def test_the_campaign_is_not_looked_at_when_the_check_is_off() -> None:
    assert code_of(a_request(campaign_ref="no such")) is None
    assert code_of(a_request(campaign_ref=None)) is None


def test_the_campaign_is_mandatory_when_the_check_is_on() -> None:
    assert code_of(a_request(campaign_ref=None), STRICT) == "E714"
    assert code_of(a_request(campaign_ref="2071"), STRICT) is None


def test_a_pass_template_that_is_gone_is_e802() -> None:
    options = replace(FIXTURE, templates={"7": Template(title="Gone", is_pass_gone=True)})
    assert code_of(a_request(mms_id="7"), options) == "E802"


ALL_FIXED = SandboxOptions(
    templates={
        "7": Template(
            title="Fixed",
            kind="Boarding Pass",
            fixed=frozenset(PASS_FIELDS),
            fixed_slots=frozenset(range(1, 11)),
        )
    }
)


@pytest.mark.parametrize("field", PASS_FIELDS)
def test_a_fixed_field_is_refused_with_its_own_code(field: str) -> None:
    request = a_request(mms_id="7", pass_data={field: "1"})
    assert code_of(request, ALL_FIXED) == fixed_code(field)


@pytest.mark.parametrize("field", PASS_FIELDS)
def test_a_field_the_template_does_not_have_is_ignored(field: str) -> None:
    options = SandboxOptions(templates={"7": Template(title="Bare")})
    assert code_of(a_request(mms_id="7", pass_data={field: "x"}), options) is None


@pytest.mark.parametrize("field", ["PRIMARYLABEL2", "PRIMARYVALUE2"])
def test_the_second_primary_field_counts_on_boarding_passes_only(field: str) -> None:
    event_ticket = SandboxOptions(
        templates={"7": Template(title="Ticket", kind="Event Ticket", fixed=frozenset({field}))}
    )
    assert code_of(a_request(mms_id="7", pass_data={field: "x"}), event_ticket) is None
    assert code_of(a_request(mms_id="7", pass_data={field: "x"}), ALL_FIXED) == fixed_code(field)


def test_unknown_names_are_ignored() -> None:
    assert code_of(with_pass_data(SECLABEL5="x", RELLATITUDE11="x", NONSENSE="x")) is None


def test_the_event_ticket_takes_every_field() -> None:
    values = dict.fromkeys(PASS_FIELDS, "1")
    assert code_of(a_request(pass_data=values)) is None


@pytest.mark.parametrize(
    ("pass_data", "code"),
    [
        ({}, None),
        ({"BARCODEVALUE": "x", "BARCODETEXT": "x", "SECLABEL1": "x", "RELLATITUDE1": "x"}, None),
        ({"HEADERLABEL1": "x"}, "E840"),
        ({"HEADERVALUE1": "x"}, "E841"),
        ({"PRIMARYLABEL1": "x"}, "E842"),
        ({"PRIMARYVALUE1": "x"}, "E843"),
    ],
)
def test_the_coupon_has_four_fixed_fields_and_none_to_fill(
    pass_data: dict[str, str], code: str | None
) -> None:
    request = a_request(mms_id="35674", pass_data=pass_data, has_pass_data=bool(pass_data))
    assert code_of(request) == code


@pytest.mark.parametrize("slot", range(1, 11))
def test_a_coordinate_without_the_other_is_the_error_of_the_missing_one(slot: int) -> None:
    latitude, longitude = f"RELLATITUDE{slot}", f"RELLONGITUDE{slot}"
    assert code_of(with_pass_data(**{longitude: "1"})) == latitude_code(slot)
    assert code_of(with_pass_data(**{latitude: "1"})) == longitude_code(slot)
    assert code_of(with_pass_data(**{latitude: "1", longitude: "1"})) is None
    assert code_of(with_pass_data(**{f"RELTEXT{slot}": "alone"})) is None


@pytest.mark.parametrize("text", ["90", "-90", "0", "+1.5", "42.347888", "-.5", "12."])
def test_a_latitude_is_decimal_degrees(text: str) -> None:
    assert code_of(with_pass_data(RELLATITUDE3=text, RELLONGITUDE3="-180")) is None


@pytest.mark.parametrize(
    "text", ["90.0001", "-91", "north", "1e1", "nan", "inf", "1,5", "0x1", ".", "-", "1 2", "٤٢"]
)
def test_anything_else_is_no_latitude(text: str) -> None:
    assert code_of(with_pass_data(RELLATITUDE3=text, RELLONGITUDE3="1")) == "E882"


@pytest.mark.parametrize("text", ["180.1", "-181", "east", "9" * 400])
def test_a_longitude_has_its_own_limits(text: str) -> None:
    assert code_of(with_pass_data(RELLATITUDE3="1", RELLONGITUDE3=text)) == "E892"


@pytest.mark.parametrize(
    ("to", "sender"),
    [
        ("12025550143", "11111"),
        ("14165550143", "11111"),  # Canada shares the code
        ("447700900123", "60856"),
        ("4915123456789", "60856"),
        ("999123456789", "60856"),  # no country at all
    ],
)
def test_abroad_the_default_sender_takes_the_place_of_the_one_asked_for(
    to: str, sender: str
) -> None:
    assert judge(a_request(to=to), FIXTURE) == Accepted(to, "45633", sender)
