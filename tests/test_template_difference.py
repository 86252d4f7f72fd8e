"""Our check of a template beside the sandbox's: two readings of PROTOCOL 4.1 that must agree.

The sandbox has rules of its own on purpose; neither imports the other.
"""

from pathlib import Path

import pytest
from builders import a_request
from hypothesis import event, given, settings
from hypothesis import strategies as st
from template_strategies import pass_data, templates

from tracker.domain import templates as ours
from tracker.domain.message import InvalidMessageError
from tracker.domain.template_words import read
from tracker.domain.templates import Template
from tracker.domain.validation import check
from tracker.protocol.passdata import SLOTS, latitude_code, longitude_code
from tracker.protocol.request import PassRequest, from_xml, to_xml
from tracker.sandbox import fixture
from tracker.sandbox.checks import Accepted, judge
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.template import PassKind
from tracker.sandbox.template import Template as Stored
from tracker.services.template_files import from_toml

ROOT = Path(__file__).parents[1]
BAD_PLACES = {code(slot) for slot in SLOTS for code in (latitude_code, longitude_code)}
KINDS: dict[str, PassKind] = {
    "boarding pass": "Boarding Pass",
    "coupon": "Coupon",
    "event ticket": "Event Ticket",
    "generic": "Generic",
    "store card": "Store Card",
}


def stored(template: Template) -> Stored:
    """Return the sandbox's own word for a template."""
    barcode = template.barcode
    return Stored(
        title=template.title,
        kind=KINDS[template.pass_type.value if template.pass_type else "generic"],
        dynamic=template.dynamic_fields,
        fixed=template.fixed_fields,
        dynamic_slots=template.dynamic_slots,
        fixed_slots=template.fixed_slots,
        needs_barcode_value=barcode.is_allowed
        and barcode.type.value == "dynamic"
        and barcode.value_source.value == "dynamic value",
        has_pass=template.has_pass,
    )


def gateways_answer(template: Template, given: dict[str, str]) -> str | None:
    """Return the code that the sandbox answers to this pass data, over its XML; None for none."""
    request = PassRequest(
        action="sendPassInMMS", api_key=fixture.API_KEY, mms_id="7", to="12025550143",
        from_="11111", pass_data=given,
    )  # fmt: skip
    options = SandboxOptions(templates={"7": stored(template)})
    found = judge(from_xml(to_xml(request).decode()), options)
    return None if isinstance(found, Accepted) else found.code


def our_codes(template: Template, given: dict[str, str]) -> list[str]:
    return [refusal.code for refusal in ours.judge(template, "7", given).refusals]


def is_valid(given: dict[str, str]) -> bool:
    """Say whether the rules for every message let this pass data through."""
    try:
        check(a_request(mms_id="7", pass_data=given))
    except InvalidMessageError:
        return False
    return True


@settings(max_examples=400)
@given(templates(is_describable=False), pass_data())
def test_we_refuse_exactly_what_the_gateway_refuses_and_with_its_code(
    template: Template, given: dict[str, str]
) -> None:
    answer = gateways_answer(template, given)
    codes = our_codes(template, given)
    event(f"answer {answer and answer[:3]}")
    if answer in BAD_PLACES:
        assert codes == []
        assert not is_valid(given)  # coordinates are checked for every message
    else:
        assert codes[:1] == ([answer] if answer else [])


@given(templates(is_describable=False), pass_data(), st.data())
def test_the_first_refusal_mended_the_gateway_answers_our_next_one(
    template: Template, given: dict[str, str], data: st.DataObject
) -> None:
    """So every one of our refusals is one of the gateway's, not the first alone."""
    given = {n: v for n, v in given.items() if not n.startswith(("RELLAT", "RELLONG"))}
    for _ in range(70):
        found = ours.judge(template, "7", given).refusals
        answer = gateways_answer(template, given)
        assert answer == (found[0].code if found else None)
        if not found or answer == "E822":
            return
        name = found[0].problem.field.removeprefix("pass_data.")
        if answer == "E803":
            given = {**given, "BARCODEVALUE": "A-17"}
        else:
            given = {n: v for n, v in given.items() if n != name}
    raise AssertionError("mending never ended")


@given(templates(), pass_data())
def test_what_is_warned_of_may_be_left_out_without_a_difference(
    template: Template, given: dict[str, str]
) -> None:
    found = ours.judge(template, "7", given)
    ignored = {warning.field.removeprefix("pass_data.") for warning in found.warnings}
    rest = {name: value for name, value in given.items() if name not in ignored}
    assert gateways_answer(template, rest) == gateways_answer(template, given)


def example() -> dict[str, Template]:
    text = (ROOT / "docs" / "examples" / "templates.toml").read_text(encoding="utf-8")
    return {mms_id: read(described) for mms_id, described in from_toml(text).items()}


@pytest.mark.parametrize("mms_id", ["45633", "35674", "39755"])
def test_the_example_file_describes_the_sandboxs_own_templates(mms_id: str) -> None:
    ours_of, theirs = example()[mms_id], fixture.TEMPLATES[mms_id]
    assert stored(ours_of).has_pass == theirs.has_pass
    assert stored(ours_of).needs_barcode_value == theirs.needs_barcode_value
    if theirs.has_pass:
        assert stored(ours_of).kind == theirs.kind
    absent = set() if theirs.kind == "Boarding Pass" else ours.SECOND_PRIMARY
    assert ours_of.dynamic_fields == theirs.dynamic & (set(ours.TEXT_FIELDS) - absent)
    assert ours_of.fixed_fields == theirs.fixed
    assert ours_of.dynamic_slots == theirs.dynamic_slots
    assert ours_of.fixed_slots == theirs.fixed_slots


def test_the_example_ticket_fits_the_example_template() -> None:
    document = from_xml((ROOT / "docs" / "examples" / "event-ticket.xml").read_text("utf-8"))
    found = ours.judge(example()[document.mms_id or ""], "45633", document.pass_data)
    assert found == ours.Judgement()
