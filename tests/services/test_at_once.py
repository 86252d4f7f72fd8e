"""The quick way: many postbacks in few statements, and each answer its own."""

import random
from datetime import UTC, datetime

from builders import a_postback
from ingest_support import (
    arrivals,
    forbid,
    ingested,
    ingested_each,
    journal,
    message,
    outcomes,
    with_messages,
)

from tracker.domain.fold import Outcome
from tracker.domain.status import Status
from tracker.store.db import Sessions

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
KEYS = [f"K{number}" for number in range(100)]


def bodies_of(code: str) -> list[bytes]:
    return [a_postback(code, TRACKINGID=key) for key in KEYS]


def test_each_of_a_large_batch_is_told_its_own_row(sessions: Sessions) -> None:
    with_messages(sessions, KEYS, START)
    known = random.Random(1).sample(bodies_of("N101"), 30)
    ingested(sessions, arrivals(known, START), START)
    mixed = bodies_of("N101") + [a_postback(TRACKINGID=f"never-{n}") for n in range(10)]
    random.Random(2).shuffle(mixed)
    batch = arrivals(mixed, START)
    results = ingested(sessions, batch, START)
    rows = {row.id: row for row in journal(sessions)}
    assert len(rows) == 110
    for arrival, (told,) in zip(batch, results, strict=True):
        row = rows[told.postback_id]
        assert row.fingerprint == arrival.events[0].fingerprint
        assert told.is_repeat == (arrival.body in known)
        assert told.is_repeat or (row.outcome, row.outcome_reason) == (told.outcome, told.reason)
    assert sum(row.repeats for row in rows.values()) == 30
    assert {message(sessions, key).status for key in KEYS} == {Status.SENT}


def test_what_comes_late_in_a_large_batch_is_outranked(sessions: Sessions) -> None:
    with_messages(sessions, KEYS, START)
    results = ingested(sessions, arrivals(bodies_of("N102") + bodies_of("N101"), START), START)
    assert outcomes(results[:100]) == [Outcome.APPLIED] * 100
    assert outcomes(results[100:]) == [Outcome.OUTRANKED] * 100
    assert {message(sessions, key).status for key in KEYS} == {Status.DELIVERED}


def test_one_bad_row_takes_none_of_its_statement_down(sessions: Sessions) -> None:
    with_messages(sessions, KEYS, START)
    forbid(sessions, "postbacks", "NEW.tracking_key = 'K7' AND NEW.outcome = 'applied'")
    results = ingested_each(sessions, arrivals(bodies_of("N102"), START), START)
    found = outcomes(results)
    assert found[7] is Outcome.QUARANTINED
    assert found[:7] + found[8:] == [Outcome.APPLIED] * 99
    assert message(sessions, "K7").status is Status.ACCEPTED
