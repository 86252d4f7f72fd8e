"""The statistics call and its file. Source: PROTOCOL 8; samples/report_content_binary.xml."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from lxml import etree
from sandbox_support import NUMBER, PATIENCE, a_request, behaving, send, until

from tracker.protocol.request import PassRequest, to_xml
from tracker.protocol.response import parse_response
from tracker.sandbox.behaviour import Behaviour
from tracker.sandbox.fixture import API_KEY
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.rules import Rule
from tracker.sandbox.server import RunningSandbox, running

SAMPLE = (
    Path(__file__).parents[2].parent / "shared" / "protocol" / "samples"
    / "report_content_binary.xml"
)  # fmt: skip
QUICK = SandboxOptions(time_factor=0.001, report_seconds=0)


def a_question(**changes: Any) -> PassRequest:
    now = datetime.now(UTC)
    start, end = (
        f"{at:%Y-%m-%d %H:%M:%S}" for at in (now - timedelta(hours=1), now + timedelta(hours=1))
    )
    usual = PassRequest(
        action="getSendingStatus", api_key=API_KEY, others={"START_DATE": start, "END_DATE": end}
    )
    return replace(usual, **changes)


def asked(sandbox: RunningSandbox, question: PassRequest) -> str:
    return requests.post(sandbox.gateway_url, data={"xml": to_xml(question)}, timeout=PATIENCE).text


def file_of(sandbox: RunningSandbox, question: PassRequest | None = None) -> str:
    answer = etree.fromstring(asked(sandbox, question or a_question()).encode())
    assert answer.findtext("STATUS") == "Success"
    return requests.get(answer.findtext("URL") or "?", timeout=PATIENCE).text


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with running(QUICK) as started:
        yield started


def entries(text: str) -> list[str]:
    return re.findall(r"<(?:CONTENT|TEXT) .*?</(?:CONTENT|TEXT)>", text, re.DOTALL)


def settled(sandbox: RunningSandbox) -> None:
    """Wait until everything has become of the messages, openings too."""
    until(lambda: {posted.state for posted in sandbox.postbacks} <= {"unposted"})
    ends = [call.received_at + timedelta(seconds=0.2) for call in sandbox.calls]
    until(lambda: datetime.now(UTC) > max(ends))


@pytest.mark.parametrize("action", ["getSendingStatus", "GETSENDINGSTATISTICS"])
def test_both_names_are_answered_with_a_link(sandbox: RunningSandbox, action: str) -> None:
    assert "<RESPONSE>" in file_of(sandbox, a_question(action=action))


def test_the_get_form_asks_too(sandbox: RunningSandbox) -> None:
    question = a_question()
    query = urlencode({
        "action": "getsendingstatus", "api_key": API_KEY,
        "start_date": question.others["START_DATE"], "end_date": question.others["END_DATE"],
    })  # fmt: skip
    answer = requests.get(f"{sandbox.gateway_url}?{query}", timeout=PATIENCE).text
    assert "/reports/" in answer


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"api_key": None}, "E102"),
        ({"api_key": "x"}, "E104"),
        ({"others": {}}, "E506"),
        ({"others": {"START_DATE": "2026-01-01 00:00:00"}}, "E506"),
        ({"others": {"START_DATE": "2026-01-01", "END_DATE": "2026-01-02 00:00:00"}}, "E507"),
        (
            {"others": {"START_DATE": "2026-02-30 00:00:00", "END_DATE": "2026-03-01 00:00:00"}},
            "E508",
        ),
        (
            {"others": {"START_DATE": "2026-01-02 00:00:00", "END_DATE": "2026-01-01 00:00:00"}},
            "E508",
        ),
        (
            {"others": {"START_DATE": "2026-01-01 00:00:00", "END_DATE": "2026-03-01 00:00:00"}},
            "E509",
        ),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    sandbox: RunningSandbox, changes: dict[str, Any], code: str
) -> None:
    assert parse_response(asked(sandbox, a_question(**changes))).error_code == code


def test_asked_again_too_soon_is_e510_and_an_account_that_is_off_has_no_report() -> None:
    with running(replace(QUICK, report_seconds=600)) as sandbox:
        file_of(sandbox)
        assert parse_response(asked(sandbox, a_question())).error_code == "E510"
        sandbox.gateway.account.switch("api_off", on=True)
        assert parse_response(asked(sandbox, a_question())).error_code == "E109"


@pytest.mark.skipif(not SAMPLE.exists(), reason="the dossier is not at hand")
def test_a_delivered_message_is_written_like_the_sample(sandbox: RunningSandbox) -> None:
    send(sandbox, a_request())
    settled(sandbox)
    (entry,) = entries(file_of(sandbox))
    sample = SAMPLE.read_text(encoding="utf-8")
    named = [sorted(re.findall(r"<(\w+)", text)) for text in (entry, sample)]  # in any order
    assert named[0] == named[1]
    ours, theirs = (re.findall(r'(\w+)="', text.partition(">")[0]) for text in (entry, sample))
    assert sorted(ours) == sorted(theirs)
    for mark in ("INQUE", "INIT", "ACK", "DLR"):
        names = [
            re.findall(r'(\w+)="', found[0])
            for text in (entry, sample)
            if (found := re.search(f"<{mark} [^>]*", text))
        ]
        assert names[0] == names[1]


@pytest.mark.parametrize(
    ("outcome", "signs"),
    [
        ("delivered", ['<ACK gw="9"', '<DLR gw="20" net="1000"', "MM7_HANDSETID"]),
        ("no_receipt", ['<ACK gw="9"', "<MM7_HANDSETID>Default<"]),
        ("expired", ['<EXPIRED gw="30"', "Default"]),
        ("rejected", ['<REJECTED gw="35"']),
        ("unsupported", ['<ERROR info="Message Sent/NotSupported"']),
        ("failed", ['<ERROR info="Error fetching dynamic content"']),
        ("failed_late", ['<ACK gw="9"', '<ERROR info="Recipient not reachable"']),
        ("link", ['<ACK gw="10"', '<DLR gw="20"', 'delivery="xhtml"', "<XHTML_HANDSETID>Mozilla"]),
    ],
)
def test_every_outcome_has_its_steps(outcome: Any, signs: list[str]) -> None:
    with running(behaving(Behaviour(outcome=outcome), report_seconds=0)) as sandbox:
        send(sandbox, a_request())
        settled(sandbox)
        entry = entries(file_of(sandbox))[0]
        for sign in ('<INQUE time="', '<INIT gw="0" net="0"', *signs):
            assert sign in entry


def test_discovery_has_steps_of_its_own(sandbox: RunningSandbox) -> None:
    send(sandbox, a_request(ddm_text="hello"))
    settled(sandbox)
    text = file_of(sandbox)
    assert '<ACK gw="80"' in text
    assert '<DLR gw="81"' in text


def test_a_postback_that_is_never_posted_is_in_the_report() -> None:
    dropped = Behaviour(drop=frozenset({"N101", "N102"}))
    with running(behaving(dropped, report_seconds=0)) as sandbox:
        send(sandbox, a_request())
        assert sandbox.postbacks == []
        until(lambda: '<DLR gw="20"' in file_of(sandbox))


def test_the_file_is_ill_formed_as_the_documents_have_it(sandbox: RunningSandbox) -> None:
    for number in range(40):
        # Five kinds, since the quirks of the file come and go by twos and threes.
        usual = f"555{number:04}"
        last = (usual, "5559001", usual, "5559007", usual)[number % 5]
        send(sandbox, a_request(to=f"1202{last}"))
    settled(sandbox)
    text = file_of(sandbox)
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(text.encode())
    for mark in ("ACK", "DLR", "ERROR"):
        assert re.search(f"<{mark} [^>]*[^/]>", text), f"{mark} is open nowhere"
        assert re.search(f"<{mark} [^>]*/>", text), f"{mark} is closed nowhere"
    for name in ("BATCH", "AUTORESPONDER"):
        assert re.search(f"<{name} [^>]*/>\\s*</{name}>", text)
    assert '"AT&T"' in text
    assert "<TEXT " in text
    assert "OPENED" in text
    assert re.search(r'scheduled_date="[^"]*@server localtime"', text)
    digits = {len(found) for found in re.findall(r"\.(\d+)Z", text)}
    assert digits == {4, 5, 6}
    assert re.search(r"<DLR [^>]*>\s*<ACK ", text), "the steps are in order everywhere"


def test_what_all_share_stands_on_the_section(sandbox: RunningSandbox) -> None:
    send(sandbox, a_request())
    assert 'from="11111"' in entries(file_of(sandbox))[0]
    send(sandbox, a_request(to="12025550144"))
    text = file_of(sandbox)
    assert '<SENDING_LIST from="11111">' in text
    assert "from=" not in entries(text)[0]


def test_the_report_numbers_messages_apart_from_their_tracking_ids(sandbox: RunningSandbox) -> None:
    send(sandbox, a_request())
    message = sandbox.calls[0].message
    assert message is not None
    (entry,) = entries(file_of(sandbox))
    assert f'id="{message.history_number}"' in entry
    assert str(message.tracking_number) not in entry


def test_only_the_messages_of_the_period_are_in_it(sandbox: RunningSandbox) -> None:
    send(sandbox, a_request())
    send(sandbox, a_request(mms_id="1"))
    past = {"START_DATE": "2020-01-01 00:00:00", "END_DATE": "2020-01-02 00:00:00"}
    assert entries(file_of(sandbox, a_question(others=past))) == []
    assert len(entries(file_of(sandbox))) == 1


def test_a_question_is_no_call_of_a_rule() -> None:
    rule = Rule(name="all", behaviour=Behaviour(answer="E503"))
    with running(replace(QUICK, rules=(rule,))) as sandbox:
        assert "<RESPONSE>" in file_of(sandbox)
        assert send(sandbox, a_request(to=NUMBER)).error_code == "E503"
