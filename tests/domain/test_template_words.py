"""How a template is described, and what is said of a description that cannot be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from template_strategies import templates

from tracker.domain.template_words import InvalidTemplateError, read, write
from tracker.domain.templates import AlternateText, BarcodeType, PassType, Symbology, Template

TICKET: dict[str, object] = {
    "title": "Event Ticket",
    "pass_type": "event ticket",
    "barcode": {"allowed": True, "type": "fixed", "alternate_text": "dynamic"},
    "dynamic_fields": ["HEADERVALUE1"],
    "fixed_fields": ["HEADERLABEL1"],
    "dynamic_slots": [2],
}


def wrong(**changes: object) -> dict[str, str]:
    """Return what is said of a changed description, by field."""
    with pytest.raises(InvalidTemplateError) as caught:
        read({**TICKET, **changes})
    return {problem.field: problem.detail for problem in caught.value.problems}


def test_a_description_is_read() -> None:
    template = read(TICKET)
    assert template.title == "Event Ticket"
    assert template.pass_type is PassType.EVENT_TICKET
    assert template.has_pass
    assert template.barcode.type is BarcodeType.FIXED
    assert template.barcode.alternate_text is AlternateText.DYNAMIC
    assert template.dynamic_fields == {"HEADERVALUE1"}
    assert template.fixed_slots == frozenset()


@given(templates())
def test_what_is_written_down_reads_as_the_same_template(template: Template) -> None:
    assert read(write(template)) == template


def test_words_and_names_may_be_written_in_any_case() -> None:
    template = read({**TICKET, "pass_type": "Event_Ticket", "dynamic_fields": [" headervalue1 "]})
    assert template == read(TICKET)


def test_how_a_barcode_is_drawn_may_be_said_or_left_open() -> None:
    barcode = {"allowed": True, "type": "fixed"}
    assert read({**TICKET, "barcode": barcode}).barcode.symbology is None
    drawn = read({**TICKET, "barcode": {**barcode, "symbology": "Code_128"}})
    assert drawn.barcode.symbology is Symbology.CODE_128
    assert wrong(barcode={**barcode, "symbology": "ean"}) == {
        "barcode.symbology": "must be one of qr, pdf417, aztec, code 128"
    }


def test_a_stored_mms_without_a_pass_needs_a_title_alone() -> None:
    assert read({"title": "Flowers", "has_pass": False}).pass_type is None


def test_everything_wrong_is_said_at_once() -> None:
    assert wrong(title=" ", pass_type="voucher", colour="red") == {
        "title": "is missing; give the name people know the pass by",
        "pass_type": "must be one of boarding pass, coupon, event ticket, store card, generic",
        "colour": "is not a field; known are title, pass_type, has_pass, barcode, dynamic_fields,"
        " fixed_fields, dynamic_slots, fixed_slots",
    }


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"pass_type": None}, "pass_type", "is missing"),
        ({"title": "x" * 129}, "title", "at most 128"),
        ({"title": "a\0b"}, "title", "U+0000"),
        ({"title": 7}, "title", "must be text"),
        ({"has_pass": "yes"}, "has_pass", "true or false"),
        ({"barcode": "dynamic"}, "barcode", "must hold allowed"),
        ({"barcode": {"allowed": True}}, "barcode.type", "is missing; one of fixed, dynamic"),
        ({"barcode": {"allowed": True, "type": "dynamic"}}, "barcode.value_source", "is missing"),
        ({"barcode": {"alowed": True}}, "barcode.alowed", "is not a field"),
        ({"dynamic_fields": ["HEADERVALUE2"]}, "dynamic_fields[0]", "did you mean HEADERVALUE1"),
        ({"dynamic_fields": ["BARCODETEXT"]}, "dynamic_fields[0]", "under barcode"),
        ({"dynamic_fields": ["RELTEXT4"]}, "dynamic_fields[0]", "put 4 into dynamic_slots"),
        ({"dynamic_fields": ["CUSTOMPASSID"]}, "dynamic_fields[0]", "always taken"),
        ({"dynamic_fields": [7]}, "dynamic_fields[0]", "is not a label or value"),
        ({"dynamic_fields": "HEADERVALUE1"}, "dynamic_fields", "must be a list"),
        ({"dynamic_fields": ["SECLABEL1"] * 101}, "dynamic_fields", "at most 100"),
        ({"dynamic_fields": ["HEADERLABEL1"]}, "fixed_fields", "dynamic and fixed at once"),
        ({"fixed_slots": [2]}, "fixed_slots", "dynamic and fixed at once"),
        ({"fixed_slots": [11]}, "fixed_slots[0]", "from 1 to 10"),
        ({"fixed_slots": [True]}, "fixed_slots[0]", "from 1 to 10"),
        ({"fixed_fields": ["PRIMARYLABEL2"]}, "fixed_fields", "only on boarding passes"),
    ],
)
def test_a_wrong_description_names_the_field(
    changes: dict[str, object], field: str, said: str
) -> None:
    assert said in wrong(**changes)[field]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["title", "barcode", "type", "dynamic_fields", "fixed_slots", "x"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*TICKET, "has_pass", "fixed_slots", "x"]), json))
def test_any_json_is_either_a_template_or_explained(description: dict[str, object]) -> None:
    try:
        template = read(description)
    except InvalidTemplateError as error:
        said = error.problems
    else:
        said = ()
        assert read(write(template)) == template
    assert all(problem.detail for problem in said)
