"""Postbacks as JSON: read, and kept aside. Source: PROTOCOL 6.8 and 6.10; the samples are ours."""

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tracker.protocol.postback import Notification, UnreadablePostbackError, parse_postback
from tracker.protocol.transport import document_of

NEW_YORK = ZoneInfo("America/New_York")


def read_all(body: str) -> list[Notification]:
    return parse_postback(document_of(body.encode(), "application/json"), zone=NEW_YORK)


def read(body: str) -> Notification:
    [notification] = read_all(body)
    return notification


A_JSON: dict[str, Any] = {
    "origin": "MMS_MO",
    "code": "N401",
    "from": 12025550143,
    "to": "28444",
    "keyword": "all",
    "tracking-id": "MMS_MO_iLnCRrL6",
    "operator-id": 31002,
    "timestamp": "2014-02-03T11:19:49-05:00",
    "message-subject": None,
    "content": {"file": ["http://a/1", "http://a/2"]},
}
JSON_FIELDS = {
    "code": "N401",
    "kind": "mo_mms",
    "origin": "MMS_MO",
    "from": "12025550143",
    "to": "28444",
    "keyword": "all",
    "tracking_id": "MMS_MO_iLnCRrL6",
    "operator_id": "31002",
    "timestamp": "2014-02-03T16:19:49Z",
    "files": ["http://a/1", "http://a/2"],
}


@pytest.mark.parametrize(
    "document",
    [
        A_JSON,
        {"postback": A_JSON},
        {"Postback": [A_JSON]},
        [A_JSON],
        {"POSTBACK": {"NOTIFICATION": [A_JSON]}},
        A_JSON | {"content": [{"file": "http://a/1"}, {"file": "http://a/2"}]},
        A_JSON | {"content": ["http://a/1", "http://a/2"]},
        {"postback": {"code": "N401", "body": A_JSON}},
    ],
)
def test_json_with_postback_names_is_read_and_kept_aside(document: object) -> None:
    notification = read(json.dumps(document))
    assert notification.fields() == JSON_FIELDS
    assert (notification.defect or "").startswith("It is JSON")


def test_a_list_of_json_postbacks_is_several() -> None:
    body = json.dumps([A_JSON, {"code": "N101", "tracking-id": True}, {"other": 1}])
    assert [one.tracking_id for one in read_all(body)] == ["MMS_MO_iLnCRrL6", "true"]


@pytest.mark.parametrize(
    "body",
    [
        '{"code": "N102", "spid": 0001}',
        '{"postback": {}}',
        '{"code": "N102", "tracking-id": "TU1T',
        '{"tracking_id": "x"} trailing',
        "[" + ",".join(['{"code":"N101"}'] * 5001) + "]",
    ],
)
def test_broken_or_excessive_json_with_postback_names_is_kept(body: str) -> None:
    with pytest.raises(UnreadablePostbackError):
        read_all(body)


def test_numbers_in_json_become_their_text() -> None:
    body = '{"code": "N102", "to": 1e999, "mms-id": 12345678901234567890, "spid": NaN, "os": 1.50}'
    fields = read(body).fields()
    assert (fields["to"], fields["mms_id"]) == ("1e999", "12345678901234567890")
    assert (fields["spid"], fields["os"]) == ("NaN", "1.50")


def test_json_text_that_no_database_takes_is_replaced() -> None:
    assert read('{"code": "N211", "text": "a\\u0000b\\ud800c"}').text == "a\ufffdb\ufffdc"


def test_a_contradiction_in_json_is_said_too() -> None:
    assert "two different CODEs" in (read('{"code": "N101", "CODE": "N102"}').defect or "")
