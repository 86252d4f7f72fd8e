"""Lists by conditions without an index: every page looks at few rows, and none is left out."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import uuid4

import pytest
from builders import NUMBER, a_postback
from sqlalchemy import delete

from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.services import receive, rollups
from tracker.store import ingest, looking, messages, postbacks
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter
from tracker.store.models import Message, RollupMark
from tracker.store.postbacks import PostbackFilter
from tracker.store.rows import MessageRow

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
STATUSES = [Status.DELIVERED] * 30 + [Status.SENT] * 8 + [Status.EXPIRED, Status.UNKNOWN]


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "FEW", 7)
    monkeypatch.setattr(looking, "MOST", 25)
    monkeypatch.setattr(looking, "MOST_HOURS", 9)
    monkeypatch.setattr(looking, "MOST_RUNS", 3)
    monkeypatch.setattr(postbacks, "FEW", 7)
    monkeypatch.setattr(postbacks, "MOST", 25)


def with_many(sessions: Sessions, *, is_counted: bool) -> None:
    """Store 150 messages of 25 hours; some share the very moment."""
    random_ = random.Random(4)
    with sessions.begin() as session:
        for number in range(150):
            at = START + timedelta(minutes=10 * random_.randrange(150))
            spid = random_.choice(["0001", "0002"]) if number % 9 else "0009"
            session.add(
                Message(
                    public_id=uuid4(), status=random_.choice(STATUSES), recipient=NUMBER,
                    sender="11111", mms_id=random_.choice(["1", "2", "2"]), created_at=at,
                    updated_at=at, custom_pass_id=str(number), spid=spid,
                    handset=random_.choice(["a", "b", "b", "b", None]),
                )
            )  # fmt: skip
            ingest.mark_hours(session, {at})
    if is_counted:
        rollups.refresh(sessions)


def pages(sessions: Sessions, wanted: MessageFilter, limit: int) -> list[MessageRow]:
    """Turn the pages of a list to the end; those in between say how far they looked."""
    found: list[MessageRow] = []
    cursor, turned = None, 0
    with sessions() as session:
        while True:
            page = messages.search(session, wanted, limit=limit, cursor=cursor)
            found += page.items
            cursor, turned = page.next_cursor, turned + 1
            is_short = cursor is not None and len(page.items) < limit
            assert (page.looked_to is not None) == is_short
            assert turned < 200
            if cursor is None:
                return found


@pytest.mark.parametrize("is_counted", [True, False])
def test_pages_of_any_question_have_all_that_fits_once_and_in_order(
    sessions: Sessions, *, is_counted: bool
) -> None:
    with_many(sessions, is_counted=is_counted)
    every = pages(sessions, MessageFilter(), 50)
    assert len(every) == 150
    asked = 0
    for status, spid, mms_id, handset, limit in product(
        ((), (Status.EXPIRED,), (Status.UNKNOWN, Status.SENT), (Status.CANCELLED,)),
        (None, "0009", "none"), (None, "1"), (None, "a"), (8,),
    ):  # fmt: skip
        wanted = MessageFilter(status=status, spid=spid, mms_id=mms_id, handset=handset)
        fit = [
            row.id
            for row in every
            if (not status or row.status in status)
            and (spid is None or row.spid == spid)
            and (mms_id is None or row.mms_id == mms_id)
            and (handset is None or row.handset == handset)
        ]
        assert [row.id for row in pages(sessions, wanted, limit)] == fit, wanted
        asked += len(fit)
    assert asked > 200


def test_a_period_bounds_what_is_looked_for(sessions: Sessions) -> None:
    with_many(sessions, is_counted=True)
    begin, end = START + timedelta(hours=4, minutes=30), START + timedelta(hours=19, minutes=10)
    wanted = MessageFilter(status=(Status.SENT,), created_from=begin, created_to=end)
    every = pages(sessions, replace(wanted, status=()), 50)
    expected = [row.id for row in every if row.status is Status.SENT]
    assert expected
    assert [row.id for row in pages(sessions, wanted, 5)] == expected


def test_an_hour_that_is_not_counted_yet_is_looked_through(sessions: Sessions) -> None:
    with_many(sessions, is_counted=True)
    with sessions.begin() as session:
        oldest = messages.search(session, MessageFilter(), limit=150).items[-1]
        session.get_one(Message, oldest.id).status = Status.CANCELLED
        ingest.mark_hours(session, {oldest.created_at})
    wanted = MessageFilter(status=(Status.CANCELLED,))
    assert [row.id for row in pages(sessions, wanted, 5)] == [oldest.id]
    with sessions.begin() as session:  # by the counts alone nobody would look there
        session.execute(delete(RollupMark))
    assert pages(sessions, wanted, 5) == []


def test_the_journal_too_looks_a_little_at_a_time(sessions: Sessions) -> None:
    random_ = random.Random(5)
    codes = [random_.choice(["N101"] * 9 + ["N102"]) for _ in range(120)]
    for number, code in enumerate(codes):
        body = a_postback(code, TRACKINGID=f"K{number}")
        at = START + timedelta(minutes=number)
        receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=at)
    for wanted, fit in (
        (PostbackFilter(code="n102"), [code == "N102" for code in codes]),
        (PostbackFilter(code="E999"), [False] * 120),
        (PostbackFilter(received_to=START + timedelta(minutes=9)), [n < 9 for n in range(120)]),
        (PostbackFilter(), [True] * 120),
        (PostbackFilter(outcome="unmatched", kind="mms"), [True] * 120),
    ):
        found, before_id = [], None
        with sessions() as session:
            for _ in range(60):
                page = postbacks.search(session, wanted, limit=4, before_id=before_id)
                found += [row.received_at for row in page.items]
                assert (page.looked_to is None) == (not page.next_cursor or len(page.items) == 4)
                if page.next_cursor is None:
                    break
                before_id = int(page.next_cursor)
        expected = [START + timedelta(minutes=n) for n in range(120) if fit[n]]
        assert found == expected[::-1], wanted
