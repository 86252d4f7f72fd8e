"""How postbacks are written. Source: PROTOCOL 6.3, 6.6, 6.8; samples are named where used."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree
from sandbox_support import NUMBER

from tracker.sandbox.behaviour import Behaviour, Dialect, Outcome
from tracker.sandbox.delivery import Discovery, plan
from tracker.sandbox.dialects import postback_body
from tracker.sandbox.extras import extra_event
from tracker.sandbox.message import Event, Message
from tracker.sandbox.options import Delays

SAMPLES = Path(__file__).parents[2].parent / "shared" / "protocol" / "samples"
SUMMER = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC)
WINTER = datetime(2026, 12, 1, 12, 30, 15, tzinfo=UTC)


def a_message(outcome: Outcome = "delivered", dialect: Dialect = "1.3") -> Message:
    return Message(
        to=NUMBER,
        mms_id="45633",
        sender="11111",
        tracking_number=12345,
        history_number=900,
        spid="0001890",
        handset="motol7c",
        aggregator_id="11529-64807-97508-73852-97658",
        custom_pass_id="harbour-117",
        behaviour=Behaviour(outcome=outcome, dialect=dialect),
        has_plain_ids=dialect == "legacy",
    )


def events(outcome: Outcome = "delivered", dialect: Dialect = "1.3") -> list[Event]:
    return [step.event for step in plan(a_message(outcome, dialect), Discovery(), Delays())]


def lines(body: bytes) -> list[str]:
    return [line.strip() for line in body.decode("utf-8").splitlines()]


def test_a_receipt_is_written_like_the_documents_samples() -> None:
    assert postback_body([events()[1]], "1.3", SUMMER).decode("utf-8") == (
        "<?xml version='1.0'?>\n"
        "<POSTBACK>\n"
        "    <ORIGIN>MMS_MT</ORIGIN>\n"
        "    <CODE>N102</CODE>\n"
        "    <SENTAS>MMS</SENTAS>\n"
        "    <STATUS>Message Sent/Delivered</STATUS>\n"
        "    <MMSID>45633</MMSID>\n"
        "    <FROM>11111</FROM>\n"
        f"    <TO>{NUMBER}</TO>\n"
        "    <TRACKINGID>TU1TXzEyMzQ1</TRACKINGID>\n"
        "    <SPID>0001890</SPID>\n"
        "    <TIMESTAMP>2026-07-01T08:30:15-04:00</TIMESTAMP>\n"
        "    <HANDSET>motol7c</HANDSET>\n"
        "    <AGGREGATORID>11529-64807-97508-73852-97658</AGGREGATORID>\n"
        "</POSTBACK>"
    )


@pytest.mark.skipif(not SAMPLES.exists(), reason="the dossier is not at hand")
@pytest.mark.parametrize(
    ("name", "outcome", "number"),
    [
        ("postback_n101_binary.xml", "delivered", 0),
        ("postback_n102_binary.xml", "delivered", 1),
        ("postback_n101_xhtml.xml", "link", 0),
        ("postback_e101.xml", "failed", 0),
        ("postback_e102.xml", "failed_late", 1),
    ],
)
def test_the_elements_stand_as_in_the_dossiers_samples(
    name: str, outcome: Outcome, number: int
) -> None:
    sample = etree.fromstring((SAMPLES / name).read_bytes())
    ours = etree.fromstring(postback_body([events(outcome)[number]], "1.3", SUMMER))
    assert [child.tag for child in ours] == [child.tag for child in sample]


def test_the_offset_follows_new_york() -> None:
    assert "<TIMESTAMP>2026-12-01T07:30:15-05:00</TIMESTAMP>" in lines(
        postback_body([events()[0]], "1.3", WINTER)
    )


def test_e101_has_no_timestamp() -> None:
    assert b"TIMESTAMP" not in postback_body([events("failed")[0]], "1.3", SUMMER)


def test_xsi_names_a_schema_on_the_root() -> None:
    root = etree.fromstring(postback_body([events()[0]], "xsi", SUMMER))
    assert root.tag == "POSTBACK"
    assert root.get("{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation")


def test_the_successor_writes_lower_case_and_its_own_operators() -> None:
    body = lines(postback_body([events(dialect="sinch")[1]], "sinch", SUMMER))
    assert body[1:] == [
        "<postback>",
        "<origin>MMS_MT</origin>",
        "<code>N102</code>",
        "<sent-as>MMS</sent-as>",
        "<status>Message Sent/Delivered</status>",
        "<mms-id>45633</mms-id>",
        "<from>11111</from>",
        "<from-mask/>",
        f"<to>{NUMBER}</to>",
        "<tracking-id>TU1TXzEyMzQ1</tracking-id>",
        "<operator-id>31002</operator-id>",
        "<timestamp>2026-07-01T12:30:15Z</timestamp>",
        "<handset>motol7c</handset>",
        "</postback>",
    ]


@pytest.mark.parametrize(("outcome", "number"), [("failed", 0), ("failed_late", 1)])
def test_the_successors_failures_have_no_timestamp(outcome: Outcome, number: int) -> None:
    assert b"timestamp" not in postback_body([events(outcome, "sinch")[number]], "sinch", SUMMER)


def test_the_legacy_edition_wraps_and_says_the_status_in_attributes() -> None:
    body = lines(postback_body([events(dialect="legacy")[1]], "legacy", SUMMER))
    assert body[1:] == [
        "<POSTBACK>",
        '<NOTIFICATION id="900" created="2026-07-01 08:30:15.123456-04">',
        "<ORIGIN>MMS_MT</ORIGIN>",
        "<CODE>N102</CODE>",
        "<BODY>",
        '<STATUS celly="20" provider="1000" text="Retrieved" description=""/>',
        "<MMSID>45633</MMSID>",
        f"<TO>{NUMBER}</TO>",
        "<TRACKINGID>MMS_12345</TRACKINGID>",
        "<SPID>000189</SPID>",
        "<HISTORYID>900</HISTORYID>",
        "<TIMESTAMP>2026-07-01 08:30:15.123456-04</TIMESTAMP>",
        "<HANDSET>motol7c</HANDSET>",
        "</BODY>",
        "</NOTIFICATION>",
        "</POSTBACK>",
    ]


def test_a_legacy_n101_has_no_status_and_no_offset() -> None:
    body = lines(postback_body([events(dialect="legacy")[0]], "legacy", SUMMER))
    assert "<TIMESTAMP>2026-07-01 08:30:15</TIMESTAMP>" in body
    assert not [line for line in body if line.startswith("<STATUS")]


@pytest.mark.parametrize(
    ("outcome", "number", "status"),
    [
        ("expired", 1, '<STATUS celly="30" provider="0" text="Expired" description=""/>'),
        ("rejected", 1, '<STATUS celly="35" provider="0" text="Rejected" description=""/>'),
        ("failed", 0, '<STATUS text="Message Failed"/>'),
        ("link", 1, '<STATUS celly="10" provider="1000"/>'),
        ("link", 2, '<STATUS protocole="3" status="1"/>'),
        ("link_failed", 2, '<STATUS protocole="3" status="2"/>'),
    ],
)
def test_each_legacy_outcome_has_its_status(outcome: Outcome, number: int, status: str) -> None:
    event = events(outcome, "legacy")[number]
    assert status in lines(postback_body([event], "legacy", SUMMER))


def test_a_pass_postback_has_a_statuscode_and_our_pass_id() -> None:
    body = lines(postback_body([extra_event(a_message(), "N801")], "1.3", SUMMER))
    assert "<STATUSCODE>N801</STATUSCODE>" in body
    assert "<CUSTOMPASSID>harbour-117</CUSTOMPASSID>" in body
    assert not [line for line in body if line.startswith(("<CODE", "<TRACKINGID"))]


def test_a_text_from_a_phone_says_when_it_was_received() -> None:
    body = lines(postback_body([extra_event(a_message(), "N211")], "1.3", SUMMER))
    assert "<RECEIVED>2026-07-01T08:30:15-04:00</RECEIVED>" in body
    assert f"<FROM>{NUMBER}</FROM>" in body


@pytest.mark.parametrize("dialect", ["1.3", "xsi", "sinch", "legacy"])
@pytest.mark.parametrize("code", ["N003", "N201", "N302", "N303", "N401", "N801", "E999", "N333"])
def test_every_kind_can_be_written_in_every_dialect(code: str, dialect: Dialect) -> None:
    etree.fromstring(postback_body([extra_event(a_message(), code)], dialect, SUMMER))


def test_what_xml_cannot_carry_is_replaced() -> None:
    event = Event(code="N101", fields={"STATUS": "a\x00&<b"})
    assert "<STATUS>a\ufffd&amp;&lt;b</STATUS>" in lines(postback_body([event], "1.3", SUMMER))
