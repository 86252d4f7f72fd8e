"""Which postbacks are the same event. Source: PROTOCOL 6.10, Duplicates; the samples are ours."""

import json
from zoneinfo import ZoneInfo

import pytest

from tracker.protocol.postback import Notification, parse_postback
from tracker.protocol.transport import document_of

NEW_YORK = ZoneInfo("America/New_York")


def read(body: str) -> Notification:
    [notification] = parse_postback(document_of(body.encode(), "text/xml"), zone=NEW_YORK)
    return notification


def a_postback(code: str, **elements: str) -> str:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in elements.items())
    return f"<POSTBACK><CODE>{code}</CODE>{inner}</POSTBACK>"


LEGACY_N102 = """<NOTIFICATION ID="326" CREATED="2011-08-02 07:20:52.332193-04">
  <ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE>
  <BODY><HISTORYID>249687</HISTORYID><MMSID>40111</MMSID><TO>12025550143</TO>
    <TRACKINGID>MMS_77</TRACKINGID><SCHEDULEDID>12346</SCHEDULEDID><SPID>000189</SPID>
    <HANDSET>motol7c</HANDSET>
    <STATUS CELLY="20" PROVIDER="1000" TEXT="Retrieved" DESCRIPTION="" />
    <TIMESTAMP>2011-08-02 07:20:49-04</TIMESTAMP></BODY></NOTIFICATION>"""


def fingerprint(**changes: str) -> str:
    elements = {
        "ORIGIN": "MMS_MT",
        "STATUS": "Message Sent/Delivered",
        "TO": "12025550143",
        "TRACKINGID": "TU1TXzU5Nzg3OQ==",
        "TIMESTAMP": "2014-06-07T07:27:34-05:00",
    } | changes
    return read(a_postback(elements.pop("CODE", "N102"), **elements)).fingerprint_text


@pytest.mark.parametrize(
    "changes",
    [
        {"TRACKINGID": "TU1TXzU5Nzg3OQ"},
        {"TRACKINGID": "TU1TXzU5\nNzg3OQ=="},
        {"STATUS": "message sent / DELIVERED"},
        {"TIMESTAMP": "2014-06-07 12:27:34Z"},
        {"TO": "+1 202-555-0143"},
        {"CODE": "n102"},
        {"MMSID": "1", "HANDSET": "x", "AGGREGATORID": "y", "ORIGIN": "mms_mt"},
    ],
)
def test_the_same_event_has_the_same_fingerprint(changes: dict[str, str]) -> None:
    assert fingerprint(**changes) == fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"TRACKINGID": "TU1TXzU5Nzg3Nw=="},
        {"TRACKINGID": "tu1TXzU5Nzg3OQ=="},
        {"STATUS": "Message Sent/Rejected"},
        {"TIMESTAMP": "2014-06-07T07:27:35-05:00"},
        {"TIMESTAMP": "unknown"},
        {"TIMESTAMP": ""},
        {"TO": "12025550144"},
        {"TO": ""},
        {"CODE": "N101"},
        {"SMSID": "SMS_1"},
    ],
)
def test_another_event_has_another_fingerprint(changes: dict[str, str]) -> None:
    assert fingerprint(**changes) != fingerprint()


def test_celly_tells_events_apart_and_the_id_of_a_legacy_notification_does_not() -> None:
    same = read(LEGACY_N102.replace('ID="326"', 'ID="999"'))
    other = read(LEGACY_N102.replace('CELLY="20"', 'CELLY="35"'))
    assert same.fingerprint_text == read(LEGACY_N102).fingerprint_text
    assert other.fingerprint_text != read(LEGACY_N102).fingerprint_text


def test_without_a_tracking_id_all_fields_make_the_fingerprint() -> None:
    first = a_postback("N302", MOBILE="12025550143", CAMPAIGNID="1")
    assert read(first).fingerprint_text == read(first.lower()).fingerprint_text
    assert read(first).fingerprint_text != read(first.replace("0143", "0144")).fingerprint_text
    wrapped = f"<NOTIFICATION id='1'>{first}</NOTIFICATION>".replace("POSTBACK", "BODY")
    assert read(wrapped).fingerprint_text == read(wrapped.replace("'1'", "'2'")).fingerprint_text


def test_a_defective_notification_never_takes_the_place_of_the_true_one() -> None:
    true = a_postback("N101", TRACKINGID="TU1TXzc3")
    false = true.replace("</POSTBACK>", "<CODE>N102</CODE></POSTBACK>")
    assert read(true).fingerprint_text != read(false).fingerprint_text


def test_a_tracking_id_of_padding_alone_is_no_key() -> None:
    notification = read(a_postback("N101", TRACKINGID="=="))
    assert notification.tracking_id == "=="
    assert notification.tracking_key is None
    assert json.loads(notification.fingerprint_text)[0] == "whole"
