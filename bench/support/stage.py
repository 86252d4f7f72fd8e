"""One engine with its servers, and messages that no postback has told of yet.

Every round is counted: a 200 that is not an applied journal row and a delivered message ends the
run, and so does one of these that nobody asked for.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from . import load, messages, pgbench, servers, slow_fsync
from .databases import Database, database
from .load import Asked
from .pgbench import Timed
from .servers import Server
from .slow_fsync import SlowFsync

MOST_A_SECOND = 12_000  # how many messages are kept ready for a second of a round
WARM_UP_SECONDS = 0.5
SPOOL_SECONDS = 10.0  # until what was only spooled must be in the database too
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much to measure."""

    messages: int
    rounds: int
    seconds: float
    memory: tuple[int, int]  # postbacks before the first and before the second reading


@dataclass(slots=True)
class Stage:
    """What the figures work with."""

    database: Database
    plan: Plan
    folder: Path
    slow_fsync: SlowFsync | None
    until_the_end: ExitStack
    _tracker: Server | None = None
    loaded: int = 0
    used: int = 0
    costs: list[float] = field(default_factory=list)  # processor seconds of the load a request
    others: Counter[str] = field(default_factory=Counter)  # answers that were not 200

    def reserve(self, wanted: int) -> None:
        """Have so many messages ready."""
        if (missing := wanted - (self.loaded - self.used)) > 0:
            count = max(missing, min(5 * missing, self.plan.messages))  # enough for some rounds
            messages.load(self.database, self.loaded + 1, count)
            self.loaded += count

    def postbacks(self, server: Server, *, limit: int | None = None, **how: object) -> Asked:
        """Run one round against a server that keeps what it gets, and count what it kept."""
        before = self._prepare(limit)
        asked = self._ask(server, limit, how)
        self._count(asked.statuses.get("200", 0), asked.sent, before)
        return asked

    def nothing(self, server: Server, **how: object) -> Asked:
        """Run one round against the empty view."""
        return self._ask(server, None, how)

    def pgbench(self, program: str, rate: float) -> Timed:
        """Let pgbench work for a round at about this rate."""
        count = max(1, round(rate * self.plan.seconds / pgbench.CLIENTS)) * pgbench.CLIENTS
        before = self._prepare(count)
        first = self.used + 1
        timed = pgbench.run(program, self.database, self.folder, first=first, count=count)
        self._count(timed.committed, count, before)
        return timed

    def _prepare(self, limit: int | None) -> int:
        self.reserve(limit or self._room)
        return messages.newest_postback(self.database)

    @property
    def _room(self) -> int:
        return min(self.plan.messages, round(MOST_A_SECOND * self.plan.seconds))

    def _ask(self, server: Server, limit: int | None, how: dict[str, object]) -> Asked:
        how = {"seconds": self.plan.seconds, **how}
        first, limit = self.used + 1, limit or self._room
        before = server.processor_seconds()
        asked = load.ask(server.port, server.path, first=first, limit=limit, **how)
        asked.server_seconds = server.processor_seconds() - before
        if "200" not in asked.statuses:
            raise SystemExit(f"nothing was answered with 200, but {asked.statuses}")
        self.others.update({s: n for s, n in asked.statuses.items() if s != "200"})
        if not {"keep_alive", "rate"} & set(how):
            self.costs.append(asked.processor_seconds / asked.sent)
        return asked

    def _count(self, confirmed: int, sent: int, newest_before: int) -> None:
        deadline = time.monotonic() + SPOOL_SECONDS
        while True:
            stored = messages.applied_since(self.database, newest_before)
            delivered = messages.delivered_among(self.database, self.used + 1, sent)
            # What was answered with an error, or not at all, may be stored and will come again.
            if confirmed <= stored == delivered <= sent:
                break
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"{confirmed} answers with 200, but {stored} applied postbacks"
                    f" and {delivered} delivered messages"
                )
            time.sleep(0.1)
        self.used += sent

    def tracker(self) -> Server:
        """Return the tracker, warmed up; it runs as long as the stage stands."""
        if self._tracker is None:
            self._tracker = self.until_the_end.enter_context(self.fresh_tracker())
        return self._tracker

    @contextmanager
    def fresh_tracker(self, **environ: str) -> Iterator[Server]:
        """Run another tracker, warmed up."""
        with servers.tracker(self.folder, self.database.url, **environ) as server:
            self.postbacks(server, seconds=min(WARM_UP_SECONDS, self.plan.seconds))
            yield server

    @contextmanager
    def empty(self, *options: str) -> Iterator[Server]:
        """Run the empty view, warmed up."""
        with servers.empty(self.folder, *options) as server:
            self.nothing(server, seconds=min(WARM_UP_SECONDS, self.plan.seconds))
            yield server

    @contextmanager
    def naive(self, *options: str) -> Iterator[Server]:
        """Run the naive receiver, warmed up."""
        with servers.naive(self.folder, self.database.url, *options) as server:
            self.postbacks(server, seconds=min(WARM_UP_SECONDS, self.plan.seconds))
            yield server

    def alternate(self, ours: Callable[[], R], other: Callable[[], R]) -> list[tuple[R, R]]:
        """Let both have their turn in every round, and the other one first in every second."""
        rounds: list[tuple[R, R]] = []
        for number in range(self.plan.rounds):
            if number % 2 == 0:
                rounds.append((ours(), other()))
            else:
                theirs = other()
                rounds.append((ours(), theirs))
        return rounds


@contextmanager
def stage(name: str, plan: Plan, folder: Path, *, wants_slow_fsync: bool) -> Iterator[Stage]:
    """Set an engine up with its first messages, and take it down again."""
    folder.mkdir()
    folder.chmod(0o755)  # PostgreSQL refuses to run as root and takes another user
    slow = slow_fsync.build(folder) if wants_slow_fsync else None
    with database(name, folder, slow.environ if slow else {}) as made, ExitStack() as stack:
        built = Stage(made, plan, folder, slow, stack)
        built.reserve(plan.messages)
        yield built
