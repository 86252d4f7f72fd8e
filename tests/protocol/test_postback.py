"""Postbacks of every dialect and kind. Source: PROTOCOL 6.2 to 6.11 and 7.

The XML samples are ours, in the shape of the section that each test names.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tracker.protocol.postback import (
    Kind,
    NotAPostbackError,
    Notification,
    State,
    UnreadablePostbackError,
    parse_postback,
)
from tracker.protocol.transport import Document, document_of

NEW_YORK = ZoneInfo("America/New_York")


def read_all(body: str | bytes, content_type: str | None = "text/xml") -> list[Notification]:
    raw = body.encode() if isinstance(body, str) else body
    return parse_postback(document_of(raw, content_type), zone=NEW_YORK)


def read(body: str | bytes, content_type: str | None = "text/xml") -> Notification:
    [notification] = read_all(body, content_type)
    return notification


def a_postback(code: str = "N102", **elements: str) -> str:
    """Build a flat postback of edition 1.3."""
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in elements.items())
    return f"<POSTBACK><CODE>{code}</CODE>{inner}</POSTBACK>"


def a_legacy(code: str, body: str) -> str:
    """Build a notification of the oldest dialect."""
    return f"<NOTIFICATION id='1'><CODE>{code}</CODE><BODY>{body}</BODY></NOTIFICATION>"


# Dialects


def test_a_flat_postback_of_edition_1_3() -> None:
    body = """<?xml version='1.0'?>
    <POSTBACK xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
      xsi:noNamespaceSchemaLocation ="http://www.skycore.com/platform/schema/postback.xsd">
      <ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE><SENTAS>MMS</SENTAS>
      <STATUS>Message Sent/Delivered</STATUS><MMSID>40111</MMSID>
      <FROM>60856</FROM><FROM_MASK/><TO>12025550143</TO>
      <TRACKINGID>
        TU1TXzc3
      </TRACKINGID>
      <SPID>0001570</SPID><TIMESTAMP>2014-11-05T05:41:08.25-05:00</TIMESTAMP>
      <HANDSET>motol7c</HANDSET><AGGREGATORID>1-2-3</AGGREGATORID><OS>iOS</OS>
    </POSTBACK>"""
    assert read(body).fields() == {
        "code": "N102",
        "kind": "mms",
        "origin": "MMS_MT",
        "sent_as": "MMS",
        "status": "Message Sent/Delivered",
        "state": "delivered",
        "mms_id": "40111",
        "from": "60856",
        "to": "12025550143",
        "tracking_id": "TU1TXzc3",
        "tracking_ref": "MMS_77",
        "spid": "0001570",
        "timestamp": "2014-11-05T10:41:08.250000Z",
        "handset": "motol7c",
        "aggregator_id": "1-2-3",
        "os": "iOS",
    }
    assert read(body).remarks == ()


def test_the_successors_spelling() -> None:
    body = """<postback><origin>mms_mt</origin><code>n101</code><sent-as>sms</sent-as>
      <status>Message Sent</status><mms-id>40111</mms-id><from>28444</from>
      <from-mask>My_Brand</from-mask><to>12025550143</to><tracking-id>TU1TXzc3</tracking-id>
      <operator-id>31003</operator-id><timestamp>2014-06-07T07:27:34-05:00</timestamp>
      <status-details>Handset setting: mms with pass via HTML</status-details></postback>"""
    assert read(body).fields() == {
        "code": "N101",
        "kind": "mms",
        "origin": "MMS_MT",
        "sent_as": "SMS",
        "status": "Message Sent",
        "state": "sent",
        "mms_id": "40111",
        "from": "28444",
        "from_mask": "My_Brand",
        "to": "12025550143",
        "tracking_id": "TU1TXzc3",
        "tracking_ref": "MMS_77",
        "operator_id": "31003",
        "timestamp": "2014-06-07T12:27:34Z",
        "status_details": "Handset setting: mms with pass via HTML",
    }


LEGACY_N102 = """<NOTIFICATION ID="326" CREATED="2011-08-02 07:20:52.332193-04">
  <ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE>
  <BODY><HISTORYID>249687</HISTORYID><MMSID>40111</MMSID><TO>12025550143</TO>
    <TRACKINGID>MMS_77</TRACKINGID><SCHEDULEDID>12346</SCHEDULEDID><SPID>000189</SPID>
    <HANDSET>motol7c</HANDSET>
    <STATUS CELLY="20" PROVIDER="1000" TEXT="Retrieved" DESCRIPTION="" />
    <TIMESTAMP>2011-08-02 07:20:49-04</TIMESTAMP></BODY></NOTIFICATION>"""
LEGACY_FIELDS = {
    "code": "N102",
    "kind": "mms",
    "origin": "MMS_MT",
    "status": "Retrieved",
    "state": "delivered",
    "history_id": "249687",
    "mms_id": "40111",
    "to": "12025550143",
    "tracking_id": "MMS_77",
    "tracking_ref": "MMS_77",
    "scheduled_id": "12346",
    "spid": "0001890",
    "handset": "motol7c",
    "timestamp": "2011-08-02T11:20:49Z",
    "notification_id": "326",
}


def test_the_legacy_dialect_with_notification_as_root() -> None:
    notification = read(LEGACY_N102)
    assert notification.fields() == LEGACY_FIELDS
    assert notification.celly == "20"


def test_the_legacy_dialect_wrapped_and_several_in_one_post() -> None:
    first, second, third = read_all(
        f"<POSTBACK>{LEGACY_N102}<NOTIFICATION/>{LEGACY_N102.lower()}</POSTBACK>"
    )
    assert first.fields() == LEGACY_FIELDS
    assert second.fields() == {"kind": "unknown"}
    assert second.defect == "It has no code."
    assert third.fields() == LEGACY_FIELDS | {"tracking_id": "mms_77", "status": "retrieved"} | {
        "tracking_ref": "mms_77"
    }


def test_a_wrapper_without_body() -> None:
    body = """<POSTBACK><NOTIFICATION><ORIGIN>MMS_MO</ORIGIN><CODE>N401</CODE>
      <FROM>12025550143</FROM><TO>74700</TO><KEYWORD>all</KEYWORD><SUBJECT>Hi</SUBJECT>
      <TRACKINGID>MMS_MO_iLnCRrL6</TRACKINGID><SPID>0001470</SPID>
      <TIMESTAMP>2014-02-03T11:19:49-05:00</TIMESTAMP><CONTENT><FILE>http://a/1?x=1&amp;y=2</FILE>
      <FILE> http://a/2 </FILE><FILE/><FILE>http://a/1?x=1&amp;y=2</FILE></CONTENT>
      </NOTIFICATION></POSTBACK>"""
    assert read(body).fields() == {
        "code": "N401",
        "kind": "mo_mms",
        "origin": "MMS_MO",
        "from": "12025550143",
        "to": "74700",
        "keyword": "all",
        "subject": "Hi",
        "tracking_id": "MMS_MO_iLnCRrL6",
        "spid": "0001470",
        "timestamp": "2014-02-03T16:19:49Z",
        "files": ["http://a/1?x=1&y=2", "http://a/2", "http://a/1?x=1&y=2"],
    }


def test_the_successors_inbound_mms() -> None:
    body = """<postback><origin>MMS_MO</origin><code>N401</code><message-subject></message-subject>
      <content><file>http://a/1</file></content></postback>"""
    assert read(body).fields() == {
        "code": "N401",
        "kind": "mo_mms",
        "origin": "MMS_MO",
        "files": ["http://a/1"],
    }
    with_subject = read(body.replace("></message-subject>", ">Hello</message-subject>"))
    assert with_subject.subject == "Hello"


@pytest.mark.parametrize(
    ("celly", "state"),
    [
        ("9", "sent"),
        ("10", "sent"),
        ("11", "delivered"),
        ("20", "delivered"),
        ("30", "expired"),
        ("35", "rejected"),
        ("77", "delivered"),
    ],
)
@pytest.mark.parametrize("attribute", ["CELLY", "celly", "Celly"])
def test_celly_beats_the_default_of_the_code(celly: str, attribute: str, state: str) -> None:
    notification = read(a_legacy("N102", f"<STATUS {attribute}='{celly}'/>"))
    assert notification.state == state
    assert notification.celly == celly


def test_a_legacy_link_leaves_with_n102_and_arrives_with_n202() -> None:
    left, arrived = read_all("""<POSTBACK>
      <NOTIFICATION id="521537"><ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE><BODY>
        <TRACKINGID>MMS_68</TRACKINGID><SMSID>SMS_97</SMSID>
        <STATUS celly="10" provider="1000" /></BODY></NOTIFICATION>
      <NOTIFICATION id="521538"><ORIGIN>SMS_MT</ORIGIN><CODE>N202</CODE><BODY>
        <TRACKINGID>SMS_97</TRACKINGID><STATUS protocole="3" status="1"/></BODY></NOTIFICATION>
    </POSTBACK>""")
    assert (left.kind, left.state, left.sms_id) == (Kind.MMS, State.SENT, "SMS_97")
    assert (arrived.kind, arrived.state) == (Kind.SMS, State.DELIVERED)
    assert arrived.tracking_key == left.sms_id
    assert arrived.status is None


def test_a_legacy_sms_that_was_not_delivered() -> None:
    assert read(a_legacy("N202", "<STATUS PROTOCOLE='3' STATUS='2'/>")).state is State.FAILED


def test_a_flat_postback_keeps_a_spid_of_six_digits() -> None:
    assert read(a_postback(SPID="000157")).spid == "000157"
    assert read(a_postback(SPID="000157", HISTORYID="1")).spid == "0001570"


@pytest.mark.parametrize(
    "name",
    ["TRACKINGID", "trackingid", "TrackingId", "tracking-id", "TRACKING_ID", "Tracking-_Id"],
)
def test_element_names_of_any_spelling(name: str) -> None:
    assert read(a_postback(**{name: "TU1TXzc3"})).tracking_id == "TU1TXzc3"


@pytest.mark.parametrize(
    "root",
    [
        '<p:postback xmlns:p="urn:x"><p:code>N101</p:code></p:postback>',
        '<PostBack xmlns="urn:x"><Code>N101</Code></PostBack>',
        "<POST_BACK><CODE>N101</CODE></POST_BACK>",
        "<POSTBACK><BODY><CODE>N101</CODE></BODY></POSTBACK>",
        "<notification><body><code>N101</code></body></notification>",
    ],
)
def test_roots_of_any_spelling_and_namespace(root: str) -> None:
    assert read(root).fields() == {"code": "N101", "kind": "mms", "state": "sent"}


@pytest.mark.parametrize(
    ("element", "field"),
    [
        ("CODE", "code"),
        ("STATUSCODE", "code"),
        ("AGGREGATORID", "aggregator_id"),
        ("AGGREGATOR", "aggregator_id"),
        ("OPERATORID", "operator_id"),
        ("OS", "os"),
        ("AUDIONAME", "audio_name"),
        ("VIDEO-NAME", "video_name"),
        ("SUBJECT", "subject"),
        ("MESSAGE-SUBJECT", "subject"),
        ("FROM_MASK", "from_mask"),
        ("FROM", "from"),
        ("SENTAS", "sent_as"),
        ("STATUS-DETAILS", "status_details"),
        ("CUSTOMPASSID", "custom_pass_id"),
        ("PASSDATAID", "pass_data_id"),
        ("SERIALNUMBER", "serial_number"),
        ("REFERENCEDBY", "referenced_by"),
        ("REFERENCEVALUE", "reference_value"),
        ("MOBILE", "mobile"),
        ("EMAIL", "email"),
        ("CAMPAIGNID", "campaign_id"),
        ("SUBID", "sub_id"),
        ("SHORTCODE", "shortcode"),
        ("CAMPAIGNTITLE", "campaign_title"),
        ("BRANDNAME", "brand_name"),
        ("SOURCE", "source"),
        ("KEYWORD", "keyword"),
        ("TEXT", "text"),
        ("TRANSACTIONID", "transaction_id"),
        ("SMSID", "sms_id"),
        ("HISTORYID", "history_id"),
        ("SCHEDULEDID", "scheduled_id"),
    ],
)
def test_every_element_has_its_field(element: str, field: str) -> None:
    body = f"<POSTBACK><X/><{element}> VALUE </{element}></POSTBACK>"
    assert read(body).fields()[field] == "VALUE"


# Kinds and states


KINDS = {
    ("mms", "MMS_MT"): "N101 N102 N103 E101 E102 N201 N202 E201 E202",
    ("sms", "SMS_MT"): "N201 N202 E201 E202",
    ("sms", None): "N201 N202 E201 E202",
    ("ddm", "MMS_MT"): "N501 N502 E501 E502",
    ("content", "MMS_MT"): "N002 N003 N013 E001 E002 E003 E004 E011 E012 E013",
    ("mo_sms", "SMS_MO"): "N211",
    ("mo_mms", "MMS_MO"): "N401",
    ("subscription", "SUB"): "N301 N302",
    ("subscription", "EMAIL_SUB"): "N303 N304",
    ("pass", "GENERATE_PASS"): "N801 N802 N803 N811 N804 N805",
    ("queue_error", "MMS_MT"): "E999",
    ("unknown", "MMS_MT"): "E100 N333 HELLO",
}


@pytest.mark.parametrize(
    ("code", "origin", "kind"),
    [(code, origin, kind) for (kind, origin), codes in KINDS.items() for code in codes.split()],
)
def test_the_code_gives_the_kind(code: str, origin: str | None, kind: str) -> None:
    notification = read(a_postback(code, **({"ORIGIN": origin} if origin else {})))
    assert notification.kind == kind
    assert (notification.state is not None) == (kind in {"mms", "sms"})
    assert (notification.ddm_state is not None) == (kind == "ddm")


@pytest.mark.parametrize(
    ("code", "phrase", "state"),
    [
        ("N101", "Message Sent", "sent"),
        ("N101", "Message Failed", "failed"),
        ("N102", "Message Sent/Delivered", "delivered"),
        ("N102", "Message Sent/Expired", "expired"),
        ("N102", "Message Sent/Rejected", "rejected"),
        ("N102", "Message Sent/Not Supported", "unsupported"),
        ("N102", "", "delivered"),
        ("N103", "", "expired"),
        ("E101", "Message Failed", "failed"),
        ("E101", "Message Sent/Delivered", "failed"),
        ("E102", "Message,Sent/Expired", "expired"),
        ("E102", "Message Sent", "failed"),
        ("E102", "Message Sent/NotSupported", "unsupported"),
        ("N201", "Message Sent/Delivered", "delivered"),  # a sample of 2013
        ("N202", "Message Sent/Failed", "failed"),
        ("E202", "Message Sent/Expired", "expired"),
    ],
)
def test_code_and_phrase_give_the_state(code: str, phrase: str, state: str) -> None:
    assert read(a_postback(code, STATUS=phrase)).fields()["state"] == state


@pytest.mark.parametrize(
    ("code", "phrase", "state"),
    [
        ("N501", "Message Sent", "sent"),
        ("N501", "", "sent"),
        ("N502", "Message Sent/Delivered", "delivered"),
        ("N502", "", "delivered"),
        ("N502", "Message Sent/Expired", "expired"),
        ("E501", "Message Failed", "failed"),
        ("E502", "Message Sent/Rejected", "rejected"),
        ("E502", "", "failed"),
    ],
)
def test_a_discovery_message_has_a_state_of_its_own(code: str, phrase: str, state: str) -> None:
    fields = read(a_postback(code, ORIGIN="MMS_MT", STATUS=phrase, HANDSET="moto17c")).fields()
    assert fields["ddm_state"] == state
    assert "state" not in fields


def test_n202_under_mms_mt_without_mmsid_is_the_link_of_an_mms() -> None:
    body = a_postback("N202", ORIGIN="MMS_MT", SENTAS="SMS", STATUS="Message Sent/Delivered")
    assert read(body).fields() == {
        "code": "N202",
        "kind": "mms",
        "origin": "MMS_MT",
        "sent_as": "SMS",
        "status": "Message Sent/Delivered",
        "state": "delivered",
    }


def test_a_pass_postback_says_statuscode_and_its_passdata_stays_inside() -> None:
    body = """<POSTBACK><ORIGIN>GENERATE_PASS</ORIGIN><STATUSCODE>N801</STATUSCODE>
      <REFERENCEDBY>Phone</REFERENCEDBY><REFERENCEVALUE>12025550143</REFERENCEVALUE>
      <CUSTOMPASSID>ID-1</CUSTOMPASSID><PASSDATAID>40556</PASSDATAID>
      <SERIALNUMBER>5294CE-1</SERIALNUMBER><TIMESTAMP>2013-11-26T11:37:11-05:00</TIMESTAMP>
      <PASSDATA><CODE>N102</CODE><TRACKINGID>X</TRACKINGID><TO>1</TO><TEXT>no</TEXT>
        <BARCODEVALUE>1</BARCODEVALUE></PASSDATA></POSTBACK>"""
    assert read(body).fields() == {
        "code": "N801",
        "kind": "pass",
        "origin": "GENERATE_PASS",
        "referenced_by": "Phone",
        "reference_value": "12025550143",
        "custom_pass_id": "ID-1",
        "pass_data_id": "40556",
        "serial_number": "5294CE-1",
        "timestamp": "2013-11-26T16:37:11Z",
    }


def test_an_inbound_sms_received_at() -> None:
    body = a_postback("N211", ORIGIN="SMS_MO", TEXT="STOP", RECEIVED="2011-09-28T17:31:02-04:00")
    assert read(body).timestamp == datetime(2011, 9, 28, 21, 31, 2, tzinfo=UTC)
    assert read(body).text == "STOP"


# Values


def test_text_around_comments_cdata_and_instructions_is_one_value() -> None:
    body = (
        "<POSTBACK><CODE>N<!-- a -->1<?b c?>0<![CDATA[2]]></CODE>"
        "<STATUS>Message<![CDATA[ Sent]]>/<!--x-->Delivered</STATUS>"
        "<STATUSDETAILS><![CDATA[a < b & c]]></STATUSDETAILS></POSTBACK>"
    )
    notification = read(body)
    assert notification.code == "N102"
    assert notification.status == "Message Sent/Delivered"
    assert notification.status_details == "a < b & c"


@pytest.mark.parametrize("empty", ["<TO/>", "<TO></TO>", "<TO>  \n </TO>", "<TO><!-- --></TO>"])
def test_empty_is_absent(empty: str) -> None:
    assert "to" not in read(f"<POSTBACK><CODE>N101</CODE>{empty}</POSTBACK>").fields()


def test_a_repeated_element_with_equal_values_is_fine() -> None:
    body = a_postback("N101", TO="12025550143", TRACKINGID="TU1TXzU5Nzg3OQ==").replace(
        "</POSTBACK>",
        "<code>n101</code><STATUSCODE>N101</STATUSCODE><TO>+1 202-555-0143</TO>"
        "<TRACKINGID>TU1TXzU5Nzg3OQ</TRACKINGID></POSTBACK>",
    )
    assert read(body).defect is None
    assert read(body).to == "12025550143"
    assert read(body).remarks == ()


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ("<CODE>N102</CODE>", "two different CODEs"),
        ("<STATUSCODE>N102</STATUSCODE>", "two different CODEs"),
        ("<TRACKINGID>A</TRACKINGID><TRACKINGID>a</TRACKINGID>", "two different TRACKINGIDs"),
        ("<TO>12025550143</TO><TO>12025550144</TO>", "two different TOs: …0143 and …0144"),
    ],
)
def test_contradictions_are_a_defect_of_their_notification(elements: str, said: str) -> None:
    notification = read(f"<POSTBACK><CODE>N101</CODE>{elements}</POSTBACK>")
    assert said in (notification.defect or "")


def test_a_contradiction_spoils_no_other_notification() -> None:
    bad, good = read_all(
        "<POSTBACK><NOTIFICATION><CODE>N101</CODE><CODE>N102</CODE></NOTIFICATION>"
        "<NOTIFICATION><CODE>N102</CODE></NOTIFICATION></POSTBACK>"
    )
    assert bad.defect is not None
    assert good.defect is None


def test_of_other_repeated_elements_the_first_counts_and_that_is_said() -> None:
    notification = read("<POSTBACK><CODE>N101</CODE><SPID/><SPID>1</SPID><SPID>2</SPID></POSTBACK>")
    assert notification.spid == "1"
    assert notification.remarks == ("SPID is given twice and differs; the first was taken.",)


def test_several_repetitions_are_said_in_the_order_of_the_fields() -> None:
    twice = "".join(f"<{name}>1</{name}><{name}>2</{name}>" for name in ("TEXT", "FILE", "SPID"))
    notification = read(f"<POSTBACK><CODE>N101</CODE>{twice}</POSTBACK>")
    assert notification.remarks == (
        "SPID is given twice and differs; the first was taken.",
        "TEXT is given twice and differs; the first was taken.",
    )


@pytest.mark.parametrize("elements", ["{usual}{other}", "{other}{usual}"])
def test_the_usual_one_of_two_elements_for_a_field_counts(elements: str) -> None:
    both = elements.format(usual="<SUBJECT>1</SUBJECT>", other="<MESSAGESUBJECT>2</MESSAGESUBJECT>")
    notification = read(f"<POSTBACK><CODE>N101</CODE>{both}</POSTBACK>")
    assert notification.subject == "1"
    assert notification.remarks == ("SUBJECT is given twice and differs; the first was taken.",)
    assert notification.defect is None


def test_fields_without_a_code_are_kept_with_a_defect() -> None:
    notification = read("<POSTBACK><TRACKINGID>TU1TXzc3</TRACKINGID></POSTBACK>")
    assert notification.code is None
    assert notification.kind is Kind.UNKNOWN
    assert notification.tracking_id == "TU1TXzc3"
    assert notification.defect == "It has no code."


def test_over_long_values_are_kept_whole() -> None:
    long = "x" * 100_000
    assert read(a_postback(STATUSDETAILS=long, TRACKINGID=long)).status_details == long
    assert read(a_postback(TRACKINGID=long)).tracking_key == long


def test_an_element_inside_a_leaf_is_not_part_of_its_value() -> None:
    body = "<POSTBACK><CODE>N101</CODE><TO>1202<CODE>N102</CODE>5550143</TO></POSTBACK>"
    assert read(body).to == "12025550143"
    assert read(body).code == "N101"
    assert "TO holds other elements" in read(body).remarks[0]


def test_a_postback_with_a_code_beside_its_notifications_is_several() -> None:
    body = "<POSTBACK><CODE>N101</CODE><NOTIFICATION><CODE>N102</CODE></NOTIFICATION></POSTBACK>"
    assert [one.code for one in read_all(body)] == ["N101", "N102"]
    wrapper = (
        "<POSTBACK><ORIGIN>X</ORIGIN><NOTIFICATION><CODE>N102</CODE></NOTIFICATION></POSTBACK>"
    )
    assert [one.code for one in read_all(wrapper)] == ["N102"]


@pytest.mark.parametrize(
    "details",
    ["Handset setting: mms with pass via xhtml;", "?smpp?deliver_sm=4&amp;", "a=b?c"],
)
def test_details_with_odd_characters(details: str) -> None:
    expected = details.replace("&amp;", "&")
    assert read(a_postback(STATUSDETAILS=details)).status_details == expected


# Timestamps


def test_a_timestamp_without_offset_is_the_gateways_and_that_is_said() -> None:
    notification = read(a_postback(TIMESTAMP="2012-06-07 07:27:29"))
    assert notification.fields()["timestamp"] == "2012-06-07T11:27:29Z"
    assert notification.remarks == ("TIMESTAMP has no offset, read as America/New_York.",)


@pytest.mark.parametrize("text", ["soon", "2012-13-01T00:00:00Z", "0001-01-01T00:00:00+10:00"])
def test_an_unreadable_timestamp_is_kept_as_text_and_the_state_holds(text: str) -> None:
    notification = read(a_postback(TIMESTAMP=text))
    assert notification.timestamp is None
    assert notification.timestamp_text == text
    assert "timestamp" not in notification.fields()
    assert notification.state is State.DELIVERED


# The body as a whole


@pytest.mark.parametrize(
    "body",
    [
        "",
        "  \r\n\t ",
        "\ufeff",
        "\x00\x00",
        "hello",
        "<html><head><title>504</title></head><body><p>Gateway time-out</body></html>",
        "<!DOCTYPE html><html><body/></html>",
        "<RESPONSE><STATUS>Success</STATUS></RESPONSE>",
        "<?xml version='1.0'?><REQUEST><ACTION>sendPassInMMS</ACTION></REQUEST>",
        "<postbacks/>",
        "<postback-test/>",
        "<my.postback/>",
        "&lt;POSTBACK&gt;&lt;CODE&gt;N101&lt;/CODE&gt;&lt;/POSTBACK&gt;",
        "</POSTBACK>",
        "{}",
        "[]",
        "{",
        '{"hello": "world"}',
        '{"status": "ok", "code": 200}',
        '{"notification": {"title": "Hi", "body": "There"}}',
        '[{"to": "1", "text": "2"}]',
        '{"code": "N1"}',
        "a=1&b=2",
        "null",
        '"N102"',
        " " * 65536 + "x<POSTBACK>",
    ],
)
def test_what_is_no_postback_is_refused(body: str) -> None:
    with pytest.raises(NotAPostbackError):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        "<POSTBACK/>",
        "<POSTBACK></POSTBACK>",
        "<POSTBACK>text</POSTBACK>",
        "<POSTBACK><X>1</X></POSTBACK>",
        "<POSTBACK><PASSDATA><CODE>N102</CODE></PASSDATA></POSTBACK>",
        "<POSTBACK><POSTBACK><CODE>N102</CODE></POSTBACK></POSTBACK>",
        "<POSTBACK",
        "x<POSTBACK><CODE>N101</CODE></POSTBACK>",
        "<POSTBACK><CODE>N101</CODE>",
        "<POSTBACK><CODE>N101</CODE><STATUS>Message Se",
        "<POSTBACK><CODE>N101</CODE></POSTBACK><POSTBACK><CODE>N102</CODE></POSTBACK>",
        "<POSTBACK><CODE>N101</CODE></POSTBACK>&foo=bar",
        "<CODE>N101</CODE></POSTBACK><POSTBACK>",
        "<!DOCTYPE POSTBACK><POSTBACK><CODE>N101</CODE></POSTBACK>",
        "<Envelope><ns:postback><code>N101</code></ns:postback></Envelope>",
        "<Envelope><postback><code>N101</code></postback></Envelope>",
        "<POSTBACKS><NOTIFICATION><CODE>N101</CODE></NOTIFICATION></POSTBACKS>",
        "<POSTBACK><STATUS DETAILS>x</STATUS DETAILS></POSTBACK>",
    ],
)
def test_what_is_plausible_but_unusable_is_unreadable(body: str) -> None:
    with pytest.raises(UnreadablePostbackError) as caught:
        read(body)
    assert caught.value.reason == str(caught.value)
    assert caught.value.reason.endswith(".")


def test_a_readable_postback_may_begin_late() -> None:
    body = f"<!--{'x' * 70_000}--><POSTBACK><CODE>N101</CODE></POSTBACK>"
    assert read(body).code == "N101"


def test_replaced_bytes_are_remarked() -> None:
    body = b"<POSTBACK><CODE>N211</CODE><TEXT>caf\xe9</TEXT></POSTBACK>"
    assert read(body).text == "caf\ufffd"
    assert read(body).remarks == ("Bytes that fit no character set were replaced.",)
    assert read(body, "text/xml; charset=iso-8859-1").text == "café"


def test_a_document_is_read_whatever_way_it_came() -> None:
    document = Document(a_postback("N101"), "form")
    [notification] = parse_postback(document, zone=UTC)
    assert notification.code == "N101"


# The reading itself


def test_a_notification_says_in_fields_only_what_the_protocol_names() -> None:
    notification = Notification(
        code="N102",
        kind=Kind.MMS,
        from_="60856",
        timestamp=datetime(2011, 8, 2, 11, 20, 44, tzinfo=UTC),
        files=("a",),
        celly="20",
        timestamp_text="x",
        remarks=("y",),
        defect="z",
    )
    assert notification.fields() == {
        "code": "N102",
        "kind": "mms",
        "from": "60856",
        "timestamp": "2011-08-02T11:20:44Z",
        "files": ["a"],
    }
    assert type(notification.fields()["kind"]) is str
