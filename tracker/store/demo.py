"""Many messages as they are after their calls, for a demonstration in an empty database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from . import bulk, ingest
from .models import Batch, Carrier, Message, MessageContent, Postback, SendAttempt


@dataclass(frozen=True, slots=True)
class Called:
    """The rows of one message: itself, what it says, and its call, if one was made."""

    message: dict[str, Any]
    content: dict[str, Any]
    attempt: dict[str, Any] | None


def is_empty(session: Session) -> bool:
    """Say whether the database has no message, batch or postback yet."""
    return not any(
        session.scalar(select(exists(select(model.id)))) for model in (Message, Batch, Postback)
    )


def add(session: Session, called: Sequence[Called]) -> None:
    """Add messages, in their order, with a mark for their hours."""
    if not called:
        return
    bulk.write(session, bulk.add(Message, [one.message for one in called]))
    public_ids = [one.message["public_id"] for one in called]
    found = session.execute(
        select(Message.public_id, Message.id).where(
            bulk.among(session, Message.public_id, public_ids)
        )
    )
    ids = {row.public_id: row.id for row in found}
    own = [(ids[one.message["public_id"]], one) for one in called]
    bulk.write(
        session,
        bulk.add(MessageContent, [{"message_id": id_, **one.content} for id_, one in own]),
        bulk.add(
            SendAttempt,
            [{"message_id": id_, **one.attempt} for id_, one in own if one.attempt is not None],
        ),
    )
    ingest.mark_hours(session, {one.message["created_at"] for one in called})


def add_carriers(session: Session, names: dict[str, str]) -> None:
    """Add carriers of the United States that no list has named yet, by SPID."""
    known = set(session.scalars(select(Carrier.spid).where(Carrier.spid.in_(list(names)))))
    session.add_all(
        Carrier(spid=spid, country="United States", name=name)
        for spid, name in names.items()
        if spid not in known
    )
