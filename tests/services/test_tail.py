"""The journal as it grows: each postback once, whatever the order of commits."""

from datetime import UTC, datetime, timedelta

from builders import a_postback
from sqlalchemy import update

from tracker.config import DEFAULT_ZONE
from tracker.services import receive
from tracker.services.tail import GRACE, Tail
from tracker.store.db import Sessions
from tracker.store.models import Postback

START = datetime(2026, 11, 27, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def kept(sessions: Sessions, number: int) -> int:
    body = a_postback(TRACKINGID=f"T{number}")
    return receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=START)[0].postback_id


def moved(sessions: Sessions, postback_id: int, to: int) -> int:
    """Let a postback appear under an id that was given earlier, as a late commit does."""
    with sessions.begin() as session:
        session.execute(update(Postback).where(Postback.id == postback_id).values(id=to))
    return to


def test_what_was_there_is_left_out_and_what_comes_is_given_once(sessions: Sessions) -> None:
    kept(sessions, 1)
    tail = Tail(sessions, START)
    assert tail.look(START) == []
    made = [kept(sessions, number) for number in (2, 3)]
    assert [row.id for row in tail.look(START + SECOND)] == made
    assert tail.look(START + 2 * SECOND) == []
    assert tail.look(START + 60 * SECOND) == []
    last = kept(sessions, 4)
    assert [row.id for row in tail.look(START + 61 * SECOND)] == [last]


def test_it_can_begin_with_the_last_ones(sessions: Sessions) -> None:
    made = [kept(sessions, number) for number in range(5)]
    assert [row.id for row in Tail(sessions, START, last=2).look(START)] == made[-2:]
    assert [row.id for row in Tail(sessions, START, last=99).look(START)] == made


def test_a_late_commit_with_a_lower_id_is_not_missed(sessions: Sessions) -> None:
    first = kept(sessions, 1)
    moved(sessions, kept(sessions, 2), first + 100)
    tail = Tail(sessions, START)
    late = moved(sessions, kept(sessions, 3), first + 50)
    assert [row.id for row in tail.look(START + SECOND)] == [late]
    later = moved(sessions, kept(sessions, 4), first + 49)
    assert [row.id for row in tail.look(START + GRACE - SECOND)] == [later]
    assert tail.look(START + GRACE) == []


def test_what_was_given_is_forgotten_after_a_while(sessions: Sessions) -> None:
    tail = Tail(sessions, START)
    for number in range(3):
        kept(sessions, number)
        tail.look(START)
    assert len(tail._given) == 3
    tail.look(START + GRACE)
    assert tail._given == set()
    assert tail.look(START + GRACE) == []
