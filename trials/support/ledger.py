"""The ledger: what was posted, what was answered, and what the database owes for it.

An answer is an HTTP status as text, or one of these words:

    refused   nobody took the connection
    closed    a kept connection ended before a single byte of the answer, as every client expects
    lost      a new connection ended before the answer
    late      no answer within `PATIENCE_SECONDS`
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from sqlalchemy import create_engine, func, select

from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import Delivery, agrees, fold
from tracker.domain.status import Status
from tracker.protocol.notification import Notification
from tracker.protocol.postback import UnreadablePostbackError, parse_postback
from tracker.protocol.transport import document_of
from tracker.store.models import Message, Postback, PostbackBody

from . import postbacks

KEPT = "200"
NO_ANSWER = frozenset({"refused", "closed", "lost", "late"})

Journal = Mapping[tuple[bytes, str | None], int]  # rows by bytes and content type


class Ledger:
    """What a client knows; several threads may write in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0
        self._answers: dict[int, list[str]] = {}
        self._longest: dict[str, float] = defaultdict(float)

    def open(self) -> int:
        """Return a number that nobody has posted yet."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._answers[number] = []
            return number

    def note(self, number: int, answer: str, seconds: float) -> None:
        """Write down what one request came to."""
        with self._lock:
            self._answers[number].append(answer)
            self._longest[answer] = max(self._longest[answer], seconds)

    def count(self) -> Counter[str]:
        """Count the requests by their answers."""
        with self._lock:
            return Counter(answer for answers in self._answers.values() for answer in answers)

    @property
    def numbers(self) -> list[int]:
        """Every postback that was posted at least once."""
        return sorted(self._answers)

    def kept(self) -> set[int]:
        """Return those that were answered with 200."""
        return {number for number, answers in self._answers.items() if KEPT in answers}

    def unanswered(self) -> set[int]:
        """Return those that got no answer at all, though the server had taken the connection."""
        return {
            number
            for number, answers in self._answers.items()
            if answers and set(answers) <= NO_ANSWER and set(answers) != {"refused"}
        }

    def longest(self) -> float:
        """Return the seconds of the longest answer."""
        answered = [
            s for answer, s in self._longest.items() if answer.isdigit() or answer == "late"
        ]
        return max(answered, default=0.0)


@dataclass(frozen=True, slots=True)
class Account:
    """How ledger and database agree; every list ought to be empty but the last."""

    missing: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    strange: int = 0  # bodies in the journal that nobody posted
    wrong: list[str] = field(default_factory=list)  # messages whose status is not the fold's
    kept_unanswered: list[int] = field(default_factory=list)


def account(ledger: Ledger, database_url: str) -> Account:
    """Compare what was answered with what is stored."""
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            journal = _journal(connection)
            of_trial = Message.custom_pass_id.startswith("trial-")
            rows = select(Message.tracking_key, Message.status).where(of_trial)
            statuses = dict(connection.execute(rows).tuples().all())
    finally:
        engine.dispose()
    return settle(ledger, journal, statuses)


def settle(ledger: Ledger, journal: Journal, statuses: Mapping[str | None, Status]) -> Account:
    """Compare what was answered with these rows."""
    posted = {number: _key(number) for number in ledger.numbers}
    return Account(
        missing=sorted(number for number in ledger.kept() if not journal.get(posted[number])),
        doubled=[number for number, key in posted.items() if journal.get(key, 0) > 1],
        strange=len(journal.keys() - set(posted.values())),
        wrong=_wrong(journal, statuses),
        kept_unanswered=sorted(n for n in ledger.unanswered() if posted[n] in journal),
    )


def _key(number: int) -> tuple[bytes, str | None]:
    posted = postbacks.postback(number)
    return posted.body, posted.content_type


def _journal(connection: Any) -> Journal:  # noqa: ANN401
    rows = (
        select(PostbackBody.body, PostbackBody.content_type, func.count(Postback.id))
        .outerjoin(Postback, Postback.body_id == PostbackBody.id)
        .group_by(PostbackBody.id)
    )
    found: Counter[tuple[bytes, str | None]] = Counter()
    for body, content_type, count in connection.execute(rows):
        found[bytes(body), content_type] += count
    return found


def _wrong(journal: Journal, statuses: Mapping[str | None, Status]) -> list[str]:
    """Fold what the journal has on each message, forwards and backwards, and compare."""
    told: dict[str, list[Notification]] = defaultdict(list)
    for body, content_type in journal:
        for notification in _read(body, content_type):
            told[notification.tracking_key or ""].append(notification)
    wrong = []
    for key, status in statuses.items():
        found = told.get(key or "", [])
        expected = {_folded(found, key or ""), _folded(found[::-1], key or "")}
        if expected != {status}:
            wrong.append(f"{key} is {status}, not {' or '.join(sorted(expected))}")
    return wrong


def _read(body: bytes, content_type: str | None) -> list[Notification]:
    try:
        return parse_postback(document_of(body, content_type), zone=DEFAULT_ZONE)
    except UnreadablePostbackError:
        return []


def _folded(notifications: list[Notification], key: str) -> Status:
    recipient = "1" + key.removeprefix("MMS_")
    accepted = Delivery(status=Status.ACCEPTED)

    def told(before: Delivery, notification: Notification) -> Delivery:
        return fold(before, notification, postbacks.FIRST_AT).delivery

    return reduce(told, (n for n in notifications if agrees(n, recipient)), accepted).status
