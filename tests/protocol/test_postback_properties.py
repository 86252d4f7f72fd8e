"""Whatever fields a notification has, every dialect carries them. Source: PROTOCOL 6.8, 6.11."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.postback import Notification, parse_postback
from tracker.protocol.tracking import tracking_ref
from tracker.protocol.transport import document_of

PLAIN = [
    "to", "from", "from_mask", "mms_id", "status", "status_details", "operator_id", "handset", "os",
    "aggregator_id", "custom_pass_id", "pass_data_id", "serial_number", "referenced_by",
    "reference_value", "mobile", "email", "campaign_id", "sub_id", "shortcode", "campaign_title",
    "brand_name", "source", "keyword", "subject", "text", "transaction_id", "audio_name",
    "video_name", "sms_id", "history_id", "scheduled_id",
]  # fmt: skip
texts = (
    st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), min_size=1)
    .map(str.strip)
    .filter(bool)
)
instants = st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
fields = st.fixed_dictionaries(
    {"code": st.from_regex(r"[NE][0-9]{3}", fullmatch=True)},
    optional=dict.fromkeys(PLAIN, texts)
    | {
        "origin": st.sampled_from(["MMS_MT", "SMS_MT", "MMS_MO", "SMS_MO", "SUB", "GENERATE_PASS"]),
        "sent_as": st.sampled_from(["MMS", "SMS"]),
        "spid": st.from_regex(r"[0-9]{7}", fullmatch=True),
        "tracking_id": st.from_regex(r"[A-Za-z0-9_+/-]{1,40}={0,2}", fullmatch=True),
        "timestamp": instants.map(datetime.isoformat),
    },
)
Fields = dict[str, str]


def elements(told: Fields, spell: Callable[[str], str]) -> str:
    return "".join(f"<{spell(k)}>{escape(text)}</{spell(k)}>" for k, text in told.items())


def skycore(name: str) -> str:
    return "FROM_MASK" if name == "from_mask" else name.replace("_", "").upper()


def sinch(name: str) -> str:
    return "message-subject" if name == "subject" else name.replace("_", "-")


def flat(told: Fields) -> str:
    return f"<?xml version='1.0'?>\n<POSTBACK>{elements(told, skycore)}</POSTBACK>"


def with_schema(told: Fields) -> str:
    root = 'xmlns:xsi="http://x"\nxsi:noNamespaceSchemaLocation ="http://x/y.xsd"'
    return f"<POSTBACK {root}>{elements(told, skycore)}</POSTBACK>"


def successor(told: Fields) -> str:
    return f"<postback>{elements(told, sinch)}</postback>"


def prefixed(told: Fields) -> str:
    inner = elements(told, lambda name: f"p:{sinch(name)}")
    return f'<p:Postback xmlns:p="urn:x">{inner}</p:Postback>'


def legacy(told: Fields) -> str:
    heads = {name: text for name, text in told.items() if name in {"code", "origin"}}
    rest = {name: text for name, text in told.items() if name not in {*heads, "status"}}
    status = f"<STATUS TEXT={quoteattr(told['status'])} />" if "status" in told else ""
    body = f"{elements(heads, skycore)}<BODY>{elements(rest, skycore)}{status}</BODY>"
    return f"<POSTBACK><NOTIFICATION id='7'>{body}</NOTIFICATION></POSTBACK>"


def unwrapped(told: Fields) -> str:
    return f"<NOTIFICATION>{elements(told, skycore)}</NOTIFICATION>"


def as_json(told: Fields) -> str:
    return json.dumps({sinch(name): text for name, text in told.items()})


def read(text: str) -> Notification:
    document = document_of(text.encode(), "text/xml")
    [notification] = parse_postback(document, zone=ZoneInfo("America/New_York"))
    return notification


@pytest.mark.parametrize(
    "dialect", [flat, with_schema, successor, prefixed, legacy, unwrapped, as_json]
)
@given(told=fields)
def test_every_dialect_carries_every_field(dialect: Callable[[Fields], str], told: Fields) -> None:
    notification = read(dialect(told))
    derived = {"kind", "state", "ddm_state", "tracking_ref", "timestamp", "notification_id"}
    found = {name: text for name, text in notification.fields().items() if name not in derived}
    assert found == {name: text for name, text in told.items() if name != "timestamp"}
    assert (notification.defect is None) == (dialect is not as_json)
    told_at = told.get("timestamp")
    assert notification.timestamp == (datetime.fromisoformat(told_at) if told_at else None)
    ref = tracking_ref(told["tracking_id"]) if "tracking_id" in told else None
    assert notification.tracking_ref == ref


@given(told=fields)
def test_a_notification_has_one_fingerprint_in_all_dialects(told: Fields) -> None:
    dialects = [flat, with_schema, successor, prefixed, legacy, unwrapped]
    assert len({read(dialect(told)).fingerprint_text for dialect in dialects}) == 1


@given(told=fields)
def test_a_bare_ampersand_in_any_value_is_only_an_ampersand(told: Fields) -> None:
    broken = flat(told).replace("&amp;", "&").replace("<POSTBACK>", "<POSTBACK><X>&</X>")
    if any("&" in text and ";" in text for text in told.values()):
        return  # "&lt;" written bare is what it looks like
    assert read(broken).fields() == read(flat(told)).fields()
