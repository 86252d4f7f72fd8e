"""What messages, handsets and hours ought to be, by the bytes that the gateway posted.

Three kinds of things, each walked through by key in short steps. `look` finds what differs, in a
transaction that only reads; `repair` does the same work once more for what differed, under locks,
and writes the result.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from tracker.domain import numbers
from tracker.domain.status import Status
from tracker.store import ingest
from tracker.store import rebuild as store
from tracker.store import rollups as hourly
from tracker.store.ingest import Values
from tracker.store.rebuild import Entry, Stored

from .describe import iso
from .refold import Named, Refolded, named_handsets, refolded

HOURS_AT_ONCE: Final = 24
# What nobody has who was never accepted, and the words that only an acceptance can lead to.
_TOLD: Final = tuple(name for name in ingest.DELIVERY if name not in ("status", "finished_at"))
_BEFORE_ANSWER: Final = frozenset(
    {Status.QUEUED, Status.SENDING, Status.CANCELLED, Status.REFUSED, Status.UNKNOWN}
)
_LONG_NUMBER: Final = re.compile(r"[0-9]{7,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One stored value that is not what the journal comes to; whole numbers in it are masked."""

    kind: str  # message, outcome, unreadable, handset, rollup
    where: dict[str, str | int]
    field: str
    stored: str | None
    right: str | None
    is_mendable: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """What one step saw; without a `position` there was nothing left to look at."""

    position: int | None
    checked: int = 0
    differences: Sequence[Difference] = ()
    suspects: Sequence[Any] = ()  # keys of what differs and can be repaired
    expired: int = 0  # left alone: bytes that would be needed are gone
    pending: int = 0  # left alone: known to be out of date, and about to be counted


class Stage(Protocol):
    """One kind of things, walked through by key."""

    name: str

    def total(self, session: Session) -> int:
        """Return about how much there is, in the measure of `done`."""

    def done(self, position: int, checked: int) -> int:
        """Return how much of it lies behind."""

    def look(self, session: Session, position: int, limit: int) -> Look:
        """Compare the next things after `position`, at most `limit` of them."""

    def repair(self, session: Session, suspects: Sequence[Any], now: datetime) -> int:
        """Recompute things under locks, write them, and return how many values were wrong."""


class Messages:
    """Messages by id: each is folded anew from the gateway's answer on.

    Whoever judges a postback holds the lock of its message: under it the journal of that message
    is complete.
    """

    name = "messages"

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._last_id: int | None = None

    def total(self, session: Session) -> int:
        """Return the id of the newest message; what is queued later is not looked at."""
        self._last_id = store.last_message(session)
        return self._last_id

    def done(self, position: int, checked: int) -> int:  # noqa: ARG002
        """Return the id that it has come to."""
        return position

    def look(self, session: Session, position: int, limit: int) -> Look:
        """Compare the next messages."""
        assert self._last_id is not None  # noqa: S101  # asked for the total first
        found = store.messages_after(session, position, self._last_id, limit)
        if not found:
            return Look(None)
        folded = refolded(session, found, self._zone)
        differing = {one.stored.id: d for one in folded if (d := list(_of_message(one)))}
        return Look(
            found[-1].id,
            len(found),
            [d for m in found if m.accepted_at is None for d in _impossible(m)]
            + [d for some in differing.values() for d in some],
            [id_ for id_, some in differing.items() if some[0].is_mendable],
            expired=sum(one.is_expired for one in folded),
        )

    def repair(self, session: Session, suspects: Sequence[int], now: datetime) -> int:
        """Fold these messages anew under their locks, and write what comes out."""
        folded = refolded(session, store.locked(session, suspects), self._zone)
        known = [one for one in folded if one.is_known]
        changed = [(one.stored, one.values()) for one in known if one.values() != one.stored.values]
        store.write_messages(session, changed, now)
        for one in known:
            for entry, outcome, reason in one.outcomes:
                store.write_outcome(session, entry.id, outcome, reason)
        return sum(len(list(_of_message(one))) for one in known)


class Handsets:
    """Numbers in their order, apart from the messages: a number's handset is that of all of them.

    For each number the journal of all its messages is read from the newest arrival back, up to the
    first that names a handset: the rest cannot matter, and nothing has to be remembered from one
    number to the next. Those that arrived at the same instant are all right. A number that the
    journal says nothing of keeps its handset: the messages that told of it may have expired.
    """

    name = "numbers"

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def total(self, session: Session) -> int:
        """Return how many numbers were sent to."""
        return store.count_numbers(session)

    def done(self, position: int, checked: int) -> int:  # noqa: ARG002
        """Return how many were looked at."""
        return checked

    def look(self, session: Session, position: int, limit: int) -> Look:
        """Compare the next numbers; a position is a number as it is written."""
        found = store.numbers_after(session, str(position or ""), limit)
        if not found:
            return Look(None)
        stored = store.handsets(session, found)
        named = named_handsets(session, found, self._zone)
        differing = {n: d for n in found if (d := _of_handset(n, stored.get(n), named[n]))}
        return Look(
            int(found[-1]),
            len(found),
            [difference for some in differing.values() for difference in some],
            list(differing),
            expired=sum(named[number].is_unknown for number in found),
        )

    def repair(self, session: Session, suspects: Sequence[str], now: datetime) -> int:  # noqa: ARG002
        """Read these numbers anew, with their handsets locked, and write what comes out."""
        stored = store.handsets(session, suspects, is_locked=True)
        named = named_handsets(session, suspects, self._zone)
        count = 0
        for number in suspects:
            if differing := _of_handset(number, stored.get(number), named[number]):
                right = named[number].candidates[0]
                store.write_handset(session, number, right, is_new=number not in stored)
                count += len(differing)
        return count


class Hours:
    """Hours in their order: the rollups of each against its messages.

    An hour with a mark is known to be out of date, and no difference. Without one its rollups are
    right at every moment, since a change and its mark are one commit, and so are a new count and
    the end of the mark.
    """

    name = "hours"

    def total(self, session: Session) -> int:
        """Return how many hours there are at most."""
        first = hourly.next_hours(session, _hour(0), 1)
        last = hourly.last_hour(session)
        return 1 + int((last - first[0]) / hourly.HOUR) if first and last else 0

    def done(self, position: int, checked: int) -> int:  # noqa: ARG002
        """Return how many were looked at."""
        return checked

    def look(self, session: Session, position: int, limit: int) -> Look:
        """Compare the next hours; a position is an hour in seconds since 1970."""
        found = hourly.next_hours(session, _hour(position), min(limit, HOURS_AT_ONCE))
        if not found:
            return Look(None)
        marked = {hour for hour in found if hourly.is_marked(session, hour)}
        differing = {h: d for h in found if h not in marked and (d := _of_hour(session, h))}
        return Look(
            int(found[-1].timestamp()),
            len(found),
            list(differing.values()),
            list(differing),
            pending=len(marked),
        )

    def repair(self, session: Session, suspects: Sequence[datetime], now: datetime) -> int:  # noqa: ARG002
        """Count these hours anew."""
        return hourly.repair(session, suspects)


def _of_message(folded: Refolded) -> Iterator[Difference]:
    """Yield what is stored otherwise; only the unreadable, where the rest is not known."""
    where: dict[str, str | int] = {"message": str(folded.stored.public_id)}
    if not folded.is_known:
        yield from (_unreadable(entry, reason) for entry, reason in folded.unreadable)
        return
    stored, right = folded.stored.values, folded.values()
    for name in ingest.DELIVERY:
        if stored[name] != right[name]:
            yield _difference("message", where, name, stored[name], right[name])
    for entry, outcome, _ in folded.outcomes:
        judged = {"postback": entry.id, **where}
        yield _difference("outcome", judged, "outcome", entry.outcome, outcome)


def _impossible(stored: Stored) -> Iterator[Difference]:
    """Yield what a message has that was never accepted, and nobody can have told of."""
    where: dict[str, str | int] = {"message": str(stored.public_id)}
    told = [name for name in _TOLD if stored.values[name] is not None]
    if stored.values["status"] not in _BEFORE_ANSWER:
        told = ["status", *told]
    for name in told:
        yield replace(
            _difference("message", where, name, stored.values[name], None), is_mendable=False
        )


def _unreadable(entry: Entry, reason: str) -> Difference:
    where: dict[str, str | int] = {"postback": entry.id, "message": str(entry.public_id)}
    return replace(_difference("unreadable", where, "bytes", reason, None), is_mendable=False)


def _of_handset(number: str, stored: Values | None, named: Named) -> list[Difference]:
    if named.is_unknown or not named.candidates or stored in named.candidates:
        return []
    right = named.candidates[0]
    where: dict[str, str | int] = {"number": numbers.masked(number)}
    if stored is None:
        return [_difference("handset", where, "handset", None, right["handset"])]
    return [
        _difference("handset", where, name, stored[name], right[name])
        for name in store.HANDSET
        if stored[name] != right[name]
    ]


def _of_hour(session: Session, hour: datetime) -> Difference | None:
    stored, right = hourly.stored(session, hour), hourly.counted(session, hour)
    if stored == right:
        return None
    different = sum(stored[group] != right[group] for group in stored.keys() | right.keys())
    said, is_ = (f"{counts.total()} in {len(counts)} groups" for counts in (stored, right))
    where: dict[str, str | int] = {"hour": iso(hour) or ""}
    return _difference("rollup", where, "messages", said, f"{is_}, {different} different")


def _difference(
    kind: str,
    where: dict[str, str | int],
    name: str,
    stored: object,
    right: object,
) -> Difference:
    return Difference(
        kind=kind, where=where, field=name, stored=_shown(stored), right=_shown(right)
    )


def _shown(value: object) -> str | None:
    """Return a value as text; a number in it is nobody's business."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return iso(value)
    return _LONG_NUMBER.sub(lambda found: numbers.masked(found[0]), str(value))


def _hour(position: int) -> datetime:
    return datetime.fromtimestamp(position, UTC)
