"""The stage of one trial: database, server, spool and ledger in a folder of their own."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tracker.store.spool import Spool

from . import databases, load, servers
from .databases import Database
from .disks import small_disk
from .ledger import KEPT, Ledger, account
from .servers import PATH, Server

DRAIN_SECONDS = 30.0
MOST_SECONDS = 10.0  # the gateway gives up then


@dataclass(frozen=True, slots=True)
class Options:
    """How long and how hard; `small_disk` is a folder of the stage, and `disk_size` its size."""

    seconds: float
    rate: float
    seed: int = 0
    small_disk: str = ""
    disk_size: str = ""


@dataclass(slots=True)
class Report:
    """What a trial came to. Whatever is in `complaints` breaks a promise."""

    name: str
    engine: str
    answers: dict[str, int] = field(default_factory=dict)
    postbacks: int = 0
    missing: int = 0
    doubled: int = 0
    kept_unanswered: int = 0
    longest_seconds: float = 0.0
    drained_seconds: float | None = None
    seconds: float = 0.0
    complaints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Stage:
    """What a trial acts upon."""

    def __init__(self, folder: Path, database: Database, server: Server, options: Options) -> None:
        self.folder = folder
        self.database = database
        self.server = server
        self.options = options
        self.spool = Spool(folder / "spool")
        self.ledger = Ledger()
        self.is_alone = True  # nobody else posts
        self.chance = random.Random(options.seed)
        self.drained: list[float] = []
        self.complaints: list[str] = []
        self.may_lose = 0  # requests that ended unread, in a moment in which that may happen
        self.notes: list[str] = []

    @property
    def seconds(self) -> float:
        """How long the trouble lasts."""
        return self.options.seconds

    @contextmanager
    def load(self, rate: float | None = None) -> Iterator[None]:
        """Post while the block runs, and until a moment after it."""
        with load.running(self.server.port, PATH, self.ledger, rate or self.options.rate):
            yield
            time.sleep(0.5)

    def spooled(self) -> int:
        """Count what waits in the spool."""
        return self.spool.state().records

    def wait_until_drained(self) -> None:
        """Wait until nothing waits in the spool any more, and note how long that took."""
        complaint = f"{self.spooled()} postbacks were still in the spool after {DRAIN_SECONDS} s"
        seconds = servers.wait_until(lambda: not self.spooled(), DRAIN_SECONDS, complaint)
        self.drained.append(seconds)

    def wait_for_answers(self, answer: str, count: int, seconds: float) -> None:
        """Wait until so many more postbacks were answered so."""
        wanted = self.ledger.count()[answer] + count
        complaint = f"{answer} was not answered {count} times within {seconds} s"
        servers.wait_until(lambda: self.ledger.count()[answer] >= wanted, seconds, complaint)

    def report(self, name: str, engine: str, allowed: frozenset[str]) -> Report:
        """Settle the ledger, post again what is open, and settle it once more."""
        self.wait_until_drained()
        first = account(self.ledger, self.database.url)
        self._complain_about_answers(allowed)
        answers, posted = dict(self.ledger.count()), len(self.ledger.numbers)
        longest = self.ledger.longest()
        load.finish(self.server.port, PATH, self.ledger)
        self.wait_until_drained()
        last = account(self.ledger, self.database.url)
        self.complaints += last.wrong[:5]
        self.complaints += databases.differences(self.database, self.folder)[:5]
        missing, doubled = {*first.missing, *last.missing}, {*first.doubled, *last.doubled}
        for word, count in (
            ("answered with 200 and not stored", len(missing)),
            ("stored twice", len(doubled)),
            ("stored and never posted", last.strange if self.is_alone else 0),
        ):
            self.complaints += [f"{count} {word}"] if count else []
        if "lost" not in allowed and first.kept_unanswered:
            self.complaints.append(f"{len(first.kept_unanswered)} stored, but not answered")
        if set_aside := self.spool.state().set_aside:
            self.notes.append(f"{set_aside} torn ends of spool files set aside")
        return Report(
            name=name,
            engine=engine,
            answers=answers,
            postbacks=posted,
            missing=len(missing),
            doubled=len(doubled),
            kept_unanswered=len(first.kept_unanswered),
            longest_seconds=round(longest, 2),
            drained_seconds=round(max(self.drained[:-1], default=0.0), 2),
            complaints=self.complaints,
            notes=self.notes,
        )

    def _complain_about_answers(self, allowed: frozenset[str]) -> None:
        for answer, count in self.ledger.count().items():
            if answer == "lost" and count <= self.may_lose:
                self.notes.append(f"{count} sent away unread while a full stop closed the door")
            elif answer != KEPT and answer not in allowed:
                self.complaints.append(f"{count} answered {answer}")
        if self.ledger.longest() > MOST_SECONDS:
            self.complaints.append(f"an answer took {self.ledger.longest():.1f} s")


@contextmanager
def stage(folder: Path, engine: str, options: Options, **environ: str) -> Iterator[Stage]:
    """Build a stage, with messages for the postbacks to tell of; all of it ends with the block.

    Raises:
        NoDiskError: the trial needs a small disk, and there can be none.
    """
    with ExitStack() as ends:
        if options.small_disk:
            ends.enter_context(small_disk(folder / options.small_disk, options.disk_size))
        (folder / "database").mkdir(exist_ok=True)
        database = databases.ENGINES[engine](folder / "database")
        ends.callback(database.close)
        databases.migrate(database)
        databases.load_messages(database, int(options.rate * (options.seconds * 2 + 4) / 2))
        server = Server(folder, database.url, folder / "spool", **environ)
        ends.callback(server.stop)
        server.start()
        yield Stage(folder, database, server, options)
