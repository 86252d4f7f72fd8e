"""Forget one person: erase her number, and what her messages said, wherever any of it is kept.

    spool     brought to the database, so that there is one place to erase in; what was set aside
              there as damaged is removed if it has the number
    messages  to the number, each with contents, calls, postbacks and their bytes
    tables    all others, and these once more, row by row: the number in any text

Counts stay, and so do ids that say nothing of a person. A suppression that holds stays too, as the
number alone: without it the person would be sent to again, and a hash of it would be lost with its
key. The certificate says what was erased, and has only a keyed hash of the number.

Errors:
    BeingSentError    a message to the number is still to be sent, or a file that has it
"""

import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import Table
from sqlalchemy.orm import Session

from tracker.domain.spellings import Spellings
from tracker.domain.status import LABELS, Status
from tracker.store import accounts
from tracker.store import forget as store
from tracker.store import forget_rows as rows
from tracker.store import rebuild as checkpoints
from tracker.store.db import Sessions
from tracker.store.spool import Spool, SpoolRecord

from .committer import ingest_spooled
from .describe import iso
from .rebuild import Progress

STEP: Final = 500  # rows that a step looks at
MESSAGES_AT_ONCE: Final = 50
MOST_NAMED: Final = 5  # of what stands in the way
DRAIN_TRIES: Final = 50
DRAIN_SECONDS: Final = 0.1  # between two tries
KEPT_EVERY: Final = 20  # steps: how far it is, while there is nothing to erase
HASH: Final = "HMAC-SHA-256 of the digits, under a key made of TRACKER_SECRET_KEY"
NOTES: Final = (
    "A body that told of several messages was removed whole.",
    "Earlier copies of the database, logs of proxies and the gateway's records are not touched.",
    "The database's files may have remains in free space until they are compacted.",
    "What the gateway posts about this number from now on comes in anew.",
)


class BeingSentError(Exception):
    """Something is still to be sent to the person; the text says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was erased of whom, when and by whom; it has no number."""

    id: str
    number_hash: str
    at: datetime
    actor: str
    is_dry_run: bool
    suppression: str  # none, kept or erased
    erased: dict[str, int]  # rows by table

    def as_json(self) -> dict[str, Any]:
        """Return it as it is written down."""
        return {
            "certificate": self.id,
            "at": iso(self.at),
            "by": self.actor,
            "dry_run": self.is_dry_run,
            "number_hash": self.number_hash,
            "hash": HASH,
            "erased": self.erased,
            "suppression": self.suppression,
            "notes": list(NOTES),
        }


def hash_of(number: str, secret_key: str) -> str:
    """Return what a number is known by to those alone who have the key."""
    key = hmac.digest(secret_key.encode(), b"forgotten number", hashlib.sha256)
    return hmac.digest(key, number.encode(), hashlib.sha256).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run works with; the secret key is that of the installation."""

    sessions: Sessions
    spool: Spool
    zone: ZoneInfo
    secret_key: str
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Preview:
    """What is kept by a number, by table; what stands in the way of erasing it, if anything."""

    own: dict[str, int]
    in_the_way: str | None
    is_suppressed: bool


def preview(means: Means, number: str) -> Preview:
    """Say what a run would erase that is found by the number itself, without a walk."""
    with means.sessions() as session:
        files = store.files_with(session, Spellings(number))
        own = store.own_rows(session, number, number, [one.id for one in files if one.is_over])
        messages = store.being_sent(session, number, MOST_NAMED)
        return Preview(
            own={table: len(keys) for table, keys in own.items() if keys},
            in_the_way=_in_the_way(messages, files),
            is_suppressed=store.is_suppressed(session, number),
        )


def _in_the_way(messages: Iterable[tuple[UUID, Status]], files: Iterable[store.File]) -> str | None:
    named = [f"message {id_} is {LABELS[status].lower()}" for id_, status in messages]
    named += [f"batch {one.public_id} has a row for it" for one in files if not one.is_over]
    return (
        f"{'; '.join(named[:MOST_NAMED])}: cancel it, or wait until it is sent" if named else None
    )


class Forget:
    """One run for one number, from where an earlier one was stopped."""

    def __init__(
        self,
        means: Means,
        number: str,
        *,
        actor: str,
        only_counts: bool = False,
        with_suppression: bool = False,
        step: int = STEP,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        self._sessions = means.sessions
        self._means = means
        self._number = number
        self._spellings = Spellings(number)
        self._hash = hash_of(number, means.secret_key)
        self._prefix = f"forget {self._hash[:16]} "
        self._actor = actor
        self._only_counts = only_counts
        self._spared = "" if with_suppression else number
        self._step = step
        self._rest = rest
        self._erased: Counter[str] = Counter()
        self._suppression = "none"
        self._own: dict[str, set[tuple[Any, ...]]] = {}  # what a dry run has counted by number
        self._row = 0

    def steps(self) -> Iterator[Progress]:
        """Do the work; each step is committed when it is yielded, and one may stop after any.

        Raises:
            BeingSentError: nothing was erased, or not all: a message was queued meanwhile.
        """
        if not self._only_counts:
            self._drain()
        self._refuse_what_is_sent()
        tables = rows.tables()
        at = self._take_up()
        yield Progress("messages", 0, 1)
        self._erase_first()
        yield from self._messages()
        for number, table in enumerate(tables):
            if number >= at:
                yield Progress("tables", number, len(tables))
                for _ in self._table(number, table):
                    yield Progress("tables", number, len(tables))
        yield Progress("tables", len(tables), len(tables))

    def end(self) -> Certificate:
        """Write the run into the audit, without the number, and certify it."""
        certificate = Certificate(
            id=str(uuid4()),
            number_hash=self._hash,
            at=self._means.clock(),
            actor=self._actor,
            is_dry_run=self._only_counts,
            suppression=self._suppression,
            erased=dict(sorted((+self._erased).items())),
        )
        if not self._only_counts:
            counts = ", ".join(f"{count} {table}" for table, count in certificate.erased.items())
            with self._sessions.begin() as session:
                store.drop_kept(session, self._prefix)
                accounts.audit(
                    session, self._actor, "person.forget", subject=certificate.id,
                    detail=(counts or "nothing was there")[:1000], now=certificate.at,
                )  # fmt: skip
            with self._sessions() as session:
                session.commit()
                store.empty_log(session)
        return certificate

    def _drain(self) -> None:
        def take(records: list[SpoolRecord]) -> None:
            ingest_spooled(
                self._sessions,
                self._means.spool,
                records,
                zone=self._means.zone,
                now=self._means.clock(),
            )

        for _ in range(DRAIN_TRIES):  # the web part may be bringing them just now
            self._means.spool.drain(take)
            if not (waiting := self._means.spool.state().records):
                return
            time.sleep(DRAIN_SECONDS)
        raise BeingSentError(
            f"{waiting} postbacks wait in the spool and may have the number; "
            "`tracker spool drain` brings them to the database"
        )

    def _refuse_what_is_sent(self) -> None:
        with self._sessions() as session:
            messages = store.being_sent(session, self._number, MOST_NAMED)
            files = store.files_with(session, self._spellings)
        if said := _in_the_way(messages, files):
            raise BeingSentError(said)

    def _erase_first(self) -> None:
        """Erase what is kept by number, and in files; a dry run counts it, and the messages."""
        with self._sessions() if self._only_counts else self._sessions.begin() as session:
            self._suppression = self._said_of_suppression(session)
            files = [one.id for one in store.files_with(session, self._spellings)]
            if self._only_counts:
                self._own = store.own_rows(session, self._number, self._spared, files)
                self._erased += Counter({table: len(keys) for table, keys in self._own.items()})
            else:
                store.leave_no_trace(session)
                gone = store.erase_files(session, files)
                gone += store.erase_number(session, self._number, self._spared)
                self._settle(session, gone)
        removed = self._means.spool.erase_set_aside(
            self._spellings.is_in, only_counts=self._only_counts
        )
        self._erased += Counter({"damaged pieces of the spool": removed})

    def _said_of_suppression(self, session: Session) -> str:
        if not store.is_suppressed(session, self._number):
            return "none"
        return "kept" if self._spared else "erased"

    def _messages(self) -> Iterator[Progress]:
        while not self._only_counts:
            with self._sessions.begin() as session:
                store.leave_no_trace(session)
                gone = store.erase_messages(
                    session, self._number, self._spellings, MESSAGES_AT_ONCE
                )
                self._settle(session, gone)
            if not gone:
                return self._refuse_what_is_sent()
            yield Progress("messages", 0, 1)

    def _table(self, number: int, table: Table) -> Iterator[None]:
        """Walk through one table."""
        after = self._began_at(table)
        for steps in count(1):
            began = time.monotonic()
            with self._sessions() as session:
                found = rows.rows_with(
                    session, table, after, self._spellings, spared=self._spared, limit=self._step
                )
            after = found.last
            if self._only_counts:
                others = set(found.keys) - self._own.get(table.name, set())
                self._erased += Counter({table.name: len(others)})
            elif found.keys or after is None or steps % KEPT_EVERY == 0:
                self._erase_rows(number, table, found)
                self._rest(time.monotonic() - began)
            if after is None:
                return
            yield

    def _erase_rows(self, number: int, table: Table, found: rows.Found) -> None:
        place = (number + 1, 0) if found.last is None else (number, _position(found.last))
        with self._sessions.begin() as session:
            store.leave_no_trace(session)
            gone = rows.erase_rows(session, table, found.keys, self._spellings, spared=self._spared)
            self._settle(session, gone, place)

    def _settle(
        self, session: Session, gone: Counter[str], place: tuple[int, int] | None = None
    ) -> None:
        """Keep how far it is, in the transaction of a step."""
        self._erased += gone
        kept = {f"{self._prefix}n {table}": count for table, count in self._erased.items()}
        if place:
            kept |= {f"{self._prefix}table": place[0], f"{self._prefix}row": place[1]}
        if kept:
            checkpoints.keep(session, kept, self._means.clock())

    def _take_up(self) -> int:
        """Take up the counts of a run that was stopped, and return which table it was in."""
        if self._only_counts:
            return 0
        with self._sessions() as session:
            kept = store.kept(session, self._prefix)
        counts = {name[2:]: count for name, count in kept.items() if name.startswith("n ")}
        self._erased = Counter(counts)
        self._row = kept.get("row", 0)
        return kept.get("table", 0)

    def _began_at(self, table: Table) -> tuple[Any, ...] | None:
        """Return after which row a walk goes on; tables whose keys are no ids begin anew."""
        row, self._row = self._row, 0
        has_id = [column.name for column in table.primary_key] == ["id"]
        return (row,) if row and has_id else None


def _position(key: tuple[Any, ...]) -> int:
    return key[0] if len(key) == 1 and isinstance(key[0], int) else 0
