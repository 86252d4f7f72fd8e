"""What postbacks do beside telling a message: suppressed numbers, unusable content, alerts.

They follow each arrival, also a repeated one: subscriptions without a TIMESTAMP look alike, and
the latest word must count. A later TIMESTAMP is never undone by an earlier one.

Source: PROTOCOL 6.9.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from tracker.domain import numbers
from tracker.protocol.codes import POSTBACK_CODES
from tracker.protocol.notification import Kind, Notification
from tracker.store import alerts, suppressions

GATEWAY: Final = "gateway"
# What carriers in the USA and Canada take for an opt-out, alone in a message.
STOP_WORDS: Final = frozenset(
    {
        "STOP",
        "STOPALL",
        "STOP ALL",
        "UNSUBSCRIBE",
        "CANCEL",
        "END",
        "QUIT",
        "REVOKE",
        "OPTOUT",
        "OPT OUT",
        "ARRET",
    }
)
START_WORDS: Final = frozenset({"START", "UNSTOP"})
_TOLD: Final = {code: told.resulting_status for (code, _), told in POSTBACK_CODES.items()}
_UNUSABLE: Final = frozenset(c for c, told in _TOLD.items() if "template unusable" in told)
_USABLE: Final = frozenset(c for c, told in _TOLD.items() if "template usable" in told)
_ACCOUNT: Final = frozenset(c for c, told in _TOLD.items() if "account alert" in told)
_LETTERS: Final = re.compile(r"[^A-Z ]+")


def follow(
    session: Session, arrived: Iterable[tuple[Notification | None, datetime]], now: datetime
) -> None:
    """Do what notifications ask for, in order of arrival, in the caller's transaction."""
    for notification, received_at in arrived:
        if notification is None or notification.defect:
            continue
        if notification.kind is Kind.SUBSCRIPTION:
            _subscription(session, notification, received_at)
        elif notification.kind in (Kind.MO_SMS, Kind.MO_MMS):
            _inbound(session, notification, received_at)
        elif notification.kind is Kind.CONTENT and notification.mms_id:
            _content(session, notification, received_at)
        elif notification.kind is Kind.QUEUE_ERROR:
            detail = notification.status_details or notification.status or "It gives no reason."
            detail = f"The gateway reports an error in its queue (E999): {detail}"
            alerts.sound(session, "queue_error", GATEWAY, detail, now)
        elif notification.code in _ACCOUNT:
            meaning = POSTBACK_CODES[notification.code, "GENERATE_PASS"].meaning
            alerts.sound(session, "account", notification.code, meaning + ".", now)


def _subscription(session: Session, notification: Notification, received_at: datetime) -> None:
    number = numbers.clean(notification.mobile or "")
    if number is None:
        return
    if notification.code == "N302":
        source = notification.source or "the gateway"
        suppressions.add(
            session, number, "N302", f"Unsubscribed by {source}.",
            told_at=notification.timestamp, now=received_at,
        )  # fmt: skip
    elif notification.code == "N301":
        suppressions.lift(session, number, "N301", told_at=notification.timestamp, now=received_at)


def _inbound(session: Session, notification: Notification, received_at: datetime) -> None:
    number = numbers.clean(notification.from_ or "")
    word = _word(notification.text) or _word(notification.keyword)
    if number is None or word is None:
        return
    if word in STOP_WORDS:
        suppressions.add(
            session, number, "STOP", f"The phone answered {word}.",
            told_at=notification.timestamp, now=received_at,
        )  # fmt: skip
    elif word in START_WORDS:
        suppressions.lift(session, number, word, told_at=notification.timestamp, now=received_at)


def _word(text: str | None) -> str | None:
    words = _LETTERS.sub(" ", (text or "").upper()).split()
    return " ".join(word for word in words if word != "PLEASE") or None


def _content(session: Session, notification: Notification, received_at: datetime) -> None:
    code = notification.code or ""
    if code not in _USABLE | _UNUSABLE:
        return
    suppressions.note_content(
        session, notification.mms_id or "", is_usable=code in _USABLE, code=code,
        detail=notification.status_details or notification.status,
        told_at=notification.timestamp, now=received_at,
    )  # fmt: skip
    if code in _UNUSABLE:
        detail = (
            f"{code}: {notification.status_details or notification.status or 'no reason given'}"
        )
        alerts.sound(session, "content", f"MMS {notification.mms_id}", detail, received_at)
