"""Reading a postback request: bytes become events, and nothing is decided yet."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from tracker.protocol.notification import Notification
from tracker.protocol.postback import (
    NotAPostbackError,
    UnreadablePostbackError,
    parse_postback,
)
from tracker.protocol.tracking import MAX_KEY
from tracker.protocol.transport import document_of
from tracker.store.rows import BodyRow

GONE: Final = "Its bytes are kept no more."


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a request; without a notification nothing could be read out of the body."""

    fingerprint: bytes
    position: int
    notification: Notification | None
    defect: str = ""

    @property
    def key(self) -> str | None:
        """What its message is known by."""
        key = self.notification.tracking_key if self.notification else None
        return key if key and len(key) <= MAX_KEY else None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One postback request, read and not yet judged.

    `headers` are what `domain.headers` keeps of them; None when there were none to look at. With
    `may_wait` False it is kept only when it tells of something known: its source has sent too many
    unknown tracking ids.
    """

    body: bytes
    content_type: str | None
    headers: str | None
    received_at: datetime
    digest: bytes
    events: tuple[Event, ...]
    may_wait: bool = True


def read(
    body: bytes,
    content_type: str | None,
    headers: str | None = None,
    *,
    zone: ZoneInfo,
    now: datetime,
) -> Arrival:
    """Read one postback request.

    Raises:
        NotAPostbackError: nothing to keep; the sender is told 400.
    """
    digest = _digest(body, content_type)
    try:
        found = parse_postback(document_of(body, content_type), zone=zone)
    except UnreadablePostbackError as error:
        return _unreadable(body, content_type, headers, digest, str(error), now)
    events = tuple(
        Event(hashlib.sha256(n.fingerprint_text.encode()).digest(), position, n)
        for position, n in enumerate(found)
    )
    return Arrival(body, content_type, headers, now, digest, events)


def read_spooled(
    body: bytes,
    content_type: str | None,
    headers: str | None = None,
    *,
    zone: ZoneInfo,
    received_at: datetime,
) -> Arrival:
    """Read a request that was acknowledged before: nothing of it may be refused any more."""
    try:
        return read(body, content_type, headers, zone=zone, now=received_at)
    except NotAPostbackError as error:
        return unread(body, content_type, str(error), headers, now=received_at)


def unread(
    body: bytes,
    content_type: str | None,
    reason: str,
    headers: str | None = None,
    *,
    now: datetime,
) -> Arrival:
    """Return a request out of which nothing was read; it is quarantined with its bytes."""
    return _unreadable(body, content_type, headers, _digest(body, content_type), reason, now)


def read_again(kept: BodyRow, position: int, zone: ZoneInfo) -> Notification:
    """Read one notification of a kept body.

    Raises:
        ValueError: a newer reader finds it no more, or the bytes have left by retention.
    """
    if kept.is_gone:
        raise UnreadablePostbackError(GONE)
    found = parse_postback(document_of(kept.body, kept.content_type), zone=zone)
    if position >= len(found):
        raise UnreadablePostbackError("Its bytes hold fewer notifications than before.")
    return found[position]


def _unreadable(
    body: bytes,
    content_type: str | None,
    headers: str | None,
    digest: bytes,
    reason: str,
    now: datetime,
) -> Arrival:
    fingerprint = hashlib.sha256(b"unreadable\0" + digest).digest()
    events = (Event(fingerprint, 0, None, reason),)
    return Arrival(body, content_type, headers, now, digest, events)


def _digest(body: bytes, content_type: str | None) -> bytes:
    return hashlib.sha256((content_type or "").encode(errors="replace") + b"\0" + body).digest()
