"""The committer: shared commits, one answer each, and nothing acknowledged that is not kept."""

import itertools
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import a_postback
from committer_support import (
    NOT_KEPT,
    SPOOLED,
    OwnPostgresql,
    a_desk,
    connected,
    in_journal,
    new_database,
    own_postgresql,
)
from conftest import migrated
from ingest_support import an_arrival, eventually, forbid, message, with_messages
from sqlalchemy import select, text

from tracker.domain.status import Status
from tracker.services import committer as module
from tracker.services.committer import Receipt
from tracker.services.receive import MAX_BATCH
from tracker.store.db import Sessions
from tracker.store.models import PostbackBody
from tracker.store.spool import Spool, SpoolRecord

_numbers = itertools.count()


def keys_of(count: int) -> list[str]:
    return [f"K{number}" for number in range(count)]


@pytest.fixture
def hurried(database_url: str) -> Iterator[Sessions]:
    """The database as the receiver opens it."""
    with connected(database_url) as sessions:
        yield sessions


# Commits and answers.


def test_requests_that_wait_together_share_commits(hurried: Sessions, tmp_path: Path) -> None:
    keys = keys_of(600)
    with_messages(hurried, keys, datetime.now(UTC))
    with a_desk(hurried, tmp_path) as desk:
        desk.submit(*keys)
        desk.wait(len(keys))
        assert set(desk.answers.kinds(keys)) == {"stored"}
    assert sum(desk.sizes) == len(keys)
    assert max(desk.sizes) <= MAX_BATCH
    assert len(desk.sizes) < 60
    assert in_journal(hurried) == dict.fromkeys(keys, 0)


def test_submits_from_many_threads_get_their_own_outcome_each(
    hurried: Sessions, tmp_path: Path
) -> None:
    known, unknown = keys_of(100), [f"U{number}" for number in range(100)]
    with_messages(hurried, known, datetime.now(UTC))
    with a_desk(hurried, tmp_path) as desk:
        threads = [threading.Thread(target=desk.submit, args=pair)
                   for pair in zip(known, unknown, strict=True)]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        desk.wait(200)
        time.sleep(0.1)
        desk.answers.kinds(known + unknown)
        given = desk.answers.given

    def outcome(key: str) -> str:
        (receipt,) = given[key]
        assert isinstance(receipt, list)
        return str(receipt[0].outcome)

    assert {outcome(key) for key in known} == {"applied"}
    assert {outcome(key) for key in unknown} == {"unmatched"}
    assert len(desk.sizes) < 200


def test_an_answer_that_cannot_be_given_takes_no_other_answer_away(
    hurried: Sessions, tmp_path: Path
) -> None:
    def gone(_receipt: Receipt) -> None:
        raise RuntimeError("its client has gone")

    with a_desk(hurried, tmp_path) as desk:
        keys = keys_of(20)
        for key in keys:
            desk.committer.submit(an_arrival(a_postback(TRACKINGID=f"X{key}"), now()), gone)
            desk.submit(key)
        desk.wait(len(keys))
        assert set(desk.answers.kinds(keys)) == {"stored"}


def now() -> datetime:
    return datetime.now(UTC)


def test_a_row_that_cannot_be_stored_is_an_error_for_its_sender_alone(
    hurried: Sessions, tmp_path: Path
) -> None:
    body = a_postback(TRACKINGID="BAD", STATUSDETAILS="x" * 77)
    forbid(hurried, "postback_bodies", f"length(NEW.body) = {len(body)}")
    answers: list[Receipt] = []
    with a_desk(hurried, tmp_path) as desk:
        desk.submit("A")
        desk.committer.submit(an_arrival(body, now()), answers.append)
        desk.submit("B")
        desk.wait(2)
        assert eventually(lambda: len(answers) == 1)
        assert [type(answer).__name__ for answer in answers] == [NOT_KEPT]
        assert desk.answers.kinds(["A", "B"]) == ["stored", "stored"]


# The end.


def test_stop_answers_everything_that_waits_and_takes_nothing_more(
    hurried: Sessions, tmp_path: Path
) -> None:
    with a_desk(hurried, tmp_path) as desk:
        keys = keys_of(300)
        desk.submit(*keys)
        desk.committer.stop()
        kinds = desk.answers.kinds(keys)
        assert NOT_KEPT not in kinds
        desk.submit("LATE")
        assert desk.answers.kinds(["LATE"]) == [NOT_KEPT]
    Spool(tmp_path / "spool").drain(lambda _: None)
    assert len(in_journal(hurried)) == kinds.count("stored")


def test_a_committer_that_was_never_used_stops_too(hurried: Sessions, tmp_path: Path) -> None:
    with a_desk(hurried, tmp_path) as desk:
        desk.committer.stop()
        desk.submit("LATE")
        assert desk.answers.kinds(["LATE"]) == [NOT_KEPT]


# Somebody holds a lock.


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Keep everybody else from writing."""
    if database_url.startswith("sqlite"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
        connection.isolation_level = None
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.rollback()
            connection.close()
        return
    with connected(database_url) as holder, holder.begin() as session:
        session.execute(text("LOCK TABLE messages, postbacks IN ACCESS EXCLUSIVE MODE"))
        yield


def test_a_long_lock_is_no_reason_to_wait_and_none_to_lose_or_double(
    database_url: str, hurried: Sessions, tmp_path: Path
) -> None:
    first, second = keys_of(20), [f"L{number}" for number in range(20)]
    with a_desk(hurried, tmp_path) as desk:
        desk.submit("warm")
        desk.wait(1)
        with locked(database_url):
            desk.submit(*first)
            desk.wait(21)
            assert set(desk.answers.kinds(first)) == {SPOOLED}
            assert desk.committer.is_away
            desk.submit(*second)
            desk.wait(41)
            assert set(desk.answers.kinds(second)) == {SPOOLED}
        desk.wait_for_drain()
        assert eventually(lambda: not desk.committer.is_away)  # without any new postback
        desk.submit("after")
        desk.wait(42)
        desk.wait_for_drain()
        found = in_journal(hurried)
        with hurried() as session:
            headers = set(session.scalars(select(PostbackBody.headers)))
    assert set(found) == {"warm", "after", *first, *second}
    assert headers == {f"x-key: {key}" for key in found}
    assert max(found.values()) <= 1


# The spool, and the bounds of the queue.


def test_without_database_and_spool_nothing_is_acknowledged(
    database_url: str, hurried: Sessions, tmp_path: Path
) -> None:
    with a_desk(hurried, tmp_path, spool=Spool(tmp_path / "spool", max_bytes=1500)) as desk:
        desk.submit("warm")
        desk.wait(1)
        with locked(database_url):
            desk.submit("fits")
            desk.wait(2)
            keys = keys_of(8)
            for number, key in enumerate(keys):
                desk.submit(key)
                desk.wait(3 + number)
        kinds = desk.answers.kinds(["fits", *keys])
        assert kinds[0] == SPOOLED
        assert kinds[-1] == NOT_KEPT
        desk.wait_for_drain()
    assert set(in_journal(hurried)) == desk.answers.kept()


def test_a_full_queue_gives_its_oldest_to_the_spool_and_refuses_what_is_beyond(
    database_url: str, hurried: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 20)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 30.0)
    monkeypatch.setattr(module, "TICK_SECONDS", 0.5)
    with a_desk(hurried, tmp_path) as desk:
        with locked(database_url):
            desk.submit("first")
            time.sleep(0.3)
            keys = keys_of(50)
            desk.submit(*keys)
            refused = [key for key in keys if key in desk.answers.given]
            assert refused == keys[40:]
            assert set(desk.answers.kinds(refused)) == {NOT_KEPT}
            assert eventually(lambda: len(desk.answers.given) >= 30, 1.5)
            assert desk.answers.kinds(keys[:20]) == [SPOOLED] * 20
        desk.wait(51)
        desk.wait_for_drain()
    assert set(in_journal(hurried)) == {"first", *keys[:40]}


def test_the_bytes_that_wait_are_bounded_too(
    database_url: str, hurried: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 1000)
    monkeypatch.setattr(module, "TICK_SECONDS", 1.0)
    with a_desk(hurried, tmp_path) as desk:
        with locked(database_url):
            desk.submit("first")
            time.sleep(0.3)
            keys = keys_of(20)
            desk.submit(*keys)
            assert desk.answers.kinds([keys[-1]]) == [NOT_KEPT]
            desk.wait(21)
        desk.wait_for_drain()
    assert set(in_journal(hurried)) == desk.answers.kept()


def test_what_the_database_cannot_take_holds_up_nothing_behind_it_in_the_spool(
    hurried: Sessions, tmp_path: Path
) -> None:
    bad = a_postback(TRACKINGID="BAD", STATUSDETAILS="x" * 77)
    forbid(hurried, "postback_bodies", f"length(NEW.body) = {len(bad)}")
    earlier = Spool(tmp_path / "spool")
    bodies = [a_postback(TRACKINGID="A"), bad, a_postback(TRACKINGID="B"), b"no postback at all"]
    earlier.append([SpoolRecord(now(), "text/xml", body) for body in bodies])
    earlier.close()
    with a_desk(hurried, tmp_path) as desk:
        desk.committer.start()
        desk.wait_for_drain()
    assert set(in_journal_of_known(hurried)) == {"A", "B"}
    aside = b"".join(path.read_bytes() for path in (tmp_path / "spool" / "damaged").iterdir())
    assert bad in aside


def in_journal_of_known(sessions: Sessions) -> list[str]:
    with sessions() as session:
        found = text("SELECT tracking_key FROM postbacks WHERE tracking_key IS NOT NULL")
        return list(session.scalars(found))


# A database that is away.


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPostgresql]:
    with own_postgresql(tmp_path_factory.mktemp("own")) as server:
        migrated(new_database(server.url, "own_template", None))
        yield server


@pytest.fixture
def own_url(own_server: OwnPostgresql) -> str:
    return new_database(own_server.url, f"own_{next(_numbers)}", "own_template")


def posting(desk_submit: Callable[[str], None], stop: threading.Event, said: list[str]) -> None:
    """Post one after the other until told to stop."""
    for number in itertools.count():
        if stop.is_set() or number > 5000:
            return
        key = f"P{number}"
        said.append(key)
        desk_submit(key)
        time.sleep(0.005)


def test_a_server_that_goes_away_and_comes_back_loses_and_doubles_nothing(
    own_server: OwnPostgresql, own_url: str, tmp_path: Path
) -> None:
    with connected(own_url) as sessions, a_desk(sessions, tmp_path) as desk:
        with_messages(sessions, ["P0"], now())
        stop, said = threading.Event(), list[str]()
        poster = threading.Thread(target=posting, args=(desk.submit, stop, said))
        poster.start()
        for _ in range(2):
            time.sleep(0.4)
            own_server.stop()
            time.sleep(1.2)
            own_server.start()
            assert eventually(lambda: not desk.committer.is_away)
        time.sleep(0.3)
        stop.set()
        poster.join()
        desk.wait(len(said))
        desk.wait_for_drain()
        kinds = desk.answers.kinds(said)
        assert {"stored", SPOOLED} == set(kinds)
        found = in_journal(sessions)
        assert set(found) == set(said)
        assert max(found.values()) <= 1
        assert message(sessions, "P0").status is Status.DELIVERED


def test_a_server_that_is_away_from_the_start_gets_everything_later(
    own_server: OwnPostgresql, own_url: str, tmp_path: Path
) -> None:
    own_server.stop()
    try:
        with connected(own_url) as sessions, a_desk(sessions, tmp_path) as desk:
            desk.submit(*keys_of(40))
            desk.wait(40)
            assert set(desk.answers.kinds(keys_of(40))) == {SPOOLED}
    finally:
        own_server.start()
    with connected(own_url) as sessions, a_desk(sessions, tmp_path) as desk:
        desk.committer.start()
        desk.wait_for_drain()
        assert in_journal(sessions) == dict.fromkeys(keys_of(40), 0)


def test_a_server_that_hangs_keeps_nobody_waiting(
    own_server: OwnPostgresql, own_url: str, tmp_path: Path
) -> None:
    keys, more = keys_of(30), [f"M{number}" for number in range(30)]
    with connected(own_url) as sessions, a_desk(sessions, tmp_path) as desk:
        desk.submit("warm")
        desk.wait(1)
        with own_server.frozen():
            desk.submit(*keys)
            desk.wait(31)
            desk.submit(*more, patience=3600)
            desk.wait(61)  # nobody else has to wait once it is known to hang
            assert set(desk.answers.kinds(keys + more)) == {SPOOLED}
        desk.wait_for_drain()
        desk.submit("after")
        desk.wait(62)
        assert eventually(lambda: set(in_journal(sessions)) == {"warm", "after", *keys, *more})
        assert max(in_journal(sessions).values()) <= 1


def moved(path: Path, target: Path) -> None:
    """Move a database away with all that belongs to it."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{target}{suffix}")


def test_a_file_that_is_away_and_comes_back_loses_and_doubles_nothing(
    sqlite_url: str, tmp_path: Path
) -> None:
    path, aside = Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "aside.db"
    with connected(sqlite_url) as sessions, a_desk(sessions, tmp_path) as desk:
        desk.submit("before")
        desk.wait(1)
        moved(path, aside)
        desk.submit(*keys_of(20))
        desk.wait(21)
        assert set(desk.answers.kinds(keys_of(20))) == {SPOOLED}
        assert not path.exists()
        moved(aside, path)
        desk.wait_for_drain()
        found = in_journal(sessions)
    assert found == dict.fromkeys(["before", *keys_of(20)], 0)


def test_nothing_is_acknowledged_into_a_file_that_was_replaced(
    sqlite_url: str, sqlite_template: Path, tmp_path: Path
) -> None:
    """As after a restore: what comes afterwards is in the file that bears the name."""
    path, old = Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "old.db"
    with connected(sqlite_url) as sessions, a_desk(sessions, tmp_path) as desk:
        for number in range(5):
            desk.submit(f"before{number}")
            desk.wait(2 * number + 1)
            moved(path, old)
            shutil.copy(sqlite_template, path)
            desk.submit(f"after{number}")
            desk.wait(2 * number + 2)
            desk.wait_for_drain()
            # As somebody would find it after a crash: by what is on the disk under its name.
            copy = tmp_path / f"copy{number}.db"
            for suffix in ("", "-wal"):
                with suppress(FileNotFoundError):
                    shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
            with sqlite3.connect(copy) as connection:
                rows = connection.execute("SELECT tracking_key FROM postbacks").fetchall()
            connection.close()
            assert rows == [(f"after{number}",)]


def test_a_committer_without_a_database_file_makes_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none.db'}"
    with connected(url) as sessions, a_desk(sessions, tmp_path) as desk:
        desk.submit("A")
        desk.wait(1)
        assert desk.answers.kinds(["A"]) == [SPOOLED]
    assert not (tmp_path / "none.db").exists()
