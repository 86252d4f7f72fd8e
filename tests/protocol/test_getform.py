"""Requests as a GET form. Source: PROTOCOL 2.4."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.getform import from_query, to_query
from tracker.protocol.passdata import PASS_FIELDS
from tracker.protocol.request import CustomText, PassRequest, UnencodableError, from_xml

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT.parent / "shared" / "protocol" / "samples" / "request_get_form.txt"

texts = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), min_size=1).filter(str.strip)
upper_names = st.from_regex(r"[A-Z_][A-Z0-9_.\-]{0,15}", fullmatch=True)
TAKEN = ("CUSTOMTEXT_", "DATA_", "PD_")
OUR_NAMES = "action api_key mms_id to from_ campaign_ref ddm_title ddm_text ddm_timeout"
TOP_LEVEL = "ACTION API_KEY MMSID TO FROM CAMPAIGNREF DDMTITLE DDMTEXT DDMTIMEOUT CUSTOMSUBJECT"
requests = st.builds(
    PassRequest,
    **{name: st.none() | texts for name in [*OUR_NAMES.split(), "custom_subject"]},
    custom_text=st.lists(
        st.builds(CustomText, value=texts, slide=st.text("0123456789ab", max_size=3)), max_size=3
    ).map(tuple),
    data=st.dictionaries(upper_names, texts, max_size=3),
    pass_data=st.dictionaries(st.sampled_from(PASS_FIELDS) | upper_names, texts, max_size=5),
    others=st.dictionaries(
        upper_names.filter(
            lambda name: not name.startswith(TAKEN) and name not in TOP_LEVEL.split()
        ),
        texts,
        max_size=2,
    ),
).map(lambda request: replace(request, has_pass_data=bool(request.pass_data)))


@given(requests)
def test_what_was_built_is_read_back(request_: PassRequest) -> None:
    assert from_query(to_query(request_)) == request_


@given(requests)
def test_the_form_survives_url_encoding(request_: PassRequest) -> None:
    query = urlencode(to_query(request_))
    assert from_query(parse_qsl(query, keep_blank_values=True)) == request_


def test_the_names_are_the_documents() -> None:
    request = PassRequest(
        api_key="k",
        mms_id="1",
        from_="11111",
        ddm_timeout="5",
        custom_text=(CustomText("hi", "3"),),
        data={"FIRST_NAME": "J"},
        pass_data={"RELLATITUDE10": "1.5"},
    )
    assert to_query(request) == [
        ("api_key", "k"),
        ("mmsid", "1"),
        ("from", "11111"),
        ("ddmtimeout", "5"),
        ("customtext_3", "hi"),
        ("data_first_name", "J"),
        ("pd_rellatitude10", "1.5"),
    ]


def test_names_are_read_in_any_case() -> None:
    request = from_query([("MmsId", "1"), ("PD_BarcodeValue", "b"), ("Data_Age", "3")])
    assert request.mms_id == "1"
    assert request.pass_data == {"BARCODEVALUE": "b"}
    assert request.data == {"AGE": "3"}


def test_a_plus_that_became_a_blank_is_kept() -> None:
    assert from_query(parse_qsl("to=+16501234123")).to == " 16501234123"


def test_blank_values_are_absent_but_show_that_pass_data_was_given() -> None:
    request = from_query([("to", ""), ("from", " "), ("pd_seclabel1", ""), ("customtext_1", "")])
    assert request == PassRequest(has_pass_data=True)
    assert not from_query([("to", "1")]).has_pass_data


def test_of_a_repeated_name_the_first_with_a_text_counts() -> None:
    assert from_query([("to", ""), ("to", "1"), ("TO", "2")]).to == "1"


@pytest.mark.parametrize("bad", ["\x00", "\ud800"])
def test_what_xml_cannot_carry_is_refused_here_too(bad: str) -> None:
    with pytest.raises(UnencodableError, match=r"pass_data\.SECVALUE1"):
        to_query(PassRequest(pass_data={"SECVALUE1": bad}))
    with pytest.raises(UnencodableError, match=r"data\.A B"):
        to_query(PassRequest(data={"A B": "x"}))


def test_our_example_says_the_same_both_ways() -> None:
    text = (ROOT / "docs" / "examples" / "event-ticket.xml").read_text(encoding="utf-8")
    request = from_xml(text)
    assert from_query(to_query(request)) == request


@pytest.mark.skipif(not SAMPLE.exists(), reason="the dossier is not at hand")
def test_the_dossiers_sample_has_all_its_78_parameters() -> None:
    query = SAMPLE.read_text(encoding="utf-8").replace("\n", "").partition("?")[2]
    pairs = parse_qsl(query, strict_parsing=True)
    assert len(pairs) == 78
    request = from_query(pairs)
    assert request.action == "sendpassinmms"
    assert set(request.pass_data) == set(PASS_FIELDS)
    assert set(request.data) == {"FIRST_NAME", "LAST_NAME", "AGE"}
    assert request.custom_text == (CustomText("customTextSlide1", "1"),)
    assert not request.others
    assert sorted(to_query(request)) == sorted(pairs)
