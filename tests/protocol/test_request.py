"""Requests as XML. Source: PROTOCOL 2.2, 2.3; XML samples are ours unless they say otherwise."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.passdata import PASS_FIELDS
from tracker.protocol.request import (
    CustomText,
    PassRequest,
    RequestFormatError,
    UnencodableError,
    from_xml,
    to_xml,
)

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT.parent / "shared" / "protocol" / "samples"
EXAMPLE = ROOT / "docs" / "examples" / "event-ticket.xml"

# What XML can carry, with ends that no reader trims.
texts = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    .map(lambda text: "".join(c for c in text if c in "\t\n\r" or ("\x1f" < c < "\ufffe")).strip())
    .filter(bool)
)
names = st.from_regex(r"[A-Za-z_ÄÖÜé][A-Za-z0-9_.\-]{0,15}", fullmatch=True)
upper_names = names.map(str.upper)
OUR_NAMES = "action api_key mms_id to from_ campaign_ref ddm_title ddm_text ddm_timeout"
TOP_LEVEL = """
    ACTION API_KEY MMSID TO FROM CAMPAIGNREF DDMTITLE DDMTEXT DDMTIMEOUT CUSTOMSUBJECT
    CUSTOMTEXT DATA PASSDATA
"""
requests = st.builds(
    PassRequest,
    **{name: st.none() | texts for name in [*OUR_NAMES.split(), "custom_subject"]},
    custom_text=st.lists(
        st.builds(CustomText, value=texts, slide=st.just("") | texts), max_size=3
    ).map(tuple),
    data=st.dictionaries(names, texts, max_size=3),
    pass_data=st.dictionaries(st.sampled_from(PASS_FIELDS) | upper_names, texts, max_size=5),
    has_pass_data=st.just(True),  # PASSDATA is always written
    others=st.dictionaries(upper_names.filter(lambda name: name not in TOP_LEVEL.split()), texts),
)


@given(requests)
def test_what_was_built_is_read_back(request_: PassRequest) -> None:
    assert from_xml(to_xml(request_).decode("utf-8")) == request_


def test_every_field_is_written_in_the_seeds_order() -> None:
    request = PassRequest(
        action="sendPassInMMS",
        api_key="k",
        mms_id="1",
        to="2",
        from_="3",
        campaign_ref="4",
        ddm_title="a",
        ddm_text="b",
        ddm_timeout="5",
        custom_subject="s",
        custom_text=(CustomText("t", "1"), CustomText("u", "2")),
        data={"FIRST_NAME": "J"},
        pass_data=dict.fromkeys(PASS_FIELDS, "x"),
    )
    text = to_xml(request).decode("utf-8")
    order = f"""
        ACTION API_KEY MMSID TO FROM CAMPAIGNREF DDMTITLE DDMTEXT DDMTIMEOUT
        CUSTOMTEXT VALUE SLIDE CUSTOMSUBJECT DATA FIRST_NAME PASSDATA {" ".join(PASS_FIELDS)}
    """
    places = [text.index(f"<{name}>") for name in order.split()]
    assert places == sorted(places)
    assert text.startswith("<?xml version='1.0' encoding='UTF-8'?>\n<REQUEST>")
    assert from_xml(text) == request


def test_values_are_escaped() -> None:
    text = to_xml(PassRequest(ddm_text="a < b & c > d ]]> \r\n \"e\" 'f'")).decode("utf-8")
    assert "a &lt; b &amp; c &gt; d ]]&gt; &#13;\n \"e\" 'f'" in text


def test_passdata_is_written_even_when_empty_and_other_empty_things_are_not() -> None:
    text = to_xml(PassRequest(action="x", to="", data={"AGE": ""})).decode("utf-8")
    assert "<PASSDATA/>" in text
    assert "<TO" not in text
    assert "<AGE" not in text


@pytest.mark.parametrize("bad", ["\x00", "\x08", "\x1b", "\ud800", "\ufffe", "\uffff"])
@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("to", PassRequest(to="1{}")),
        ("from", PassRequest(from_="1{}")),
        ("custom_subject", PassRequest(custom_subject="{}")),
        (
            "custom_text.1.value",
            PassRequest(custom_text=(CustomText("", ""), CustomText("{}", ""))),
        ),
        ("custom_text.0.slide", PassRequest(custom_text=(CustomText("a", "{}"),))),
        ("data.AGE", PassRequest(data={"AGE": "{}"})),
        ("pass_data.BARCODEVALUE", PassRequest(pass_data={"BARCODEVALUE": "a{}b"})),
        ("others.DEVICE", PassRequest(others={"DEVICE": "{}"})),
    ],
)
def test_a_character_xml_cannot_carry_is_named_with_its_field(
    bad: str, field: str, request_: PassRequest
) -> None:
    with pytest.raises(UnencodableError) as caught:
        to_xml(filled(request_, bad))
    assert caught.value.field == field
    assert bad in caught.value.value


def filled(request: PassRequest, text: str) -> PassRequest:
    return replace(
        request,
        to=(request.to or "").replace("{}", text),
        from_=(request.from_ or "").replace("{}", text),
        custom_subject=(request.custom_subject or "").replace("{}", text),
        custom_text=tuple(
            CustomText(part.value.replace("{}", text), part.slide.replace("{}", text))
            for part in request.custom_text
        ),
        data={name: value.replace("{}", text) for name, value in request.data.items()},
        pass_data={name: value.replace("{}", text) for name, value in request.pass_data.items()},
        others={name: value.replace("{}", text) for name, value in request.others.items()},
    )


@pytest.mark.parametrize(
    "name", ["1ST", "A B", "A:B", "{u}B", "", "<A>", "A/><TO>1</TO", "A&B", "-A", "²", "A\x00"]
)
def test_a_name_that_is_no_xml_name_is_refused(name: str) -> None:
    bad = {name: "x"}
    for part, request in {
        "data": PassRequest(data=bad),
        "pass_data": PassRequest(pass_data=bad),
        "others": PassRequest(others=bad),
    }.items():
        with pytest.raises(UnencodableError) as caught:
            to_xml(request)
        assert caught.value.field == f"{part}.{name}"


def test_the_key_is_not_shown() -> None:
    assert "s3cret" not in repr(PassRequest(api_key="s3cret"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "hello",
        "<html><body>x</body></html>",
        "<RESPONSE/>",
        "<REQUEST>",
        "<REQUEST><TO>1</REQUEST>",
        "<REQUEST><DDMTEXT>Snacks & Drinks</DDMTEXT></REQUEST>",
        "<REQUEST><DDMTEXT>&nbsp;</DDMTEXT></REQUEST>",
        '<!DOCTYPE REQUEST [<!ENTITY a "b">]><REQUEST><TO>&a;</TO></REQUEST>',
        "<!DOCTYPE REQUEST><REQUEST/>",
        "<REQUEST/><REQUEST/>",
        "<REQUEST>\x00</REQUEST>",
        "<REQUEST>\ud800</REQUEST>",
        "<A>" * 33 + "</A>" * 33,
        "<REQUEST>" + "<A/>" * 5001 + "</REQUEST>",
    ],
)
def test_what_is_no_request_document_is_refused(text: str) -> None:
    with pytest.raises(RequestFormatError):
        from_xml(text)


def test_names_are_read_in_any_case() -> None:
    request = from_xml("<request><Api_Key>k</Api_Key><mmsId>1</mmsId><passdata/></request>")
    assert (request.api_key, request.mms_id, request.has_pass_data) == ("k", "1", True)


def test_names_of_data_are_kept_and_names_of_passdata_are_in_upper_case() -> None:
    request = from_xml(
        "<REQUEST><DATA><First_Name>J</First_Name></DATA>"
        "<PASSDATA><secLabel1>x</secLabel1><NoSuch>y</NoSuch></PASSDATA></REQUEST>"
    )
    assert request.data == {"First_Name": "J"}
    assert request.pass_data == {"SECLABEL1": "x", "NOSUCH": "y"}


def test_ends_are_trimmed_and_empty_is_absent() -> None:
    request = from_xml(
        "<REQUEST><TO>\n  1650 123 \n</TO><FROM> </FROM><DDMTEXT/><PASSDATA>"
        "<BARCODEVALUE> a  b </BARCODEVALUE><SECLABEL1> </SECLABEL1></PASSDATA></REQUEST>"
    )
    assert (request.to, request.from_, request.ddm_text) == ("1650 123", None, None)
    assert request.pass_data == {"BARCODEVALUE": "a  b"}


def test_cdata_comments_and_instructions_make_one_value() -> None:
    request = from_xml("<REQUEST><TO>1<!-- x -->6<?p q?><![CDATA[5<]]></TO></REQUEST>")
    assert request.to == "165<"


def test_passdata_that_is_missing_is_told_from_one_that_is_empty() -> None:
    assert from_xml("<REQUEST><PASSDATA/></REQUEST>").has_pass_data
    assert not from_xml("<REQUEST/>").has_pass_data


def test_custom_texts_come_in_their_order_and_may_lack_a_slide() -> None:
    request = from_xml(
        "<REQUEST><CUSTOMTEXT><VALUE>a</VALUE><SLIDE>2</SLIDE></CUSTOMTEXT><CUSTOMTEXT/>"
        "<customtext><slide>1</slide></customtext><CUSTOMTEXT><VALUE>b</VALUE></CUSTOMTEXT></REQUEST>"
    )
    expected = (CustomText("a", "2"), CustomText("", "1"), CustomText("b", ""))
    assert request.custom_text == expected


def test_elements_of_other_editions_are_kept() -> None:
    request = from_xml("<REQUEST><FROM_MASK>Ab</FROM_MASK><ddmForce>1</ddmForce></REQUEST>")
    assert request.others == {"FROM_MASK": "Ab", "DDMFORCE": "1"}


def test_of_a_repeated_element_the_first_with_a_text_counts() -> None:
    assert from_xml("<REQUEST><TO/><TO>1</TO><TO>2</TO></REQUEST>").to == "1"


def test_namespaces_and_prefixes_are_dropped() -> None:
    request = from_xml('<x:REQUEST xmlns:x="u" xmlns="v"><x:TO>1</x:TO><FROM>2</FROM></x:REQUEST>')
    assert (request.to, request.from_) == ("1", "2")


def test_our_own_example_says_everything() -> None:
    request = from_xml(EXAMPLE.read_text(encoding="utf-8"))
    assert request.to == "12025550143"
    assert request.api_key == "YOUR-API-KEY"
    assert request.custom_text[1] == CustomText(
        "Show the barcode at Gate B & keep this message.", "2"
    )
    assert request.data["FIRST_NAME"] == "Zoë"
    assert set(request.pass_data) <= set(PASS_FIELDS)
    assert not request.others
    assert from_xml(to_xml(request).decode("utf-8")) == request


@pytest.mark.skipif(not SAMPLES.exists(), reason="the dossier is not at hand")
def test_the_dossiers_sample_is_read_as_its_index_says() -> None:
    with (SAMPLES / "INDEX.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    expected: dict[str, Any] = json.loads(rows["request_full.xml"]["expected"])
    request = from_xml((SAMPLES / "request_full.xml").read_text(encoding="utf-8"))
    slots = expected.pop("relevance_slots")
    assert [name for name in request.pass_data if "LATITUDE" in name] == [
        f"RELLATITUDE{slot}" for slot in slots
    ]
    assert {
        "action": request.action,
        "api_key": request.api_key,
        "mms_id": request.mms_id,
        "to": request.to,
        "from": request.from_,
        "campaign_ref": request.campaign_ref,
        "ddm_title": request.ddm_title,
        "ddm_text": request.ddm_text,
        "ddm_timeout_minutes": int(request.ddm_timeout or ""),
        "custom_text": [{"slide": int(t.slide), "value": t.value} for t in request.custom_text],
        "custom_subject": request.custom_subject,
        "data": request.data,
        "pass_fields": len(request.pass_data),
    } == expected
