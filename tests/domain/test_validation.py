"""The rules of a send: each broken one is named with its field, all at once."""

import pytest
from builders import NUMBER, a_request
from hypothesis import given
from hypothesis import strategies as st

from tracker.domain.message import Checked, Discovery, InvalidMessageError, SlideText
from tracker.domain.validation import MAX_DATA_FIELDS, check
from tracker.gateway import to_request
from tracker.protocol.request import from_xml, to_xml


def wrong(**changes: object) -> dict[str, str]:
    """Return the problems of a request, by field."""
    with pytest.raises(InvalidMessageError) as caught:
        check(a_request(**changes))
    return {problem.field: problem.detail for problem in caught.value.problems}


def warned(checked: Checked) -> dict[str, str]:
    return {warning.field: warning.detail for warning in checked.warnings}


@pytest.mark.parametrize(
    "text",
    ["+1 202-555-0143", "0012025550143", "1 (202) 555.0143", "12025550143", " +12025550143 ",
     "1-202-555-0143"],
)  # fmt: skip
def test_a_number_is_taken_as_people_type_it(text: str) -> None:
    assert check(a_request(to=text)).message.to == NUMBER


@pytest.mark.parametrize(
    "text", ["", "abc", "123456", "1234567890123456", "++12025550143", "+0123456789", "١٢٠٢٥٥٥٠١٤٣"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    assert "to" in wrong(to=text)


def test_the_zero_for_callers_at_home_is_left_out() -> None:
    assert check(a_request(to="+44 (0)7700 900123")).message.to == "447700900123"


@pytest.mark.parametrize("name", ["to", "from"])
def test_a_number_that_went_through_a_float_is_refused(name: str) -> None:
    assert name in wrong(**{name: 1.6505550001e10})


def test_a_time_beyond_the_calendar_is_refused() -> None:
    assert "send_at" in wrong(send_at="9999-12-31T23:59:59-14:00")


def test_a_number_that_no_plan_has_is_a_warning() -> None:
    assert "numbering plan" in warned(check(a_request(to="16501234123")))["to"]
    assert "to" not in warned(check(a_request(to="16502530000")))


def test_all_problems_come_together() -> None:
    found = wrong(
        to="x",
        mms_id=None,
        campaign_ref="abc",
        custom_subject="s" * 81,
        custom_text=[{"slide": 9, "value": "a"}, {"slide": 1}],
        ddm={"timeout_minutes": -1},
        data={"1st": "x"},
        pass_data={"RELLATITUDE3": "91", "SEAT": "1C"},
        send_at="2026-11-27T18:00:00",
        mmsid="1",
    )
    assert set(found) == {
        "to", "mms_id", "campaign_ref", "custom_subject", "custom_text[0].slide",
        "custom_text[1].value", "ddm.timeout_minutes", "data.1st", "pass_data.RELLATITUDE3",
        "pass_data.RELLONGITUDE3", "pass_data.SEAT", "send_at", "mmsid",
    }  # fmt: skip


def test_a_near_miss_is_answered_with_the_right_name() -> None:
    assert wrong(custom_subjct="x")["custom_subjct"].endswith("did you mean custom_subject?")
    assert "BARCODEVALUE" in wrong(pass_data={"BARCODEVALU": "1"})["pass_data.BARCODEVALU"]


def test_pass_fields_are_taken_in_any_case() -> None:
    checked = check(a_request(pass_data={"barcodeValue": "1", "RelText2": "Gate"}))
    assert checked.message.pass_data["BARCODEVALUE"] == "1"
    assert "ignored" in warned(checked)["pass_data.RELTEXT2"]


@pytest.mark.parametrize(
    ("latitude", "longitude", "is_right"),
    [
        ("90", "180", True), ("-90.0", "-180.0", True), ("42.347888", "-71.087903", True),
        ("90.0001", "0", False), ("0", "180.1", False), ("1e1", "0", False), ("nan", "0", False),
        ("42,3", "0", False), ("٤٢", "0", False), ("", "0", False), ("0", "", False),
    ],
)  # fmt: skip
def test_relevance_takes_both_coordinates_in_range(
    latitude: str, longitude: str, is_right: bool
) -> None:
    pass_data = {"RELLATITUDE10": latitude, "RELLONGITUDE10": longitude}
    if is_right:
        check(a_request(pass_data=pass_data))
    else:
        assert any(field.startswith("pass_data.REL") for field in wrong(pass_data=pass_data))


def test_slides_are_whole_unique_and_at_most_eight() -> None:
    checked = check(
        a_request(custom_text=[{"slide": "8", "value": "b"}, {"slide": 1, "value": "a"}])
    )
    assert checked.message.custom_text == (SlideText(1, "a"), SlideText(8, "b"))
    twice = [{"slide": 1, "value": "a"}, {"slide": 1, "value": "b"}]
    assert "already" in wrong(custom_text=twice)["custom_text[1].slide"]
    for slide in (0, 9, 1.5, True, None, "x"):
        assert "custom_text[0].slide" in wrong(custom_text=[{"slide": slide, "value": "a"}])
    assert "custom_text[0].value" in wrong(custom_text=[{"slide": 1, "value": "x" * 5001}])


@pytest.mark.parametrize("value", ["text", 7, {"slide": 1}, [7]])
def test_custom_text_must_be_a_list_of_objects(value: object) -> None:
    assert any(field.startswith("custom_text") for field in wrong(custom_text=value))


def test_characters_that_xml_cannot_carry_are_refused_by_name() -> None:
    found = wrong(custom_subject="a\0b", data={"NAME": "\x1b"}, pass_data={"SECVALUE1": "\ud800"})
    assert set(found) == {"custom_subject", "data.NAME", "pass_data.SECVALUE1"}
    assert "U+0000" in found["custom_subject"]


def test_discovery_without_a_text_is_a_warning() -> None:
    checked = check(a_request(ddm={"title": "Hello"}))
    assert checked.message.ddm == Discovery(title="Hello")
    assert "no discovery message" in warned(checked)["ddm.text"]
    assert check(a_request(ddm={})).message.ddm is None


def test_the_sender_may_come_from_the_settings() -> None:
    assert check(a_request(**{"from": None}), default_from="60856").message.from_ == "60856"
    assert wrong(**{"from": None})["from"] == "is missing"
    assert "from" in wrong(**{"from": "ACME"})


@pytest.mark.parametrize(
    "name", ["to", "mms_id", "reference", "ddm", "data", "pass_data", "send_at"]
)
def test_a_value_of_a_wrong_type_is_refused(name: str) -> None:
    assert any(field.startswith(name) for field in wrong(**{name: ["x"]}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(
    ["to", "mms_id", "from", "campaign_ref", "reference", "custom_subject", "custom_text", "ddm",
     "data", "pass_data", "send_at", "other"]
)  # fmt: skip


@given(st.dictionaries(names, json_values))
def test_any_json_is_either_sendable_or_explained(request: dict[str, object]) -> None:
    try:
        checked = check(request, default_from="60856")
    except InvalidMessageError as error:
        assert error.problems  # noqa: PT017  # either end is right
    else:
        assert to_xml(to_request(checked.message, "key"))


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40).filter(
    lambda text: text.strip() == text
)


@given(subject=texts, barcode=texts, value=texts, name=texts)
def test_what_was_checked_survives_the_document(
    subject: str, barcode: str, value: str, name: str
) -> None:
    request = a_request(
        custom_subject=subject,
        custom_text=[{"slide": 2, "value": value}],
        data={"FIRST_NAME": name},
        pass_data={"BARCODEVALUE": barcode},
    )
    try:
        message = check(request).message
    except InvalidMessageError:
        return  # U+FFFE and its like
    document = from_xml(to_xml(to_request(message, "key")).decode())
    assert document.custom_subject == subject
    assert document.custom_text[0].value == value
    assert document.data["FIRST_NAME"] == name
    assert document.pass_data["BARCODEVALUE"] == barcode


def test_a_pass_field_in_two_cases_is_named_with_its_value() -> None:
    fields = {"BARCODEVALUE": "1", "barcodevalue": "2"}
    with pytest.raises(InvalidMessageError) as found:
        check(a_request(pass_data=fields))
    (problem,) = found.value.problems
    assert (problem.field, problem.value) == ("pass_data.barcodevalue", "2")


def test_too_many_data_fields_are_a_fault_of_the_whole() -> None:
    with pytest.raises(InvalidMessageError) as found:
        check(a_request(data={f"N{number}": "x" for number in range(MAX_DATA_FIELDS + 1)}))
    (problem,) = found.value.problems
    assert (problem.field, problem.value) == ("data", MAX_DATA_FIELDS + 1)
