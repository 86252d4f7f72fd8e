"""The drop-in: recorded before the call, asked once, told the truth, and never asked again."""

import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from builders import NUMBER, claim_due
from dropin_support import TAKEN, Wire, a_document, a_query, wired
from sqlalchemy import QueuePool, text

from tracker.config import DEFAULT_ZONE
from tracker.domain.reasons import status_reason
from tracker.domain.status import Status
from tracker.gateway import Gateway
from tracker.protocol.request import from_xml
from tracker.protocol.response import GatewayResponse, parse_response
from tracker.sandbox.fixture import API_KEY
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.server import RunningSandbox, running
from tracker.services import accounts, allowance, dropin, timeline
from tracker.services import gateway as gateway_service
from tracker.services.dropin import DropIn
from tracker.services.dropin_checks import CallRefusedError, read_body, read_query
from tracker.services.take import Policy
from tracker.store import alerts, db, messages, outbox, suppressions
from tracker.store.base import Base
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter
from tracker.store.models import Scope
from tracker.store.rows import MessageRow

CLOCK = partial(datetime.now, UTC)
FAR = timedelta(days=30)


def a_drop_in(sessions: Sessions, url: str, timeout: float = 10.0) -> DropIn:
    return DropIn(sessions, Gateway(url, API_KEY, timeout), zone=DEFAULT_ZONE, clock=CLOCK)


@pytest.fixture
def key(sessions: Sessions, now: datetime) -> str:
    return accounts.create_token(sessions, "shop", actor="test", now=now).token


def asked(drop_in: DropIn, document: str) -> GatewayResponse:
    """Ask as a client does, and read what it is told."""
    try:
        answer = drop_in.answer(read_body(document.encode(), "text/xml"))
    except CallRefusedError as error:
        answer = error.document()
    return parse_response(answer.decode())


def all_messages(sessions: Sessions) -> list[MessageRow]:
    with sessions() as session:
        return messages.search(session, MessageFilter(), limit=100).items


def the_message(sessions: Sessions) -> MessageRow:
    (row,) = all_messages(sessions)
    return row


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.01)


def test_the_gateways_answer_is_returned_byte_for_byte_and_kept(
    sessions: Sessions, key: str
) -> None:
    with wired(Wire()) as wire:
        call = read_body(a_document(key).encode(), None)
        assert a_drop_in(sessions, wire.url).answer(call) == TAKEN
    row = the_message(sessions)
    assert (row.status, row.tracking_id) == (Status.ACCEPTED, "TU1TXzEyMzQ2")
    assert (row.recipient, row.sender, row.mms_id) == (NUMBER, "11111", "45633")
    with sessions() as session:
        (attempt,) = messages.attempts(session, row.id)
        entries = timeline.of_message(session, row)
    assert (attempt.outcome, attempt.answer) == ("accepted", TAKEN.decode())
    assert [entry.what for entry in entries] == ["Received", "Calling the gateway", "Accepted"]


def test_message_and_call_are_committed_before_the_gateway_hears_of_them(
    sessions: Sessions, key: str
) -> None:
    seen: list[tuple[Status, int, int, bool, int]] = []
    pool = db.engine_of(sessions).pool
    assert isinstance(pool, QueuePool)

    def look() -> None:
        open_sessions = pool.checkedout()
        row = the_message(sessions)
        with sessions() as session:
            (attempt,) = messages.attempts(session, row.id)
            taken = messages.content(session, row.id).pass_data["BARCODEVALUE"] == "A-17"
        unfinished = attempt.finished_at is None
        assert unfinished
        claims = len(claim_due(sessions, 10, CLOCK()))  # a sender looks in, and may not have it
        seen.append((row.status, row.attempts, open_sessions, taken, claims))

    with wired(Wire(on_call=look)) as wire:
        assert asked(a_drop_in(sessions, wire.url), a_document(key)).is_success
    assert seen == [(Status.SENDING, 1, 0, True, 0)]


@pytest.mark.parametrize(
    ("suffix", "code"),
    [("5559023", "E503"), ("5559025", "E106"), ("5559026", "E713"), ("5559027", "E628")],
)
def test_a_refusal_is_final_even_one_that_may_pass(
    sessions: Sessions, sandbox: RunningSandbox, key: str, suffix: str, code: str
) -> None:
    told = asked(a_drop_in(sessions, sandbox.gateway_url), a_document(key, TO=f"1202{suffix}"))
    assert (told.error_code, told.to) == (code, f"1202{suffix}")
    row = the_message(sessions)
    assert (row.status, row.error_code, row.due_at) == (Status.REFUSED, code, None)
    assert row.finished_at
    assert claim_due(sessions, 10, CLOCK() + FAR) == []
    assert the_message(sessions).status is Status.REFUSED
    assert len(sandbox.calls) == 1


def test_a_refused_account_pauses_everything_and_sounds_an_alert(
    sessions: Sessions, sandbox: RunningSandbox, key: str
) -> None:
    drop_in = a_drop_in(sessions, sandbox.gateway_url)
    assert asked(drop_in, a_document(key, TO="12025559026")).error_code == "E713"
    told = asked(drop_in, a_document(key))
    assert (told.error_code, told.to, len(sandbox.calls)) == ("E503", NUMBER, 1)
    assert "paused" in (told.error_info or "")
    assert "E713" in (told.error_info or "")
    row = all_messages(sessions)[0]
    assert (row.status, row.attempts) == (Status.REFUSED, 0)
    assert str(row.public_id) in (told.error_info or "")
    with sessions() as session:
        (alert,) = alerts.open_ones(session, 5)
    assert (alert.kind, alert.subject, alert.count) == ("account", "E713", 1)


def test_a_call_may_be_the_one_that_tries_a_paused_gateway(
    sessions: Sessions, sandbox: RunningSandbox, key: str
) -> None:
    asked(a_drop_in(sessions, sandbox.gateway_url), a_document(key, TO="12025559026"))
    later = DropIn(
        sessions, Gateway(sandbox.gateway_url, API_KEY, 10.0),
        zone=DEFAULT_ZONE, clock=lambda: CLOCK() + timedelta(minutes=2),
    )  # fmt: skip
    assert asked(later, a_document(key)).is_success
    assert asked(a_drop_in(sessions, sandbox.gateway_url), a_document(key)).is_success


def test_somebody_who_paused_the_queue_has_paused_this_too(
    sessions: Sessions, sandbox: RunningSandbox, key: str, now: datetime
) -> None:
    gateway_service.pause(sessions, "user:anna", "new prices first", now)
    told = asked(a_drop_in(sessions, sandbox.gateway_url), a_document(key))
    assert (told.error_code, sandbox.calls) == ("E503", [])
    assert "new prices first" in (told.error_info or "")


def test_calls_keep_to_the_set_rate_and_are_told_so_when_they_come_too_fast(
    sessions: Sessions, sandbox: RunningSandbox, key: str
) -> None:
    gateway = Gateway(sandbox.gateway_url, API_KEY, 10.0)
    slow = DropIn(sessions, gateway, zone=DEFAULT_ZONE, clock=CLOCK, policy=Policy(rate=0.05))
    assert asked(slow, a_document(key)).is_success
    told = asked(slow, a_document(key))
    assert (told.error_code, len(sandbox.calls)) == ("E106", 1)
    assert str(all_messages(sessions)[0].public_id) in (told.error_info or "")


def test_a_call_waits_a_little_for_its_turn(
    sessions: Sessions, sandbox: RunningSandbox, key: str
) -> None:
    gateway = Gateway(sandbox.gateway_url, API_KEY, 10.0)
    paced = DropIn(sessions, gateway, zone=DEFAULT_ZONE, clock=CLOCK, policy=Policy(rate=2))
    assert all(asked(paced, a_document(key)).is_success for _ in range(3))
    begun = sorted(row.created_at for row in all_messages(sessions))
    assert begun[2] - begun[0] >= timedelta(seconds=0.8)  # two turns, less what may be caught up


@pytest.mark.parametrize("answer", ["close", "garbage", "empty", "http500", "slow", "E"])
def test_a_lost_answer_is_unknown_and_says_where_to_look(
    sessions: Sessions, key: str, answer: str
) -> None:
    answer = "no_tracking_id" if answer == "E" else answer
    with running(SandboxOptions(answer=answer, slow_seconds=3.0)) as gateway:
        told = asked(a_drop_in(sessions, gateway.gateway_url, 1.0), a_document(key))
        row = the_message(sessions)
        assert row.status is Status.UNKNOWN
        assert (told.error_code, told.to) == ("E503", NUMBER)
        assert "unknown" in (told.error_info or "")
        assert str(row.public_id) in (told.error_info or "")
        assert claim_due(sessions, 10, CLOCK() + FAR) == []
        assert len(gateway.calls) == 1


def test_a_gateway_that_cannot_be_reached_leaves_a_refusal_and_no_queue(
    sessions: Sessions, key: str
) -> None:
    told = asked(a_drop_in(sessions, "http://127.0.0.1:1/"), a_document(key))
    row = the_message(sessions)
    assert (told.error_code, row.status, row.error_code) == ("E503", Status.REFUSED, "E503")
    assert "could not be reached" in (told.error_info or "")
    assert str(row.public_id) in (told.error_info or "")
    assert status_reason(row) == ("It was not sent: the gateway could not be reached.")
    assert claim_due(sessions, 10, CLOCK() + FAR) == []
    assert row.attempts == 0


def test_nothing_is_written_down_as_begun_while_the_connection_is_opened(
    sessions: Sessions, key: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as clients:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"  # nobody shakes hands
        told = clients.submit(asked, a_drop_in(sessions, url, 1.0), a_document(key))
        silent.settimeout(10)
        with silent.accept()[0] as line:
            assert line.recv(1)  # the client is connecting
            assert all_messages(sessions) == []
            assert told.result(10).error_code == "E503"
    row = the_message(sessions)
    assert (row.status, row.error_code, row.attempts) == (Status.REFUSED, "E503", 0)


def test_a_number_on_our_own_list_is_refused_without_a_call(
    sessions: Sessions, sandbox: RunningSandbox, key: str, now: datetime
) -> None:
    with sessions.begin() as session:
        suppressions.add(session, NUMBER, "STOP", None, told_at=None, now=now)
    told = asked(a_drop_in(sessions, sandbox.gateway_url), a_document(key))
    assert (told.error_code, told.to) == ("E114", NUMBER)
    assert "STOP" in (told.error_info or "")
    assert sandbox.calls == []
    row = the_message(sessions)
    assert (row.status, row.error_code, row.attempts) == (Status.REFUSED, "E114", 0)
    assert "suppressed" in status_reason(row)
    with sessions() as session:
        assert [entry.what for entry in timeline.of_message(session, row)] == ["Received"]


def test_two_equal_calls_are_two_messages(
    sessions: Sessions, sandbox: RunningSandbox, key: str
) -> None:
    drop_in = a_drop_in(sessions, sandbox.gateway_url)
    told = [asked(drop_in, a_document(key)) for _ in range(2)]
    assert len({t.tracking_id for t in told}) == len(all_messages(sessions)) == 2


def test_a_pass_keeps_its_own_id_and_gets_one_when_it_has_none(
    sessions: Sessions, sandbox: RunningSandbox, key: str
) -> None:
    drop_in = a_drop_in(sessions, sandbox.gateway_url)
    own = "<BARCODEVALUE>1</BARCODEVALUE><custompassid>mine-1</custompassid>"
    asked(drop_in, a_document(key, PASSDATA=own))
    asked(drop_in, a_document(key))
    given = [c.request.pass_data["CUSTOMPASSID"] for c in sandbox.calls if c.request]
    ours, theirs = (row.custom_pass_id for row in all_messages(sessions))
    assert given == [theirs, ours]
    assert (theirs, UUID(ours)) == ("mine-1", all_messages(sessions)[0].public_id)


def test_what_we_do_not_know_goes_to_the_gateway_as_it_came(sessions: Sessions, key: str) -> None:
    inner = (
        "<FROM_MASK>Shop_1</FROM_MASK><DEVICE kind='old'>iphone5</DEVICE>"
        "<LATER a='1'><PART>one</PART><PART>two &amp; three</PART></LATER>"
    )
    fields = "<BARCODEVALUE>A</BARCODEVALUE><IBEACONUUID1>beef</IBEACONUUID1><OWN>1</OWN>"
    with wired(Wire()) as wire:
        asked(a_drop_in(sessions, wire.url), a_document(key, inner, PASSDATA=fields))
    (document,) = wire.documents
    for part in ("<FROM_MASK>Shop_1</FROM_MASK>", '<DEVICE kind="old">iphone5</DEVICE>'):
        assert part in document
    assert "".join(document.split("<LATER")[1].split("</LATER>")[0].split()) == (
        'a="1"><PART>one</PART><PART>two&amp;three</PART>'
    )
    request = from_xml(document)
    assert request.pass_data["IBEACONUUID1"] == "beef"
    assert request.pass_data["OWN"] == "1"
    with sessions() as session:
        content = messages.content(session, the_message(sessions).id)
    assert content.pass_data == request.pass_data


def test_of_unknown_get_parameters_those_like_the_protocols_own_go_along(
    sessions: Sessions, key: str
) -> None:
    query = a_query(key, from_mask="Shop", pd_ibeaconuuid1="beef", **{"_": "17", "x y": "1"})
    pairs = "&".join(f"{n}={v}".replace(" ", "+") for n, v in query.items())
    with wired(Wire()) as wire:
        a_drop_in(sessions, wire.url).answer(read_query(pairs.encode()))
    request = from_xml(wire.documents[0])
    assert request.others == {"FROM_MASK": "Shop"}
    assert request.pass_data["IBEACONUUID1"] == "beef"


def test_the_clients_key_goes_nowhere(
    sessions: Sessions, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    twice = f"<api_key>{key}</api_key><API_KEY>{key}</API_KEY>"
    with wired(Wire()) as wire:
        asked(a_drop_in(sessions, wire.url), a_document(key, twice))
    assert key not in wire.documents[0]
    assert wire.documents[0].count(API_KEY) == 1
    with sessions() as session:
        for table in Base.metadata.sorted_tables:
            kept = str(session.execute(table.select()).all())
            assert key not in kept
            assert API_KEY not in kept, table.name
    assert key not in caplog.text
    assert API_KEY not in caplog.text
    assert NUMBER not in caplog.text


def test_everything_that_the_call_says_reaches_the_gateway(sessions: Sessions, key: str) -> None:
    inner = (
        "<CUSTOMTEXT><VALUE>One</VALUE><SLIDE>1</SLIDE></CUSTOMTEXT>"
        "<CUSTOMTEXT><SLIDE>x</SLIDE><VALUE>Odd</VALUE></CUSTOMTEXT>"
        "<DDMTEXT>Hello</DDMTEXT><DDMTITLE>T</DDMTITLE><DDMTIMEOUT>soon</DDMTIMEOUT>"
        "<CUSTOMSUBJECT>S</CUSTOMSUBJECT><CAMPAIGNREF>12</CAMPAIGNREF>"
        "<DATA><First>John</First><LAST_NAME>Smith &lt;3</LAST_NAME></DATA>"
    )
    with wired(Wire()) as wire:
        asked(a_drop_in(sessions, wire.url), a_document(key, inner))
    asked_for, passed = from_xml(a_document(API_KEY, inner)), from_xml(wire.documents[0])
    ours = {"CUSTOMPASSID": passed.pass_data["CUSTOMPASSID"]}
    assert passed.pass_data == {**ours, **asked_for.pass_data}
    for name in asked_for.__slots__:
        if name != "pass_data":
            assert getattr(passed, name) == getattr(asked_for, name), name
    with sessions() as session:
        content = messages.content(session, the_message(sessions).id)
    assert content.data == {"First": "John", "LAST_NAME": "Smith <3"}
    assert content.ddm == {"title": "T", "text": "Hello", "timeout_minutes": None}
    assert content.custom_text == [{"slide": 1, "value": "One"}, {"slide": None, "value": "Odd"}]


def test_what_is_too_long_for_us_is_the_gateways_to_judge(
    sessions: Sessions, sandbox: RunningSandbox, key: str
) -> None:
    drop_in = a_drop_in(sessions, sandbox.gateway_url)
    long = f"<BARCODEVALUE>{'9' * 20_000}</BARCODEVALUE><CUSTOMPASSID>{'p' * 999}</CUSTOMPASSID>"
    inner = f"<CUSTOMSUBJECT>{'ü' * 500}</CUSTOMSUBJECT><CAMPAIGNREF>{'1' * 99}</CAMPAIGNREF>"
    assert asked(drop_in, a_document(key, inner, PASSDATA=long)).is_success
    assert asked(drop_in, a_document(key, inner, MMSID="4" * 200)).error_code == "E241"
    first = next(call.request for call in sandbox.calls if call.request)
    assert len(first.pass_data["BARCODEVALUE"]) == 20_000
    assert (len(first.pass_data["CUSTOMPASSID"]), len(first.custom_subject or "")) == (999, 500)
    refused, accepted = all_messages(sessions)
    assert (refused.status, accepted.status) == (Status.REFUSED, Status.ACCEPTED)


def test_a_token_without_the_right_to_send_is_refused(
    sessions: Sessions, sandbox: RunningSandbox, now: datetime
) -> None:
    scopes = [Scope.READ, Scope.ADMIN]
    key = accounts.create_token(sessions, "till", scopes=scopes, actor="test", now=now).token
    assert asked(a_drop_in(sessions, sandbox.gateway_url), a_document(key)).error_code == "E105"
    assert (sandbox.calls, all_messages(sessions)) == ([], [])


def test_a_token_that_may_send_and_nothing_else_will_do(
    sessions: Sessions, sandbox: RunningSandbox, now: datetime
) -> None:
    made = accounts.create_token(sessions, "till", scopes=[Scope.SEND], actor="test", now=now)
    assert asked(a_drop_in(sessions, sandbox.gateway_url), a_document(made.token)).is_success


def test_a_token_whose_limit_is_used_up_is_told_the_interval_as_the_gateway_does(
    sessions: Sessions, sandbox: RunningSandbox
) -> None:
    noon = datetime(2026, 11, 27, 12, 0, 15, tzinfo=UTC)
    key = accounts.create_token(sessions, "till", rate_per_minute=2, actor="test", now=noon).token
    clock = [noon]
    gateway = Gateway(sandbox.gateway_url, API_KEY, 10.0)
    drop_in = DropIn(sessions, gateway, zone=DEFAULT_ZONE, clock=lambda: clock[0])
    assert asked(drop_in, a_document(key)).is_success
    assert asked(drop_in, a_document(key, MMSID=None)).error_code == "E620"  # counts too
    told = asked(drop_in, a_document(key, MMSID=None))
    assert (told.error_code, told.to) == ("E106", NUMBER)
    assert told.error_info == (
        "Not sent: this API token may make 2 calls a minute; the minimum interval is 30 s, and the"
        " next call is taken in 45 s"
    )
    assert (len(sandbox.calls), len(all_messages(sessions))) == (1, 1)
    clock[0] += timedelta(seconds=45)
    assert asked(drop_in, a_document(key)).is_success


def test_a_limit_is_one_for_the_drop_in_and_all_else(
    sessions: Sessions, sandbox: RunningSandbox, now: datetime
) -> None:
    made = accounts.create_token(sessions, "till", rate_per_minute=1, actor="test", now=now)
    (token,) = accounts.tokens(sessions)
    assert allowance.take(sessions, token, now)
    drop_in = DropIn(
        sessions,
        Gateway(sandbox.gateway_url, API_KEY, 10.0),
        zone=DEFAULT_ZONE,
        clock=lambda: now,
    )
    assert asked(drop_in, a_document(made.token)).error_code == "E106"
    assert sandbox.calls == []


def test_a_token_that_may_not_send_hears_of_that_before_its_limit(
    sessions: Sessions, sandbox: RunningSandbox, now: datetime
) -> None:
    key = accounts.create_token(
        sessions, "till", scopes=[Scope.READ], rate_per_minute=1, actor="test", now=now
    ).token
    drop_in = a_drop_in(sessions, sandbox.gateway_url)
    assert {asked(drop_in, a_document(key)).error_code for _ in "123"} == {"E105"}


def test_a_revoked_token_is_a_wrong_key(
    sessions: Sessions, sandbox: RunningSandbox, key: str, now: datetime
) -> None:
    accounts.revoke_token(sessions, "shop", actor="test", now=now)
    assert asked(a_drop_in(sessions, sandbox.gateway_url), a_document(key)).error_code == "E104"


def test_without_a_gateway_nothing_is_recorded(sessions: Sessions, key: str) -> None:
    drop_in = DropIn(sessions, None, zone=DEFAULT_ZONE, clock=CLOCK)
    told = asked(drop_in, a_document(key))
    assert (told.error_code, told.to) == ("E503", NUMBER)
    assert "no gateway" in (told.error_info or "")
    assert asked(drop_in, a_document(key, TO="+1")).error_code == "E110"
    assert all_messages(sessions) == []


def test_a_death_before_the_answer_ends_as_unknown_and_is_never_sent(
    sessions: Sessions, key: str
) -> None:
    """The process is gone, as far as the database can tell, once a lease has run out."""
    hang = threading.Event()
    with wired(Wire(on_call=lambda: hang.wait(20))) as wire, ThreadPoolExecutor(1) as pool:
        called = pool.submit(asked, a_drop_in(sessions, wire.url), a_document(key))
        until(lambda: wire.documents)
        assert claim_due(sessions, 10, CLOCK() + outbox.LEASE + timedelta(seconds=1)) == []
        assert the_message(sessions).status is Status.UNKNOWN
        assert claim_due(sessions, 10, CLOCK() + FAR) == []
        hang.set()
        assert called.result(20).is_success  # it lives after all, and its answer is the truth
    assert the_message(sessions).status is Status.ACCEPTED
    assert len(wire.documents) == 1


def test_more_calls_than_there_is_room_for_are_turned_away_at_once(
    sessions: Sessions, key: str
) -> None:
    hang = threading.Event()
    with wired(Wire(on_call=lambda: hang.wait(20))) as wire, ThreadPoolExecutor(2) as pool:
        drop_in = a_drop_in(sessions, wire.url, 30)
        drop_in.limit(2)
        under_way = [pool.submit(asked, drop_in, a_document(key)) for _ in range(2)]
        until(lambda: len(wire.documents) == 2)
        told = asked(drop_in, a_document(key))
        assert (told.error_code, len(all_messages(sessions))) == ("E503", 2)
        assert "under way" in (told.error_info or "")
        hang.set()
        assert all(call.result(20).is_success for call in under_way)
        assert asked(drop_in, a_document(key)).is_success


@pytest.mark.parametrize("bad", ["TO", "suppressed", "database"])
def test_a_call_that_comes_to_nothing_gives_its_room_back(
    sqlite_url: str, now: datetime, bad: str
) -> None:
    sessions = db.connect(sqlite_url)
    key = accounts.create_token(sessions, "shop", actor="test", now=now).token
    accounts.use_token(sessions, key, now)
    with sessions.begin() as session:
        suppressions.add(session, "12025550199", "STOP", None, told_at=None, now=now)
    with wired(Wire()) as wire, ExitStack() as stack:
        drop_in = a_drop_in(sessions, wire.url)
        drop_in.limit(1)
        if bad == "database":
            holder = stack.enter_context(sessions())
            holder.connection().exec_driver_sql("COMMIT")
            holder.connection().exec_driver_sql("BEGIN IMMEDIATE")
            with pytest.raises(Exception, match="locked"):
                asked(drop_in, a_document(key))
            holder.rollback()
        else:
            asked(drop_in, a_document(key, TO="+1" if bad == "TO" else "12025550199"))
        assert asked(drop_in, a_document(key)).is_success
    db.engine_of(sessions).dispose()


def test_an_answer_is_told_even_while_it_cannot_be_recorded(
    sqlite_url: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropin, "RECORD_SECONDS", 0.2)
    sessions = db.connect(sqlite_url)
    key = accounts.create_token(sessions, "shop", actor="test", now=now).token
    holder = sessions()

    def hold() -> None:
        holder.execute(text("SELECT 1"))
        holder.connection().exec_driver_sql("COMMIT")
        holder.connection().exec_driver_sql("BEGIN IMMEDIATE")

    with wired(Wire(on_call=hold)) as wire:
        assert asked(a_drop_in(sessions, wire.url), a_document(key)).is_success
        assert the_message(sessions).status is Status.SENDING
        holder.rollback()
        holder.close()
        until(lambda: the_message(sessions).status is Status.ACCEPTED)
    db.engine_of(sessions).dispose()


def test_nobody_waits_longer_than_a_lease_and_the_late_answer_still_counts(
    sessions: Sessions, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outbox.LEASE.total_seconds() > dropin.CALL_SECONDS + dropin.RECORD_SECONDS
    monkeypatch.setattr(dropin, "CALL_SECONDS", 0.3)
    hang = threading.Event()
    with wired(Wire(on_call=lambda: hang.wait(20))) as wire:
        told = asked(a_drop_in(sessions, wire.url, 30), a_document(key))
        assert told.error_code == "E503"
        assert re.search("unknown: no answer in time", told.error_info or "")
        hang.set()
        until(lambda: the_message(sessions).status is Status.ACCEPTED)
