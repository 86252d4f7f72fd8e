"""Postbacks over real HTTP: order, retries, the handset cache. Source: PROTOCOL 4.5, 6.1, 6.10."""

import time
from itertools import pairwise
from urllib.parse import parse_qs

import pytest
import requests
from sandbox_support import (
    NUMBER,
    PATIENCE,
    Holding,
    Receiver,
    a_request,
    behaving,
    codes_of,
    receiving,
    send,
    until,
)

from tracker.protocol.request import to_xml
from tracker.protocol.response import parse_response
from tracker.sandbox.options import Behaviour, SandboxOptions
from tracker.sandbox.server import running

USUAL = behaving(Behaviour())


def test_a_message_is_followed_by_its_postbacks_in_order() -> None:
    with receiving(Receiver()) as receiver, running(USUAL) as sandbox:
        sandbox.post_to(receiver.url)
        answer = send(sandbox, a_request(ddm_text="hello"))
        until(lambda: len(receiver.arrivals) == 4)
        assert receiver.codes == ["N501", "N502", "N101", "N102"]
        first = receiver.arrivals[0]
        assert (answer.tracking_id or "?") in first.body.decode()
        assert first.headers["Content-Type"] == "text/xml; charset=utf-8"
        until(lambda: {posted.state for posted in sandbox.postbacks} == {"accepted"})


def test_a_known_handset_needs_no_second_discovery() -> None:
    with receiving(Receiver()) as receiver, running(USUAL) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request(ddm_text="hello"))
        until(lambda: NUMBER in sandbox.gateway.handsets)
        send(sandbox, a_request(ddm_text="hello"))
        send(sandbox, a_request(ddm_text="hello", others={"DDMFORCE": "1"}))
        assert [code for code in codes_of(sandbox) if code == "N501"] == ["N501", "N501"]


def test_a_receipt_without_discovery_feeds_the_cache_too() -> None:
    with running(USUAL) as sandbox:
        send(sandbox, a_request())
        until(lambda: NUMBER in sandbox.gateway.handsets)
        send(sandbox, a_request(ddm_text="hello"))
        assert "N501" not in codes_of(sandbox)


def test_the_cache_can_be_filled_beforehand() -> None:
    options = behaving(Behaviour(), known_handsets={NUMBER: "nokia3310"})
    with running(options) as sandbox:
        send(sandbox, a_request(ddm_text="hello"))
        until(lambda: [posted.state for posted in sandbox.postbacks] == ["unposted"] * 2)
        assert "<HANDSET>nokia3310</HANDSET>" in sandbox.postbacks[1].body.decode()


def test_a_silent_carrier_ends_with_n101() -> None:
    options = behaving(Behaviour(), spids=("0001110",), silent_spids=frozenset({"0001110"}))
    with running(options) as sandbox:
        send(sandbox, a_request())
        assert codes_of(sandbox) == ["N101"]


@pytest.mark.parametrize("status", [201, 202, 204, 301, 302, 307, 400, 404, 413, 500, 503])
def test_only_200_counts_and_redirects_are_not_followed(status: int) -> None:
    options = behaving(Behaviour(outcome="no_receipt"), time_factor=0.0001)
    receiver = Receiver(status=lambda number: status if number == 1 else 200)
    with receiving(receiver), running(options) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request())
        until(lambda: {posted.state for posted in sandbox.postbacks} == {"accepted"})
        (posted,) = sandbox.postbacks
        assert [attempt.status for attempt in posted.attempts] == [status, 200]
        bodies = [arrival.body for arrival in receiver.arrivals]
        assert bodies == [bodies[0]] * 2


def test_after_five_retries_a_postback_is_dropped() -> None:
    options = behaving(Behaviour(outcome="no_receipt"), time_factor=0.0002, retry_seconds=300.0)
    with receiving(Receiver(status=lambda _number: 503)) as receiver, running(options) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request())
        until(lambda: sandbox.postbacks[0].state == "dropped")
        assert len(receiver.arrivals) == 6
        gaps = [b.at - a.at for a, b in pairwise(receiver.arrivals)]
        assert min(gaps) > 0.03  # 300 s, times the factor, less the way of the arrivals


def test_a_receiver_that_cannot_be_reached_is_tried_again() -> None:
    options = behaving(Behaviour(outcome="no_receipt"), time_factor=0.0001)
    with running(options) as sandbox:
        sandbox.post_to("http://127.0.0.1:1/postbacks/token")
        send(sandbox, a_request())
        until(lambda: sandbox.postbacks[0].state == "dropped")
        problems = {attempt.problem for attempt in sandbox.postbacks[0].attempts}
        assert len(sandbox.postbacks[0].attempts) == 6
        assert problems == {"ConnectionRefusedError"}


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://[::1/", "ftp://x/"])
def test_a_bad_url_harms_nothing_but_its_postbacks(url: str) -> None:
    options = behaving(Behaviour(outcome="no_receipt"), time_factor=0.0001)
    with running(options) as sandbox:
        sandbox.post_to(url)
        send(sandbox, a_request())
        until(lambda: sandbox.postbacks[0].state == "dropped")


def test_a_200_that_comes_too_late_does_not_count() -> None:
    options = behaving(Behaviour(outcome="no_receipt"), time_factor=0.0001, receiver_seconds=0.4)
    receiver = Receiver(pause=lambda number: 1.0 if number == 1 else 0.0)
    with receiving(receiver), running(options) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request())
        until(lambda: len(sandbox.postbacks[0].attempts) >= 2)
        assert sandbox.postbacks[0].attempts[0].status is None


def test_the_postbacks_of_one_message_wait_for_each_other() -> None:
    receiver = Receiver(pause=lambda number: 0.3 if number == 1 else 0.0)
    with receiving(receiver), running(USUAL) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request())
        until(lambda: len(receiver.arrivals) == 2)
        assert receiver.codes == ["N101", "N102"]
        assert receiver.arrivals[1].at - receiver.arrivals[0].at >= 0.3


def test_a_retry_does_not_hold_up_the_next_postback() -> None:
    options = behaving(Behaviour(), retry_seconds=60.0)
    receiver = Receiver(status=lambda number: 503 if number == 1 else 200)
    with receiving(receiver), running(options) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request())
        until(lambda: len(receiver.arrivals) == 3)
        assert receiver.codes == ["N101", "N102", "N101"]


def test_a_slow_receiver_holds_up_neither_answers_nor_other_messages() -> None:
    receiver = Holding()
    with receiving(receiver), running(USUAL) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request())
        until(lambda: receiver.arrivals)
        send(sandbox, a_request(to="12025550144"))
        until(lambda: len(receiver.arrivals) == 3)
        receiver.released.set()
        until(lambda: len(receiver.arrivals) == 4)
        others = [b"12025550144" in arrival.body for arrival in receiver.arrivals]
        assert others == [False, True, True, False]


def test_the_receipt_can_come_before_the_answer() -> None:
    options = behaving(Behaviour(postback_before_answer=True), time_factor=1.0)
    with receiving(Receiver()) as receiver, running(options) as sandbox:
        sandbox.post_to(receiver.url)
        answer = send(sandbox, a_request(ddm_text="hello"))
        assert receiver.codes == ["N501", "N502", "N101", "N102"]
        assert (answer.tracking_id or "?") in receiver.arrivals[-1].body.decode()


def test_postbacks_can_come_twice_byte_for_byte() -> None:
    with receiving(Receiver()) as receiver, running(behaving(Behaviour(duplicate=True))) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request())
        until(lambda: len(receiver.arrivals) == 4)
        assert receiver.codes == ["N101", "N101", "N102", "N102"]
        bodies = [arrival.body for arrival in receiver.arrivals]
        assert bodies[0] == bodies[1]
        assert bodies[2] == bodies[3]


def test_postbacks_can_come_as_a_form_field() -> None:
    options = behaving(Behaviour(form_encoded=True))
    with receiving(Receiver()) as receiver, running(options) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request())
        until(lambda: receiver.arrivals)
        first = receiver.arrivals[0]
        assert first.headers["Content-Type"] == "application/x-www-form-urlencoded"
        (document,) = parse_qs(first.body.decode())["xml"]
        assert document.startswith("<?xml version='1.0'?>\n<POSTBACK>")


def test_the_postbacks_can_be_read_as_json() -> None:
    with receiving(Receiver()) as receiver, running(USUAL) as sandbox:
        sandbox.post_to(receiver.url)
        send(sandbox, a_request())
        until(lambda: {posted.state for posted in sandbox.postbacks} == {"accepted"})
        rows = requests.get(sandbox.url + "/_sandbox/postbacks", timeout=PATIENCE).json()
        assert [row["code"] for row in rows] == ["N101", "N102"]
        assert rows[0]["attempts"][0]["status"] == 200
        assert "<CODE>N101</CODE>" in rows[0]["body"]
        assert "postbacks/token" not in requests.get(sandbox.url, timeout=PATIENCE).text


def test_with_the_default_timing_n101_comes_within_ten_seconds_of_the_send() -> None:
    with receiving(Receiver()) as receiver, running(SandboxOptions()) as sandbox:
        sandbox.post_to(receiver.url)
        started = time.monotonic()
        send(sandbox, a_request(ddm_text="hello"))
        until(lambda: "N101" in receiver.codes)
        arrival = next(each for each in receiver.arrivals if each.code == "N101")
        assert 1.5 < arrival.at - started < 10


def test_a_hundred_messages_are_all_followed_up() -> None:
    with receiving(Receiver()) as receiver, running(USUAL) as sandbox:
        sandbox.post_to(receiver.url)
        for number in range(100):
            send(sandbox, a_request(to=f"1202555{number:04}"))
        until(lambda: len(receiver.arrivals) == 200)
        until(lambda: {posted.state for posted in sandbox.postbacks} == {"accepted"})


def test_a_name_and_a_password_in_the_url_are_shown_to_the_receiver() -> None:
    with receiving(Receiver()) as receiver, running(USUAL) as sandbox:
        sandbox.post_to(receiver.url.replace("127.0.0.1", "us%40er:pass@127.0.0.1"))
        send(sandbox, a_request())
        until(lambda: receiver.arrivals)
        assert receiver.arrivals[0].headers["Authorization"] == "Basic dXNAZXI6cGFzcw=="


def test_an_answer_that_waits_for_slow_postbacks_is_given_once() -> None:
    """The receiver's patience ends while the answer still drips."""
    behaviour = Behaviour(postback_before_answer=True, answer="drip", drip_seconds=1.0)
    options = behaving(behaviour, receiver_seconds=0.5)
    with receiving(Receiver()) as receiver, running(options) as sandbox:
        sandbox.post_to(receiver.url)
        answer = requests.post(
            sandbox.gateway_url, data={"xml": to_xml(a_request())}, timeout=PATIENCE
        )
        assert answer.text.count("<STATUS>") == 1
        assert parse_response(answer.text).is_success
