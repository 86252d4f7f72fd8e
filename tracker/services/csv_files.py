"""CSV files that are written while they are sent, and that spreadsheets open safely."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from tracker.domain.reasons import status_reason
from tracker.store import audit, messages
from tracker.store.audit import AuditFilter
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter
from tracker.store.rows import AuditRow, MessageRow

from .describe import iso

PAGE: Final = 1000  # rows a query
MESSAGE_COLUMNS: Final = (
    "id", "to", "from", "mms_id", "campaign_ref", "reference", "custom_pass_id", "status",
    "status_label", "status_reason", "tracking_id", "sent_as", "handset", "spid", "error_code",
    "error_info", "attempts", "created_at", "accepted_at", "sent_at", "finished_at",
)  # fmt: skip
AUDIT_COLUMNS: Final = ("id", "at", "actor", "action", "subject", "detail")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def messages_csv(sessions: Sessions, wanted: MessageFilter, until: datetime) -> Iterator[str]:
    """Yield the lines of a file of the messages made before `until`, the newest first.

    Each is in it once, as it is when its page is read.
    """
    yield csv_lines([MESSAGE_COLUMNS])
    bounded = replace(wanted, created_to=min(wanted.created_to or until, until))
    cursor, is_first = None, True
    while is_first or cursor is not None:
        with sessions() as session:
            page = messages.search(session, bounded, limit=PAGE, cursor=cursor)
        yield csv_lines([_message(row) for row in page.items])
        cursor, is_first = page.next_cursor, False


def rows_csv(rows: Sequence[MessageRow]) -> Iterator[str]:
    """Yield the lines of a file of these messages."""
    yield csv_lines([MESSAGE_COLUMNS])
    yield csv_lines([_message(row) for row in rows])


def audit_csv(sessions: Sessions, wanted: AuditFilter, until: datetime) -> Iterator[str]:
    """Yield the lines of a file of what was done before `until`, the newest first."""
    yield csv_lines([AUDIT_COLUMNS])
    bounded = replace(wanted, at_to=min(wanted.at_to or until, until))
    cursor, is_first = None, True
    while is_first or cursor is not None:
        with sessions() as session:
            page = audit.search(session, bounded, limit=PAGE, cursor=cursor)
        yield csv_lines([_entry(row) for row in page.items])
        cursor, is_first = page.next_cursor, False


def csv_lines(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as lines; no spreadsheet takes a cell of them for a formula."""
    text = io.StringIO()
    csv.writer(text).writerows([[safe(cell) for cell in row] for row in rows])
    return text.getvalue()


def safe(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    if cell is None:
        return ""
    text = str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _message(row: MessageRow) -> Sequence[object]:
    return (
        row.public_id, row.recipient, row.sender, row.mms_id, row.campaign_ref, row.reference,
        row.custom_pass_id, row.status.value, row.status_label, status_reason(row),
        row.tracking_id, row.sent_as, row.handset, row.spid, row.error_code, row.error_info,
        row.attempts, iso(row.created_at), iso(row.accepted_at), iso(row.sent_at),
        iso(row.finished_at),
    )  # fmt: skip


def _entry(row: AuditRow) -> Sequence[object]:
    return (row.id, iso(row.at), row.actor, row.action, row.subject, row.detail)
