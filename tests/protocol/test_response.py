"""The gateway's answers. Source: PROTOCOL 3; XML samples are ours unless they say otherwise."""

import csv
import json
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.response import (
    GatewayResponse,
    ResponseFormatError,
    parse_response,
    response_xml,
)

SAMPLES = Path(__file__).parents[2].parent / "shared" / "protocol" / "samples"

texts = (
    st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), min_size=1)
    .map(str.strip)
    .filter(bool)
    .filter(lambda text: not any("\x7f" <= c <= "\x9f" for c in text))
)
ATTRIBUTES = "status mms_id tracking_id to from_ status_details error_code error_info"
responses = st.builds(GatewayResponse, **{name: st.none() | texts for name in ATTRIBUTES.split()})


@given(responses, st.sampled_from(["skycore", "sinch"]))
def test_what_was_built_is_read_back(
    response: GatewayResponse, dialect: Literal["skycore", "sinch"]
) -> None:
    assert parse_response(response_xml(response, dialect=dialect).decode("utf-8")) == response


def test_a_success_is_written_in_the_documents_order() -> None:
    response = GatewayResponse(
        status="Success", from_="60856", to="12025550143", tracking_id="TU1TXzc3", mms_id="45633"
    )
    assert response_xml(response).decode("utf-8").split("\n")[1:-1] == [
        "<RESPONSE>",
        "  <STATUS>Success</STATUS>",
        "  <MMSID>45633</MMSID>",
        "  <TRACKINGID>TU1TXzc3</TRACKINGID>",
        "  <TO>12025550143</TO>",
        "  <FROM>60856</FROM>",
        "</RESPONSE>",
    ]


def test_a_failure_is_written_in_the_successors_spelling() -> None:
    response = GatewayResponse(
        status="Failure", error_code="E110", to="+1 & 2\x00", error_info="bad <number>"
    )
    assert response_xml(response, dialect="sinch").decode("utf-8").split("\n")[1:-1] == [
        "<response>",
        "  <status>Failure</status>",
        "  <error-code>E110</error-code>",
        "  <to>+1 &amp; 2\ufffd</to>",
        "  <error-info>bad &lt;number&gt;</error-info>",
        "</response>",
    ]


@pytest.mark.parametrize(
    ("response", "is_success", "is_failure"),
    [
        (GatewayResponse(status="Success", tracking_id="x"), True, False),
        (GatewayResponse(status="success", tracking_id="x"), True, False),
        (GatewayResponse(status="Success"), False, False),
        (GatewayResponse(status="Success", tracking_id="x", error_code="E503"), False, True),
        (GatewayResponse(status="Failure"), False, True),
        (GatewayResponse(status="FAILURE", error_code="E110"), False, True),
        (GatewayResponse(error_code="E110"), False, True),
        (GatewayResponse(tracking_id="x"), False, False),
        (GatewayResponse(status="Queued", tracking_id="x"), False, False),
        (GatewayResponse(), False, False),
    ],
)
def test_success_needs_a_tracking_id_and_failure_is_failure_or_an_error_code(
    response: GatewayResponse, is_success: bool, is_failure: bool
) -> None:
    assert (response.is_success, response.is_failure) == (is_success, is_failure)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "OK",
        "<html><body>502 Bad Gateway</body></html>",
        "<!DOCTYPE html><html></html>",
        "<REQUEST/>",
        "<RESPONSE><STATUS>Success</STATUS>",
        "<!DOCTYPE RESPONSE><RESPONSE/>",
        "<RESPONSE>&x;</RESPONSE>",
        '{"status": "Success"}',
    ],
)
def test_what_is_no_response_document_is_refused(text: str) -> None:
    with pytest.raises(ResponseFormatError):
        parse_response(text)


def test_values_are_trimmed_and_empty_ones_absent() -> None:
    response = parse_response(
        "<Response><Status> Success </Status><TRACKINGID>\nTU1TXzc3\n</TRACKINGID>"
        "<FROM/></Response>"
    )
    assert response == GatewayResponse(status="Success", tracking_id="TU1TXzc3")


def test_the_sinch_spelling_is_read() -> None:
    response = parse_response(
        "<response><status>Success</status><tracking-id>MMS_1</tracking-id><mms-id>7</mms-id>"
        "<from>22233</from><status-details>queued</status-details></response>"
    )
    assert response.tracking_id == "MMS_1"
    assert (response.mms_id, response.from_, response.status_details) == ("7", "22233", "queued")


def dossier_answers() -> list[tuple[str, str]]:
    if not SAMPLES.exists():
        return []
    with (SAMPLES / "INDEX.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["file"], row["expected"]) for row in rows if row["kind"] == "response"]


@pytest.mark.parametrize(("name", "expected"), dossier_answers())
def test_the_dossiers_samples_are_read_as_their_index_says(name: str, expected: str) -> None:
    response = parse_response((SAMPLES / name).read_text(encoding="utf-8"))
    told = json.loads(expected)
    told.pop("tracking_ref", None)  # decoding ids is tracking.py's
    assert response.is_success is told["ok"]
    assert response.is_failure is not told.pop("ok")
    read = {attribute.rstrip("_"): getattr(response, attribute) for attribute in ATTRIBUTES.split()}
    assert {name: value for name, value in read.items() if value is not None} == told
