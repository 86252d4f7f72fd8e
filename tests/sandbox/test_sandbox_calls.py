"""Calls over real HTTP: transports, answers and faults. Source: PROTOCOL 2.1, 2.4, 3, 4.8."""

import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
import requests
from sandbox_support import NUMBER, PATIENCE, a_request, behaving, send

from tracker.protocol.getform import to_query
from tracker.protocol.request import to_xml
from tracker.protocol.response import ResponseFormatError, parse_response
from tracker.sandbox.fixture import API_KEY
from tracker.sandbox.options import Behaviour, SandboxOptions
from tracker.sandbox.server import RunningSandbox, running

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "event-ticket.xml"
SEED = Path(__file__).parents[2].parent / "shared" / "protocol" / "samples" / "request_full.xml"
XML = to_xml(a_request(ddm_text="Zoë & co"))
TEXT = XML.decode("utf-8")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with running(SandboxOptions(time_factor=0.001)) as started:
        yield started


def code_of(answer: requests.Response) -> str | None:
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/xml")
    return parse_response(answer.text).error_code


def post(sandbox: RunningSandbox, **how: object) -> requests.Response:
    return requests.post(sandbox.gateway_url, timeout=PATIENCE, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "how",
    [
        {"data": {"xml": XML}},
        {"data": {"XML": XML}},
        {"data": {"a": "1", "Xml": XML}},
        {"files": {"XML": (None, XML)}},
        {"files": {"xml": ("call.xml", XML, "text/xml")}},
        {"data": XML},
        {"data": XML, "headers": {"Content-Type": "text/xml; charset=utf-8"}},
        {"data": XML, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"data": XML, "headers": {"Content-Type": "multipart/form-data"}},
        {"data": XML, "headers": {"Content-Type": "application/octet-stream"}},
        {"data": urlencode({"xml": XML}).encode("ascii")},
        {"data": TEXT.replace("UTF-8", "UTF-16").encode("utf-16")},
        {"data": TEXT.replace("UTF-8", "ISO-8859-1").encode("latin-1")},
        {"data": iter([XML[:50], XML[50:]]), "headers": {"Content-Type": "text/xml"}},
    ],
)
def test_a_posted_call_is_read_in_every_form(
    sandbox: RunningSandbox, how: dict[str, object]
) -> None:
    answer = post(sandbox, **how)
    assert code_of(answer) is None
    request = sandbox.calls[-1].request
    assert request is not None
    assert request.ddm_text == "Zoë & co"


@pytest.mark.parametrize("path", ["/API/wxml/1.3/index.php", "/API/wxml/1.3/"])
def test_both_addresses_take_both_methods(sandbox: RunningSandbox, path: str) -> None:
    url = sandbox.url + path
    query = urlencode(to_query(a_request()))
    assert code_of(requests.post(url, data=XML, timeout=PATIENCE)) is None
    assert code_of(requests.get(f"{url}?{query}", timeout=PATIENCE)) is None


def test_the_get_form_is_read_with_its_own_names(sandbox: RunningSandbox) -> None:
    request = a_request(action="sendpassinmms", data={"FIRST_NAME": "Zoë"})
    query = urlencode(to_query(request))
    answer = requests.get(f"{sandbox.gateway_url}?{query}", timeout=PATIENCE)
    assert parse_response(answer.text).is_success
    assert sandbox.calls[-1].request == request


def test_an_unescaped_plus_in_a_get_form_is_e110(sandbox: RunningSandbox) -> None:
    query = urlencode(to_query(a_request())).replace(f"to={NUMBER}", f"to=+{NUMBER}")
    assert code_of(requests.get(f"{sandbox.gateway_url}?{query}", timeout=PATIENCE)) == "E110"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "E100"),
        (b"  \n", "E100"),
        (b"xml=", "E108"),
        (b"hello", "E108"),
        (b"{}", "E108"),
        (b"<REQUEST>", "E108"),
        (b"<html></html>", "E108"),
        (b"<REQUEST><ACTION>sendPassInMMS</ACTION><DDMTEXT>a & b</DDMTEXT></REQUEST>", "E108"),
        (b"<!DOCTYPE REQUEST [<!ENTITY a 'b'>]><REQUEST><ACTION>&a;</ACTION></REQUEST>", "E108"),
        (b"<REQUEST><ACTION>\xff\xfe</ACTION></REQUEST>", "E108"),
        (b"<REQUEST/>", "E101"),
        (b"<REQUEST><ACTION>sendPassInMMS</ACTION></REQUEST>", "E102"),
        (b"x" * 1_100_000, "E100"),
    ],
)
def test_what_cannot_be_read_is_refused(sandbox: RunningSandbox, body: bytes, code: str) -> None:
    assert code_of(post(sandbox, data=body)) == code


def test_a_get_without_anything_is_e100(sandbox: RunningSandbox) -> None:
    assert code_of(requests.get(sandbox.gateway_url, timeout=PATIENCE)) == "E100"
    assert code_of(requests.get(sandbox.gateway_url + "?a=b", timeout=PATIENCE)) == "E101"


def test_success_echoes_the_mmsid_and_numbers_the_message(sandbox: RunningSandbox) -> None:
    first, second = (send(sandbox, a_request()) for _ in range(2))
    assert (first.status, first.mms_id, first.to, first.from_) == (
        "Success",
        "45633",
        NUMBER,
        "11111",
    )
    assert first.tracking_id != second.tracking_id
    assert re.fullmatch(r"TU1TX[A-Za-z0-9]+={0,2}", first.tracking_id or "")


def test_failure_echoes_the_number_when_it_is_known(sandbox: RunningSandbox) -> None:
    known = send(sandbox, a_request(to="+1 202"))
    unknown = send(sandbox, a_request(to=None))
    assert (known.status, known.error_code, known.to) == ("Failure", "E110", "+1 202")
    assert (unknown.error_code, unknown.to) == ("E621", None)
    assert known.error_info == "Recipient number is not valid"
    assert known.mms_id is None
    assert known.tracking_id is None


def test_abroad_the_default_sender_is_used(sandbox: RunningSandbox) -> None:
    assert send(sandbox, a_request(to="447700900123")).from_ == "60856"


def test_our_own_example_is_accepted(sandbox: RunningSandbox) -> None:
    document = EXAMPLE.read_text(encoding="utf-8").replace("YOUR-API-KEY", API_KEY)
    assert code_of(post(sandbox, data={"xml": document.encode()})) is None


@pytest.mark.skipif(not SEED.exists(), reason="the dossier is not at hand")
def test_the_seeds_own_request_is_accepted(sandbox: RunningSandbox) -> None:
    assert code_of(post(sandbox, data=SEED.read_bytes())) is None


def test_the_pages_show_calls_and_neither_key_nor_markup(sandbox: RunningSandbox) -> None:
    send(sandbox, a_request(to="<script>alert(1)</script>"))
    page = requests.get(sandbox.url, timeout=PATIENCE)
    calls = requests.get(sandbox.url + "/_sandbox/calls", timeout=PATIENCE)
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert "5559001" in page.text
    assert API_KEY not in page.text + calls.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert calls.json()[-1]["error_code"] == "E110"
    assert requests.get(sandbox.url + "/healthz", timeout=PATIENCE).text == "ok\n"


@pytest.mark.parametrize("fault", ["garbage", "empty"])
def test_an_unreadable_answer_hides_an_accepted_message(fault: str) -> None:
    with running(behaving(Behaviour(answer=fault))) as sandbox:
        answer = post(sandbox, data=XML)
        with pytest.raises(ResponseFormatError):
            parse_response(answer.text)
        assert answer.status_code == 200
        assert len(sandbox.accepted) == 1


def test_an_http_500_hides_an_accepted_message() -> None:
    with running(behaving(Behaviour(answer="http500"))) as sandbox:
        assert post(sandbox, data=XML).status_code == 500
        assert len(sandbox.accepted) == 1


def test_a_connection_closed_without_answer_hides_an_accepted_message() -> None:
    with running(behaving(Behaviour(answer="close"))) as sandbox:
        with pytest.raises(requests.ConnectionError):
            post(sandbox, data=XML)
        assert len(sandbox.accepted) == 1
        assert requests.get(sandbox.url + "/healthz", timeout=PATIENCE).ok


def test_a_slow_answer_comes_after_the_client_has_gone() -> None:
    with running(behaving(Behaviour(answer="slow"))) as sandbox:
        with pytest.raises(requests.ReadTimeout):
            requests.post(sandbox.gateway_url, data=XML, timeout=0.2)
        assert len(sandbox.accepted) == 1


def test_a_slow_answer_comes_at_last() -> None:
    with running(behaving(Behaviour(answer="slow"), slow_seconds=0.01)) as sandbox:
        assert send(sandbox, a_request()).is_success


def test_a_success_may_lack_its_tracking_id() -> None:
    with running(behaving(Behaviour(answer="no_tracking_id"))) as sandbox:
        answer = send(sandbox, a_request())
        assert (answer.status, answer.tracking_id) == ("Success", None)
        assert sandbox.accepted[0].tracking_id


def test_an_error_on_demand_can_be_given_a_number_of_times() -> None:
    with running(behaving(Behaviour(answer="E503", answer_times=2))) as sandbox:
        codes = [send(sandbox, a_request()).error_code for _ in range(3)]
        assert codes == ["E503", "E503", None]
        assert [call.error_code for call in sandbox.calls] == codes
        assert send(sandbox, a_request(to="12025550144")).is_success


def test_an_error_on_demand_can_meet_every_call() -> None:
    with running(SandboxOptions(answer="E105")) as sandbox:
        assert send(sandbox, a_request(to=None)).error_code == "E105"


def test_the_successors_dialect_shows_in_the_answer_too() -> None:
    with running(behaving(Behaviour(dialect="sinch"))) as sandbox:
        assert "<tracking-id>" in post(sandbox, data=XML).text


def test_tracking_ids_of_two_runs_differ() -> None:
    seen = []
    for _ in range(2):
        with running(SandboxOptions()) as sandbox:
            seen += [send(sandbox, a_request()).tracking_id for _ in range(3)]
    assert len(set(seen)) == 6


def test_old_calls_are_forgotten() -> None:
    with running(SandboxOptions(kept_calls=2)) as sandbox:
        for number in ("12025550141", "12025550142", "12025550143"):
            send(sandbox, a_request(to=number))
        assert [call.number for call in sandbox.calls] == ["12025550142", "12025550143"]


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        ("12025559001", "link"),
        ("4915125559001", "link"),
        ("5559001", "link"),
        ("12025550001", "delivered"),
        ("16501239001", "delivered"),
        ("16501234123", "delivered"),
        ("12025550143", "delivered"),
    ],
)
def test_a_number_to_try_is_known_by_its_last_seven_digits(number: str, outcome: str) -> None:
    assert SandboxOptions().behaviour_for(number).outcome == outcome


def test_the_longest_suffix_decides() -> None:
    options = replace(
        SandboxOptions(),
        behaviours={"3": Behaviour(outcome="link"), NUMBER: Behaviour(outcome="failed")},
    )
    assert options.behaviour_for(NUMBER).outcome == "failed"
    assert options.behaviour_for("12025550133").outcome == "link"


def test_a_client_that_hangs_up_does_no_harm(sandbox: RunningSandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /API/wxml/1.3/ HTTP/1.1\r\nContent-Length: 99\r\n\r\n<REQ")
    assert send(sandbox, a_request()).is_success
