"""What is asked of the dashboard: every page, with filters that find much, little and nothing."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from sqlalchemy import ColumnElement, func, select

from tracker.domain.status import Status
from tracker.store.models import Batch, Message, Postback

from .databases import Database

FIXED = (
    "/", "/overview/today", "/overview/health", "/overview/detail", "/messages", "/messages/live",
    "/batches", "/batches/new", "/journal", "/journal?outcome=unmatched",
    "/journal?outcome=quarantined", "/alerts", "/suppressed", "/gateway", "/templates",
    "/templates/new", "/handsets", "/carriers", "/carriers/import", "/send", "/journal/replay",
    "/audit", "/messages/views", "/settings/users", "/settings/tokens", "/settings/password",
    "/settings/two-factor", "/settings/data", "/settings/postback-address",
    "/help/statuses", "/trouble", "/api/docs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """One page with the addresses that it is asked for by; of a search, what is typed."""

    name: str
    paths: list[str]
    is_search: bool = False


def questions(found: Database, times: int) -> list[Question]:
    """Return what to ask, each so many times."""
    picks = _Picks(found, times)
    ids = picks.column(Message.public_id)
    postbacks = picks.column(Postback.id)
    fixed = [Question(path, [path] * times) for path in FIXED]
    return [
        *fixed,
        Question("a message", [f"/messages/{id_}" for id_ in ids]),
        Question("a message, live", [f"/messages/{id_}/live" for id_ in ids]),
        Question("a message, others to its number", [f"/messages/{id_}/others" for id_ in ids]),
        Question("a postback", [f"/journal/{id_}" for id_ in postbacks]),
        Question(
            "a batch", picks.cycled([f"/batches/{id_}" for id_ in picks.all(Batch.public_id)])
        ),
        Question("search by number", picks.column(Message.recipient), is_search=True),
        Question("search by tracking id", picks.column(Message.tracking_id), is_search=True),
        Question("search for nothing", [f"nothing-{n}" for n in range(times)], is_search=True),
        *_filtered(picks),
        *_journal(picks),
    ]


def _filtered(picks: "_Picks") -> list[Question]:
    day = datetime.now(UTC).date() - timedelta(days=30)
    asked = {f"status {status}": [f"status={status}"] for status in Status}
    asked |= {
        "failures": ["status=failed&status=expired&status=rejected&status=unsupported"],
        "template": [f"mms_id={text}" for text in picks.all(Message.mms_id)],
        "campaign": [f"campaign_ref={quote(text)}" for text in picks.all(Message.campaign_ref)],
        "carrier": [f"spid={text}" for text in picks.all(Message.spid)],
        "handset": [f"handset={quote(text)}" for text in picks.all(Message.handset)],
        "sent as": ["sent_as=MMS", "sent_as=SMS"],
        "code": [f"code={text}" for text in (*picks.all(Message.error_code), "N102", "E102")],
        "nothing by template": ["mms_id=99999"],
        "nothing by carrier": ["spid=99999"],
        "nothing by handset": ["handset=none"],
        "nothing by code": ["code=E999"],
        "one day": [f"created_from={day}&created_to={day}"],
        "one day, expired": [f"created_from={day}&created_to={day}&status=expired"],
        "unknown by template": ["status=unknown&mms_id=45633"],
    }  # fmt: skip
    return [
        Question(f"messages: {name}", picks.cycled([f"/messages?{query}" for query in queries]))
        for name, queries in asked.items()
    ]


def _journal(picks: "_Picks") -> list[Question]:
    asked = {
        "code": [f"code={text}" for text in picks.all(Postback.code)],
        "kind": [f"kind={text}" for text in picks.all(Postback.kind)],
        "outcome": [f"outcome={text}" for text in picks.all(Postback.outcome)],
        "tracking id": [f"tracking_id={quote(t)}" for t in picks.column(Message.tracking_id)],
    }
    return [
        Question(f"postbacks: {name}", picks.cycled([f"/journal?{query}" for query in queries]))
        for name, queries in asked.items()
    ]


class _Picks:
    """Values out of the database to ask by."""

    def __init__(self, found: Database, times: int) -> None:
        self._found = found
        self._times = times

    def column(self, column: Any) -> list[Any]:  # noqa: ANN401
        """Return values of rows that lie evenly apart."""
        table = column.class_
        with self._found.engine.connect() as connection:
            last = connection.scalar(select(func.max(table.id))) or 1
            found = []
            for number in range(self._times):
                at = table.id >= 1 + last * number // self._times
                row = select(column).where(at, column.is_not(None)).order_by(table.id).limit(1)
                found.append(connection.scalar(row))
        return self.cycled([one for one in found if one is not None])

    def all(self, column: Any) -> list[Any]:  # noqa: ANN401
        """Return the values that there are, at most as many as are asked for."""
        named: ColumnElement[bool] = column.is_not(None)
        with self._found.engine.connect() as connection:
            found = connection.scalars(select(column).where(named).distinct().limit(self._times))
            return sorted(found, key=str)

    def cycled(self, values: list[Any]) -> list[Any]:
        """Return the values again and again, as many as are asked for."""
        return [values[number % len(values)] for number in range(self._times)]
