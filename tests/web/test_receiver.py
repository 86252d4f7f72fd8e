"""The receiver's contract: PROTOCOL 6.10, over the application and over real gunicorn."""

import socket
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import pytest
from builders import a_postback, accepted, reloaded
from conftest import POSTBACK_TOKEN
from flask.testing import FlaskClient

from tracker.config import Settings
from tracker.services import accounts
from tracker.store import db
from tracker.store.db import Sessions
from tracker.store.spool import Spool
from tracker.web import create_app

URL = f"/postbacks/{POSTBACK_TOKEN}"
XML = a_postback("N102")


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (XML, "text/xml"),
        (XML, "application/x-www-form-urlencoded"),
        (XML, None),
        (XML, "nonsense/;;; charset=nope"),
        (b"\xef\xbb\xbf\r\n " + XML, "text/xml; charset=utf-8"),
        (XML.decode().replace("<?xml version='1.0'?>", "").encode("utf-16"), "text/xml"),
        ({"xml": XML.decode()}, None),
        ({"XML": XML.decode()}, "multipart/form-data"),
        ({"other": "1", "Xml": XML.decode()}, "multipart/form-data"),
    ],
)
def test_every_transport_is_read(
    client: FlaskClient, session_factory: Sessions, data: bytes | dict[str, str], content_type: str
) -> None:
    public_id = accepted(session_factory)
    answer = client.post(URL, data=data, content_type=content_type)
    assert answer.status_code == HTTPStatus.OK
    assert answer.text.startswith("applied: ")
    assert reloaded(session_factory, public_id).status.value == "delivered"


def test_the_headers_of_the_first_are_kept_without_secrets(
    client: FlaskClient, session_factory: Sessions, now: datetime
) -> None:
    api_token = accounts.create_token(session_factory, "t", actor="test", now=now).token
    told = {"User-Agent": "Poster/1", "X-Original-URI": URL, "Authorization": "Basic x"}
    client.post(URL, data=XML, content_type="text/xml", headers=told)
    client.post(URL, data=XML, content_type="text/xml", headers={"User-Agent": "Poster/2"})
    headers = {"Authorization": f"Bearer {api_token}"}
    (item,) = client.get("/api/v1/postbacks", headers=headers).get_json()["items"]
    assert "headers" not in item
    kept = client.get(f"/api/v1/postbacks/{item['id']}", headers=headers).get_json()["headers"]
    found = {one["name"]: one["value"] for one in kept}
    length = str(len(XML))
    host = {"host": "localhost", "content-type": "text/xml", "content-length": length}
    assert found == {**host, "user-agent": "Poster/1"}


def test_a_repeat_is_200_too(client: FlaskClient, session_factory: Sessions) -> None:
    accepted(session_factory)
    client.post(URL, data=XML)
    answer = client.post(URL, data=XML)
    assert (answer.status_code, answer.text.split(":")[0]) == (200, "repeat")


@pytest.mark.parametrize(
    "body",
    [
        b"<POSTBACK><CODE>N101",
        b"<!DOCTYPE POSTBACK [<!ENTITY a 'b'>]><POSTBACK><CODE>&a;</CODE></POSTBACK>",
        b"<POSTBACK></POSTBACK>",
        b"<POSTBACK><CODE>N101</CODE><CODE>N102</CODE></POSTBACK>",
        b"<POSTBACK>" + b"<A>" * 40 + b"</A>" * 40 + b"</POSTBACK>",
        b"<POSTBACK>" + b"<A/>" * 6000 + b"</POSTBACK>",
        b'{"postback": {"code": "N102", "tracking-id": "x"}}',
    ],
    ids=["cut", "doctype", "no code", "two codes", "deep", "many", "json"],
)
def test_what_cannot_be_used_is_quarantined_with_200(client: FlaskClient, body: bytes) -> None:
    answer = client.post(URL, data=body)
    assert (answer.status_code, answer.text.split(":")[0]) == (200, "quarantined")


@pytest.mark.parametrize(
    "body",
    [b"", b" \n", b"hello", b"<html><body>x</body></html>", b'{"a": 1}', b"<RESPONSE/>", b"\0"],
)
def test_what_is_no_postback_is_400(client: FlaskClient, body: bytes) -> None:
    assert client.post(URL, data=body).status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("path", ["/postbacks/wrong", "/postbacks/%00", "/postbacks/%F0%9F%98%80"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_wrong_token_is_404_and_says_nothing(client: FlaskClient, path: str, method: str) -> None:
    assert client.open(path, method=method, data=XML).status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_probing_is_200_without_effect(client: FlaskClient, method: str) -> None:
    assert client.open(URL, method=method).status_code == HTTPStatus.OK


def test_over_the_limit_is_413(client: FlaskClient) -> None:
    body = XML.replace(b"</POSTBACK>", b" " * (1024 * 1024) + b"</POSTBACK>")
    assert client.post(URL, data=body).status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def test_several_tokens_may_be_active(settings: Settings) -> None:
    old_and_new = Settings(
        database_url=settings.database_url, postback_tokens=("old-token", "new-token")
    )
    app = create_app(old_and_new)
    for token in ("old-token", "new-token"):
        assert app.test_client().post(f"/postbacks/{token}", data=XML).status_code == 200
    db.engine_of(app.extensions["tracker.sessions"]).dispose()


@pytest.fixture
def away(tmp_path: Path) -> Iterator[FlaskClient]:
    """An application whose database is away."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = Settings(
        database_url=f"postgresql+psycopg://nobody@127.0.0.1:{port}/none",
        postback_tokens=(POSTBACK_TOKEN,),
        secret_key="a-secret-key-of-the-tests-alone",
        spool_dir=tmp_path / "spool",
    )
    app = create_app(settings)
    app.testing = False
    yield app.test_client()
    app.extensions["tracker.receiver"].stop()


def test_while_the_database_is_away_the_spool_takes_postbacks(
    away: FlaskClient, tmp_path: Path
) -> None:
    answer = away.post(URL, data=XML)
    assert (answer.status_code, answer.text[:8]) == (HTTPStatus.OK, "spooled:")
    assert away.get("/healthz").status_code == HTTPStatus.OK
    ready = away.get("/readyz")
    assert ready.status_code == HTTPStatus.OK
    assert ready.get_json() == {
        "status": "spooling", "database": "down", "spool": "up", "spooled": 1,
    }  # fmt: skip
    assert "tracker_spool_records 1.0" in away.get("/metrics").text
    assert Spool(tmp_path / "spool").state().records == 1
    # An API call is the caller's to repeat, and no trace reaches it.
    answer = away.get("/api/v1/messages", headers={"Authorization": "Bearer x"})
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "Traceback" not in answer.text


def test_without_database_and_spool_it_is_503(away: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    assert away.post(URL, data=XML).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert away.get("/readyz").status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert away.get("/healthz").status_code == HTTPStatus.OK


def test_a_wrong_token_cannot_be_told_before_the_database_was_read(away: FlaskClient) -> None:
    assert away.post("/postbacks/other", data=XML).status_code == HTTPStatus.SERVICE_UNAVAILABLE


def test_readyz_names_the_revision(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == HTTPStatus.OK
    assert answer.get_json()["database"] == "up"


def test_the_bytes_come_back_as_they_came(
    client: FlaskClient, session_factory: Sessions, now: object
) -> None:
    token = accounts.create_token(session_factory, "t", actor="test", now=now).token  # type: ignore[arg-type]
    body = b"xml=%3CPOSTBACK%3E%3CCODE%3EN999%3C%2FCODE%3E%3C%2FPOSTBACK%3E&other=%00"
    client.post(URL, data=body, content_type="application/x-www-form-urlencoded")
    headers = {"Authorization": f"Bearer {token}"}
    (item,) = client.get("/api/v1/postbacks", headers=headers).get_json()["items"]
    raw = client.get(f"/api/v1/postbacks/{item['id']}/raw", headers=headers)
    assert raw.data == body
    assert raw.headers["X-Content-Type-Options"] == "nosniff"
