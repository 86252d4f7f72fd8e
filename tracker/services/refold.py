"""Messages and handsets, told anew by the bytes in the journal.

Postbacks are taken in the order in which they were judged, whatever outcome is stored with them:
all that name their message told it something, except those with a defect and those to another
number, and both can be seen from their bytes.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from tracker.domain.fold import Delivery, Outcome, agrees, doubt, fold
from tracker.domain.settling import Settled
from tracker.domain.status import Status
from tracker.gateway import Accepted, interpret
from tracker.protocol.notification import Notification
from tracker.protocol.postback import parse_postback
from tracker.protocol.transport import document_of
from tracker.store import ingest, postbacks
from tracker.store import rebuild as store
from tracker.store.ingest import Values
from tracker.store.rebuild import Entry, Stored
from tracker.store.rows import BodyRow

BODIES_AT_ONCE: Final = 50  # of at most 1 MiB each
_NOT_HEARD_FROM: Final = frozenset({Status.ACCEPTED, Status.SENT})
_FORGED: Final = "TO is not the recipient of the message with this tracking id."

Reading = Notification | str | None  # a text: why it cannot be read; None: its bytes are gone


@dataclass(slots=True)
class Refolded:
    """A message on its way through its journal; `outcomes` are those that differ."""

    stored: Stored
    delivery: Delivery
    outcomes: list[tuple[Entry, Outcome, str]] = field(default_factory=list)
    unreadable: list[tuple[Entry, str]] = field(default_factory=list)
    is_expired: bool = False

    @property
    def is_known(self) -> bool:
        """The whole journal of the message could be read."""
        return not self.is_expired and not self.unreadable

    def tell(self, entry: Entry, reading: Reading) -> None:
        """Take the next postback in."""
        if reading is None:
            self.is_expired = True
        elif isinstance(reading, str):
            self.unreadable.append((entry, reading))
        else:
            outcome, reason = self._judge(entry, reading)
            if outcome != entry.outcome:
                self.outcomes.append((entry, outcome, reason))

    def _judge(self, entry: Entry, notification: Notification) -> tuple[Outcome, str]:
        if notification.defect or not agrees(notification, entry.recipient):
            return Outcome.QUARANTINED, notification.defect or _FORGED
        folded = fold(self.delivery, notification, entry.received_at)
        self.delivery = folded.delivery
        return folded.outcome, folded.reason + doubt(notification, entry.mms_id)

    def values(self) -> Values:
        """Return what ought to be stored."""
        delivery = self.delivery
        if self.stored.values["status"] is Status.NO_RECEIPT and delivery.status in _NOT_HEARD_FROM:
            delivery = replace(delivery, status=Status.NO_RECEIPT)  # our own word, no postback's
        return ingest.delivery_values(delivery)


@dataclass(slots=True)
class Named:
    """What the journal says of one number's handset; `candidates` arrived at one instant."""

    candidates: list[Values] = field(default_factory=list)
    is_unknown: bool = False  # a newer postback cannot be read any more

    def is_open(self, entry: Entry) -> bool:
        """Say whether an older postback can still matter."""
        if self.is_unknown:
            return False
        return not self.candidates or entry.received_at == self.candidates[0]["seen_at"]

    def tell(self, entry: Entry, reading: Reading) -> None:
        """Take the next older postback in."""
        if reading is None or isinstance(reading, str):
            self.is_unknown = True
        elif reading.handset and not reading.defect and agrees(reading, entry.recipient):
            self.candidates.append(
                {
                    "handset": reading.handset[:256],
                    "os": reading.os and reading.os[:128],
                    "source": (reading.code or "")[:32],
                    "seen_at": entry.received_at,
                }
            )


def refolded(session: Session, stored: Sequence[Stored], zone: ZoneInfo) -> list[Refolded]:
    """Fold these messages anew, those that were ever accepted."""
    accepted = {one.id: one for one in stored if one.accepted_at is not None}
    answers = store.answers(session, accepted)
    folded = {
        id_: Refolded(one, _as_answered(one, answers.get(id_))) for id_, one in accepted.items()
    }
    for entry, reading in _readings(session, store.judged(session, accepted), zone):
        folded[entry.message_id].tell(entry, reading)
    return list(folded.values())


def _as_answered(stored: Stored, answer: str | None) -> Delivery:
    """Return a message as the gateway's answer left it, or the person who said that it was sent.

    Without an answer that can be read, as when a postback stood in for it, the sender is as stored:
    nothing says otherwise, and a postback that names one comes after it.
    """
    taken = interpret(200, answer) if answer else None
    named = taken.sender_used if isinstance(taken, Accepted) else stored.values["sender_used"]
    if stored.settled_as == Settled.SENT:
        return Delivery(status=Status.SENT, sender_used=named, sent_at=stored.accepted_at)
    return Delivery(status=Status.ACCEPTED, sender_used=named)


def named_handsets(session: Session, wanted: Collection[str], zone: ZoneInfo) -> dict[str, Named]:
    """Read what the journal names as the handset of each of these numbers."""
    named = {number: Named() for number in wanted}

    def is_open(entry: Entry) -> bool:
        return named[entry.recipient].is_open(entry)

    for entry, reading in _readings(session, store.heard(session, wanted), zone, is_open):
        named[entry.recipient].tell(entry, reading)
    return named


def _readings(
    session: Session,
    entries: Iterator[Entry],
    zone: ZoneInfo,
    is_wanted: Callable[[Entry], bool] = lambda _: True,
) -> Iterator[tuple[Entry, Reading]]:
    """Read entries anew from their bytes, some bodies at a time and each body once for them."""
    wanted = filter(is_wanted, entries)
    while some := list(islice(wanted, BODIES_AT_ONCE)):
        bodies = postbacks.bodies(session, some)
        parsed: dict[int, Sequence[Notification] | str | None] = {}
        for entry in filter(is_wanted, some):
            if entry.body_id not in parsed:
                parsed[entry.body_id] = _parsed(bodies[entry.body_id], zone)
            yield entry, _at(parsed[entry.body_id], entry.position)


def _parsed(kept: BodyRow, zone: ZoneInfo) -> Sequence[Notification] | str | None:
    if kept.is_gone:
        return None
    try:
        return parse_postback(document_of(kept.body, kept.content_type), zone=zone)
    except ValueError as error:
        return str(error)


def _at(parsed: Sequence[Notification] | str | None, position: int) -> Reading:
    if parsed is None or isinstance(parsed, str):
        return parsed
    if position < len(parsed):
        return parsed[position]
    return "Its bytes hold fewer notifications than before."
