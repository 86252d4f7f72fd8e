"""The drop-in endpoint over HTTP: every client there is, and nothing in the logs."""

import csv
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
import requests
from builders import NUMBER
from conftest import POSTBACK_TOKEN, SHARED
from dropin_support import (
    CLIENTS,
    PATH,
    PATIENCE,
    Client,
    Wire,
    a_document,
    a_query,
    bare,
    by_get,
    form,
    said,
    serving,
    wired,
)
from flask import Flask
from flask.testing import FlaskClient

from tracker import logs
from tracker.config import Settings
from tracker.domain.status import Status
from tracker.protocol.request import from_xml
from tracker.protocol.response import GatewayResponse, parse_response
from tracker.sandbox.fixture import API_KEY
from tracker.sandbox.server import RunningSandbox
from tracker.services import accounts
from tracker.store import db, messages
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter
from tracker.store.models import Scope
from tracker.store.rows import MessageRow
from tracker.web import create_app

SAMPLES = SHARED / "samples"


@pytest.fixture
def settings(settings: Settings, sandbox: RunningSandbox) -> Settings:
    return replace(settings, gateway_url=sandbox.gateway_url, gateway_api_key=API_KEY)


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    with serving(app) as address:
        yield address


@pytest.fixture
def key(session_factory: Sessions, now: object) -> str:
    return accounts.create_token(session_factory, "shop", actor="test", now=now).token  # type: ignore[arg-type]


def all_messages(sessions: Sessions) -> list[MessageRow]:
    with sessions() as session:
        return messages.search(session, MessageFilter(), limit=100).items


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_every_client_is_served_and_its_message_tracked(
    url: str, key: str, session_factory: Sessions, client: Client
) -> None:
    answer = said(client(url, a_document(key, PASSDATA="<BARCODEVALUE>Ü-17</BARCODEVALUE>")))
    (row,) = all_messages(session_factory)
    assert (row.status, row.tracking_id) == (Status.ACCEPTED, answer.tracking_id)
    assert (answer.to, answer.from_, answer.mms_id) == (NUMBER, "11111", "45633")
    with session_factory() as session:
        assert messages.content(session, row.id).pass_data["BARCODEVALUE"] == "Ü-17"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_unescaped_text_is_refused_whoever_sends_it(
    url: str, key: str, session_factory: Sessions, client: Client
) -> None:
    document = a_document(key, "<CUSTOMSUBJECT>Fish & Chips <3</CUSTOMSUBJECT>")
    assert said(client(url, document)).error_code == "E108"
    assert all_messages(session_factory) == []


def test_a_get_call_is_a_message_too(url: str, key: str, session_factory: Sessions) -> None:
    query = a_query(
        key, customtext_2="Hello", data_first_name="John", customsubject="S", ddmtext="D"
    )
    answer = said(by_get(url, query))
    (row,) = all_messages(session_factory)
    assert row.tracking_id == answer.tracking_id
    with session_factory() as session:
        content = messages.content(session, row.id)
    assert content.custom_text == [{"slide": 2, "value": "Hello"}]
    assert (content.data, content.custom_subject) == ({"FIRST_NAME": "John"}, "S")


def test_the_address_works_without_its_last_part(url: str, key: str) -> None:
    assert said(form(url.removesuffix("index.php"), a_document(key))).is_success


def test_action_and_element_names_are_free_in_case_and_order(url: str, key: str) -> None:
    document = (
        f"<request><passdata><barcodevalue>1</barcodevalue></passdata><from>11111</from>"
        f"<To> {NUMBER} </To><mmsid>45633</mmsid><Api_Key>{key}</Api_Key>"
        "<action>SENDPASSINMMS</action></request>"
    )
    assert said(bare(url, document)).is_success


def samples() -> list[str]:
    if not (SAMPLES / "INDEX.csv").is_file():
        return []
    rows = csv.DictReader((SAMPLES / "INDEX.csv").read_text(encoding="utf-8").splitlines())
    return [row["file"] for row in rows if row["kind"] == "request"]


@pytest.mark.parametrize("name", samples())
def test_a_sample_request_is_accepted_and_passed_on_whole(
    url: str, key: str, sandbox: RunningSandbox, name: str
) -> None:
    text = (SAMPLES / name).read_text(encoding="utf-8")
    assert said(form(url, text.replace(API_KEY, key))).is_success
    asked, passed = from_xml(text), sandbox.calls[-1].request
    assert passed is not None
    ours = passed.pass_data["CUSTOMPASSID"]
    assert passed == replace(asked, pass_data={"CUSTOMPASSID": ours, **asked.pass_data})


def test_postbacks_reach_the_message_even_before_the_answer(
    url: str, key: str, sandbox: RunningSandbox, session_factory: Sessions
) -> None:
    sandbox.post_to(url.removesuffix(PATH) + f"/postbacks/{POSTBACK_TOKEN}")
    assert said(form(url, a_document(key, TO="12025559011"))).is_success
    (row,) = all_messages(session_factory)
    assert row.status is Status.DELIVERED


def test_a_body_over_the_limit_is_an_http_error(
    url: str, key: str, session_factory: Sessions
) -> None:
    large = a_document(key, " " * 1_100_000)
    for body in (large.encode(), iter([large[:600_000].encode(), large[600_000:].encode()])):
        answer = requests.post(url, data=body, timeout=PATIENCE)
        assert answer.status_code == 413
    assert all_messages(session_factory) == []


def test_half_a_body_is_never_sent(
    client: FlaskClient, key: str, session_factory: Sessions
) -> None:
    longer = {"CONTENT_LENGTH": "9999"}
    answer = client.post(PATH, data=a_document(key), environ_overrides=longer)
    assert answer.status_code == 400
    assert all_messages(session_factory) == []


def test_a_head_request_sends_nothing(url: str, key: str, session_factory: Sessions) -> None:
    answer = requests.head(f"{url}?{urlencode(a_query(key))}", timeout=PATIENCE)
    assert answer.status_code == 200
    assert all_messages(session_factory) == []


def test_scopes_and_limits_are_told_with_http_200_as_all_refusals(
    url: str, session_factory: Sessions, now: datetime
) -> None:
    reader = a_narrow_key(session_factory, now, Scope.READ)
    sender = a_narrow_key(session_factory, now, Scope.SEND)
    assert said(form(url, a_document(reader))).error_code == "E105"
    assert said(form(url, a_document(sender))).is_success
    codes = {said(by_get(url, a_query(sender))).error_code for _ in "123"}
    assert codes <= {None, "E106"}  # a minute may end meanwhile
    assert "E106" in codes


def a_narrow_key(sessions: Sessions, now: datetime, scope: Scope) -> str:
    """Return a key that may do this alone, once a minute."""
    return accounts.create_token(
        sessions, scope, scopes=[scope], rate_per_minute=1, actor="test", now=now
    ).token


def test_other_methods_and_addresses_are_errors_for_programs(client: FlaskClient) -> None:
    for answer, status in ((client.put(PATH), 405), (client.get("/gateway/1.4/"), 404)):
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_no_answer_may_be_kept_by_anybody(client: FlaskClient, key: str) -> None:
    assert client.get(PATH, query_string=a_query(key)).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("declared", ["ISO-8859-1", "UTF-8"])
def test_an_answer_keeps_its_bytes_and_its_encoding(
    settings: Settings, session_factory: Sessions, key: str, declared: str
) -> None:
    text = f"<?xml version='1.0' encoding='{declared}'?><RESPONSE><STATUS>Failure</STATUS>"
    text += "<ERRORCODE>E4711</ERRORCODE><ERRORINFO> Müde</ERRORINFO></RESPONSE>"
    with wired(Wire(answer=text.encode(declared), status=403)) as wire:
        app = create_app(replace(settings, gateway_url=wire.url))
        answer = app.test_client().post(PATH, data={"xml": a_document(key)})
        db.engine_of(app.extensions["tracker.sessions"]).dispose()
    assert (answer.status_code, answer.data) == (200, text.encode(declared))
    assert answer.mimetype == "text/xml"
    assert answer.mimetype_params.get("charset") == ("utf-8" if declared == "UTF-8" else None)
    assert all_messages(session_factory)[0].error_info == "Müde"


def test_without_a_gateway_the_answer_says_so(settings: Settings, key: str) -> None:
    app = create_app(replace(settings, gateway_url=None))
    answer = said_here(app.test_client(), a_document(key))
    assert (answer.error_code, answer.to) == ("E503", NUMBER)
    assert "no gateway" in (answer.error_info or "")
    db.engine_of(app.extensions["tracker.sessions"]).dispose()


def said_here(client: FlaskClient, document: str) -> GatewayResponse:
    answer = client.post(PATH, data={"xml": document})
    assert (answer.status_code, answer.mimetype) == (200, "text/xml")
    return parse_response(answer.text)


def test_a_database_that_is_away_is_answered_in_the_gateways_words(
    sqlite_url: str, settings: Settings, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(replace(settings, database_url=sqlite_url))
    Path(sqlite_url.removeprefix("sqlite:///")).rename(settings.spool_dir.with_name("away.db"))
    answer = said_here(app.test_client(), a_document("pdt_secret"))
    assert (answer.error_code, answer.to) == ("E503", NUMBER)
    assert "Not sent" in (answer.error_info or "")
    assert sandbox.calls == []
    assert "Traceback" not in caplog.text
    assert "pdt_secret" not in caplog.text


def test_no_log_line_holds_the_key_of_a_get_call(
    key: str, app: Flask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.configure()
    try:
        app.test_client().get(PATH, query_string=a_query(key))
        address = f"{PATH}?{urlencode(a_query(key))}"
        for name in ("gunicorn.error", "flask.app"):
            logging.getLogger(name).error("Invalid request line: %s", f"'GET {address} HTTP/1.1'")
            logging.getLogger(name).error("%s", f"/gateway/1.3/?%61pi_key={quote(key)}&x=1")
        monkeypatch.setitem(app.extensions, "tracker.drop_in", None)  # a fault of ours
        assert said_here(app.test_client(), a_document(key)).error_code == "E503"
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    lines = capsys.readouterr().err
    assert "drop-in call made" in lines
    assert "Invalid request line" in lines
    assert "drop-in call failed" in lines
    assert key not in lines
    assert NUMBER not in lines


def test_a_message_that_our_own_checks_would_refuse_cannot_be_sent_again_from_here(
    client: FlaskClient, key: str, sandbox: RunningSandbox, session_factory: Sessions
) -> None:
    fields = "<BARCODEVALUE>1</BARCODEVALUE><IBEACONUUID1>beef</IBEACONUUID1>"
    for document in (a_document(key, PASSDATA=fields), a_document(key)):
        assert said_here(client, document).is_success
    plain, odd = all_messages(session_factory)
    answers = [
        client.post(
            f"/api/v1/messages/{row.public_id}/resend", headers={"Authorization": f"Bearer {key}"}
        )
        for row in (odd, plain)
    ]
    assert [answer.status_code for answer in answers] == [409, 202]
    assert "IBEACONUUID1" in answers[0].text
    assert len(all_messages(session_factory)) == 3
