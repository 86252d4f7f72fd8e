"""The lane of the event loop: what it commits by itself, and what it leaves to the committer."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import uvloop
from builders import a_postback
from committer_support import (
    Answers,
    OwnPostgresql,
    connected,
    in_journal,
    new_database,
    own_postgresql,
)
from conftest import migrated
from ingest_support import an_arrival, eventually, journal, message, with_messages
from sqlalchemy import text

from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import Outcome
from tracker.domain.status import Status
from tracker.services.arrivals import Arrival
from tracker.services.committer import PATIENCE_SECONDS, Committer
from tracker.services.lane import Lane
from tracker.services.receive import MAX_BATCH
from tracker.store.db import Sessions
from tracker.store.spool import Spool

LARGE = "<NOTE>" + "x" * 15_000 + "</NOTE>"


@dataclass
class Post:
    """A lane on a loop of its own, the sizes of its batches, and all answers."""

    lane: Lane
    loop: asyncio.AbstractEventLoop
    sizes: list[int]
    answers: Answers

    def submit(self, *arrivals: tuple[str, Arrival]) -> None:
        """Submit all of these before the loop does anything else."""

        def submit() -> None:
            for name, arrival in arrivals:
                self.lane.submit(arrival, partial(self.answers.note, name))

        self.loop.call_soon_threadsafe(submit)

    def opened(self) -> None:
        """Open the lane, as a chore of the committer does; return when the loop has it."""
        self.lane.open()
        self.flush()

    def flush(self) -> None:
        """Return when the loop has done what it was told before."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self.loop).result(10)

    def closed(self) -> None:
        done = threading.Event()
        self.loop.call_soon_threadsafe(self.lane.close)
        self.loop.call_soon_threadsafe(done.set)
        assert done.wait(10)


@pytest.fixture
def hurried(postgresql_url: str) -> Iterator[Sessions]:
    with connected(migrated(postgresql_url)) as sessions:
        yield sessions


@contextmanager
def a_post(sessions: Sessions, folder: Path) -> Iterator[Post]:
    """Run a lane and its committer."""
    loop = uvloop.new_event_loop()
    sizes: list[int] = []
    committer = Committer(sessions, Spool(folder / "spool"), zone=DEFAULT_ZONE)
    lane = Lane(loop, sessions, committer, lambda size, _seconds: sizes.append(size))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    post = Post(lane, loop, sizes, Answers())
    try:
        yield post
    finally:
        post.closed()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        committer.stop()


def told(key: str, **fields: str) -> tuple[str, Arrival]:
    return key, an_arrival(a_postback(TRACKINGID=key, **fields), datetime.now(UTC))


def answered(post: Post, count: int) -> None:
    assert eventually(lambda: len(post.answers.given) == count)


def test_the_lane_commits_ordinary_postbacks_without_the_committer(
    hurried: Sessions, tmp_path: Path
) -> None:
    keys = [f"K{number}" for number in range(600)]
    with_messages(hurried, keys, datetime.now(UTC))
    with a_post(hurried, tmp_path) as post:
        post.opened()
        post.submit(*map(told, keys))
        answered(post, len(keys))
    assert post.answers.kinds(keys) == ["stored"] * len(keys)
    assert in_journal(hurried) == dict.fromkeys(keys, 0)
    assert sum(post.sizes) == len(keys)
    assert max(post.sizes) == MAX_BATCH  # one for the first, and all that came meanwhile
    receipt = post.answers.given["K0"][0]
    assert isinstance(receipt, list)
    assert receipt[0].outcome is Outcome.APPLIED
    assert message(hurried, "K0").status is Status.DELIVERED


def test_a_batch_larger_than_a_socket_takes_goes_through(hurried: Sessions, tmp_path: Path) -> None:
    keys = [f"L{number}" for number in range(MAX_BATCH + 1)]
    with_messages(hurried, keys, datetime.now(UTC))
    bodies = [a_postback(TRACKINGID=key).replace(b"</", LARGE.encode() + b"</", 1) for key in keys]
    arrivals = [an_arrival(body, datetime.now(UTC)) for body in bodies]
    assert sum(len(arrival.body) for arrival in arrivals) > 3_000_000
    with a_post(hurried, tmp_path) as post:
        post.opened()
        post.submit(*zip(keys, arrivals, strict=True))
        answered(post, len(keys))
    assert post.answers.kinds(keys) == ["stored"] * len(keys)
    assert in_journal(hurried) == dict.fromkeys(keys, 0)


def test_what_is_not_ordinary_is_left_to_the_committer(hurried: Sessions, tmp_path: Path) -> None:
    with_messages(hurried, ["K1", "K2"], datetime.now(UTC))
    twice = told("K2")
    with a_post(hurried, tmp_path) as post:
        post.opened()
        post.submit(
            told("K1"), told("nobody"), twice, ("again", twice[1]),
            ("noise", an_arrival(b"<NOTIFICATION><CODE>N102</CODE><TO>", datetime.now(UTC))),
        )  # fmt: skip
        answered(post, 5)
    receipts = {name: given[0] for name, given in post.answers.given.items()}
    outcomes = {
        name: receipt[0].outcome if not receipt[0].is_repeat else "repeat"
        for name, receipt in receipts.items()
        if isinstance(receipt, list)
    }
    assert outcomes.pop("K2") in (Outcome.APPLIED, "repeat")  # and its twin is the other
    assert outcomes.pop("again") in (Outcome.APPLIED, "repeat")
    assert outcomes == {
        "K1": Outcome.APPLIED, "nobody": Outcome.UNMATCHED, "noise": Outcome.QUARANTINED,
    }  # fmt: skip
    repeats = {row.tracking_key: row.repeats for row in journal(hurried)}
    assert repeats == {"K1": 0, "K2": 1, "nobody": 0, None: 0}


def test_a_closed_lane_leaves_everything_to_the_committer(
    hurried: Sessions, tmp_path: Path
) -> None:
    with_messages(hurried, ["K1"], datetime.now(UTC))
    with a_post(hurried, tmp_path) as post:
        post.submit(told("K1"))  # it was never opened
        answered(post, 1)
        post.closed()
        post.opened()
        post.submit(told("K2"))
        answered(post, 2)
    assert not post.sizes


def test_a_request_from_another_thread_is_left_to_the_committer(
    hurried: Sessions, tmp_path: Path
) -> None:
    with_messages(hurried, ["K1"], datetime.now(UTC))
    with a_post(hurried, tmp_path) as post:
        post.opened()
        post.lane.submit(told("K1")[1], partial(post.answers.note, "K1"))
        answered(post, 1)
    assert not post.sizes


def test_one_that_fails_takes_no_other_down(hurried: Sessions, tmp_path: Path) -> None:
    with_messages(hurried, ["K1", "K2", "K3", "K4"], datetime.now(UTC))
    with hurried.begin() as session:
        session.execute(text("ALTER TABLE postbacks ADD CHECK (tracking_key <> 'K2')"))
    with a_post(hurried, tmp_path) as post:
        post.opened()
        post.submit(told("K1"), told("K2"), told("K3"))  # the latter two in one statement
        answered(post, 3)
        post.submit(told("K4"))
        answered(post, 4)
    assert post.answers.kinds(["K1", "K2", "K3", "K4"]) == ["stored"] * 4
    assert post.sizes == [1, 1], "an error of the statement ends the lane"
    outcomes = {row.tracking_key: row.outcome for row in journal(hurried)}
    assert outcomes.pop(None) == Outcome.QUARANTINED
    assert outcomes == dict.fromkeys(["K1", "K3", "K4"], Outcome.APPLIED)


def ended_backends(sessions: Sessions) -> int:
    """End all connections to the database but the one that does it."""
    ending = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with sessions() as session:
        return int(session.scalar(text(ending)) or 0)


def test_a_broken_connection_loses_nothing_and_the_lane_opens_again(
    hurried: Sessions, tmp_path: Path
) -> None:
    keys = [f"K{number}" for number in range(5)]
    with_messages(hurried, keys, datetime.now(UTC))
    with a_post(hurried, tmp_path) as post:
        post.opened()
        assert ended_backends(hurried) >= 1  # while it idles
        assert eventually(lambda: post.lane._teller is None)
        post.submit(told("K0"))
        answered(post, 1)
        assert not post.sizes
        post.opened()
        post.submit(told("K1"))
        answered(post, 2)
        assert post.sizes == [1]
        with hurried.begin() as session:  # while it waits for an answer
            session.execute(text("SELECT FROM messages WHERE tracking_key = 'K2' FOR UPDATE"))
            post.submit(told("K2"), told("K3"))
            assert eventually(lambda: waiting_for_a_lock(hurried) == 1)
            ended_backends_waiting(hurried)
        answered(post, 4)
    assert post.answers.kinds(keys[:4]) == ["stored"] * 4
    assert in_journal(hurried) == dict.fromkeys(keys[:4], 0)


WAITING = "datname = current_database() AND wait_event_type = 'Lock'"


def waiting_for_a_lock(sessions: Sessions) -> int:
    with sessions() as session:
        asked = f"SELECT count(*) FROM pg_stat_activity WHERE {WAITING}"
        return int(session.scalar(text(asked)) or 0)


def ended_backends_waiting(sessions: Sessions) -> None:
    with sessions() as session:
        asked = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {WAITING}"
        session.execute(text(asked))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPostgresql]:
    with own_postgresql(tmp_path_factory.mktemp("own")) as own:
        yield own


def is_reopened(post: Post) -> bool:
    post.opened()
    return post.lane._teller is not None


def test_a_server_that_hangs_sends_what_waits_to_the_spool(
    server: OwnPostgresql, tmp_path: Path
) -> None:
    url = migrated(new_database(server.url, "lane_hangs", None))
    keys = [f"K{number}" for number in range(4)]
    with connected(url) as sessions, a_post(sessions, tmp_path) as post:
        with_messages(sessions, keys, datetime.now(UTC))
        post.opened()
        with server.frozen():
            post.submit(told("K0"))
            post.submit(told("K1"))  # waits behind it
            answered(post, 2)
            post.submit(told("K2"))  # the committer has it, which knows
            answered(post, 3)
            assert post.answers.kinds(keys[:3]) == ["Spooled"] * 3
        assert eventually(lambda: in_journal(sessions).keys() == {"K0", "K1", "K2"}, seconds=20)
        assert eventually(partial(is_reopened, post), seconds=20)
        post.submit(told("K3"))
        answered(post, 4)
        assert post.sizes[-1:] == [1]


TRIGGER = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$
"""


def with_trigger(sessions: Sessions, body: str, when: str) -> None:
    with sessions.begin() as session:
        session.execute(text(TRIGGER.format(name="disturb", body=body)))
        session.execute(text(f"CREATE {when} EXECUTE FUNCTION disturb()"))


def test_an_error_of_the_commit_is_no_answer(hurried: Sessions, tmp_path: Path) -> None:
    with_messages(hurried, ["K1"], datetime.now(UTC))
    with_trigger(
        hurried,
        "RAISE EXCEPTION 'refused at commit'",
        "CONSTRAINT TRIGGER late AFTER INSERT ON postbacks DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW",
    )
    with a_post(hurried, tmp_path) as post:
        post.opened()
        post.submit(told("K1"))
        answered(post, 1)
        assert post.answers.kinds(["K1"]) == ["Spooled"]
        assert not journal(hurried)


def test_nobody_waits_longer_for_standing_behind_others(hurried: Sessions, tmp_path: Path) -> None:
    """Every statement is slow, and far more wait than one takes."""
    keys = [f"K{number}" for number in range(3 * MAX_BATCH)]
    with_messages(hurried, keys, datetime.now(UTC))
    with_trigger(
        hurried,
        "PERFORM pg_sleep(1.5)",
        "TRIGGER slow AFTER INSERT ON postbacks FOR EACH STATEMENT",
    )
    with a_post(hurried, tmp_path) as post:
        post.opened()
        began = time.monotonic()
        post.submit(*map(told, keys))
        assert eventually(lambda: len(post.answers.given) == len(keys), seconds=30)
        assert max(post.answers.at.values()) - began < PATIENCE_SECONDS + 5


def test_what_comes_with_little_patience_left_goes_first(hurried: Sessions, tmp_path: Path) -> None:
    with_messages(hurried, ["late"], datetime.now(UTC))
    with a_post(hurried, tmp_path) as post, hurried.begin() as session:
        session.execute(text("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"))
        committer = post.lane._committer
        for name, left in (("first", 3.0), ("second", 3.0), ("late", 0.3)):
            until = time.monotonic() + left
            committer.submit(told(name)[1], partial(post.answers.note, name), until)
        assert eventually(lambda: "late" in post.answers.given)
        assert set(post.answers.given) == {"late"}


def test_a_lane_that_forgot_its_statement_opens_again(hurried: Sessions, tmp_path: Path) -> None:
    with_messages(hurried, ["K1", "K2"], datetime.now(UTC))
    with a_post(hurried, tmp_path) as post:
        post.opened()
        assert post.lane._teller is not None
        server = post.lane._teller._server
        post.loop.call_soon_threadsafe(server.exec_, b"DEALLOCATE ALL")
        post.submit(told("K1"))
        answered(post, 1)
        assert not post.sizes
        post.opened()
        post.submit(told("K2"))
        answered(post, 2)
        assert post.sizes == [1]
