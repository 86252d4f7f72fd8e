"""A rebuild finds nothing to say, whatever came in whatever order; what is wrong it repairs."""

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice, permutations
from threading import Event
from uuid import UUID

import pytest
from builders import NUMBER, a_postback, a_request, begin_call, claim_due, reloaded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, text, update

from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.gateway import Accepted, Answer, Unknown
from tracker.protocol.response import GatewayResponse, response_xml
from tracker.services import receive, rollups, send, submit
from tracker.services.arrivals import read
from tracker.services.rebuild import Counts, Mode, Rebuild
from tracker.services.recompute import Difference
from tracker.store import db
from tracker.store.base import Base
from tracker.store.db import Sessions
from tracker.store.models import (
    AuditEntry,
    Checkpoint,
    GatewayState,
    Handset,
    Message,
    Postback,
    PostbackBody,
    Rollup,
)

OTHER_NUMBER = "447700900123"
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def an_answer(tracking_id: str, sender: str | None = "60856") -> Accepted:
    said = GatewayResponse(status="Success", tracking_id=tracking_id, from_=sender)
    return Accepted(tracking_id, sender, response_xml(said).decode())


def queued(sessions: Sessions, now: datetime, **changes: object) -> UUID:
    public_id, _ = submit.one(sessions, a_request(**changes), default_from=None, now=now)
    return public_id


def answered(sessions: Sessions, public_id: UUID, answer: Answer, now: datetime) -> None:
    claimed = next(c for c in claim_due(sessions, 100, now) if c.public_id == public_id)
    assert begin_call(sessions, claimed, now) is not None
    send.record(sessions, claimed, answer, zone=DEFAULT_ZONE, now=now)


def accepted(
    sessions: Sessions, tracking_id: str, now: datetime = START, **changes: object
) -> UUID:
    public_id = queued(sessions, now, **changes)
    answered(sessions, public_id, an_answer(tracking_id), now)
    return public_id


def told(sessions: Sessions, body: bytes, now: datetime) -> None:
    receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=now)


def a_rebuild(
    sessions: Sessions, mode: Mode, tell: Callable[[Difference], None], step: int = 200
) -> Rebuild:
    return Rebuild(
        sessions,
        mode=mode,
        zone=DEFAULT_ZONE,
        clock=lambda: datetime.now(UTC),
        tell=tell,
        step=step,
    )


def rebuilt(
    sessions: Sessions, mode: Mode = Mode.DRY_RUN, step: int = 200
) -> tuple[list[Difference], Counts]:
    """Run a whole rebuild, and return what it told and counted."""
    found: list[Difference] = []
    work = a_rebuild(sessions, mode, found.append, step)
    for _ in work.steps():
        pass
    work.end("test", is_finished=True)
    assert work.counts.differences == len(found)
    return found, work.counts


def differences(sessions: Sessions, step: int = 200) -> list[Difference]:
    return rebuilt(sessions, step=step)[0]


def lines(found: Sequence[Difference]) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.kind, one.field, one.stored, one.right) for one in found]


def emptied(sessions: Sessions) -> None:
    with sessions.begin() as session:
        for table in reversed(Base.metadata.sorted_tables):
            if table is not GatewayState.__table__:  # its one row comes with the schema
                session.execute(delete(table))


# What may happen to two messages to one number, and a third to another.


@dataclass(frozen=True)
class Accept:
    message: int


@dataclass(frozen=True)
class Post:
    message: int
    code: str
    changes: tuple[tuple[str, str | None], ...] = ()

    def body(self) -> bytes:
        said = {"TO": _number(self.message), "TRACKINGID": f"T{self.message}", **dict(self.changes)}
        return a_postback(self.code, **said)


@dataclass(frozen=True)
class Legacy:
    """The link of an MMS by SMS, and the receipt of that SMS."""

    message: int
    is_receipt: bool
    celly: str

    def body(self) -> bytes:
        sms_id, tracking_id = f"SMS_{self.message}", f"T{self.message}"
        origin, code, ids = (
            ("SMS_MT", "N202", f"<TRACKINGID>{sms_id}</TRACKINGID>")
            if self.is_receipt
            else (
                "MMS_MT",
                "N102",
                f"<TRACKINGID>{tracking_id}</TRACKINGID><SMSID>{sms_id}</SMSID>",
            )
        )
        return (
            f"<POSTBACK><NOTIFICATION><BODY><ORIGIN>{origin}</ORIGIN><CODE>{code}</CODE>{ids}"
            f"<STATUS CELLY='{self.celly}'/></BODY></NOTIFICATION></POSTBACK>"
        ).encode()


@dataclass(frozen=True)
class PassMade:
    message: int

    def body(self) -> bytes:
        return (
            "<POSTBACK><ORIGIN>GENERATE_PASS</ORIGIN><STATUSCODE>N801</STATUSCODE>"
            f"<CUSTOMPASSID>pass {self.message}</CUSTOMPASSID></POSTBACK>"
        ).encode()


Told = Post | Legacy | PassMade


@dataclass(frozen=True)
class Batch:
    """Several that wait at the same time share one commit, perhaps after hours in the spool."""

    posts: tuple[Told, ...]
    minutes_in_spool: int = 0


def _number(message: int) -> str:
    return OTHER_NUMBER if message == 2 else NUMBER


which = st.integers(0, 2)
instants = st.one_of(
    st.none(), st.integers(0, 3).map(lambda minute: f"2026-11-20T07:{minute:02d}:00-05:00")
)
phrases = st.sampled_from(
    [None, "Message Sent", "Message Sent/Delivered", "Message Sent/Expired",
     "Message Sent/Rejected", "Message Failed"]
)  # fmt: skip
codes = st.sampled_from(
    ["N101", "N102", "N103", "E101", "E102", "N501", "N502", "E502", "N202", "E012", "N333", "N013"]
)


@st.composite
def posts(draw: st.DrawFn) -> Post:
    changes = {
        "STATUS": draw(phrases),
        "TIMESTAMP": draw(instants),
        "HANDSET": draw(st.sampled_from([None, "motol7c", "nokia6300", "h" * 300])),
        "OS": draw(st.sampled_from([None, "Android 16"])),
        "FROM": draw(st.sampled_from([None, "22222"])),
        "SPID": draw(st.sampled_from([None, "0001890", "9" * 40])),
        "SENTAS": draw(st.sampled_from([None, "MMS", "SMS"])),
    }
    if draw(st.integers(0, 9)) == 0:
        changes["TO"] = "12025550199"  # contradicts
    return Post(draw(which), draw(codes), tuple(changes.items()))


legacies = st.builds(Legacy, which, st.booleans(), st.sampled_from(["10", "11", "20", "30"]))
passes_made = st.builds(PassMade, which)
batches = st.builds(
    Batch,
    st.lists(st.one_of(posts(), legacies, passes_made), min_size=1, max_size=5).map(tuple),
    st.integers(0, 4),
)
events = st.one_of(st.builds(Accept, which), posts(), posts(), legacies, passes_made, batches)


@dataclass
class World:
    """Plays events in their order; time goes on with each of them."""

    sessions: Sessions

    def play(self, happens: Sequence[Accept | Told | Batch]) -> None:
        emptied(self.sessions)
        moments = (START + timedelta(minutes=n) for n in count())
        self.ids = [
            queued(
                self.sessions, next(moments), to=_number(n),
                pass_data={"CUSTOMPASSID": f"pass {n}", "BARCODEVALUE": "1"},
            )
            for n in range(3)
        ]  # fmt: skip
        self.taken: set[int] = set()
        for event in happens:
            self._happen(event, next(moments))

    def _happen(self, event: Accept | Told | Batch, now: datetime) -> None:
        if isinstance(event, Batch):
            came = now - timedelta(minutes=event.minutes_in_spool)
            arrivals = [
                read(post.body(), None, zone=DEFAULT_ZONE, now=came + timedelta(seconds=n))
                for n, post in enumerate(event.posts)
            ]
            later = now + timedelta(seconds=len(arrivals))
            receive.ingest(self.sessions, arrivals, zone=DEFAULT_ZONE, now=later)
        elif not isinstance(event, Accept):
            told(self.sessions, event.body(), now)
        elif event.message not in self.taken:
            self.taken.add(event.message)
            answered(self.sessions, self.ids[event.message], an_answer(f"T{event.message}"), now)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(events, min_size=1, max_size=14))
def test_whatever_came_in_whatever_order_a_dry_run_finds_no_difference(
    sessions: Sessions, happens: list[Accept | Told | Batch]
) -> None:
    World(sessions).play(happens)
    assert differences(sessions) == []
    rollups.refresh(sessions)
    assert differences(sessions, step=1) == []


FACTS = [
    ("E101", {"STATUS": "Message Failed", "TIMESTAMP": None}),
    ("E102", {"STATUS": "Message Sent/Rejected", "TIMESTAMP": None}),
    ("N101", {"FROM": "22222"}),
    ("N502", {"STATUS": "Message Sent/Delivered", "HANDSET": "nokia6300"}),
]


def test_every_order_of_arrival_around_the_answer_is_folded_alike(sessions: Sessions) -> None:
    moments = (START + timedelta(seconds=n) for n in count())
    for number, order in enumerate(permutations(range(len(FACTS)))):
        public_id = queued(sessions, next(moments))
        bodies = [a_postback(FACTS[n][0], TRACKINGID=f"T{number}", **FACTS[n][1]) for n in order]  # type: ignore[arg-type]
        early = number % (len(bodies) + 1)
        for body in bodies[:early]:
            told(sessions, body, next(moments))
        answered(sessions, public_id, an_answer(f"T{number}"), next(moments))
        for body in [*bodies[early:], bodies[0]]:
            told(sessions, body, next(moments))
    assert differences(sessions, step=7) == []


def a_delivery(handset: str, minute: int, tracking_id: str = "T1") -> bytes:
    at = f"2026-11-20T07:{minute:02d}:00-05:00"
    return a_postback("N102", HANDSET=handset, TIMESTAMP=at, TRACKINGID=tracking_id)


def test_one_that_waited_in_the_spool_is_folded_where_it_was_judged(sessions: Sessions) -> None:
    accepted(sessions, "T1")
    early = read(
        a_delivery("nokia6300", 1), None, zone=DEFAULT_ZONE, now=START + timedelta(minutes=1)
    )
    told(sessions, a_delivery("motol7c", 2), START + timedelta(minutes=2))
    receive.ingest(sessions, [early], zone=DEFAULT_ZONE, now=START + timedelta(minutes=3))
    assert differences(sessions) == []


def test_what_comes_off_the_shelf_within_a_batch_is_folded_where_it_was_judged(
    sessions: Sessions,
) -> None:
    accepted(sessions, "T0")
    told(sessions, Legacy(0, True, "20").body(), START + timedelta(minutes=1))
    later = START + timedelta(minutes=2)
    bodies = [Legacy(0, False, "10").body(), Legacy(0, False, "11").body()]
    arrivals = [read(body, None, zone=DEFAULT_ZONE, now=later) for body in bodies]
    receive.ingest(sessions, arrivals, zone=DEFAULT_ZONE, now=later)
    assert differences(sessions) == []


# What is wrong is found, told once for each value, and repaired.


def corrupted(sessions: Sessions, statement: str, **values: object) -> None:
    with sessions.begin() as session:
        session.execute(text(statement), values)


def a_delivered_one(sessions: Sessions) -> UUID:
    public_id = accepted(sessions, "T1")
    told(sessions, a_postback("N101", TRACKINGID="T1"), START + timedelta(seconds=1))
    told(sessions, a_postback("N102", TRACKINGID="T1"), START + timedelta(seconds=2))
    rollups.refresh(sessions)
    return public_id


WRONG = [
    ("UPDATE messages SET status = 'sent'", ("message", "status", "sent", "delivered")),
    ("UPDATE messages SET handset = 'x'", ("message", "handset", "x", "motol7c")),
    ("UPDATE messages SET sender_used = NULL", ("message", "sender_used", None, "60856")),
    (
        "UPDATE messages SET finished_at = NULL",
        ("message", "finished_at", None, "2026-11-20T12:00:02Z"),
    ),
    (
        "UPDATE postbacks SET outcome = 'quarantined' WHERE code = 'N101'",
        ("outcome", "outcome", "quarantined", "applied"),
    ),
    ("UPDATE handsets SET handset = 'x'", ("handset", "handset", "x", "motol7c")),
    ("DELETE FROM handsets", ("handset", "handset", None, "motol7c")),
    (
        "UPDATE rollups SET messages = 7",
        ("rollup", "messages", "7 in 1 groups", "1 in 1 groups, 1 different"),
    ),
    ("DELETE FROM rollups", ("rollup", "messages", "0 in 0 groups", "1 in 1 groups, 1 different")),
]


@pytest.mark.parametrize(("statement", "line"), WRONG)
def test_a_wrong_value_is_told_and_repaired(
    sessions: Sessions, statement: str, line: tuple[str, str, str | None, str | None]
) -> None:
    public_id = a_delivered_one(sessions)
    before = reloaded(sessions, public_id)
    corrupted(sessions, statement)
    for _ in range(2):  # a dry run repairs nothing
        told_of = lines(differences(sessions))
        assert [one for one in told_of if one[0] == line[0]] == [line]
    found, counts = rebuilt(sessions, Mode.REPAIR)
    assert (lines(found), counts.repaired, counts.left) == ([line], 1, 0)
    assert differences(sessions) == []
    after = reloaded(sessions, public_id)
    assert (after.status, after.handset) == (before.status, before.handset)
    with sessions() as session:
        assert session.get_one(Handset, NUMBER).handset == "motol7c"
        assert list(session.scalars(select(Rollup.messages))) == [1]
        reasons = select(Postback.outcome_reason).order_by(Postback.id)
        assert session.scalars(reasons).first() == "Set the status to Sent."


def test_a_later_handset_of_another_message_is_the_number_s(sessions: Sessions) -> None:
    accepted(sessions, "T1")
    accepted(sessions, "T2")
    for minute, tracking_id in ((1, "T2"), (2, "T1")):
        body = a_delivery(f"of{tracking_id}", minute, tracking_id)
        told(sessions, body, START + timedelta(minutes=minute))
    corrupted(sessions, "UPDATE handsets SET handset = 'ofT2', seen_at = :at",
              at="2030-01-01 00:00:00")  # fmt: skip
    found, _ = rebuilt(sessions, Mode.REPAIR)
    assert [one.field for one in found if one.kind == "handset"] == ["handset", "seen_at"]
    with sessions() as session:
        assert session.get_one(Handset, NUMBER).handset == "ofT1"


def test_two_handsets_named_at_one_instant_are_both_right(sessions: Sessions) -> None:
    for name in ("T1", "T2"):
        accepted(sessions, name)
        told(sessions, a_delivery(f"of{name}", 1, name), START + timedelta(minutes=1))
    for name in ("ofT1", "ofT2"):
        corrupted(sessions, "UPDATE handsets SET handset = :name", name=name)
        assert differences(sessions) == []


def test_no_receipt_is_our_own_word_and_stays(sessions: Sessions) -> None:
    accepted(sessions, "T1")
    told(sessions, a_postback("N101", TRACKINGID="T1"), START)
    corrupted(sessions, "UPDATE messages SET status = 'no_receipt'")
    rollups.refresh(sessions)
    corrupted(sessions, "UPDATE rollups SET status = 'no_receipt'")
    assert differences(sessions) == []
    corrupted(sessions, "UPDATE messages SET handset = 'x'")
    rebuilt(sessions, Mode.REPAIR)
    with sessions() as session:
        assert session.execute(select(Message.status, Message.handset)).one() == (
            Status.NO_RECEIPT, None,
        )  # fmt: skip


def unkept(sessions: Sessions) -> None:
    """Let all bodies expire, as retention will."""
    with sessions() as session:
        dialect = db.dialect_of(session)
    if dialect == "postgresql":
        with sessions.begin() as session:
            session.execute(text("SET LOCAL session_replication_role = replica"))
            session.execute(delete(PostbackBody))
        return
    with db.engine_of(sessions).connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("DELETE FROM postback_bodies")
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def test_a_message_whose_bytes_have_expired_is_left_alone(sessions: Sessions) -> None:
    public_id = a_delivered_one(sessions)
    unkept(sessions)
    found, counts = rebuilt(sessions, Mode.REPAIR)
    assert (found, counts.expired) == ([], 2)  # the message, and its number
    assert reloaded(sessions, public_id).status is Status.DELIVERED


def test_bytes_that_are_readable_no_more_are_told_and_stop_nothing(sessions: Sessions) -> None:
    public_id = a_delivered_one(sessions)
    accepted(sessions, "T2", to=OTHER_NUMBER)
    corrupted(sessions, "UPDATE messages SET status = 'failed'")
    with sessions.begin() as session:
        broken = session.scalar(select(func.max(PostbackBody.id)))
        session.execute(
            update(PostbackBody).where(PostbackBody.id == broken).values(body=b"<POSTBACK>")
        )
    found, counts = rebuilt(sessions, Mode.REPAIR)
    kinds = [one.kind for one in found if one.kind != "rollup"]
    assert (kinds, counts.left) == (["unreadable", "message"], 1)
    assert reloaded(sessions, public_id).status is Status.FAILED
    assert [one.kind for one in differences(sessions)] == ["unreadable"]


def test_a_fact_that_nobody_can_have_told_is_told(sessions: Sessions) -> None:
    newest = "WHERE id = (SELECT max(id) FROM messages)"
    for status in ("queued", "sending", "cancelled", "refused", "unknown"):
        queued(sessions, START)
        corrupted(sessions, f"UPDATE messages SET status = :status {newest}", status=status)
    rollups.refresh(sessions)
    assert differences(sessions) == []
    corrupted(sessions, "UPDATE messages SET spid = '7' WHERE status = 'unknown'")
    corrupted(sessions, "UPDATE messages SET status = 'delivered' WHERE status = 'queued'")
    found, counts = rebuilt(sessions, Mode.REPAIR)
    impossible = [(one.field, one.is_mendable) for one in found if one.kind == "message"]
    assert (impossible, counts.left) == ([("status", False), ("spid", False)], 2)


def test_an_answer_that_cannot_be_read_leaves_the_sender_as_stored(sessions: Sessions) -> None:
    public_id = queued(sessions, START)
    answered(sessions, public_id, Accepted("T1", "11111", "<RESPONSE/>"), START)
    assert differences(sessions) == []
    assert reloaded(sessions, public_id).sender_used == "11111"


def test_an_answer_after_the_lease_counts(sessions: Sessions) -> None:
    public_id = queued(sessions, START)
    (claimed,) = claim_due(sessions, 1, START)
    assert begin_call(sessions, claimed, START)
    claim_due(sessions, 1, START + timedelta(minutes=5))
    told(sessions, a_postback("N102", TRACKINGID="T1"), START + timedelta(minutes=6))
    late = START + timedelta(minutes=7)
    send.record(sessions, claimed, an_answer("T1"), zone=DEFAULT_ZONE, now=late)
    answered(sessions, queued(sessions, late), Unknown("no answer"), late)
    assert reloaded(sessions, public_id).status is Status.DELIVERED
    assert differences(sessions) == []


def test_whole_numbers_are_nowhere_in_what_is_told(sessions: Sessions) -> None:
    accepted(sessions, "T1")
    body = a_postback(
        "E102", STATUSDETAILS="12025550143 has blocked us", TRACKINGID="T1", HANDSET="x"
    )
    told(sessions, body, START)
    corrupted(sessions, "UPDATE messages SET status_details = NULL, sender_used = '12025550100'")
    corrupted(sessions, "DELETE FROM handsets")
    assert "2025550" not in str(differences(sessions))


# A run that is stopped, wherever, is taken up where it was.


def a_world_of_differences(sessions: Sessions) -> None:
    for number in range(4):
        to = f"1202555{number:04d}"
        moment = START + timedelta(hours=number)
        accepted(sessions, f"T{number}", moment, to=to)
        told(sessions, a_postback("N102", TRACKINGID=f"T{number}", TO=to), moment)
    rollups.refresh(sessions)
    corrupted(sessions, "UPDATE messages SET status = 'sent'")
    corrupted(sessions, "UPDATE handsets SET handset = 'x'")
    # As many as there were, and all wrong: so are the hours once the messages are right.
    corrupted(sessions, "UPDATE rollups SET messages = 9")


def test_a_run_that_was_stopped_after_any_step_comes_to_the_same(sessions: Sessions) -> None:
    emptied(sessions)
    a_world_of_differences(sessions)
    whole, counts = rebuilt(sessions, step=1)
    assert counts.differences == len(whole) == 12
    found: list[Difference] = []
    runs = 0
    while True:
        work = a_rebuild(sessions, Mode.DRY_RUN, found.append, step=1)
        assert (work.resume() is None) == (runs == 0)
        runs += 1
        if not list(islice(work.steps(), 1)):
            break
    assert (found, work.counts) == (whole, counts)
    assert runs > 12
    work.end("test", is_finished=True)
    with sessions() as session:
        assert list(session.scalars(select(Checkpoint.name))) == []


def test_the_two_modes_do_not_take_up_each_other(sessions: Sessions) -> None:
    a_world_of_differences(sessions)
    work = a_rebuild(sessions, Mode.DRY_RUN, lambda _: None, step=1)
    next(work.steps())
    assert a_rebuild(sessions, Mode.REPAIR, lambda _: None).resume() is None
    assert a_rebuild(sessions, Mode.DRY_RUN, lambda _: None).resume() == "messages"
    work.forget()
    assert a_rebuild(sessions, Mode.DRY_RUN, lambda _: None).resume() is None


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from itertools import count
from tracker.config import DEFAULT_ZONE
from tracker.services.rebuild import Mode, Rebuild
from tracker.store import db

sessions, at = db.connect(sys.argv[1]), int(sys.argv[2])
moments = count()


def die(*_):
    if next(moments) == at:
        os.kill(os.getpid(), signal.SIGKILL)


work = Rebuild(
    sessions, mode=Mode.REPAIR, zone=DEFAULT_ZONE, clock=lambda: datetime.now(UTC), tell=die, step=1
)
work.resume()
for _ in work.steps():
    die()
"""


def test_a_run_that_is_killed_anywhere_is_finished_by_the_next(
    database_url: str, sessions: Sessions
) -> None:
    """The process dies after 1, 3, 5... of its steps, or before the commit of one."""
    emptied(sessions)
    a_world_of_differences(sessions)
    codes = []
    for moment in (0, 3, 4, 3, 4):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, database_url, str(moment)], timeout=60, check=False
        )
        codes.append(done.returncode)
    assert set(codes[:-1]) == {-signal.SIGKILL}
    work = a_rebuild(sessions, Mode.REPAIR, lambda _: None)
    assert work.resume() is not None
    assert list(work.steps()) is not None
    work.end("test", is_finished=True)
    assert (work.counts.messages, work.counts.numbers, work.counts.hours) == (4, 4, 4)
    assert differences(sessions) == []


def test_each_run_is_one_line_of_the_audit(sessions: Sessions) -> None:
    a_delivered_one(sessions)
    rebuilt(sessions, Mode.REPAIR)
    with sessions() as session:
        row = session.scalars(select(AuditEntry).where(AuditEntry.action == "rebuild")).one()
    assert (row.actor, row.subject) == ("test", None)
    assert (row.detail or "").startswith("repair, finished: 1 messages, 1 numbers, 1 hours")


# Beside live traffic.


def test_live_traffic_and_rebuilds_leave_nothing_wrong(sessions: Sessions) -> None:
    """Messages are sent and told of all the time, while one rebuild follows another."""
    stop = Event()
    seen: list[Difference] = []

    def rebuild_all_the_time() -> None:
        modes = iter(Mode.DRY_RUN if n % 2 else Mode.REPAIR for n in count())
        while not stop.is_set():
            seen.extend(rebuilt(sessions, next(modes), step=3)[0])

    with ThreadPoolExecutor(1) as pool:
        rebuilding = pool.submit(rebuild_all_the_time)
        try:
            for number in range(25):
                sent_and_told_of(sessions, number)
        finally:
            stop.set()
        rebuilding.result(60)
    assert seen == []
    assert differences(sessions) == []


def sent_and_told_of(sessions: Sessions, number: int) -> None:
    """Let one message live its life, some of its postbacks before the answer, some twice."""
    tracking_id = f"T{number}"
    public_id = queued(sessions, datetime.now(UTC))
    early = [a_postback(code, TRACKINGID=tracking_id) for code in ("N501", "N102")]
    for body in early[: number % 3]:
        told(sessions, body, datetime.now(UTC))
    answered(sessions, public_id, an_answer(tracking_id), datetime.now(UTC))
    for body in (*early, a_postback("N101", TRACKINGID=tracking_id)):
        told(sessions, body, datetime.now(UTC))


def test_postbacks_of_one_message_that_race_each_other_are_folded_as_they_were_judged(
    sessions: Sessions,
) -> None:
    """Each names another handset and instant: were any two folded the other way, it would show."""
    ids = [accepted(sessions, f"T{number}") for number in range(4)]
    codes = ("N102", "E102", "N101")
    bodies = [
        a_postback(
            codes[n % 3], TRACKINGID=f"T{n % 4}", TIMESTAMP=None, HANDSET=f"h{n}", SPID=f"{n}",
            STATUSDETAILS=f"d{n}", STATUS=None,
        )
        for n in range(72)
    ]  # fmt: skip

    def told_a_few(part: int) -> None:
        for first in range(6 * part, len(bodies), 24):
            now = datetime.now(UTC)
            arrivals = [
                read(body, None, zone=DEFAULT_ZONE, now=now) for body in bodies[first : first + 6]
            ]
            receive.ingest(sessions, arrivals, zone=DEFAULT_ZONE, now=now)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(told_a_few, range(4)))
    assert {reloaded(sessions, i).status for i in ids} == {Status.DELIVERED}
    assert differences(sessions) == []


def test_repairs_beside_live_traffic_undo_nothing_of_it(sessions: Sessions) -> None:
    """All is damaged again and again while deliveries come; in the end every one has counted."""
    ids = [accepted(sessions, f"T{n}", to=f"1202555{n:04d}") for n in range(12)]
    stop = Event()

    def damage_and_repair() -> None:
        while not stop.is_set():
            corrupted(sessions, "UPDATE messages SET spid = 'x', handset = 'x'")
            corrupted(sessions, "DELETE FROM handsets")
            rebuilt(sessions, Mode.REPAIR, step=5)

    with ThreadPoolExecutor(1) as pool:
        repairing = pool.submit(damage_and_repair)
        try:
            for code in ("N101", "N502", "N102"):
                for number in range(12):
                    body = a_postback(code, TRACKINGID=f"T{number}", TO=f"1202555{number:04d}")
                    told(sessions, body, datetime.now(UTC))
        finally:
            stop.set()
        repairing.result(60)
    rebuilt(sessions, Mode.REPAIR)
    assert {reloaded(sessions, i).status for i in ids} == {Status.DELIVERED}
    assert {reloaded(sessions, i).handset for i in ids} == {"motol7c"}
    assert differences(sessions) == []
