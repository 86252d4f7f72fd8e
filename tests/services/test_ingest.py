"""Batches of postbacks: whatever the order and the cut, what the fold says, once, and for all."""

import itertools
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from threading import Barrier
from typing import Any
from urllib.parse import urlencode

import pytest
from builders import NUMBER, a_postback, begin_call, claim_due, queued, reloaded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_support import (
    MOMENT,
    an_arrival,
    arrivals,
    count,
    cut,
    forbid,
    ingested,
    ingested_each,
    journal,
    message,
    outcomes,
    statements,
    with_messages,
)
from psycopg.pq import TransactionStatus
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError

from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import Delivery, Outcome, fold, told_status
from tracker.domain.status import Status
from tracker.gateway import Accepted
from tracker.protocol.notification import Kind, Notification, digits
from tracker.protocol.postback import parse_postback
from tracker.protocol.tracking import tracking_key
from tracker.protocol.transport import document_of
from tracker.services import receive, send
from tracker.services.arrivals import Arrival, read
from tracker.store import db, suppressions
from tracker.store.db import Sessions
from tracker.store.models import Alert, Handset, Message, MmsContent, Postback, PostbackBody
from tracker.store.models import Suppression as SuppressionOf

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OTHER = "12025550199"
_runs = itertools.count()

# What may come, as data: Hypothesis shrinks it well.


@dataclass(frozen=True)
class Said:
    """One postback of a made-up gateway; `whom` counts messages, the last of them is unknown."""

    code: str
    whom: int
    phrase: str | None = None
    minute: int | None = None
    to: str | None = NUMBER
    origin: str = "MMS_MT"
    mms_id: str | None = "45633"
    spid: str | None = None
    dialect: str = "skycore"

    def body(self, run: str) -> tuple[bytes, str | None]:
        tracking_id = f"{run}_{self.whom}"
        told = {
            "ORIGIN": self.origin,
            "CODE": self.code,
            "STATUS": self.phrase,
            "MMSID": self.mms_id,
            "TO": self.to,
            "TRACKINGID": tracking_id,
            "SPID": self.spid,
            "TIMESTAMP": (self.minute is not None and f"2026-11-20T07:{self.minute:02d}:00-05:00")
            or None,
            "HANDSET": "motol7c" if self.code in ("N102", "N502") else None,
        }
        if self.dialect == "padded":
            told["TRACKINGID"] = f"\n {tracking_id[:3]} {tracking_id[3:]}==\n"
        if self.dialect == "sinch":
            names = {"MMSID": "mms-id", "TRACKINGID": "tracking-id"}
            inner = "".join(
                f"<{names.get(n, n.lower())}>{v}</{names.get(n, n.lower())}>"
                for n, v in told.items()
                if v
            )
            return f"<postback>{inner}</postback>".encode(), "application/xml"
        inner = "".join(f"<{n}>{v}</{n}>" for n, v in told.items() if v)
        body = f"<POSTBACK>{inner}</POSTBACK>"
        if self.dialect == "form":
            return urlencode({"xml": body}).encode(), "application/x-www-form-urlencoded"
        if self.dialect == "wrapped":
            return f"<POSTBACK><NOTIFICATION>{inner}</NOTIFICATION></POSTBACK>".encode(), None
        return body.encode(), "text/xml"


PHRASES = [
    None, "Message Sent", "Message Sent/Delivered", "Message Sent/Expired", "Message Sent/Rejected",
    "Message Sent/NotSupported", "Message Failed", "Whatever",
]  # fmt: skip
CODES = ["N101", "N102", "N103", "E101", "E102", "N202", "E202", "N501", "N502", "E501", "E502",
         "N333", "E999", "N013", "E012"]  # fmt: skip
said = st.builds(
    Said,
    code=st.sampled_from(CODES),
    whom=st.integers(0, 3),
    phrase=st.sampled_from(PHRASES),
    minute=st.one_of(st.none(), st.integers(0, 4)),
    to=st.sampled_from([NUMBER, NUMBER, NUMBER, None, "+1 202-555-0143", OTHER]),
    origin=st.sampled_from(["MMS_MT", "MMS_MT", "MMS_MT", "SMS_MT"]),
    mms_id=st.sampled_from(["45633", "35674", None]),
    spid=st.sampled_from([None, "0001890", "0001570"]),
    dialect=st.sampled_from(["skycore", "sinch", "padded", "form", "wrapped"]),
)


@dataclass(frozen=True)
class Linked:
    """The two halves of a link in the oldest dialect: its N102 names the SMS, an N202 follows."""

    whom: int
    is_receipt: bool
    celly: int
    to: str | None = None

    def body(self, run: str) -> tuple[bytes, str | None]:
        origin, code = ("SMS_MT", "N202") if self.is_receipt else ("MMS_MT", "N102")
        own = f"{run}_S{self.whom}" if self.is_receipt else f"{run}_{self.whom}"
        named = "" if self.is_receipt else f"<SMSID>{run}_S{self.whom}</SMSID>"
        to = f"<TO>{self.to}</TO>" if self.to else ""
        return (
            f"<POSTBACK><NOTIFICATION id='1'><BODY><ORIGIN>{origin}</ORIGIN><CODE>{code}</CODE>"
            f"<TRACKINGID>{own}</TRACKINGID>{named}{to}<STATUS CELLY='{self.celly}'/></BODY>"
            "</NOTIFICATION></POSTBACK>"
        ).encode(), None


linked = st.builds(
    Linked,
    whom=st.integers(0, 1),
    is_receipt=st.booleans(),
    celly=st.sampled_from([10, 20, 30]),
    to=st.sampled_from([None, NUMBER, OTHER]),
)


@dataclass
class Entry:
    """A row of the journal, as it ought to be."""

    notification: Notification
    received_at: datetime
    outcome: Outcome
    whom: str | None = None
    repeats: int = 0


@dataclass
class World:
    """The messages and the journal, by the pure fold alone, one postback after the other."""

    messages: dict[str, Delivery]
    journal: dict[bytes, Entry] = field(default_factory=dict)

    def take(self, arrival: Arrival) -> None:
        found = parse_postback(document_of(arrival.body, arrival.content_type), zone=DEFAULT_ZONE)
        for notification in found:
            fingerprint = sha256(notification.fingerprint_text.encode()).digest()
            if fingerprint in self.journal:
                self.journal[fingerprint].repeats += 1
                continue
            entry = Entry(notification, arrival.received_at, Outcome.NOTED)
            self.journal[fingerprint] = entry
            self.judge(entry)
            if notification.sms_id and entry.whom and entry.outcome is not Outcome.QUARANTINED:
                self.link(tracking_key(notification.sms_id))

    def link(self, sms_key: str) -> None:
        for entry in self.journal.values():
            if entry.whom is None and entry.notification.tracking_key == sms_key:
                self.judge(entry)

    def judge(self, entry: Entry) -> None:
        n = entry.notification
        whom = self.whom(n)
        is_ours = n.kind in (Kind.MMS, Kind.SMS, Kind.DDM) or told_status(n) is not None
        if n.defect:
            entry.outcome = Outcome.QUARANTINED
        elif whom is None:
            entry.outcome = Outcome.UNMATCHED if is_ours else Outcome.NOTED
        elif digits(n.to) not in ("", NUMBER):
            entry.outcome, entry.whom = Outcome.QUARANTINED, whom
        else:
            folded = fold(self.messages[whom], n, entry.received_at)
            self.messages[whom], entry.outcome, entry.whom = folded.delivery, folded.outcome, whom

    def whom(self, n: Notification) -> str | None:
        if n.tracking_key in self.messages:
            return n.tracking_key
        if n.kind is not Kind.SMS:
            return None
        for entry in self.journal.values():
            sms_id = entry.notification.sms_id
            is_linked = entry.whom and entry.outcome is not Outcome.QUARANTINED
            if sms_id and is_linked and tracking_key(sms_id) == n.tracking_key:
                return entry.whom
        return None


def a_run(sessions: Sessions, count_of: int = 3) -> tuple[str, World]:
    """Store messages of their own for one example."""
    run = f"R{next(_runs)}"
    keys = [f"{run}_{number}" for number in range(count_of)]
    with_messages(sessions, keys, START)
    start = Delivery(status=Status.ACCEPTED, sender_used="11111")
    return run, World(dict.fromkeys(keys, start))


def read_bodies(told: Sequence[Said | Linked], run: str) -> list[Arrival]:
    bodies = [one.body(run) for one in told]
    return [
        an_arrival(body, START + number * MOMENT, content_type)
        for number, (body, content_type) in enumerate(bodies)
    ]


def stored(
    sessions: Sessions, run: str
) -> tuple[dict[str, Delivery], dict[bytes, tuple[Any, ...]]]:
    """Return what the database says of an example: its messages, and its journal."""
    with sessions() as session:
        rows = session.scalars(select(Message).where(Message.tracking_key.startswith(f"{run}_")))
        names = [one.name for one in fields(Delivery)]
        by_id = {row.id: row for row in rows}
        deliveries = {
            row.tracking_key or "": Delivery(**{name: getattr(row, name) for name in names})
            for row in by_id.values()
        }
        of_run = select(Postback).where(Postback.tracking_key.startswith(f"{run}_"))
        entries = {
            row.fingerprint: (
                row.outcome, row.repeats, row.received_at,
                by_id[row.message_id].tracking_key if row.message_id else None,
            )
            for row in session.scalars(of_run)
        }  # fmt: skip
    return deliveries, entries


def expected(world: World) -> dict[bytes, tuple[Any, ...]]:
    return {
        fingerprint: (entry.outcome, entry.repeats, entry.received_at, entry.whom)
        for fingerprint, entry in world.journal.items()
    }


def in_cuts(batch: Sequence[Arrival], sizes: Sequence[int]) -> list[Sequence[Arrival]]:
    """Cut a sequence of arrivals into batches of these sizes, the last one again and again."""
    cuts: list[Sequence[Arrival]] = []
    at = 0
    for size in itertools.chain(sizes, itertools.repeat(sizes[-1])):
        if at >= len(batch):
            return cuts
        cuts.append(batch[at : at + size])
        at += size
    return cuts


bounded = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@bounded
@given(
    st.lists(st.one_of(said, said, linked), min_size=1, max_size=12),
    st.lists(st.integers(0, 11), max_size=4),
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
)
def test_any_batches_give_what_the_fold_gives_one_after_another(
    sessions: Sessions,
    told: list[Said | Linked],
    again: list[int],
    sizes: list[int],
) -> None:
    run, world = a_run(sessions)
    told = told + [told[number % len(told)] for number in again]
    batch = read_bodies(told, run)
    for arrival in batch:
        world.take(arrival)
    for some in in_cuts(batch, sizes):
        ingested(sessions, some, START)
    deliveries, entries = stored(sessions, run)
    assert deliveries == world.messages
    assert entries == expected(world)


@bounded
@given(
    st.lists(said.map(lambda one: replace(one, minute=one.minute or 0)), max_size=8).flatmap(
        lambda some: st.tuples(st.just(some), st.permutations(some))
    ),
    st.lists(st.integers(1, 8), min_size=1, max_size=3),
)
def test_any_order_of_arrival_ends_in_the_same_status(
    sessions: Sessions, orders: tuple[list[Said], list[Said]], sizes: list[int]
) -> None:
    """Where every postback has a TIMESTAMP; failures without one go by their arrival."""
    ends = []
    for order in orders:
        run, _ = a_run(sessions)
        for some in in_cuts(read_bodies(order, run), sizes):
            ingested(sessions, some, START)
        deliveries, _ = stored(sessions, run)
        ends.append([deliveries[f"{run}_{whom}"].status for whom in range(3)])
    assert ends[0] == ends[1]


FIVE = [
    Said("N101", 0, "Message Sent", 0),
    Said("N102", 0, "Message Sent/Delivered", 3),
    Said("E102", 0, "Message Sent/Rejected", 2),
    Said("N502", 0, "Message Sent/Delivered", 1),
    Said("N202", 0, "Message Sent/Delivered", 4, origin="SMS_MT"),
]
FAILING = [
    Said("N101", 0, "Message Sent", 0),
    Said("N103", 0, None, 1),
    Said("E102", 0, "Message Sent/Rejected", 2),
    Said("E202", 0, "Message Sent/NotSupported", 4, origin="SMS_MT"),
    Said("N102", 0, "Message Sent/Expired", 3),
]


@pytest.mark.parametrize(
    ("five", "status"), [(FIVE, Status.DELIVERED), (FAILING, Status.UNSUPPORTED)]
)
def test_every_order_of_five_in_every_size_of_batch_ends_in_one_status(
    sessions: Sessions, five: list[Said], status: Status
) -> None:
    """Each order and size has a message of its own; those in the same step share a batch."""
    steps: list[list[Arrival]] = [[] for _ in five]
    cases = list(itertools.product(itertools.permutations(five), range(1, 6)))
    run, _ = a_run(sessions, len(cases))
    for whom, (order, size) in enumerate(cases):
        batch = read_bodies([replace(one, whom=whom) for one in order], run)
        for step, some in enumerate(cut(batch, size)):
            steps[step].extend(some)
    for step_of_all in steps:
        for some in cut(step_of_all, receive.MAX_BATCH):
            ingested(sessions, some, START)
    deliveries, entries = stored(sessions, run)
    assert {one.status for one in deliveries.values()} == {status}
    assert len(entries) == len(cases) * len(five)


# One event, many times.


def test_the_same_body_twenty_times_in_one_batch_is_one_row(sessions: Sessions) -> None:
    with_messages(sessions, ["A"], START)
    results = ingested(sessions, arrivals([a_postback(TRACKINGID="A")] * 20, START), START)
    assert [result[0].is_repeat for result in results] == [False] + [True] * 19
    assert len({result[0].postback_id for result in results}) == 1
    (row,) = journal(sessions)
    assert (row.id, row.repeats) == (results[0][0].postback_id, 19)
    assert count(sessions, PostbackBody) == 1


@pytest.mark.parametrize(
    "body",
    [a_postback(TRACKINGID="A"), a_postback(TRACKINGID="B"), b"<POSTBACK><CODE>"],
    ids=["quick", "general", "unreadable"],
)
def test_headers_are_kept_with_the_bytes_and_a_repeat_leaves_them(
    sessions: Sessions, body: bytes
) -> None:
    with_messages(sessions, ["A"], START)
    for headers in ("host: é\nvia: 1", "host: b"):
        ingested(sessions, [an_arrival(body, START, headers=headers)], START)
    with sessions() as session:
        assert session.scalars(select(PostbackBody.headers)).all() == ["host: é\nvia: 1"]


def test_the_same_body_from_twenty_threads_at_once_is_one_row(database_url: str) -> None:
    own = [db.connect(database_url) for _ in range(20)]
    with_messages(own[0], ["A"], START)
    barrier = Barrier(20)

    def post(sessions: Sessions) -> bool:
        (arrival,) = arrivals([a_postback(TRACKINGID="A")], START)
        barrier.wait(10)
        return ingested(sessions, [arrival], START)[0][0].is_repeat

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, own))
    assert sorted(answers) == [False] + [True] * 19
    (row,) = journal(own[0])
    assert row.repeats == 19
    assert count(own[0], PostbackBody) == 1
    assert message(own[0], "A").status is Status.DELIVERED
    for sessions in own:
        db.engine_of(sessions).dispose()


def test_repeats_of_many_events_are_counted_on_each(sessions: Sessions) -> None:
    bodies = [a_postback(TRACKINGID=f"K{number}") for number in range(9)]
    ingested(sessions, arrivals(bodies, START), START)
    again = [body for number, body in enumerate(bodies) for _ in range(number)]
    random.Random(7).shuffle(again)
    ingested(sessions, arrivals(again, START), START)
    assert [row.repeats for row in journal(sessions)] == list(range(9))


def test_a_repeat_changes_nothing_in_a_message_but_when_it_was_updated(sessions: Sessions) -> None:
    with_messages(sessions, ["A"], START)
    sinch = replace(Said("N102", 0), dialect="sinch").body("A")[0].replace(b"A_0", b"A")
    for first in (a_postback(TRACKINGID="A"), sinch, a_postback("N501", TRACKINGID="A")):
        ingested(sessions, arrivals([first], START), START)
        before = message(sessions, "A")
        handset = handset_of(sessions)
        later = before.updated_at + timedelta(minutes=5)
        ingested(sessions, arrivals([first] * 2, later), later)
        after = message(sessions, "A")
        changed = {
            column.name
            for column in Message.__table__.columns
            if getattr(before, column.name) != getattr(after, column.name)
        }
        assert (changed, after.updated_at) == ({"updated_at"}, later)
        assert handset_of(sessions) == handset


def test_a_repeated_forgery_does_not_even_touch_the_message(sessions: Sessions) -> None:
    with_messages(sessions, ["A"], START)
    forged = a_postback(TRACKINGID="A", TO=OTHER)
    for minutes in (1, 2, 3):
        later = START + timedelta(minutes=minutes)
        ingested(sessions, arrivals([forged], later), later)
    assert message(sessions, "A").updated_at == START
    assert [(row.outcome, row.repeats) for row in journal(sessions)] == [("quarantined", 2)]


def handset_of(sessions: Sessions) -> tuple[str, str, datetime]:
    with sessions() as session:
        row = session.get_one(Handset, NUMBER)
        return row.handset, row.source, row.seen_at


def test_the_journal_is_in_the_order_of_arrival(sessions: Sessions) -> None:
    keys = [f"K{number}" for number in range(200)]
    random.Random(3).shuffle(keys)
    some, other = keys[:150], keys[150:]
    ingested(sessions, arrivals([a_postback(TRACKINGID=key) for key in some], START), START)
    shared = [f"<NOTIFICATION><CODE>N101</CODE><TRACKINGID>{key}</TRACKINGID></NOTIFICATION>"
              for key in other]  # fmt: skip
    bodies = [
        f"<POSTBACK>{a}{b}</POSTBACK>".encode()
        for a, b in zip(shared[::2], shared[1::2], strict=True)
    ]
    ingested(sessions, arrivals(bodies, START), START)
    assert [row.tracking_key for row in journal(sessions)] == keys


def test_the_newest_handset_of_a_batch_is_remembered(sessions: Sessions) -> None:
    with_messages(sessions, ["A", "B"], START)
    bodies = [
        a_postback("N102", TRACKINGID="A", HANDSET="first"),
        a_postback("N502", TRACKINGID="B", HANDSET="second"),
    ]
    ingested(sessions, arrivals(bodies, START), START)
    assert handset_of(sessions) == ("second", "N502", START + MOMENT)
    late = arrivals([a_postback("N102", TRACKINGID="B", HANDSET="spooled")], START - MOMENT)
    ingested(sessions, late, START)
    assert handset_of(sessions) == ("second", "N502", START + MOMENT)


# Races.


def test_a_delivery_that_races_with_the_answer_of_its_send_is_never_missed(
    sessions: Sessions,
) -> None:
    rounds = 30
    waiting = [queued(sessions) for _ in range(rounds)]
    now = reloaded(sessions, waiting[-1]).created_at + timedelta(seconds=1)
    claims = claim_due(sessions, rounds, now)
    assert len(claims) == rounds
    for number, claimed in enumerate(claims):
        begin_call(sessions, claimed, now)
        key, barrier = f"RACE_{number}", Barrier(2)
        bodies = [a_postback("N101", TRACKINGID=key), a_postback("N102", TRACKINGID=key)]

        def answer(claimed: Any = claimed, key: str = key, barrier: Barrier = barrier) -> None:
            barrier.wait(10)
            taken = Accepted(key, None, "<RESPONSE/>")
            send.record(sessions, claimed, taken, zone=DEFAULT_ZONE, now=now)

        def post(
            bodies: list[bytes] = bodies, barrier: Barrier = barrier, number: int = number
        ) -> None:
            batch = arrivals(bodies, now)
            barrier.wait(10)
            time.sleep(number % 8 / 2000)
            ingested(sessions, batch, now)

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(answer), pool.submit(post)]:
                done.result()
        assert message(sessions, key).status is Status.DELIVERED
    assert all(row.message_id for row in journal(sessions))


def test_overlapping_batches_in_opposite_orders_do_not_fail(database_url: str) -> None:
    one, other = db.connect(database_url), db.connect(database_url)
    keys = [f"K{number}" for number in range(60)]
    with_messages(one, keys, START)

    def post(sessions: Sessions, order: Sequence[str], code: str) -> None:
        bodies = [a_postback(code, TRACKINGID=key, HANDSET=code) for key in order]
        mixed = [a_subscription("N302", f"1202555{key[1:]:0>4}") for key in order[:20]]
        for some in cut(arrivals(bodies + mixed, START), 30):
            ingested(sessions, some, START)

    with ThreadPoolExecutor(4) as pool:
        for code, sessions in itertools.product(("N101", "N102"), (one, other)):
            order = keys if sessions is one else keys[::-1]
            pool.submit(post, sessions, order, code)
        done = [
            pool.submit(post, s, o, c)
            for c, (s, o) in itertools.product(("N501", "N102"), ((one, keys), (other, keys[::-1])))
        ]
        for future in done:
            future.result()
    assert {message(one, key).status for key in keys} == {Status.DELIVERED}
    for sessions in (one, other):
        db.engine_of(sessions).dispose()


def test_a_batch_that_lost_a_deadlock_is_tried_again(postgresql_url: str) -> None:
    """Somebody holds one row and wants the other, while a batch does it the other way round."""
    ours, theirs = db.connect(postgresql_url), db.connect(postgresql_url)
    with_messages(ours, ["A", "B"], START)
    first, second = message(ours, "A").id, message(ours, "B").id
    lock = text("SELECT 1 FROM messages WHERE id = :id FOR UPDATE")
    # Batches lock the newer message first. The other side waits longer, so that ours is the victim.
    batch = arrivals([a_postback(TRACKINGID="A"), a_postback(TRACKINGID="B")], START)
    with ThreadPoolExecutor(1) as pool, theirs.begin() as session:
        session.execute(text("SET LOCAL deadlock_timeout = '30s'"))
        session.execute(lock, {"id": first})
        posted = pool.submit(ingested, ours, batch, START)
        time.sleep(0.3)
        session.execute(lock, {"id": second})
        session.rollback()
        assert outcomes(posted.result(20)) == [Outcome.APPLIED, Outcome.APPLIED]
    with ours() as session:
        deadlocks = text(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        assert session.scalar(deadlocks) == 1
    for sessions in (ours, theirs):
        db.engine_of(sessions).dispose()


def test_a_batch_that_could_not_be_serialised_is_tried_again(postgresql_url: str) -> None:
    url = f"{postgresql_url}&options=-c%20default_transaction_isolation%3Drepeatable%5C%20read"
    ours, theirs = db.connect(postgresql_url), db.connect(postgresql_url)
    db.engine_of(ours).dispose()
    engine = db.engine_of(ours).execution_options(isolation_level="REPEATABLE READ")
    ours.configure(bind=engine)
    assert url
    with_messages(theirs, ["A"], START)
    touch = text("UPDATE messages SET updated_at = updated_at")
    with ThreadPoolExecutor(1) as pool, theirs.begin() as session:
        session.execute(touch)
        posted = pool.submit(ingested, ours, arrivals([a_postback(TRACKINGID="A")], START), START)
        time.sleep(0.3)
        session.commit()
        assert outcomes(posted.result(20)) == [Outcome.APPLIED]
    for sessions in (ours, theirs):
        db.engine_of(sessions).dispose()


# Rows that the database refuses.


def test_one_bad_row_takes_no_neighbour_down(sessions: Sessions) -> None:
    keys = ["A", "BAD", "C"]
    with_messages(sessions, keys, START)
    forbid(sessions, "postbacks", "NEW.tracking_key = 'BAD'")
    batch = arrivals([a_postback(TRACKINGID=key) for key in keys], START)
    results = ingested_each(sessions, batch, START)
    assert outcomes(results) == [Outcome.APPLIED, Outcome.QUARANTINED, Outcome.APPLIED]
    states = [message(sessions, key).status for key in keys]
    assert states == [Status.DELIVERED, Status.ACCEPTED, Status.DELIVERED]
    bad = journal(sessions)[1]
    assert "could not be stored" in bad.outcome_reason
    with sessions() as session:
        assert session.get_one(PostbackBody, bad.body_id).body == batch[1].body


def test_no_connection_goes_back_to_the_pool_within_a_transaction(sessions: Sessions) -> None:
    """The receiver's pool does not reset what is given back."""
    hurried = db.connect(
        db.engine_of(sessions).url.render_as_string(hide_password=False), in_a_hurry=True
    )
    engine, given_back = db.engine_of(hurried), list[bool]()

    def look(connection: Any, _record: object) -> None:
        is_sqlite = engine.dialect.name == "sqlite"
        status = None if is_sqlite else connection.info.transaction_status
        given_back.append(
            connection.in_transaction if is_sqlite else status != TransactionStatus.IDLE
        )

    event.listen(engine, "checkin", look)
    keys = ["A", "BAD", "C"]
    with_messages(sessions, keys, START)
    forbid(sessions, "postbacks", "NEW.tracking_key = 'BAD'")
    batch = arrivals([a_postback(TRACKINGID=key) for key in [*keys, "X"]], START)
    ingested_each(hurried, batch, START)
    with hurried() as session:
        session.execute(text("SELECT 1"))
    with pytest.raises(DBAPIError), hurried.begin() as session:
        session.execute(text("INSERT INTO postbacks (id) VALUES (1)"))
    assert len(given_back) > 4
    assert not any(given_back)
    engine.dispose()


def test_an_exception_stands_in_the_place_of_what_cannot_even_be_quarantined(
    sessions: Sessions,
) -> None:
    keys = ["A", "BAD", "C"]
    with_messages(sessions, keys, START)
    batch = arrivals([a_postback(TRACKINGID=key) for key in keys], START)
    forbid(sessions, "postback_bodies", f"length(NEW.body) = {len(batch[1].body)}")
    first, bad, last = ingested_each(sessions, batch, START)
    assert isinstance(bad, DBAPIError)
    assert outcomes([first, last]) == [Outcome.APPLIED, Outcome.APPLIED]
    assert [row.tracking_key for row in journal(sessions)] == ["A", "C"]


@pytest.mark.parametrize("odd", ["text/xml\x00", "text/xml; a=\ud800", "x" * 100_000])
def test_an_odd_content_type_takes_no_body_away(sessions: Sessions, odd: str) -> None:
    with_messages(sessions, ["A", "B"], START)
    batch = [
        an_arrival(a_postback(TRACKINGID="A"), START, odd),
        an_arrival(a_postback(TRACKINGID="B"), START),
    ]
    first, second = outcomes(ingested_each(sessions, batch, START))
    assert first in (Outcome.APPLIED, Outcome.QUARANTINED)
    assert second is Outcome.APPLIED
    with sessions() as session:
        bodies = set(session.scalars(select(PostbackBody.body)))
    assert bodies == {arrival.body for arrival in batch}


@pytest.mark.parametrize(
    "text_", ["&#0;", "\x00", "\\u0000", "\ufffe", "&#xD800;", "\U0001f600", "\\"]
)
def test_odd_characters_are_stored_on_both_engines(sessions: Sessions, text_: str) -> None:
    with_messages(sessions, ["A"], START)
    body = a_postback("E102", TRACKINGID="A", STATUSDETAILS=f"a{text_}b")
    (outcome,) = outcomes(ingested_each(sessions, arrivals([body], START), START))
    assert outcome in (Outcome.APPLIED, Outcome.QUARANTINED)
    with sessions() as session:
        assert session.scalars(select(PostbackBody.body)).one() == body


# Several events in one body, and links.


def a_notification(code: str, tracking_id: str, celly: int, more: str = "") -> str:
    return (
        f"<NOTIFICATION id='7'><BODY><ORIGIN>{'SMS_MT' if code == 'N202' else 'MMS_MT'}</ORIGIN>"
        f"<CODE>{code}</CODE><TRACKINGID>{tracking_id}</TRACKINGID>{more}"
        f"<STATUS CELLY='{celly}'/></BODY></NOTIFICATION>"
    )


def test_a_legacy_batch_tells_each_of_its_messages_and_shares_its_bytes(sessions: Sessions) -> None:
    keys = [f"MMS_{number}" for number in range(30)]
    with_messages(sessions, keys, START)
    cellys = [9, 20, 30, 35]
    inner = "".join(a_notification("N102", key, cellys[n % 4]) for n, key in enumerate(keys))
    body = f"<POSTBACK>{inner}{a_notification('N102', 'MMS_0', 20)}</POSTBACK>".encode()
    (result,) = ingested(sessions, arrivals([body], START), START)
    assert {recorded.outcome for recorded in result} == {Outcome.APPLIED}
    told = [message(sessions, key).status for key in keys[:4]]
    assert told == [Status.DELIVERED, Status.DELIVERED, Status.EXPIRED, Status.REJECTED]
    rows = journal(sessions)
    assert len({row.body_id for row in rows}) == 1
    assert [row.position for row in rows] == list(range(31))


def test_a_whole_batch_of_the_largest_legacy_bodies_is_stored(sessions: Sessions) -> None:
    """More events than a transaction has locks, or a statement parameters."""
    per_body, bodies = 900, []
    for number in range(10):
        inner = "".join(
            f"<NOTIFICATION><CODE>N101</CODE><TRACKINGID>M{number}_{n}</TRACKINGID></NOTIFICATION>"
            for n in range(per_body)
        )
        bodies.append(f"<POSTBACK>{inner}</POSTBACK>".encode())
    results = ingested_each(sessions, arrivals(bodies, START), START)
    assert all(isinstance(result, list) for result in results)
    assert count(sessions, Postback) == per_body * len(bodies)


LINK = (
    f"<POSTBACK>{a_notification('N102', 'MMS_9', 10, '<SMSID>SMS_5</SMSID>')}</POSTBACK>".encode()
)
RECEIPT = f"<POSTBACK>{a_notification('N202', 'SMS_5', 20)}</POSTBACK>".encode()
SENT = f"<POSTBACK>{a_notification('N101', 'MMS_9', 9)}</POSTBACK>".encode()


@pytest.mark.parametrize("order", list(itertools.permutations([LINK, RECEIPT, SENT])))
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_link_is_delivered_by_the_receipt_of_its_sms_in_every_order_and_cut(
    sessions: Sessions, order: tuple[bytes, ...], size: int
) -> None:
    with_messages(sessions, ["MMS_9"], START)
    for some in cut(arrivals(order, START), size):
        ingested(sessions, some, START)
    found = message(sessions, "MMS_9")
    assert (found.status, found.sent_as) == (Status.DELIVERED, "SMS")
    assert all(row.message_id == found.id for row in journal(sessions))


@pytest.mark.parametrize("order", [[LINK, RECEIPT], [RECEIPT, LINK]])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_the_receipt_of_a_link_finds_its_message_also_before_the_answer_of_the_send(
    sessions: Sessions, order: list[bytes], before: int
) -> None:
    public_id = queued(sessions)
    now = reloaded(sessions, public_id).created_at + timedelta(seconds=1)
    (claimed,) = claim_due(sessions, 1, now)
    begin_call(sessions, claimed, now)
    batch = arrivals(order, now)
    for arrival in batch[:before]:
        ingested(sessions, [arrival], now)
    taken = Accepted("MMS_9", None, "<RESPONSE/>")
    send.record(sessions, claimed, taken, zone=DEFAULT_ZONE, now=now)
    for arrival in batch[before:]:
        ingested(sessions, [arrival], now)
    assert message(sessions, "MMS_9").status is Status.DELIVERED


def test_a_forged_link_leads_no_receipt_to_its_message(sessions: Sessions) -> None:
    with_messages(sessions, ["MMS_9"], START)
    to = f"<SMSID>SMS_5</SMSID><TO>{OTHER}</TO>"
    forged = f"<POSTBACK>{a_notification('N102', 'MMS_9', 10, to)}</POSTBACK>".encode()
    results = ingested(sessions, arrivals([forged, RECEIPT], START), START)
    assert outcomes(results) == [Outcome.QUARANTINED, Outcome.UNMATCHED]
    assert message(sessions, "MMS_9").status is Status.ACCEPTED


def a_pass(code: str, **fields_: str) -> bytes:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields_.items())
    return (
        f"<POSTBACK><ORIGIN>GENERATE_PASS</ORIGIN><STATUSCODE>{code}</STATUSCODE>{inner}</POSTBACK>"
    ).encode()


def test_a_pass_goes_to_its_own_id_else_to_the_newest_message_of_its_phone(
    sessions: Sessions,
) -> None:
    with_messages(sessions, ["old"], START)
    with_messages(sessions, ["new"], START + timedelta(hours=1))
    phone = {"REFERENCEDBY": "Phone", "REFERENCEVALUE": f"+{NUMBER}"}
    bodies = [
        a_pass("N801", CUSTOMPASSID="old", **phone),
        a_pass("N801", **phone),
        a_pass("N802", CUSTOMPASSID="nobody's", **phone),
        a_pass("N801", REFERENCEDBY="Email", REFERENCEVALUE=NUMBER),
    ]
    results = ingested(sessions, arrivals(bodies, START), START)
    assert set(outcomes(results)) == {Outcome.NOTED}
    old, new = message(sessions, "old").id, message(sessions, "new").id
    assert [row.message_id for row in journal(sessions)][:2] == [old, new]
    assert [row.message_id for row in journal(sessions)][3] is None
    assert {message(sessions, key).status for key in ("old", "new")} == {Status.ACCEPTED}


def test_discovery_has_a_field_of_its_own(sessions: Sessions) -> None:
    with_messages(sessions, ["A"], START)
    bodies = [
        a_postback("N502", TRACKINGID="A", STATUS="Message Sent/Delivered", HANDSET="moto"),
        a_postback("N501", TRACKINGID="A", STATUS="Message Sent"),
    ]
    assert set(outcomes(ingested(sessions, arrivals(bodies, START), START))) == {Outcome.NOTED}
    found = message(sessions, "A")
    assert (found.status, found.ddm_status) == (Status.ACCEPTED, "delivered")
    assert found.handset == "moto"


def test_who_may_not_wait_is_kept_only_for_what_is_known(sessions: Sessions) -> None:
    with_messages(sessions, ["A"], START)
    bodies = [
        a_postback(TRACKINGID="GUESS"),
        a_postback(TRACKINGID="A"),
        a_postback("N202", ORIGIN="SMS_MT", TRACKINGID="SMS_GUESS"),
        a_postback("N333", TRACKINGID="GUESS"),
        b"<POSTBACK><CODE>",
    ]
    batch = [replace(arrival, may_wait=False) for arrival in arrivals(bodies, START)]
    results = ingested(sessions, batch, START)
    assert outcomes(results) == [
        None, Outcome.APPLIED, None, Outcome.NOTED, Outcome.QUARANTINED,
    ]  # fmt: skip
    assert [bool(result[0].postback_id) for result in results] == [False, True, False, True, True]
    assert count(sessions, PostbackBody) == 3
    assert message(sessions, "A").status is Status.DELIVERED


def test_what_may_wait_is_kept_beside_the_same_that_may_not(sessions: Sessions) -> None:
    (arrival,) = arrivals([a_postback(TRACKINGID="SOON")], START)
    batch = [replace(arrival, may_wait=False), arrival, replace(arrival, may_wait=False)]
    ingested(sessions, batch, START)
    assert [row.repeats for row in journal(sessions)] == [1]


# Effects beside the messages.


def a_subscription(code: str, mobile: str = NUMBER, at: str | None = None) -> bytes:
    stamp = f"<TIMESTAMP>2014-07-02T{at}-04</TIMESTAMP>" if at else ""
    return (
        f"<POSTBACK><ORIGIN>SUB</ORIGIN><CODE>{code}</CODE><MOBILE>{mobile}</MOBILE>"
        f"<CAMPAIGNID>17</CAMPAIGNID>{stamp}<SOURCE>WEB</SOURCE></POSTBACK>"
    ).encode()


def an_sms(words: str, at: str | None = None) -> bytes:
    stamp = f"<RECEIVED>2014-07-02T{at}-04:00</RECEIVED>" if at else ""
    return (
        f"<POSTBACK><ORIGIN>SMS_MO</ORIGIN><CODE>N211</CODE><FROM>{NUMBER}</FROM><TO>60856</TO>"
        f"<TEXT>{words}</TEXT>{stamp}</POSTBACK>"
    ).encode()


def is_suppressed(sessions: Sessions) -> bool:
    with sessions() as session:
        return suppressions.find(session, NUMBER) is not None


def follow(sessions: Sessions, bodies: Sequence[bytes], size: int) -> None:
    for some in cut(arrivals(bodies, START), size):
        ingested(sessions, some, START)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_latest_word_on_a_subscription_holds_also_without_timestamps(
    sessions: Sessions, size: int
) -> None:
    follow(sessions, [a_subscription(code) for code in ("N302", "N301", "N302")], size)
    assert is_suppressed(sessions)
    follow(sessions, [a_subscription("N301")], size)
    assert not is_suppressed(sessions)


TOLD = {
    "09:00:00": a_subscription("N302", at="09:00:00"),
    "10:00:00": a_subscription("N301", at="10:00:00"),
    "11:00:00": an_sms("STOP", at="11:00:00"),
    "12:00:00": an_sms("START", at="12:00:00"),
}


@pytest.mark.parametrize("upto", [2, 3, 4])
@pytest.mark.parametrize("size", [1, 9])
def test_an_older_timestamp_never_undoes_a_later_one(
    sessions: Sessions, upto: int, size: int
) -> None:
    """In every order, and when everything comes once more: the gateway repeats."""
    told = list(TOLD.values())[:upto]
    for number, order in enumerate(itertools.permutations(told)):
        number_of = f"1202555{number:04}"
        bodies = [body.replace(NUMBER.encode(), number_of.encode()) for body in order]
        follow(sessions, [*bodies, *bodies], size)
        with sessions() as session:
            found = suppressions.find(session, number_of)
        assert (found is not None) is (upto == 3), [told.index(body) for body in order]


@pytest.mark.parametrize(
    "words",
    [
        "STOP",
        "Stop.",
        " stop! ",
        "Stop all",
        "unsubscribe",
        "QUIT",
        "stop please",
        "&quot;stop&quot;",
    ],
)
def test_a_stop_word_by_itself_is_an_opt_out(sessions: Sessions, words: str) -> None:
    follow(sessions, [an_sms(words)], 1)
    assert is_suppressed(sessions)
    follow(sessions, [an_sms("Start")], 1)
    assert not is_suppressed(sessions)


@pytest.mark.parametrize(
    "words", ["When does the show stop?", "nonstop", "the end is near", "yes", "12345", "", "👍"]
)
def test_a_stop_word_within_a_sentence_is_none(sessions: Sessions, words: str) -> None:
    """A person reads it in the list of events."""
    follow(sessions, [an_sms(words)], 1)
    assert not is_suppressed(sessions)


def test_an_operators_lift_is_undone_by_a_new_stop(sessions: Sessions) -> None:
    follow(sessions, [an_sms("STOP", "09:00:00")], 1)
    with sessions.begin() as session:
        assert suppressions.lift(session, NUMBER, "user:admin", told_at=None, now=START)
    assert not is_suppressed(sessions)
    follow(sessions, [an_sms("STOP", "10:00:00")], 1)
    assert is_suppressed(sessions)
    with sessions() as session:
        assert session.get_one(SuppressionOf, NUMBER).lifted_by is None


def alerts_of(sessions: Sessions) -> dict[tuple[str, str], int]:
    with sessions() as session:
        rows = list(session.scalars(select(Alert)))
    assert all(row.closed_at is None for row in rows)
    found = {(row.kind, row.subject): row.count for row in rows}
    assert len(found) == len(rows)
    return found


def usable(sessions: Sessions) -> dict[str, bool]:
    with sessions() as session:
        return {row.mms_id: row.is_usable for row in session.scalars(select(MmsContent))}


def a_content(code: str, at: str | None = None) -> bytes:
    return a_postback(code, TRACKINGID=None, TO=None, SPID=None, SENTAS=None, TIMESTAMP=at)


@pytest.mark.parametrize("code", ["E002", "E003", "E004", "E011"])
def test_content_that_could_not_be_encoded_is_unusable_until_it_is_saved_again(
    sessions: Sessions, code: str
) -> None:
    follow(sessions, [a_content(code)], 1)
    assert usable(sessions) == {"45633": False}
    assert alerts_of(sessions) == {("content", "MMS 45633"): 1}
    follow(sessions, [a_content("N003")], 1)
    assert usable(sessions) == {"45633": True}
    follow(sessions, [a_content("N013"), a_content("E012")], 1)
    assert usable(sessions) == {"45633": True}


def test_an_older_word_on_content_undoes_no_later_one(sessions: Sessions) -> None:
    early, late = "2026-11-20T07:00:00-05:00", "2026-11-20T08:00:00-05:00"
    follow(sessions, [a_content("N003", late), a_content("E002", early)], 1)
    assert usable(sessions) == {"45633": True}


@pytest.mark.parametrize("size", [1, 9])
def test_trouble_of_the_account_raises_one_open_alert_each_and_counts(
    sessions: Sessions, size: int
) -> None:
    with_messages(sessions, ["A"], START)
    bodies = [a_postback("E999", TRACKINGID="A")] * 3
    bodies += [a_pass("N803"), a_pass("N811"), a_pass("N811"), a_pass("N801"), a_pass("N802")]
    follow(sessions, bodies, size)
    raised = {("queue_error", "gateway"): 3, ("account", "N803"): 1, ("account", "N811"): 2}
    assert alerts_of(sessions) == raised
    assert message(sessions, "A").status is Status.ACCEPTED


# What a batch costs.


def many(code: str, first: int, count_of: int) -> list[bytes]:
    return [a_postback(code, TRACKINGID=f"K{number}") for number in range(first, first + count_of)]


def test_a_batch_costs_few_statements_whatever_its_size(postgresql_url: str) -> None:
    sessions = db.connect(postgresql_url)
    with_messages(sessions, [f"K{number}" for number in range(256)], START)
    costs = {}
    fresh, later = many("N101", 0, 128), many("N102", 128, 128)
    for name, bodies in (("new", fresh + later), ("repeats", fresh + later),
                         ("unknown", many("N102", 1000, 256))):  # fmt: skip
        batch = arrivals(bodies, START)
        with statements(sessions) as seen:
            ingested(sessions, batch, START)
        costs[name] = len(seen)
    assert max(costs.values()) <= 15, costs
    db.engine_of(sessions).dispose()


def through_the_queue(sessions: Sessions, keys: Sequence[str]) -> None:
    """Store messages as the sender leaves them: each row was written several times."""
    with_messages(sessions, keys, START)
    taken = text("UPDATE messages SET tracking_key = NULL, due_at = now(), status = 'queued'")
    with sessions.begin() as session:
        session.execute(taken)
    accepted = "tracking_key = tracking_id, due_at = NULL, status = 'accepted'"
    steps = [
        f"UPDATE messages SET {values} WHERE custom_pass_id = :key"
        for values in ("status = 'sending'", "attempts = 1", accepted)
    ]
    with db.engine_of(sessions).connect() as connection:
        autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
        for key in keys:
            for step in steps:
                autocommit.execute(text(step), {"key": key})


def moved_rows(sessions: Sessions) -> tuple[int, int]:
    """Return how many updates there were of messages, and how many stayed in their page."""
    db.engine_of(sessions).dispose()  # the numbers come with the end of a connection
    time.sleep(0.3)
    with sessions() as session:
        numbers = text(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'messages'"
        )
        updated, hot = session.execute(numbers).one()
        return updated, hot


@pytest.mark.parametrize("size", [1, 16])
def test_almost_no_postback_moves_a_row_out_of_its_page(postgresql_url: str, size: int) -> None:
    """In the order of the sends, which is the hardest: a batch has all rows of a page.

    The larger it is, the fewer find room beside what they replace, which lives until the commit.
    """
    sessions = db.connect(postgresql_url)
    through_the_queue(sessions, [f"K{number}" for number in range(1000)])
    before = moved_rows(sessions)
    for code in ("N101", "N102"):
        bodies = [a_postback(code, TRACKINGID=f"K{number}") for number in range(1000)]
        for some in cut(arrivals(bodies, START), size):
            ingested(sessions, some, START)
    updated, hot = (b - a for a, b in zip(before, moved_rows(sessions), strict=True))
    assert updated == 2000
    assert hot / updated > (0.9 if size == 1 else 0.75), f"{hot} of {updated}"
    db.engine_of(sessions).dispose()


@pytest.mark.parametrize("url", ["postgresql+psycopg://x@127.0.0.1:1/x", "sqlite:///no/such/file"])
def test_a_database_that_lets_nobody_in_is_away_and_no_fault_of_a_postback(url: str) -> None:
    """What is taken for the fault of one postback is quarantined once the database is back."""
    away = db.connect(url, in_a_hurry=True)
    body = a_postback("N102")
    arrived = read(body, "text/xml", zone=DEFAULT_ZONE, now=datetime.now(UTC))
    with pytest.raises(DBAPIError) as raised:
        receive.ingest_each(away, [arrived], zone=DEFAULT_ZONE, now=datetime.now(UTC))
    assert not receive.is_fault_of_a_row(raised.value)
    db.engine_of(away).dispose()
