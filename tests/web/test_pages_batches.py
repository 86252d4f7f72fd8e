"""The pages of batches: from a file to its columns, its progress and what people do with it."""

import csv
import io
import re

import pytest
from batch_support import a_file, a_row, done, later, received
from flask import Flask
from flask.testing import FlaskClient
from pages_support import press, token_of, visitor, words
from werkzeug.test import TestResponse

from tracker.services.batch_work import BatchWorker
from tracker.store.db import Sessions
from tracker.store.models import Role


def work(sessions: Sessions) -> None:
    worker = BatchWorker(sessions, later)
    while worker.turn():
        pass


def upload(client: FlaskClient, content: bytes, name: str = "spring.csv") -> TestResponse:
    form = {
        "csrf_token": token_of(client.get("/batches/new")),
        "file": (io.BytesIO(content), name),
    }
    return client.post("/batches/new", data=form, content_type="multipart/form-data")


def test_a_file_goes_from_its_columns_over_a_check_into_the_queue(
    app: Flask, session_factory: Sessions
) -> None:
    client = visitor(app)
    sent = upload(client, b"Handy;Ticket\n+1 202 555 0143;A-17\n12025550144;A-18\n")
    assert sent.status_code == 303
    place = sent.headers["Location"]
    page = client.get(place)
    assert "Handy" in page.text
    assert "with semicolon between the cells" in words(page)
    assert "A-17" in page.text  # the first rows are shown
    checked = press(
        client, f"{place}/columns",
        **{"column-0": "to", "column-1": "pass.barcodevalue", "mms_id": "45633", "do": "check"},
    )  # fmt: skip
    assert checked.status_code == 303, checked.text
    work(session_factory)
    page = client.get(place)
    assert "Queue 2 rows" in words(page)
    assert press(client, f"{place}/start").status_code == 303
    work(session_factory)
    shown = words(client.get(place))
    assert "Queued 2" in shown
    batch_id = place.rpartition("/")[2]
    listed = client.get(f"/messages?batch_id={batch_id}")
    assert listed.text.count("message-table__status") == 2
    message = re.search(r'href="(/messages/[0-9a-f-]{36})"', listed.text)
    assert message
    assert f'A row of the batch <a href="{place}">spring.csv</a>' in client.get(message[1]).text


def test_a_wrong_mapping_is_said_beside_its_column_and_kept(app: Flask) -> None:
    client = visitor(app)
    place = upload(client, b"Handy,Ticket\n12025550143,A-17\n").headers["Location"]
    form = {"column-0": "to", "column-1": "barcode", "more": "pass.nothing=1"}
    page = press(client, f"{place}/columns", **form)
    assert page.status_code == 422
    assert "pass.nothing" in page.text
    page = press(client, f"{place}/columns", **{**form, "more": "", "mms_id": "x"})
    assert page.status_code == 422
    assert "is not the id of a stored MMS" in words(page)
    page = press(client, f"{place}/columns", **{**form, "more": ""})
    assert "is not a field" in words(page)
    assert 'value="barcode"' in page.text


@pytest.mark.parametrize("content", [b"", b"\x00" * 500, b'"to'])
def test_an_unreadable_file_is_explained_on_the_form(app: Flask, content: bytes) -> None:
    page = upload(visitor(app), content)
    assert page.status_code in (303, 422)
    if content != b'"to':
        assert "It cannot be read" in words(page)


def test_wrong_rows_are_shown_and_downloaded(app: Flask, session_factory: Sessions) -> None:
    batch = done(session_factory, a_file([a_row(1), a_row(2, to="<b>12</b>")]))
    client = visitor(app)
    page = client.get(f"/batches/{batch.public_id}")
    assert "1 of 2 rows are wrong" in words(page)
    assert "<b>12</b>" not in page.text
    answer = client.get(f"/batches/{batch.public_id}/errors.csv")
    assert [row[:2] for row in csv.reader(io.StringIO(answer.text))] == [
        ["row", "column"], ["2", "to"],
    ]  # fmt: skip
    assert client.get(f"/batches/{batch.public_id}/result.csv").status_code == 200


def test_a_viewer_sees_and_may_not_act(app: Flask, session_factory: Sessions) -> None:
    batch = done(session_factory)
    draft = received(session_factory, is_draft=True)
    client = visitor(app, Role.VIEWER)
    assert client.get("/batches").status_code == 200
    page = client.get(f"/batches/{batch.public_id}")
    assert not re.search(r'id="(pause|cancel)"', page.text)
    assert client.get(f"/batches/{draft.public_id}").status_code == 200
    assert client.get("/batches/new").status_code == 403
    for action in ("pause", "cancel", "resume", "start", "columns"):
        assert press(client, f"/batches/{batch.public_id}/{action}").status_code == 403


def test_a_cancel_says_first_how_many_it_takes(app: Flask, session_factory: Sessions) -> None:
    batch = done(session_factory, a_file(4))
    client = visitor(app)
    page = client.get(f"/batches/{batch.public_id}")
    assert "4 messages that are still queued will be cancelled" in words(page)
    assert press(client, f"/batches/{batch.public_id}/pause").status_code == 303
    work(session_factory)
    assert "Paused" in words(client.get(f"/batches/{batch.public_id}"))
    press(client, f"/batches/{batch.public_id}/cancel")
    work(session_factory)
    assert "What was still queued was cancelled" in words(client.get(f"/batches/{batch.public_id}"))


def test_the_live_part_comes_only_when_it_changed(app: Flask, session_factory: Sessions) -> None:
    batch = done(session_factory)
    client = visitor(app)
    page = client.get(f"/batches/{batch.public_id}")
    found = re.search(r'hx-get="([^"]+)"', page.text)
    assert found
    live = found[1].replace("&amp;", "&")
    assert client.get(live).status_code == 204
    press(client, f"/batches/{batch.public_id}/pause")
    assert "Being paused" in client.get(live).text


def test_the_list_names_the_newest_first(app: Flask, session_factory: Sessions) -> None:
    for name in ("older.csv", "newer.csv"):
        done(session_factory, name=name)
    page = words(visitor(app).get("/batches"))
    assert page.index("newer.csv") < page.index("older.csv")


def test_without_a_login_nothing_is_read(app: Flask) -> None:
    client = app.test_client()
    answer = client.post("/batches/new", data={"file": (io.BytesIO(a_file()), "x.csv")})
    assert answer.status_code == 302
    assert client.get("/batches").status_code == 302
