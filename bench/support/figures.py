"""The figures, one function each. Rates that are compared are measured in alternating rounds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from . import pgbench
from .load import Asked
from .pgbench import Timed
from .stage import Stage

# For the naive receiver too, on SQLite as well: tried against one worker and against threads, it
# is the fastest there is for it.
SYNC = ("-k", "sync", "-w", "2")
# A sync worker ends every connection; of gunicorn's workers that keep one, this is the fastest.
KEEPING = ("-k", "gthread", "-w", "2", "--threads", "1")
SLOWEST = 500  # postbacks a second; a long load is given up below
FSYNC_DELAY_SECONDS = 0.002
FIRST_GUESS_OF_PGBENCH = 2000.0  # transactions a second


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value, or why there is none; `detail` holds what it was made of."""

    name: str
    value: float | None
    detail: str
    spread: tuple[float, float] | None = None  # the lowest and the highest round


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is called, how it is written, and what it must be and should be."""

    title: str
    written: Literal["ratio", "ms", "percent"]
    must: dict[str, float]
    aim: dict[str, float]
    is_less_better: bool = False


def _both(value: float) -> dict[str, float]:
    return {"postgresql": value, "sqlite": value}


TARGETS: dict[str, Target] = {
    "empty": Target(
        "÷ empty Flask view (sync, 2 workers), new connections",
        "ratio",
        must={"postgresql": 0.6, "sqlite": 0.5},
        aim={"postgresql": 1.3, "sqlite": 1.0},
    ),
    "naive": Target("÷ one ORM session a request", "ratio", _both(4.5), _both(10)),
    "pgbench": Target(
        "÷ pgbench, the same in one statement, 16 clients",
        "ratio",
        must={"postgresql": 0.3},
        aim={"postgresql": 0.65},
    ),
    "keepalive": Target("÷ empty Flask view, one kept connection", "ratio", _both(0.4), _both(0.7)),
    "p99": Target(
        "99th percentile of the answer time at half of the full rate",
        "ms",
        _both(25),
        _both(10),
        is_less_better=True,
    ),
    "fsync": Target("rate kept when an fsync takes 2 ms longer", "percent", _both(0.7), _both(0.9)),
    "memory": Target(
        "memory of the web processes after the load, against early in it",
        "percent",
        _both(1.1),
        _both(1.05),
        is_less_better=True,
    ),
}


def empty(stage: Stage) -> Figure:
    """Compare with a view that does nothing; 32 connections, a new one for every request."""
    ours = stage.tracker()
    with stage.empty(*SYNC) as idle:
        rounds = stage.alternate(lambda: stage.postbacks(ours), lambda: stage.nothing(idle))
    return _ratio("empty", rounds, "an empty view")


def naive(stage: Stage) -> Figure:
    """Compare with one ORM session a request; 32 connections, a new one for every request."""
    ours = stage.tracker()
    with stage.naive(*SYNC) as other:
        rounds = stage.alternate(lambda: stage.postbacks(ours), lambda: stage.postbacks(other))
    return _ratio("naive", rounds, "the naive receiver")


def pgbench_(stage: Stage) -> Figure:
    """Compare with what PostgreSQL does without a web server in front."""
    if stage.database.name != "postgresql":
        return Figure("pgbench", None, "PostgreSQL only")
    program = pgbench.find()
    if program is None:
        return Figure("pgbench", None, "no pgbench")
    rate = stage.pgbench(program, FIRST_GUESS_OF_PGBENCH).rate
    ours = stage.tracker()
    rounds = stage.alternate(lambda: stage.postbacks(ours), lambda: stage.pgbench(program, rate))
    return _ratio("pgbench", rounds, "pgbench")


def keepalive(stage: Stage) -> Figure:
    """Compare with a view that does nothing; one request at a time on one kept connection."""
    how = {"connections": 1, "keep_alive": True}
    ours = stage.tracker()
    with stage.empty(*KEEPING) as idle:
        rounds = stage.alternate(
            lambda: stage.postbacks(ours, **how), lambda: stage.nothing(idle, **how)
        )
    return _ratio("keepalive", rounds, "an empty view")


def p99(stage: Stage) -> Figure:
    """Time the answers to postbacks that arrive at half of the rate the tracker can take."""
    ours = stage.tracker()
    full = median(stage.postbacks(ours).rate for _ in range(stage.plan.rounds))
    timed = [stage.postbacks(ours, rate=full / 2) for _ in range(stage.plan.rounds)]
    times = [asked.p99_ms for asked in timed]
    middle = median(asked.median_ms for asked in timed)
    detail = f"at {full / 2:.0f}/s; the median is {middle:.1f} ms"
    return Figure("p99", median(times), detail, (min(times), max(times)))


def fsync(stage: Stage) -> Figure:
    """Compare with a database whose every fsync takes 2 ms longer."""
    if stage.slow_fsync is None:
        return Figure("fsync", None, "no C compiler")
    slow, syncs = stage.slow_fsync, []

    def slowly() -> Asked:
        before = slow.count
        with slow.later_by(FSYNC_DELAY_SECONDS):
            asked = stage.postbacks(ours)
        syncs.append((slow.count - before) / asked.sent)
        return asked

    with stage.fresh_tracker(**(slow.environ if stage.database.name == "sqlite" else {})) as ours:
        rounds = stage.alternate(slowly, lambda: stage.postbacks(ours))
    if not all(syncs):
        return Figure("fsync", None, "the database made no fsync that could be delayed")
    figure = _ratio("fsync", rounds, "none of that")
    detail = f"{figure.detail}; {1 / median(syncs):.1f} postbacks a delayed fsync"
    return replace(figure, detail=detail)


def memory(stage: Stage) -> Figure:
    """Compare the resident memory of a fresh server early and late."""
    early, late = stage.plan.memory
    readings = []
    with stage.fresh_tracker() as ours:
        for more in (early, late - early):
            asked = stage.postbacks(ours, limit=more, seconds=10 + more / SLOWEST)
            if asked.sent < more:
                return Figure("memory", None, f"{more:,} postbacks take too long")
            readings.append(ours.resident_bytes())
    before, after = readings
    detail = (
        f"{before / 2**20:.1f} MiB after {early:,} postbacks,"
        f" {after / 2**20:.1f} MiB after {late:,}"
    )
    return Figure("memory", after / before, detail)


FIGURES: dict[str, Callable[[Stage], Figure]] = {
    "empty": empty,
    "naive": naive,
    "pgbench": pgbench_,
    "keepalive": keepalive,
    "p99": p99,
    "fsync": fsync,
    "memory": memory,
}


def _ratio(name: str, rounds: Sequence[tuple[Asked, Asked | Timed]], other: str) -> Figure:
    """Divide round by round, so that what slows the machine slows both."""
    ratios = [ours.rate / theirs.rate for ours, theirs in rounds]
    ours, theirs = zip(*rounds, strict=True)
    detail = f"{_rate(ours)} against {_rate(theirs)} of {other}"
    return Figure(name, median(ratios), detail, (min(ratios), max(ratios)))


def _rate(rounds: Sequence[Asked | Timed]) -> str:
    """Return the rate, and the processor time of the web processes that each request took."""
    shown = f"{median(done.rate for done in rounds):.0f}/s"
    costs = [1e6 * d.server_seconds / max(1, d.sent) for d in rounds if isinstance(d, Asked)]
    return f"{shown} ({median(costs):.0f} µs)" if costs else shown
