"""The API of batches: files come in, are followed, held and cancelled, and tell of it."""

import csv
import io
import json
from datetime import datetime
from typing import Any

import pytest
from batch_support import a_file, a_row, later
from flask import Flask
from flask.testing import FlaskClient

from tracker.services import accounts
from tracker.services.batch_work import BatchWorker
from tracker.store import batches as stored
from tracker.store.db import Sessions


class Caller:
    """A program with a token."""

    def __init__(self, app: Flask, sessions: Sessions, token: str) -> None:
        self.client: FlaskClient = app.test_client()
        self.sessions = sessions
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **query: object) -> Any:
        return self.client.get(f"/api/v1{path}", query_string=query, headers=self.headers)

    def post(self, path: str, **query: object) -> Any:
        return self.client.post(f"/api/v1{path}", query_string=query, headers=self.headers)

    def send(self, content: bytes, key: str | None = None, **query: object) -> Any:
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        return self.client.post(
            "/api/v1/batches", data=content, content_type="text/csv",
            query_string=query, headers=headers,
        )  # fmt: skip

    def work(self) -> None:
        worker = BatchWorker(self.sessions, later)
        while worker.turn():
            pass


@pytest.fixture
def api(app: Flask, session_factory: Sessions, now: datetime) -> Caller:
    made = accounts.create_token(session_factory, "tests", actor="test", now=now)
    return Caller(app, session_factory, made.token)


def table(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_file_is_taken_checked_queued_and_told_of(api: Caller) -> None:
    answer = api.send(a_file(3), name="spring")
    assert answer.status_code == 202, answer.text
    assert (answer.json["status"], answer.json["name"]) == ("checking", "spring")
    api.work()
    shown: Any = api.client.get(answer.headers["Location"], headers=api.headers).json
    assert (shown["status"], shown["rows"], shown["queued_rows"]) == ("queued", 3, 3)
    assert shown["counts"] == {"queued": 3}
    assert shown["format"] == {"encoding": "utf-8", "separator": "comma", "has_bom": False}
    assert shown["columns"][0] == {"header": "to", "field": "to"}
    assert shown["progress"] == 1.0
    (listed,) = api.get("/batches").json["items"]
    assert listed["id"] == shown["id"]


def test_messages_tell_their_batch_and_are_found_by_it(api: Caller) -> None:
    first = api.send(a_file(2)).json["id"]
    api.send(a_file([a_row(9)]))
    api.work()
    items = api.get("/messages", batch_id=first).json["items"]
    assert [item["batch_id"] for item in items] == [first, first]
    assert api.get("/messages", batch_id="x").status_code == 400


def test_a_form_brings_file_and_fields(api: Caller) -> None:
    form = {
        "file": (io.BytesIO(b"Handy;Rest\n12025550143;x\n"), "rows.csv"),
        "defaults": json.dumps({"mms_id": "45633", "pass_data": {"barcodevalue": "A"}}),
        "mapping": json.dumps({"handy": "to", "Rest": None}),
        "dry_run": "1",
    }
    answer = api.client.post("/api/v1/batches", data=form, headers=api.headers)
    assert answer.status_code == 202, answer.text
    assert answer.json
    assert (answer.json["name"], answer.json["dry_run"]) == ("rows.csv", True)
    api.work()
    assert api.get(f"/batches/{answer.json['id']}").json["status"] == "checked"
    assert api.get("/messages").json["items"] == []


def test_unknown_columns_are_named_with_the_near_one(api: Caller) -> None:
    answer = api.send(b"to,mmsid,colour\n1,2,3\n")
    assert answer.status_code == 422
    found = {error["field"]: error["detail"] for error in answer.json["errors"]}
    assert "did you mean mms_id" in found["mmsid"]
    assert "is not a field" in found["colour"]
    assert api.get("/batches").json["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"colour": "1"}, "colour"), ({"encoding": "ebcdic"}, "encoding"),
        ({"separator": "x"}, "separator"), ({"dry_run": "maybe"}, "dry_run"),
        ({"defaults": "[1]"}, "defaults"), ({"mapping": "{"}, "mapping"),
        ({"mapping": '{"to": 1}'}, "mapping.to"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_of_a_batch_is_named(api: Caller, query: Any, field: str) -> None:
    answer = api.send(a_file(), **query)
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"] == field


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00" * 300, b'to,"mms_id\n1,2'])
def test_a_file_without_a_header_row_is_refused(api: Caller, content: bytes) -> None:
    assert api.send(content).status_code == 422
    assert api.get("/batches").json["items"] == []


def test_the_same_key_and_file_give_the_same_batch(api: Caller) -> None:
    first = api.send(a_file(2), key="k1")
    assert first.status_code == 202
    again = api.send(a_file(2), key="k1")
    assert (again.status_code, again.json["id"]) == (202, first.json["id"])
    assert api.send(a_file(3), key="k1").status_code == 409
    assert api.send(a_file(2), key="k1", dry_run=1).status_code == 409
    assert len(api.get("/batches").json["items"]) == 1


def test_errors_come_as_a_file_whose_cells_are_safe(api: Caller) -> None:
    rows = [a_row(1), a_row(2, to="=1+1"), a_row(3, to="@SUM(A1)")]
    batch_id = api.send(a_file(rows)).json["id"]
    api.work()
    found = table(api.get(f"/batches/{batch_id}/errors.csv"))
    assert [(e["row"], e["column"], e["value"]) for e in found] == [
        ("2", "to", "'=1+1"), ("3", "to", "'@SUM(A1)"),
    ]  # fmt: skip
    assert table(api.get(f"/batches/{batch_id}/errors.csv", warnings=1)) != found


def test_the_result_has_every_row_in_the_order_of_the_file(api: Caller) -> None:
    rows = [a_row(1), a_row(2, to="12"), a_row(3), a_row(4, mms_id="x"), a_row(5)]
    batch_id = api.send(a_file(rows), skip_wrong_rows=1).json["id"]
    api.work()
    found = table(api.get(f"/batches/{batch_id}/result.csv"))
    assert [(r["row"], r["status"]) for r in found] == [
        ("1", "queued"), ("2", "not_queued"), ("3", "queued"), ("4", "not_queued"),
        ("5", "queued"),
    ]  # fmt: skip
    assert found[0]["to"] == "12025550001"
    assert "7 to 15 digits" in found[1]["status_reason"]


def test_a_batch_is_paused_resumed_and_cancelled(api: Caller) -> None:
    batch_id = api.send(a_file(3)).json["id"]
    api.work()
    assert api.post(f"/batches/{batch_id}/pause").json["status"] == "pausing"
    api.work()
    assert api.get(f"/batches/{batch_id}").json["status"] == "paused"
    message = api.get("/messages", batch_id=batch_id).json["items"][0]
    assert message["status"] == "queued"
    assert "batch is paused" in message["status_reason"]
    assert api.post(f"/batches/{batch_id}/pause").status_code == 409
    assert api.post(f"/batches/{batch_id}/resume").status_code == 200
    api.work()
    assert api.post(f"/batches/{batch_id}/cancel").status_code == 200
    api.work()
    shown = api.get(f"/batches/{batch_id}").json
    assert (shown["status"], shown["counts"]) == ("cancelled", {"cancelled": 3})


def test_a_refused_batch_is_started_without_its_wrong_rows(api: Caller) -> None:
    batch_id = api.send(a_file([a_row(1), a_row(2, to="12")])).json["id"]
    api.work()
    assert api.get(f"/batches/{batch_id}").json["status"] == "refused"
    assert api.post(f"/batches/{batch_id}/start").status_code == 409
    assert api.post(f"/batches/{batch_id}/start", skip_wrong_rows=1).status_code == 200
    api.work()
    assert api.get(f"/batches/{batch_id}").json["queued_rows"] == 1


def test_the_same_file_again_is_pointed_out(api: Caller) -> None:
    first = api.send(a_file(2)).json["id"]
    api.work()
    assert api.send(a_file(2)).json["same_file_as"] == first


@pytest.mark.parametrize("path", ["", "/errors.csv", "/result.csv", "/pause", "/resume", "/cancel"])
@pytest.mark.parametrize("name", ["x", "00000000-0000-4000-8000-000000000000"])
def test_an_unknown_batch_is_404(api: Caller, path: str, name: str) -> None:
    ask = api.get if path in ("", "/errors.csv", "/result.csv") else api.post
    assert ask(f"/batches/{name}{path}").status_code == 404


def test_other_requests_keep_their_own_limit(api: Caller) -> None:
    body = b'{"to": "' + b"1" * 1_100_000 + b'"}'
    assert api.client.post("/api/v1/messages", data=body, headers=api.headers).status_code == 413
    answer = api.send(a_file(2) + b"\n" * 1_100_000)
    assert answer.status_code == 202


def test_a_batch_beyond_the_limit_is_413_and_leaves_nothing(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracker.services.batches.MAX_BYTES", 1000)
    assert api.send(a_file(100)).status_code == 413
    with api.sessions() as session:
        assert stored.page(session, limit=5).items == []


def test_pages_of_batches_follow_each_other(api: Caller) -> None:
    ids = [api.send(a_file(1)).json["id"] for _ in range(3)]
    page = api.get("/batches", limit=2).json
    rest = api.get("/batches", limit=2, cursor=page["next_cursor"]).json
    assert [item["id"] for item in page["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None
