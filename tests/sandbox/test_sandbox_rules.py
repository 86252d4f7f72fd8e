"""Rules, chance, the account's limits, and what the new behaviours do on the wire."""

import socket
import time
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
import requests
from sandbox_support import (
    NUMBER,
    PATIENCE,
    Receiver,
    a_request,
    behaving,
    codes_of,
    receiving,
    send,
    until,
)

from tracker.protocol.notification import Notification
from tracker.protocol.postback import parse_postback
from tracker.protocol.request import to_xml
from tracker.protocol.response import ResponseFormatError, parse_response
from tracker.protocol.transport import document_of
from tracker.sandbox.account import Account
from tracker.sandbox.behaviour import Behaviour
from tracker.sandbox.chance import Span, fraction
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.rules import Rule, Rulebook
from tracker.sandbox.server import running

LINK = Behaviour(outcome="link")
XML = to_xml(a_request())


def a_rule(**conditions: Any) -> Rule:
    usual: dict[str, Any] = {"name": "it", "behaviour": LINK}
    return Rule(**(usual | conditions))


def applied(rules: list[Rule], calls: list[tuple[str, str]], seed: int = 0) -> list[str]:
    book = Rulebook(tuple(rules), seed)
    chosen = [book.choose(number, mms_id)[0] for number, mms_id in calls]
    return [rule.name if rule else "-" for rule in chosen]


A, B = ("12025550101", "45633"), ("12025550102", "35674")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, ["it"] * 4),
        ({"number": A[0]}, ["it", "-", "it", "-"]),
        ({"suffix": "02"}, ["-", "it", "-", "it"]),
        ({"mms_id": "35674"}, ["-", "it", "-", "it"]),
        ({"calls": frozenset({2, 3})}, ["-", "it", "it", "-"]),
        ({"every": 2}, ["-", "it", "-", "it"]),
        ({"attempts": frozenset({2})}, ["-", "-", "it", "it"]),
        ({"times": 1}, ["it", "it", "-", "-"]),
        ({"times_in_all": 3}, ["it", "it", "it", "-"]),
        ({"percent": 0}, ["-"] * 4),
        ({"percent": 100}, ["it"] * 4),
        ({"number": A[0], "every": 3}, ["-", "-", "it", "-"]),
    ],
)
def test_a_rule_applies_when_all_its_conditions_hold(
    conditions: dict[str, Any], expected: list[str]
) -> None:
    assert applied([a_rule(**conditions)], [A, B, A, B]) == expected


def test_the_first_rule_decides_until_it_is_used_up() -> None:
    rules = [a_rule(name="first", times=1), a_rule(name="second")]
    assert applied(rules, [A, A, B]) == ["first", "second", "first"]


def test_a_share_is_of_numbers_repeats_and_depends_on_the_seed() -> None:
    calls = [(f"1202555{number:04}", "45633") for number in range(1000)]
    rules = [a_rule(percent=3)]
    once, again, other = (applied(rules, calls, seed) for seed in (1, 1, 2))
    assert once == again
    assert once != other
    assert 15 < once.count("it") < 50


def test_a_range_gives_each_its_own_part_within_its_ends() -> None:
    drawn = {Span(1, 5).drawn(7, "x", number) for number in range(200)}
    assert len(drawn) == 200
    assert 1 <= min(drawn) < 1.5
    assert 4.5 < max(drawn) < 5
    assert fraction(1, "a", "b") != fraction(1, "ab")


def an_account(**limits: Any) -> Account:
    usual = {"calls_per_second": None, "rate_code": "E106", "allowance": None}
    return Account(frozenset(), **(usual | limits))


def test_more_calls_in_a_second_than_allowed_are_refused_and_do_not_count() -> None:
    account = an_account(calls_per_second=2, rate_code="E113")
    codes = [account.code(moment) for moment in (0.0, 0.4, 0.5, 0.9, 1.1, 1.2, 1.5)]
    assert codes == [None, None, "E113", "E113", None, "E113", None]


def test_below_one_a_second_it_is_an_interval() -> None:
    account = an_account(calls_per_second=0.5)
    assert [account.code(moment) for moment in (0.0, 1.9, 2.1)] == [None, "E106", None]


def test_an_allowance_ends_and_can_be_refilled() -> None:
    account = an_account(allowance=2)
    assert [account.code(0) for _ in range(3)] == [None, None, "E120"]
    account.refill()
    assert account.code(0) is None


def test_a_state_of_the_account_is_switched_while_it_runs() -> None:
    with running(SandboxOptions(states=frozenset({"billing"}))) as sandbox:
        account = sandbox.gateway.account
        assert send(sandbox, a_request()).error_code == "E713"
        account.switch("ip", on=True)
        assert send(sandbox, a_request(to=None)).error_code == "E112"
        account.switch("api_off", on=True)
        assert send(sandbox, a_request()).error_code == "E109"
        for state in ("billing", "ip", "api_off"):
            account.switch(state, on=False)
        assert send(sandbox, a_request()).is_success


def test_a_rule_stands_ahead_of_the_numbers_to_try_and_is_noted() -> None:
    options = SandboxOptions(rules=(a_rule(suffix="9023", times=1, name="mercy"),))
    with running(options) as sandbox:
        codes = [send(sandbox, a_request(to="12025559023")).error_code for _ in range(2)]
        assert codes == [None, "E503"]
        assert [call.rule for call in sandbox.calls] == ["mercy", None]


def test_an_error_has_the_text_it_is_given_and_other_errors_their_own() -> None:
    behaviour = Behaviour(answer="E628", error_info="The operator is on strike")
    with running(behaving(behaviour)) as sandbox:
        assert send(sandbox, a_request()).error_info == behaviour.error_info
        assert send(sandbox, a_request(mms_id=None)).error_info != behaviour.error_info


def notifications(body: bytes) -> list[Notification]:
    return parse_postback(document_of(body, None), zone=UTC)


def raw_answer(sandbox_url: str) -> bytes:
    """Read all that comes back for one call, to the end or the reset of the connection."""
    port = int(sandbox_url.rpartition(":")[2])
    head = b"POST /API/wxml/1.3/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(XML)
    told = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(head + XML)
        while piece := connection.recv(65536):
            told += piece
    return told


def test_a_reset_hides_an_accepted_message() -> None:
    with running(behaving(Behaviour(answer="reset"))) as sandbox:
        with pytest.raises(ConnectionResetError):
            raw_answer(sandbox.url)
        assert len(sandbox.accepted) == 1


def test_a_closed_connection_gives_an_end_and_no_byte() -> None:
    with running(behaving(Behaviour(answer="close"))) as sandbox:
        assert raw_answer(sandbox.url) == b""
        assert len(sandbox.accepted) == 1


def test_an_answer_can_break_off_in_the_middle() -> None:
    with running(behaving(Behaviour(answer="cut"))) as sandbox:
        told = raw_answer(sandbox.url)
        assert told.startswith(b"HTTP/1.1 200")
        with pytest.raises(ResponseFormatError):
            parse_response(told.partition(b"\r\n\r\n")[2].decode())
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.post(sandbox.gateway_url, data=XML, timeout=PATIENCE)


def test_an_answer_can_drip_and_is_whole_in_the_end() -> None:
    with running(behaving(Behaviour(answer="drip", drip_seconds=0.4))) as sandbox:
        began = time.monotonic()
        assert send(sandbox, a_request()).is_success
        assert time.monotonic() - began > 0.3


def test_an_answer_can_be_late() -> None:
    behaviour = Behaviour(answer_delay=Span(0.2, 0.2))
    with running(behaving(behaviour, answer_delay_seconds=0.1)) as sandbox:
        began = time.monotonic()
        assert send(sandbox, a_request()).is_success
        assert time.monotonic() - began > 0.29


def test_late_answers_wait_side_by_side() -> None:
    with running(SandboxOptions(answer_delay_seconds=1.0)) as sandbox:
        port = int(sandbox.url.rpartition(":")[2])
        began = time.monotonic()
        clients = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(50)]
        head = b"POST /API/wxml/1.3/ HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(XML)
        for client in clients:
            client.sendall(head + XML)
        answers = [client.recv(65536) for client in clients]
        for client in clients:
            client.close()
        assert all(b"Success" in answer for answer in answers)
        assert time.monotonic() - began < 25  # one after the other takes 50


def test_delays_of_a_message_are_its_own() -> None:
    behaviour = Behaviour(n101_delay=Span(0.0, 0.0), receipt_delay=Span(0.3, 0.3))
    with receiving(Receiver()) as receiver, running(behaving(behaviour, time_factor=1)) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request())
        until(lambda: len(receiver.arrivals) == 2)
        assert receiver.codes == ["N101", "N102"]
        assert receiver.arrivals[1].at - receiver.arrivals[0].at > 0.25


def test_a_message_has_the_carrier_and_the_handset_it_is_given() -> None:
    with running(behaving(Behaviour(spid="0001110", handset="nokia3310"))) as sandbox:
        send(sandbox, a_request())
        until(lambda: sandbox.postbacks[-1].body)
        body = sandbox.postbacks[-1].body.decode()
        assert "<SPID>0001110</SPID>" in body
        assert "<HANDSET>nokia3310</HANDSET>" in body


@pytest.mark.parametrize("dialect", ["legacy", "legacy_bare"])
def test_all_postbacks_can_come_in_one_post(dialect: Any) -> None:
    options = behaving(Behaviour(dialect=dialect, together=True, outcome="link"))
    with receiving(Receiver()) as receiver, running(options) as sandbox:
        sandbox.post_to(receiver.url)
        answer = send(sandbox, a_request())
        until(lambda: receiver.arrivals)
        body = receiver.arrivals[0].body
        assert (b"<BODY>" in body) == (dialect == "legacy")
        told = notifications(body)
        assert [each.code for each in told] == ["N101", "N102", "N202"]
        assert told[0].tracking_id == answer.tracking_id
        assert codes_of(sandbox) == ["N101+N102+N202"]


def test_the_successor_s_json_is_read_by_our_own_reader() -> None:
    with receiving(Receiver()) as receiver, running(behaving(Behaviour(dialect="json"))) as sandbox:
        sandbox.post_to(receiver.url)
        answer = send(sandbox, a_request())
        until(lambda: len(receiver.arrivals) == 2)
        assert receiver.arrivals[0].headers["Content-Type"] == "application/json"
        told = [each for one in receiver.arrivals for each in notifications(one.body)]
        assert [each.code for each in told] == ["N101", "N102"]
        assert {each.tracking_id for each in told} == {answer.tracking_id}


def test_several_in_one_post_are_of_the_legacy_dialects_only() -> None:
    with pytest.raises(ValueError, match="legacy"):
        Behaviour(together=True)


def test_the_campaign_check_is_on_where_the_options_say_so() -> None:
    options = replace(
        SandboxOptions(campaign_check=True), subscriptions={"4711": frozenset({NUMBER})}
    )
    with running(options) as sandbox:
        asked = [
            send(sandbox, a_request(campaign_ref=ref, to=to)).error_code
            for ref, to in ((None, NUMBER), ("4711", "12025550144"), ("4711", NUMBER))
        ]
        assert asked == ["E714", "E715", None]
