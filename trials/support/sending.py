"""The stage of the trials of sending: a queue, the sandbox, and senders that can be killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Row, create_engine, func, insert, select

from tracker.domain.status import Status
from tracker.sandbox.options import Delays, SandboxOptions
from tracker.sandbox.server import RunningSandbox, running
from tracker.sender import CALLS_AT_ONCE
from tracker.services import send
from tracker.store import db
from tracker.store.models import Message, MessageContent, SendAttempt
from tracker.store.outbox import LEASE

from . import databases
from .databases import Database
from .servers import wait_until

KEY = SandboxOptions().api_key
BASE = 12_000_000_000
BLOCK = 1000
ANSWER_SECONDS = 0.05
HEAD_START = 150  # messages that one may send before the other has looked at the queue
SLOWEST = 10  # messages a second; a trial is given up below
STOP_SECONDS = 60.0
LONGEST_CALL = timedelta(seconds=10)  # from its row to its record, on a busy machine
COMMAND = [sys.executable, "-c", "from tracker.cli import main; main()", "sender"]


@dataclass(slots=True)
class Report:
    """What a trial came to. Whatever is in `complaints` breaks a promise."""

    name: str
    engine: str
    messages: int
    calls: int
    kills: int
    accepted: int
    unknown: int
    unknown_called: int
    twice: int
    lost: int
    seconds: float = 0.0
    complaints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Sender:
    """One sender process with a log of its own, and those that are started in its place."""

    def __init__(self, folder: Path, number: int, environ: dict[str, str]) -> None:
        self._folder, self._environ = folder, environ
        self._log = folder / f"sender-{number}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                COMMAND, cwd=self._folder, env=self._environ, stdout=log, stderr=log
            )

    def end(self, number: signal.Signals) -> None:
        """Send a signal, and wait until it is gone."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(STOP_SECONDS)

    @property
    def sent(self) -> int:
        """How many calls it recorded, by its own log."""
        return self._log.read_text("utf-8", "replace").count('"message called"')


class SendStage:
    """What a trial acts upon."""

    def __init__(
        self, folder: Path, database: Database, sandbox: RunningSandbox, messages: int, seed: int
    ) -> None:
        self.folder = folder
        self.database = database
        self.sandbox = sandbox
        self.messages = messages
        self.chance = random.Random(seed)
        self.kills: list[datetime] = []
        self.complaints: list[str] = []
        self.notes: list[str] = []
        self._engine = create_engine(database.url)

    def sender(self, number: int, **settings: str) -> Sender:
        """Return a sender with settings of its own; it is not started yet."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TRACKER_")}
        environ = {
            **inherited,
            "TRACKER_DATABASE_URL": self.database.url,
            "TRACKER_GATEWAY_URL": self.sandbox.gateway_url,
            "TRACKER_GATEWAY_API_KEY": KEY,
            **settings,
        }
        return Sender(self.folder, number, environ)

    def count(self, *statuses: Status) -> int:
        """Count the messages that are so."""
        with self._engine.connect() as connection:
            rows = select(func.count()).where(Message.status.in_(statuses))
            return connection.scalar(rows) or 0

    @property
    def longest_seconds(self) -> float:
        """How long all of it may take."""
        return 60 + self.messages / SLOWEST

    def load(self) -> None:
        """Queue the messages, each to a number of its own."""
        now = datetime.now(UTC)
        for first in range(1, self.messages + 1, BLOCK):
            numbers = range(first, min(first + BLOCK, self.messages + 1))
            with self._engine.begin() as connection:
                connection.execute(insert(Message), [_message(n, now) for n in numbers])
                connection.execute(insert(MessageContent), [_content(n) for n in numbers])

    def settle(self) -> None:
        """Let the time pass after which the leases of those that were killed are over."""
        sessions = db.connect(self.database.url)
        send.expire_leases(sessions, datetime.now(UTC) + LEASE)
        db.engine_of(sessions).dispose()

    def report(self, name: str, engine: str) -> Report:
        """Hold the sandbox's record against the database."""
        calls = Counter(call.number for call in self.sandbox.calls)
        kept = {call.tracking_id: call.number for call in self.sandbox.accepted}
        with self._engine.connect() as connection:
            found = connection.execute(
                select(Message.id, Message.recipient, Message.status, Message.tracking_id)
            ).all()
            begun = connection.execute(select(SendAttempt.message_id, SendAttempt.started_at)).all()
        self._engine.dispose()
        by_status = Counter(row.status for row in found)
        unknown = [row for row in found if row.status is Status.UNKNOWN]
        twice = [number for number, count in calls.items() if count > 1]
        lost = self._lost(found, kept)
        for word, wrong in (
            ("numbers were called twice", len(twice)),
            ("messages were lost", len(lost)),
            ("are unknown that no kill explains", self._unexplained(unknown, begun)),
            ("numbers were called that nobody asked for", len(calls.keys() - _numbers(found))),
        ):
            self.complaints += [f"{wrong} {word}"] if wrong else []
        return Report(
            name=name,
            engine=engine,
            messages=len(found),
            calls=sum(calls.values()),
            kills=len(self.kills),
            accepted=by_status[Status.ACCEPTED],
            unknown=len(unknown),
            unknown_called=sum(row.recipient in calls for row in unknown),
            twice=len(twice),
            lost=len(lost),
            complaints=self.complaints,
            notes=self.notes,
        )

    def _lost(
        self,
        found: "list[Row[tuple[int, str, Status, str | None]]]",
        kept: dict[str | None, str | None],
    ) -> list[str]:
        """Return who got nothing and was not said to be unknown, or something else than we say."""
        return [
            row.recipient
            for row in found
            if not (
                row.status is Status.UNKNOWN
                or (row.status is Status.ACCEPTED and kept.get(row.tracking_id) == row.recipient)
            )
        ]

    def _unexplained(
        self,
        unknown: "list[Row[tuple[int, str, Status, str | None]]]",
        begun: "list[Row[tuple[int, datetime]]]",
    ) -> int:
        """Count the unknown ones that no kill caught in their call, or too many of one kill."""
        started = {row.message_id: row.started_at for row in begun}
        explained = sum(
            any(started[row.id] <= at <= started[row.id] + LONGEST_CALL for at in self.kills)
            for row in unknown
            if row.id in started
        )
        too_many = max(0, len(unknown) - len(self.kills) * CALLS_AT_ONCE)
        return len(unknown) - explained + too_many


def kill(trial: SendStage) -> None:
    """Kill senders at random until everything is sent, and start others in their place."""
    trial.load()
    senders = [trial.sender(1), trial.sender(2)]
    for sender in senders:
        sender.start()
    deadline = time.monotonic() + trial.longest_seconds
    try:
        while trial.count(Status.QUEUED):
            if time.monotonic() > deadline:
                raise SystemExit("the queue was not emptied in time")
            before = trial.count(Status.ACCEPTED)
            _wait_for_some(trial, before, deadline)
            time.sleep(trial.chance.uniform(0, 0.3))
            victim = trial.chance.choice(senders)
            trial.kills.append(datetime.now(UTC))
            victim.end(signal.SIGKILL)
            victim.start()
    finally:
        for sender in senders:
            sender.end(signal.SIGTERM)
    # What a victim had claimed and not begun is in the queue again.
    trial.settle()
    last = trial.sender(3)
    last.start()
    try:
        while trial.count(Status.QUEUED, Status.SENDING):
            if time.monotonic() > deadline:
                raise SystemExit("what was left behind was not sent in time")
            time.sleep(0.05)
    finally:
        last.end(signal.SIGTERM)


def _wait_for_some(trial: SendStage, before: int, deadline: float) -> None:
    """Let a part of the queue go, so that there are some ten kills whatever its length."""
    wanted = before + max(20, trial.messages // 12)
    while trial.count(Status.QUEUED) and trial.count(Status.ACCEPTED) < wanted:
        if time.monotonic() > deadline:
            raise SystemExit("the queue was not emptied in time")
        time.sleep(0.05)


def share(trial: SendStage) -> None:
    """Let two senders with settings of their own empty one queue, from the same moment on."""
    senders = [
        trial.sender(1, TRACKER_GATEWAY_TIMEOUT_SECONDS="20"),
        trial.sender(2, TRACKER_GATEWAY_TIMEOUT_SECONDS="30", TRACKER_DEFAULT_FROM="60856"),
    ]
    for sender in senders:
        sender.start()
    try:
        # Both are up before there is anything to send: who starts first has no more than the other.
        time.sleep(10)
        trial.load()
        wait_until(
            lambda: trial.count(Status.ACCEPTED) == trial.messages,
            trial.longest_seconds,
            "the queue was not emptied in time",
        )
    finally:
        for sender in senders:
            sender.end(signal.SIGTERM)
    counts = [sender.sent for sender in senders]
    trial.notes.append(f"the senders made {counts[0]} and {counts[1]} calls")
    if min(counts) < (trial.messages - HEAD_START) / 4:
        trial.complaints.append(f"one sender made {min(counts)} of {trial.messages} calls")
    if sum(counts) != trial.messages:
        trial.complaints.append(f"the senders recorded {sum(counts)} of {trial.messages} calls")


@contextmanager
def stage(folder: Path, engine: str, messages: int, seed: int) -> Iterator[SendStage]:
    """Build a stage with an empty queue; all of it ends with the block."""
    options = SandboxOptions(
        answer_delay_seconds=ANSWER_SECONDS,
        kept_calls=10 * messages,
        delays=Delays(sending=3600),  # no postbacks
    )
    with ExitStack() as ends:
        (folder / "database").mkdir()
        folder.chmod(0o755)  # PostgreSQL refuses to run as root and takes another user
        database = databases.ENGINES[engine](folder / "database")
        ends.callback(database.close)
        databases.migrate(database)
        sandbox = ends.enter_context(running(options))
        yield SendStage(folder, database, sandbox, messages, seed)


def _numbers(found: "list[Row[tuple[int, str, Status, str | None]]]") -> set[str]:
    return {row.recipient for row in found}


def _message(number: int, now: datetime) -> dict[str, object]:
    return {
        "id": number,
        "public_id": uuid4(),
        "status": Status.QUEUED,
        "recipient": str(BASE + number),
        "sender": "11111",
        "mms_id": "45633",
        "custom_pass_id": f"trial-{number}",
        "created_at": now,
        "updated_at": now,
        "due_at": now,
        "attempts": 0,
    }


def _content(number: int) -> dict[str, object]:
    return {
        "message_id": number,
        "custom_text": [],
        "ddm": None,
        "data": {},
        "pass_data": {"CUSTOMPASSID": f"trial-{number}", "BARCODEVALUE": "HL31-000117"},
    }
