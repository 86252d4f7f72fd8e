"""Messages and postbacks as JSON. Source: DESIGN 3.4; the names are a contract."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from tracker.domain.headers import pairs
from tracker.domain.reasons import status_reason
from tracker.store import batches, messages
from tracker.store.rows import BodyRow, ContentRow, MessageRow, PostbackRow

from .answers import Offer
from .timeline import TimelineEntry

Json = dict[str, Any]


def iso(moment: datetime | None) -> str | None:
    """Return a time as text in UTC with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def message_objects(session: Session, rows: Sequence[MessageRow]) -> list[Json]:
    """Return messages as JSON objects, with two queries for all of them."""
    contents = messages.contents(session, [row.id for row in rows])
    carriers = messages.carrier_names(session, {row.spid for row in rows if row.spid})
    ids = batches.public_ids(session, {row.batch_id for row in rows if row.batch_id})
    return [
        _message(row, contents[row.id], carriers.get(row.spid or ""), ids.get(row.batch_id or 0))
        for row in rows
    ]


def message_object(session: Session, row: MessageRow) -> Json:
    """Return one message as a JSON object."""
    return message_objects(session, [row])[0]


def _message(
    row: MessageRow, content: ContentRow, carrier: str | None, batch_id: UUID | None
) -> Json:
    return {
        "id": str(row.public_id),
        "status": row.status.value,
        "status_label": row.status_label,
        "status_reason": status_reason(row),
        "tracking_id": row.tracking_id,
        "to": row.recipient,
        "from": row.sender,
        "from_used": row.sender_used,
        "mms_id": row.mms_id,
        "campaign_ref": row.campaign_ref,
        "reference": row.reference,
        "custom_pass_id": row.custom_pass_id,
        "custom_subject": content.custom_subject,
        "custom_text": content.custom_text,
        "ddm": content.ddm,
        "data": content.data,
        "pass_data": content.pass_data,
        "sent_as": row.sent_as,
        "spid": row.spid,
        "carrier": carrier,
        "operator_id": row.operator_id,
        "handset": row.handset,
        "os": row.os,
        "aggregator_id": row.aggregator_id,
        "status_details": row.status_details,
        "error_code": row.error_code,
        "error_info": row.error_info,
        "ddm_status": row.ddm_status,
        "attempts": row.attempts,
        "created_at": iso(row.created_at),
        "send_at": iso(row.send_at),
        "accepted_at": iso(row.accepted_at),
        "sent_at": iso(row.sent_at),
        "finished_at": iso(row.finished_at),
        "updated_at": iso(row.updated_at),
        "batch_id": str(batch_id) if batch_id else None,
    }


def timeline_entry(entry: TimelineEntry) -> Json:
    """Return one line of the timeline as a JSON object; raw XML is left to its own address."""
    return {
        "at": iso(entry.at),
        "what": entry.what,
        "detail": entry.detail,
        "source": entry.source,
        "outcome": entry.outcome,
        "outcome_reason": entry.outcome_reason,
        "repeats": entry.repeats,
        "postback_id": entry.postback_id,
        "occurred_at": iso(entry.occurred_at),
    }


def candidate(offer: Offer) -> Json:
    """Return a postback that may be the answer to a message as a JSON object."""
    return {
        "postback_id": offer.postback_id,
        "tracking_id": offer.tracking_id,
        "code": offer.code,
        "received_at": iso(offer.received_at),
        "mms_id": offer.mms_id,
        "why": offer.why,
    }


def whole_postback(row: PostbackRow, kept: BodyRow) -> Json:
    """Return one postback as a JSON object, with the headers of its request if they were kept."""
    told = None
    if kept.headers is not None:
        told = [{"name": name, "value": value} for name, value in pairs(kept.headers)]
    return {**postback_object(row), "headers": told}


def postback_object(row: PostbackRow) -> Json:
    """Return one postback as a JSON object: our facts, then the fields of PROTOCOL 6.11."""
    ours = {
        "id": row.id,
        "received_at": iso(row.received_at),
        "outcome": row.outcome,
        "outcome_reason": " ".join([row.outcome_reason, *row.remarks]),
        "message_id": str(row.message_public_id) if row.message_public_id else None,
        "repeats": row.repeats,
    }
    return {**row.fields, **ours}
