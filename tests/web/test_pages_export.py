"""The list as a file: all that is asked for, each message once, safe to open, and written down."""

import csv
import io
from datetime import UTC, datetime

import pytest
from builders import accepted, queued
from flask import Flask
from pages_support import visitor
from sqlalchemy import select

from tracker.domain.status import LABELS, Status
from tracker.services import csv_files
from tracker.services.csv_files import MESSAGE_COLUMNS, messages_csv
from tracker.store.db import Sessions
from tracker.store.messages import MessageFilter
from tracker.store.models import AuditEntry, Message, Role


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_file_has_what_the_database_has(app: Flask, session_factory: Sessions) -> None:
    accepted(session_factory, reference="order-1", campaign_ref="4711")
    queued(session_factory, campaign_ref="4711", reference="=1+1")
    queued(session_factory, to="4915112345678", campaign_ref="4712")
    answer = visitor(app).get("/messages.csv?campaign_ref=4711")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=messages-20")
    found = rows_of(answer.text)
    with session_factory() as session:
        kept = session.scalars(
            select(Message)
            .where(Message.campaign_ref == "4711")
            .order_by(Message.created_at.desc(), Message.id.desc())
        ).all()
    assert list(found[0]) == list(MESSAGE_COLUMNS)
    assert [
        (row["id"], row["to"], row["from"], row["mms_id"], row["status"], row["status_label"],
         row["tracking_id"], row["reference"].removeprefix("'"), row["attempts"])
        for row in found
    ] == [
        (str(m.public_id), m.recipient, m.sender, m.mms_id, m.status, LABELS[Status(m.status)],
         m.tracking_id or "", m.reference, str(m.attempts))
        for m in kept
    ]  # fmt: skip
    assert found[0]["reference"] == "'=1+1"
    assert found[1]["accepted_at"].endswith("Z")
    with session_factory() as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "messages.export"))
    assert (entry.actor, entry.detail) == ("user:a-operator", "Campaign: 4711")


def test_a_viewer_takes_no_numbers_away(app: Flask, session_factory: Sessions) -> None:
    queued(session_factory)
    client = visitor(app, Role.VIEWER)
    assert client.get("/messages.csv").status_code == 403
    assert "messages.csv" not in client.get("/messages").text
    assert "messages.csv" in visitor(app).get("/messages").text


def test_a_long_list_is_whole_and_has_nobody_twice(
    session_factory: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_files, "PAGE", 20)
    made = {str(queued(session_factory)) for _ in range(70)}
    pieces = messages_csv(session_factory, MessageFilter(), datetime.now(UTC))
    text = next(pieces) + next(pieces)
    queued(session_factory)  # while it is being written
    found = [row["id"] for row in rows_of(text + "".join(pieces))]
    assert len(found) == 70
    assert set(found) == made
