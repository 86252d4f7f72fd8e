"""Trials in which the database or a disk is away."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from . import disks
from .databases import PostgreSQL
from .stage import Stage
from .watch import watching

ENOUGH = 100  # answers that show a state
Away = Callable[[], AbstractContextManager[None]]


def kill_database(stage: Stage) -> None:
    """PostgreSQL is killed with all its processes, and has to recover; several rounds."""
    database = stage.database
    assert isinstance(database, PostgreSQL)
    rounds = max(1, int(stage.seconds / 10))
    with stage.load():
        for _ in range(rounds):
            time.sleep(1)
            database.kill()
            time.sleep(stage.seconds / rounds)
            database.start()
            stage.wait_until_drained()
    stage.notes.append(f"{rounds} times killed")


def database_away(stage: Stage) -> None:
    """PostgreSQL is stopped for a while, or the file of SQLite is moved elsewhere."""
    _outage(stage, stage.database.away, grace=1.0)


def database_hangs(stage: Stage) -> None:
    """All of PostgreSQL stands still for a while, or another process keeps SQLite locked."""
    _outage(stage, stage.database.hung, grace=3.5)


def _outage(stage: Stage, away: Away, grace: float) -> None:
    """Have the database away; `grace` is for all to notice, and for a question to be answered."""
    length = max(stage.seconds, grace) + 2 * grace
    with stage.load(), watching(stage.server.url) as watch:
        time.sleep(1)
        with away():
            since = time.monotonic() + grace
            time.sleep(length)
            until = time.monotonic() - grace
            spooled = stage.spooled()
        stage.wait_until_drained()
    stage.complaints += watch.unlike("/healthz", 200, None, since=since, until=until)
    stage.complaints += watch.unlike("/readyz", 200, "down", since=since, until=until)
    if not spooled:
        stage.complaints.append("nothing was in the spool, so the database was not away")
    stage.notes.append(
        f"{length:.0f} s, {spooled} spooled; /healthz within {watch.longest('/healthz'):.2f} s,"
        f" /readyz within {watch.longest('/readyz'):.2f} s"
    )


def disk_full(stage: Stage) -> None:
    """The database is away until the disk of the spool is full; then it returns, and then room."""
    with stage.load(), watching(stage.server.url) as watch:
        with stage.database.away():
            stage.wait_for_answers("503", ENOUGH, 120)
            since = time.monotonic() + 0.5
            time.sleep(max(stage.seconds, 1.5))
            until = time.monotonic() - 0.5
        # A full disk is no obstacle to a drain.
        stage.notes.append(f"full with {stage.spooled()} in the spool")
        stage.wait_until_drained()
        disks.resize(stage.folder / "spool", "64m")
        stage.wait_for_answers("200", ENOUGH, 20)
    stage.complaints += watch.unlike("/readyz", 503, "down", since=since, until=until)


def database_full(stage: Stage) -> None:
    """The disk of the database is full; the spool, on another one, takes what comes."""
    with stage.load():
        _wait_for_spooled(stage)
        time.sleep(stage.seconds)
        stage.notes.append(f"{stage.spooled()} in the spool when room was made")
        disks.resize(stage.folder / "database", "256m")
        stage.wait_until_drained()


def _wait_for_spooled(stage: Stage) -> None:
    until = time.monotonic() + 120
    while stage.spooled() < ENOUGH:
        if time.monotonic() > until:
            raise SystemExit("the disk of the database did not fill")
        time.sleep(0.1)
