"""The JSON API: the contract of DESIGN 3.4."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from api_support import Api, api_of, is_problem
from builders import NUMBER, a_postback, a_request, accepted, queued
from conftest import POSTBACK_TOKEN
from flask import Flask
from flask.testing import FlaskClient

from tracker.services import accounts
from tracker.store.db import Sessions

HUGE_CURSOR = "1795348800000000-" + "9" * 30
MESSAGE_FIELDS = {
    "id", "status", "status_label", "status_reason", "tracking_id", "to", "from", "from_used",
    "mms_id", "campaign_ref", "reference", "custom_pass_id", "custom_subject", "custom_text", "ddm",
    "data", "pass_data", "sent_as", "spid", "carrier", "operator_id", "handset", "os",
    "aggregator_id", "status_details", "error_code", "error_info", "ddm_status", "attempts",
    "created_at", "send_at", "accepted_at", "sent_at", "finished_at", "updated_at", "batch_id",
}  # fmt: skip


@pytest.fixture
def api(app: Flask, session_factory: Sessions, now: datetime) -> Api:
    return api_of(app, session_factory, now)


def test_a_message_is_queued_and_shown(api: Api) -> None:
    answer = api.post("/messages", a_request(reference="order 7", to="+1 (202) 555-0143"))
    assert answer.status_code == 202
    assert set(answer.json) - {"warnings"} == MESSAGE_FIELDS
    assert (answer.json["to"], answer.json["status"]) == (NUMBER, "queued")
    assert answer.json["custom_pass_id"] == answer.json["pass_data"]["CUSTOMPASSID"]
    shown: Any = api.client.get(answer.headers["Location"], headers=api.headers)
    assert set(shown.json) == MESSAGE_FIELDS | {"timeline"}
    assert shown.json["timeline"][0]["what"] == "Queued"


def test_a_custom_pass_id_is_sent_as_given(api: Api) -> None:
    answer = api.post("/messages", a_request(pass_data={"CUSTOMPASSID": "mine 1"}))
    assert answer.json["custom_pass_id"] == "mine 1"


def test_the_default_sender_is_taken(api: Api) -> None:
    assert api.post("/messages", a_request(**{"from": None})).json["from"] == "60856"


def test_every_wrong_field_is_named(api: Api) -> None:
    document = is_problem(api.post("/messages", {"to": "x", "mms_id": "y", "colour": 1}), 422)
    assert {error["field"] for error in document["errors"]} == {"to", "mms_id", "colour"}


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff", b"[" * 100_000, b"NaN"])
def test_a_body_that_is_no_object_is_400(api: Api, body: bytes) -> None:
    answer = api.client.post("/api/v1/messages", data=body, headers=api.headers)
    is_problem(answer, 400)


@pytest.mark.parametrize("number", ["1.10", "1e3", "12345678901234567890.5", "7"])
def test_a_number_is_sent_with_the_digits_that_were_written(api: Api, number: str) -> None:
    told = f"""{{"to": "12025550143", "mms_id": "45633", "from": "11111",
        "pass_data": {{"BARCODEVALUE": {number}}}}}"""
    answer = api.client.post("/api/v1/messages", data=told, headers=api.headers)
    assert answer.status_code == 202
    assert answer.json
    assert answer.json["pass_data"]["BARCODEVALUE"] == str(Decimal(number))


def test_a_number_beyond_all_numbers_is_refused(api: Api) -> None:
    told = b'{"to": "12025550143", "mms_id": "45633", "pass_data": {"BARCODEVALUE": 1e400}}'
    answer = api.client.post("/api/v1/messages", data=told, headers=api.headers)
    assert answer.status_code == 422
    assert answer.json
    assert answer.json["errors"][0]["field"] == "pass_data.BARCODEVALUE"


def test_a_name_that_is_given_twice_is_no_recipient(api: Api) -> None:
    told = b'{"to": "12025550143", "mms_id": "45633", "to": "12025550144"}'
    answer = api.client.post("/api/v1/messages", data=told, headers=api.headers)
    assert answer.status_code == 400
    assert answer.json
    assert answer.json["errors"][0]["field"] == "to"


def test_a_name_given_twice_is_found_among_many(api: Api) -> None:
    names = ",".join(f'"n{number}": 1' for number in range(60_000))
    told = f'{{{names}, "last": 1, "last": 2}}'
    answer = api.client.post("/api/v1/messages", data=told, headers=api.headers)
    assert answer.status_code == 400
    assert answer.json
    assert answer.json["errors"][0]["field"] == "last"


def test_a_thousand_faults_make_no_large_answer(api: Api) -> None:
    odd = {f"odd{n}": n for n in range(20_000)}
    for wrong in ({"custom_text": [1] * 100_000}, odd, {"data": {f"{n}!": n for n in range(5000)}}):
        answer = api.post("/messages", a_request(**wrong))
        assert answer.status_code == 422
        assert len(answer.data) < 40_000
    answer = api.post("/messages", a_request(reference=["x" * 5000]))
    assert len(answer.data) < 1000


def test_the_same_key_and_body_give_the_same_message(api: Api) -> None:
    first = api.post("/messages", a_request(), **{"Idempotency-Key": "k1"})
    again = api.post("/messages", a_request(), **{"Idempotency-Key": "k1"})
    assert (again.status_code, again.json["id"]) == (202, first.json["id"])
    other = api.post("/messages", a_request(to="12025550144"), **{"Idempotency-Key": "k1"})
    is_problem(other, 409)
    assert len(api.get("/messages").json["items"]) == 1


def test_a_racing_key_queues_once(app: Flask, api: Api) -> None:
    def post(_: int) -> str:
        caller = Api(app, api.headers["Authorization"].removeprefix("Bearer "))
        answer = caller.post("/messages", a_request(), **{"Idempotency-Key": "race"})
        assert answer.status_code == 202
        return str(answer.json["id"])

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(post, range(12)))) == 1


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Basic eDp5", "Bearer \x7f"])
def test_without_an_active_token_it_is_401(client: FlaskClient, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    answer = client.get("/api/v1/messages", headers=headers)
    is_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_revoked_token_is_refused_at_once(
    api: Api, session_factory: Sessions, now: datetime
) -> None:
    assert api.get("/messages").status_code == 200
    accounts.revoke_token(session_factory, "tests", actor="test", now=now)
    is_problem(api.get("/messages"), 401)


def test_pages_of_messages_follow_each_other(api: Api, session_factory: Sessions) -> None:
    ids = [str(queued(session_factory)) for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.get("/messages", **query).json
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]


def test_filters_find_by_each_key(api: Api, session_factory: Sessions, now: datetime) -> None:
    wanted = accepted(
        session_factory, "WANTED", reference="r 1", campaign_ref="77", mms_id="1",
        pass_data={"CUSTOMPASSID": "p1"}, to="12025550111",
    )  # fmt: skip
    queued(session_factory)
    body = a_postback("N102", TRACKINGID="WANTED", TO="12025550111", HANDSET="h1", SPID="0000001")
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=body)
    hour = timedelta(hours=1)
    for query in (
        {"status": "delivered"}, {"status": "delivered,sent"}, {"to": "+1 202 555 0111"},
        {"tracking_id": "WANTED=="}, {"reference": "r 1"}, {"custom_pass_id": "p1"},
        {"campaign_ref": "77"}, {"mms_id": "1"}, {"spid": "0000001"}, {"handset": "h1"},
        {"code": "N102"}, {"code": "n102"},
        {"created_from": (now - hour).isoformat(), "status": "delivered"},
        {"created_to": (now + hour).isoformat(), "status": "delivered"},
    ):  # fmt: skip
        found = [item["id"] for item in api.get("/messages", **query).json["items"]]
        assert found == [str(wanted)], query
    assert api.get("/messages", created_to=(now - hour).isoformat()).json["items"] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "gone"), ("to", "abc"), ("limit", "0"), ("limit", "201"), ("limit", "x"),
        ("cursor", "x"), ("cursor", "////"), ("cursor", HUGE_CURSOR),
        ("created_from", "yesterday"), ("colour", "red"),
        ("reference", "x" * 300), ("tracking_id", "\0"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(api: Api, name: str, value: str) -> None:
    document = is_problem(api.get("/messages", **{name: value}), 400)
    assert document["errors"][0]["field"] == name


def test_cancel_and_resend(api: Api, session_factory: Sessions) -> None:
    public_id = queued(session_factory, reference="order 8")
    is_problem(api.post(f"/messages/{public_id}/resend"), 409)
    assert api.post(f"/messages/{public_id}/cancel").json["status"] == "cancelled"
    is_problem(api.post(f"/messages/{public_id}/cancel"), 409)
    again = api.post(f"/messages/{public_id}/resend")
    assert again.status_code == 202
    assert (again.json["status"], again.json["reference"]) == ("queued", "order 8")
    is_problem(api.post(f"/messages/{public_id}/resend"), 409)
    assert len(api.get("/messages").json["items"]) == 2
    assert again.json["custom_pass_id"] != api.get(f"/messages/{public_id}").json["custom_pass_id"]


@pytest.mark.parametrize("path", ["", "/cancel", "/resend"])
@pytest.mark.parametrize("name", ["nonsense", "00000000-0000-4000-8000-000000000000", "%00"])
def test_an_unknown_message_is_404(api: Api, path: str, name: str) -> None:
    method = api.post if path else api.get
    is_problem(method(f"/messages/{name}{path}"), 404)


@pytest.mark.parametrize("path", ["", "/raw", "/replay"])
@pytest.mark.parametrize("name", ["x", "0", "-1", "9" * 30, "1e3"])
def test_an_unknown_postback_is_404(api: Api, path: str, name: str) -> None:
    method = api.post if path == "/replay" else api.get
    is_problem(method(f"/postbacks/{name}{path}"), 404)


def test_a_postback_is_visible_at_once_with_its_fields(api: Api, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    for _ in range(3):
        api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=a_postback("N102"))
    (item,) = api.get("/postbacks").json["items"]
    whole = api.get(f"/postbacks/{item['id']}").json
    assert whole == {**item, "headers": whole["headers"]}
    assert item["message_id"] == str(public_id)
    assert (item["outcome"], item["repeats"]) == ("applied", 2)
    assert item["timestamp"] == "2026-11-20T12:20:49Z"
    assert (item["kind"], item["state"], item["code"]) == ("mms", "delivered", "N102")
    assert "from_mask" not in item


def test_postbacks_are_filtered_and_paged(api: Api, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    for code in ("N101", "N102", "N333"):
        api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=a_postback(code))
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=a_postback(TRACKINGID="other"))

    def codes(**query: object) -> list[str]:
        return [item["code"] for item in api.get("/postbacks", **query).json["items"]]

    assert codes(outcome="unmatched") == ["N102"]
    assert codes(code="N333") == codes(code="n333") == ["N333"]
    assert codes(kind="unknown") == ["N333"]
    assert codes(tracking_id="TU1TXzEyMzQ2=") == ["N333", "N102", "N101"]
    assert codes(message_id=str(public_id)) == ["N333", "N102", "N101"]
    assert codes(message_id=str(uuid4())) == []
    first = api.get("/postbacks", limit=3).json
    assert [
        i["code"] for i in api.get("/postbacks", cursor=first["next_cursor"]).json["items"]
    ] == ["N101"]
    is_problem(api.get("/postbacks", outcome="lost"), 400)
    is_problem(api.get("/postbacks", message_id="x"), 400)


@pytest.mark.parametrize(
    ("path", "name", "says"),
    [
        ("/messages", "staus", "did you mean status? Known are status, to, "),
        ("/messages", "Limit", "did you mean limit? "),
        ("/postbacks", "code_", "did you mean code? "),
        ("/postbacks", "q", "known are outcome, code, "),
        ("/batches", "curser", "did you mean cursor? "),
        ("/reports/summary", "groupby", "did you mean group_by? "),
        ("/templates", "status", "known are limit, cursor"),
    ],
)
def test_a_mistyped_filter_is_refused_with_the_one_that_is_meant(
    api: Api, path: str, name: str, says: str
) -> None:
    problem = is_problem(api.get(path, **{name: "failed"}), 400)
    assert problem["errors"][0]["field"] == name
    assert problem["detail"].startswith(f"{name} is not a filter; {says}")


def test_a_quarantined_postback_is_listed_with_its_reason(api: Api) -> None:
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=b"<POSTBACK><CODE>")
    (item,) = api.get("/postbacks", outcome="quarantined").json["items"]
    assert item["outcome_reason"]
    assert item["message_id"] is None
    is_problem(api.post(f"/postbacks/{item['id']}/replay"), 409)


def test_a_repair_is_said_in_the_reason_and_adds_no_field(api: Api) -> None:
    body = a_postback("N333", STATUSDETAILS="a & b")
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=body)
    (item,) = api.get("/postbacks").json["items"]
    assert "bare &" in item["outcome_reason"]
    assert "remarks" not in item


def test_a_shelved_postback_can_be_replayed(api: Api) -> None:
    api.client.post(f"/postbacks/{POSTBACK_TOKEN}", data=a_postback("N102"))
    (item,) = api.get("/postbacks").json["items"]
    assert api.post(f"/postbacks/{item['id']}/replay").json["outcome"] == "unmatched"


def test_unknown_addresses_and_methods_have_the_same_shape(api: Api) -> None:
    is_problem(api.get("/nothing"), 404)
    is_problem(api.client.delete("/api/v1/messages", headers=api.headers), 405)
    is_problem(api.client.get("/api/nothing"), 404)


def test_the_token_is_not_needed_in_the_address_and_not_in_the_log(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        api.post("/messages", a_request())
        api.client.post("/postbacks/wrong-token-here", data=a_postback())
    assert NUMBER not in caplog.text
    assert "wrong-token-here" not in caplog.text
    assert "pdt_" not in caplog.text
