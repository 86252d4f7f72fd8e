"""The yardstick of the receiver: the same work as most would first write it.

One request, one ORM session: insert the body and the journal row, load the message, change its
status, commit. It reads a postback with the tracker's own parser, knows no repeats, keeps no
handset, matches by the tracking id alone, and is as durable: a 200 follows the commit.
"""

import hashlib
import os
from datetime import UTC, datetime

from flask import Flask, request
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, sessionmaker

from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.protocol.notification import Notification
from tracker.protocol.postback import parse_postback
from tracker.protocol.transport import document_of
from tracker.store.models import Message, Postback, PostbackBody


def application() -> Flask:
    """Return the application over the database that the environment names."""
    sessions = sessionmaker(create_engine(os.environ["BENCH_DATABASE_URL"]))
    app = Flask("naive")

    @app.post("/")
    def receive() -> str:
        body = request.get_data()
        document = document_of(body, request.content_type)
        now = datetime.now(UTC)
        with sessions.begin() as session:
            for notification in parse_postback(document, zone=DEFAULT_ZONE):
                _keep(session, notification, body, now)
        return ""

    return app


def _keep(session: Session, notification: Notification, body: bytes, now: datetime) -> None:
    kept = PostbackBody(
        digest=hashlib.sha256(body).digest(),
        received_at=now,
        content_type=request.content_type,
        headers=str(request.headers),
        body=body,
    )
    session.add(kept)
    session.flush()
    wanted = select(Message).where(Message.tracking_key == notification.tracking_key)
    message = session.scalars(wanted).one()
    message.status = Status.DELIVERED
    message.told_at = notification.timestamp
    message.finished_at = message.updated_at = now
    postback = Postback(
        fingerprint=hashlib.sha256(notification.fingerprint_text.encode()).digest(),
        body_id=kept.id,
        received_at=now,
        last_received_at=now,
        outcome="applied",
        outcome_reason="Set the status to Delivered.",
        message_id=message.id,
        code=notification.code,
        kind=notification.kind,
        tracking_key=notification.tracking_key,
        occurred_at=notification.timestamp,
        fields=notification.fields(),
        remarks=list(notification.remarks),
    )
    session.add(postback)
