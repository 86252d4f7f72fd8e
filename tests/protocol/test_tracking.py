"""TRACKINGID: key and reference. Source: PROTOCOL 6.7, every row of its table."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.tracking import tracking_key, tracking_ref

texts = st.text()


@pytest.mark.parametrize(
    ("tracking_id", "ref"),
    [
        ("TU1TXzEyMzQ2", "MMS_12346"),
        ("TU1TXzU5Nzg3OQ==", "MMS_597879"),
        ("TU1TXzU5Nzg3Nw==", "MMS_597877"),
        ("U01TXzgwNjc4", "SMS_80678"),
        ("U01TXzc2Nzg2Nw==", "SMS_767867"),
        ("MMS_389076", "MMS_389076"),
        ("MMS_12346", "MMS_12346"),
        ("MMS_12345", "MMS_12345"),
        ("MMS_MO_iLnCRrL6", None),
        ("DrXAFP-Ylpc-JZL", None),
    ],
)
def test_the_reference_is_what_the_id_decodes_to_or_is(tracking_id: str, ref: str | None) -> None:
    assert tracking_ref(tracking_id) == ref


@pytest.mark.parametrize(
    "tracking_id",
    ["TU1TXzU5Nzg3OQ==", "TU1TXzU5Nzg3OQ", "TU1TXzU5\r\n  Nzg3OQ=\t=", "TU1TXzU5Nzg3OQ="],
)
def test_line_ends_and_padding_make_no_other_message(tracking_id: str) -> None:
    assert tracking_key(tracking_id) == "TU1TXzU5Nzg3OQ"
    assert tracking_ref(tracking_id) == "MMS_597879"


def test_the_key_tells_upper_from_lower_case() -> None:
    assert tracking_key("TU1TXzEyMzQ2") != tracking_key("tu1txzeymzq2")


@pytest.mark.parametrize(
    "tracking_id",
    [
        "",
        "=",
        "A",
        "MMS_",
        "_12",
        "MMS_12a",
        "MMS-12",
        "MMS_\u0661\u0662",
        "Ünï_1",
        "/+8=",
        "TU1TXzEyMzQ2====",
    ],
)
def test_what_is_no_reference_has_none(tracking_id: str) -> None:
    expected = "MMS_12346" if tracking_id.startswith("TU1") else None
    assert tracking_ref(tracking_id) == expected


@given(st.from_regex(r"[A-Za-z]{1,9}_[0-9]{1,20}", fullmatch=True))
def test_every_reference_survives_base64(ref: str) -> None:
    encoded = base64.b64encode(ref.encode()).decode()
    assert tracking_ref(encoded) == ref == tracking_ref(encoded.rstrip("="))


@given(texts)
def test_any_text_has_a_key_and_the_key_is_its_own_key(text: str) -> None:
    assert tracking_key(tracking_key(text)) == tracking_key(text)
    tracking_ref(text)
