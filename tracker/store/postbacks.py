"""The journal of postbacks: append-only, one row an event, its bytes apart."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from tracker.domain.fold import Outcome
from tracker.protocol.tracking import tracking_key

from .models import IS_NOT_APPLIED, Message, Postback, PostbackBody
from .rows import BodyRow, Page, PostbackRow


@dataclass(frozen=True, slots=True)
class Waiting:
    """A postback that belongs to no message yet."""

    id: int
    body_id: int
    position: int
    received_at: datetime


def judge(
    session: Session,
    postback_id: int,
    outcome: Outcome,
    reason: str,
    message_id: int | None,
    now: datetime,
) -> None:
    """Write down what became of a postback that waited."""
    session.execute(
        update(Postback)
        .where(Postback.id == postback_id)
        .values(outcome=outcome, outcome_reason=reason[:1000], message_id=message_id, judged_at=now)
    )


def waiting_for(session: Session, key: str) -> list[Waiting]:
    """Return the postbacks on the shelf for a tracking key, in order of arrival."""
    found = session.execute(
        select(Postback.id, Postback.body_id, Postback.position, Postback.received_at)
        .where(
            Postback.tracking_key == key,
            Postback.message_id.is_(None),
            Postback.outcome.in_((Outcome.UNMATCHED, Outcome.NOTED)),
        )
        .order_by(Postback.id)
    )
    return [Waiting(*row) for row in found]


def of_message(session: Session, message_id: int) -> list[PostbackRow]:
    """Return the postbacks of one message in order of arrival."""
    return _rows(session, _select().where(Postback.message_id == message_id).order_by(Postback.id))


def by_id(session: Session, postback_id: int) -> PostbackRow | None:
    """Return one postback."""
    found = _rows(session, _select().where(Postback.id == postback_id))
    return found[0] if found else None


def body(session: Session, body_id: int) -> BodyRow:
    """Return the exact bytes that a postback came in."""
    return bodies(session, [body_id])[body_id]


def bodies(session: Session, body_ids: Iterable[int]) -> dict[int, BodyRow]:
    """Return the exact bytes of several requests by their ids."""
    found = session.scalars(select(PostbackBody).where(PostbackBody.id.in_(list(body_ids))))
    return {
        row.id: BodyRow(received_at=row.received_at, content_type=row.content_type, body=row.body)
        for row in found
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PostbackFilter:
    """Conditions that all hold; None asks nothing."""

    outcome: str | None = None
    code: str | None = None
    kind: str | None = None
    tracking_id: str | None = None
    message_id: int | None = None


def search(
    session: Session, wanted: PostbackFilter, *, limit: int, before_id: int | None = None
) -> Page[PostbackRow]:
    """Return one page of the journal, newest first; the cursor is the last id shown."""
    statement = _select().order_by(Postback.id.desc()).limit(limit + 1)
    conditions = {
        Postback.outcome: wanted.outcome,
        Postback.code: wanted.code and wanted.code.upper(),
        Postback.kind: wanted.kind,
        Postback.tracking_key: wanted.tracking_id and tracking_key(wanted.tracking_id),
        Postback.message_id: wanted.message_id,
    }
    statement = statement.where(*(c == v for c, v in conditions.items() if v is not None))
    if wanted.outcome not in (None, Outcome.APPLIED):
        statement = statement.where(IS_NOT_APPLIED)  # word for word: the index has this condition
    if before_id is not None:
        statement = statement.where(Postback.id < before_id)
    found = _rows(session, statement)
    more = len(found) > limit
    return Page(found[:limit], str(found[limit - 1].id) if more else None)


def _select() -> Select[*tuple[Any, ...]]:
    columns = (
        getattr(Postback, name)
        for name in PostbackRow.__dataclass_fields__
        if name != "message_public_id"
    )
    return select(*columns, Message.public_id.label("message_public_id")).outerjoin(
        Message, Message.id == Postback.message_id
    )


def _rows(session: Session, statement: Select[*tuple[Any, ...]]) -> list[PostbackRow]:
    return [PostbackRow(**row) for row in session.execute(statement).mappings()]
