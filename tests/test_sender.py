"""The sender's loop, and real sender processes that die at the worst moment."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread

import pytest
from builders import queued, reloaded
from sqlalchemy import select, update

from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.gateway import Connection, Gateway, NotSent
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.server import RunningSandbox, running
from tracker.sender import IDLE_SECONDS, Sender
from tracker.services import send
from tracker.store import db, messages
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter
from tracker.store.models import Message, SendAttempt
from tracker.store.outbox import LEASE
from tracker.store.rows import MessageRow

KEY = SandboxOptions().api_key
COMMAND = [sys.executable, "-c", "from tracker.cli import main; main()", "sender"]


def a_sender(sessions: Sessions, url: str, timeout: float = 5.0) -> Sender:
    gateway = Gateway(url, KEY, timeout)
    return Sender(sessions, gateway, zone=DEFAULT_ZONE, clock=lambda: datetime.now(UTC))


def statuses(sessions: Sessions) -> Counter[Status]:
    with sessions() as session:
        return Counter(
            row.status for row in messages.search(session, MessageFilter(), limit=500).items
        )


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition; fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def at_work(sender: Sender) -> Iterator[None]:
    """Run a sender, tell it to stop in the end, and see it stop."""
    stop = Event()
    thread = Thread(target=sender.run, args=[stop])
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_it_sends_what_is_queued_until_it_is_stopped(
    sessions: Sessions, sandbox: RunningSandbox
) -> None:
    ids = [queued(sessions) for _ in range(20)]
    with at_work(a_sender(sessions, sandbox.gateway_url)):
        until(lambda: statuses(sessions) == {Status.ACCEPTED: 20})
    assert len({reloaded(sessions, i).tracking_id for i in ids}) == 20


def test_two_senders_side_by_side_call_once_for_each(
    sessions: Sessions, sandbox: RunningSandbox
) -> None:
    for _ in range(60):
        queued(sessions)
    stop = Event()
    threads = [
        Thread(target=a_sender(sessions, sandbox.gateway_url).run, args=[stop]) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    until(lambda: statuses(sessions) == {Status.ACCEPTED: 60})
    stop.set()
    for thread in threads:
        thread.join(10)
    assert len(sandbox.calls) == 60


@pytest.mark.parametrize("answer", ["close", "garbage", "http500", "slow"])
def test_a_lost_answer_is_unknown_after_one_call(sessions: Sessions, answer: str) -> None:
    public_id = queued(sessions)
    with running(SandboxOptions(answer=answer, slow_seconds=3.0)) as gateway:
        a_sender(sessions, gateway.gateway_url, timeout=1.0).drain()
        assert reloaded(sessions, public_id).status is Status.UNKNOWN
        assert a_sender(sessions, gateway.gateway_url).drain() == 0


def test_no_gateway_leaves_the_message_queued_for_later(sessions: Sessions) -> None:
    public_id = queued(sessions)
    a_sender(sessions, "http://127.0.0.1:1/").drain()
    row = reloaded(sessions, public_id)
    assert row.status is Status.QUEUED
    assert row.due_at
    assert row.due_at > row.created_at


def test_a_call_begins_only_when_its_connection_stands(sessions: Sessions) -> None:
    public_id = queued(sessions)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # it takes a client and says nothing
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/"
        sending = Thread(target=a_sender(sessions, url, timeout=2.0).drain)
        sending.start()
        until(lambda: reloaded(sessions, public_id).status is Status.SENDING)
        with mute.accept()[0]:
            assert attempts(sessions) == []
            assert reloaded(sessions, public_id).attempts == 0
            sending.join(20)
    assert attempts(sessions) == ["not_sent"]
    row = reloaded(sessions, public_id)
    assert (row.status, row.attempts) == (Status.QUEUED, 1)


def attempts(sessions: Sessions) -> list[str | None]:
    with sessions() as session:
        return list(session.scalars(select(SendAttempt.outcome)))


def test_a_claim_without_a_call_is_queued_again_after_its_sender_died(
    database_url: str, sessions: Sessions
) -> None:
    public_id = queued(sessions)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"https://127.0.0.1:{mute.getsockname()[1]}/"
        process = subprocess.Popen(COMMAND, env=environ(database_url, url))
        until(lambda: reloaded(sessions, public_id).status is Status.SENDING)
        with mute.accept()[0]:
            process.kill()
            process.wait(10)
    send.expire_leases(sessions, datetime.now(UTC) + LEASE)
    assert reloaded(sessions, public_id).status is Status.QUEUED
    with running(SandboxOptions()) as gateway:
        assert a_sender(sessions, gateway.gateway_url).drain() == 1
        assert len(gateway.calls) == 1


class FarAway(Gateway):
    """A gateway whose connections take a while to open, and stand a while before they are used."""

    def connect(self) -> Connection | NotSent:
        """Open a connection, slowly."""
        opened = super().connect()
        time.sleep(0.4)
        return opened


def far_away(sessions: Sessions, url: str) -> Sender:
    gateway = FarAway(url, KEY, 5.0)
    return Sender(sessions, gateway, zone=DEFAULT_ZONE, clock=lambda: datetime.now(UTC))


def test_a_stop_while_a_connection_is_opened_is_a_stop(
    sessions: Sessions, sandbox: RunningSandbox
) -> None:
    public_id = queued(sessions)
    with at_work(far_away(sessions, sandbox.gateway_url)):
        until(lambda: reloaded(sessions, public_id).status is Status.SENDING)
    assert reloaded(sessions, public_id).status is Status.ACCEPTED


def test_a_database_that_is_busy_when_a_call_begins_is_waited_for(
    sessions: Sessions, sandbox: RunningSandbox
) -> None:
    public_id = queued(sessions)
    with at_work(far_away(sessions, sandbox.gateway_url)):
        until(lambda: reloaded(sessions, public_id).status is Status.SENDING)
        with sessions.begin() as session:  # SQLite waits for 3 s
            session.execute(update(Message).values(attempts=0))
            time.sleep(4)
        until(lambda: reloaded(sessions, public_id).status is Status.ACCEPTED, 15)
    assert len(sandbox.calls) == 1


def test_a_gateway_that_hangs_up_before_the_call_costs_nothing(sessions: Sessions) -> None:
    public_id = queued(sessions)
    with socket.create_server(("127.0.0.1", 0)) as tired:

        def hang_up() -> None:
            client, _ = tired.accept()
            client.close()

        Thread(target=hang_up, daemon=True).start()
        far_away(sessions, f"http://127.0.0.1:{tired.getsockname()[1]}/").drain()
    assert reloaded(sessions, public_id).status is Status.QUEUED
    assert attempts(sessions) == ["not_sent"]


def environ(database_url: str, gateway_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "TRACKER_DATABASE_URL": database_url,
        "TRACKER_GATEWAY_URL": gateway_url,
        "TRACKER_GATEWAY_API_KEY": KEY,
    }


def test_a_sender_process_stops_cleanly_on_sigterm(database_url: str, sessions: Sessions) -> None:
    public_id = queued(sessions)
    with running(SandboxOptions(answer_delay_seconds=1.0)) as gateway:
        process = subprocess.Popen(COMMAND, env=environ(database_url, gateway.gateway_url))
        until(lambda: reloaded(sessions, public_id).attempts == 1)  # the call is under way
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert reloaded(sessions, public_id).status is Status.ACCEPTED


def test_a_killed_sender_leaves_nothing_to_send_twice(
    database_url: str, sessions: Sessions
) -> None:
    """SIGKILL at random moments; then a last sender finishes what may be sent."""
    for number in range(40):
        queued(sessions, to=f"1202555{number:04d}")
    with running(SandboxOptions(answer_delay_seconds=0.1)) as gateway:
        for round_number in range(4):
            before = sum(row.attempts for row in _rows(sessions))
            process = subprocess.Popen(COMMAND, env=environ(database_url, gateway.gateway_url))
            wanted = before + 3 + round_number
            until(lambda wanted=wanted: sum(r.attempts for r in _rows(sessions)) >= wanted)  # type: ignore[misc]
            process.kill()
            process.wait(10)
        # Whoever was being called at a kill is unknown when the lease ends; who was not, goes on.
        send.expire_leases(sessions, datetime.now(UTC) + LEASE)
        a_sender(sessions, gateway.gateway_url).drain()
        called = Counter(call.number for call in gateway.calls)
    assert set(called.values()) == {1}, "a number was called twice"
    assert set(statuses(sessions)) <= {Status.ACCEPTED, Status.UNKNOWN}
    accepted = {row.recipient for row in _rows(sessions) if row.status is Status.ACCEPTED}
    assert accepted <= set(called)


def _rows(sessions: Sessions) -> list[MessageRow]:
    with sessions() as session:
        return messages.search(session, MessageFilter(), limit=500).items


def test_an_outage_of_the_database_is_one_line_and_the_sender_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = db.connect("postgresql+psycopg://nobody@127.0.0.1:1/none")
    stop = Event()
    thread = Thread(target=a_sender(away, "http://127.0.0.1:1/").run, args=[stop])
    thread.start()
    until(lambda: "no database" in caplog.text)
    time.sleep(3 * IDLE_SECONDS)
    assert thread.is_alive()
    stop.set()
    thread.join(20)
    assert [record.message for record in caplog.records] == ["no database; waiting for it"]


def test_two_sender_processes_keep_the_set_rate_together(
    database_url: str, sessions: Sessions
) -> None:
    for _ in range(40):
        queued(sessions)
    with running(SandboxOptions()) as gateway:
        settings = {**environ(database_url, gateway.gateway_url), "TRACKER_SEND_RATE": "8"}
        processes = [subprocess.Popen(COMMAND, env=settings) for _ in range(2)]
        try:
            until(lambda: len(gateway.calls) >= 25)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(20)
    with sessions() as session:
        begun = sorted(session.scalars(select(SendAttempt.started_at)))
    seconds = (begun[-1] - begun[0]).total_seconds()
    assert len(begun) <= 8 * seconds + 2


def test_a_wrong_key_stops_after_the_first_few_calls_and_loses_nothing(
    sessions: Sessions, sandbox: RunningSandbox
) -> None:
    for _ in range(100):
        queued(sessions)
    gateway = Gateway(sandbox.gateway_url, "a-wrong-key", 5)
    Sender(sessions, gateway, zone=DEFAULT_ZONE, clock=lambda: datetime.now(UTC)).drain()
    assert statuses(sessions) == {Status.QUEUED: 100}
    assert len(sandbox.calls) <= 8
