"""Messages that nobody says anything about: no failure, and a late receipt wins."""

from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from uuid import UUID

import pytest
from builders import a_postback, accepted, reloaded
from ingest_support import eventually
from sqlalchemy import update

from tracker import sender
from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.gateway import Gateway
from tracker.services import receive, rollups, silence
from tracker.services.take import Policy
from tracker.store import ingest
from tracker.store.db import Sessions
from tracker.store.models import Message

PATIENCE = timedelta(hours=72)
HOUR = timedelta(hours=1)


def told(sessions: Sessions, code: str, tracking_id: str) -> None:
    body = a_postback(code, TRACKINGID=tracking_id)
    receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=datetime.now(UTC))


def aged(sessions: Sessions, public_id: UUID, by: timedelta) -> None:
    """Let a message have been made, taken and sent so much earlier."""
    row = reloaded(sessions, public_id)
    earlier = {
        name: moment - by
        for name in ("created_at", "accepted_at", "sent_at")
        if (moment := getattr(row, name)) is not None
    }
    with sessions.begin() as session:
        session.execute(update(Message).where(Message.public_id == public_id).values(earlier))
        ingest.mark_hours(session, {earlier["created_at"]})


def swept(sessions: Sessions) -> int:
    rollups.refresh(sessions)
    return silence.sweep(sessions, PATIENCE, datetime.now(UTC))


def status_of(sessions: Sessions, public_id: UUID) -> Status:
    return reloaded(sessions, public_id).status


def test_only_what_had_no_word_for_so_long_is_given_up_on(sessions: Sessions) -> None:
    old = {name: accepted(sessions, name) for name in ("taken", "sent", "delivered", "failed")}
    told(sessions, "N101", "sent")
    told(sessions, "N102", "delivered")
    told(sessions, "E102", "failed")
    young = accepted(sessions, "young")
    for public_id in old.values():
        aged(sessions, public_id, PATIENCE + HOUR)
    aged(sessions, young, PATIENCE - HOUR)
    told(sessions, "N101", "young")
    assert swept(sessions) == 2
    assert {name: status_of(sessions, public_id).value for name, public_id in old.items()} == {
        "taken": "no_receipt", "sent": "no_receipt", "delivered": "delivered", "failed": "failed",
    }  # fmt: skip
    assert status_of(sessions, young) is Status.SENT
    assert swept(sessions) == 0


def test_a_word_counts_from_when_it_came(sessions: Sessions) -> None:
    late = accepted(sessions, "late")
    aged(sessions, late, PATIENCE + 5 * HOUR)
    told(sessions, "N101", "late")  # now
    assert swept(sessions) == 0
    assert status_of(sessions, late) is Status.SENT


def test_a_late_receipt_still_wins(sessions: Sessions) -> None:
    silent, heard = accepted(sessions, "silent"), accepted(sessions, "heard")
    for public_id in (silent, heard):
        aged(sessions, public_id, PATIENCE + HOUR)
    assert swept(sessions) == 2
    told(sessions, "N102", "heard")
    assert status_of(sessions, heard) is Status.DELIVERED
    assert status_of(sessions, silent) is Status.NO_RECEIPT


def test_many_of_one_hour_are_marked_in_steps(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "AT_ONCE", 2)
    for number in range(5):
        aged(sessions, accepted(sessions, f"T{number}"), PATIENCE + HOUR)
    assert swept(sessions) == 5


def test_the_sender_does_it_by_itself(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "ROLLUP_SECONDS", 0.05)
    monkeypatch.setattr(sender, "SWEEP_SECONDS", 0.05)
    silent = accepted(sessions, "silent")
    aged(sessions, silent, 3 * HOUR)
    stop = Event()
    made = sender.Sender(
        sessions, Gateway("http://127.0.0.1:1/", "k", 1), zone=DEFAULT_ZONE,
        clock=lambda: datetime.now(UTC), policy=Policy(receipt_patience=2 * HOUR),
    )  # fmt: skip
    thread = Thread(target=made.run, args=[stop])
    thread.start()
    try:
        assert eventually(lambda: status_of(sessions, silent) is Status.NO_RECEIPT)
    finally:
        stop.set()
        thread.join()
