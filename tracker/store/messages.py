"""Questions about messages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, tuple_, update
from sqlalchemy.orm import Session

from tracker.domain import numbers
from tracker.domain.status import Status
from tracker.protocol.tracking import tracking_key

from . import bulk, cursors
from .looking import Look, Place
from .models import Batch, Carrier, Message, MessageContent, Postback, Rollup, SendAttempt
from .rollups import hour_of
from .rows import AttemptRow, ContentRow, MessageRow, Page

_COLUMNS = tuple(getattr(Message, name) for name in MessageRow.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Conditions that all hold; None asks nothing. `to` is digits as on the wire."""

    status: tuple[Status, ...] = ()
    to: str | None = None
    tracking_id: str | None = None
    reference: str | None = None
    custom_pass_id: str | None = None
    campaign_ref: str | None = None
    mms_id: str | None = None
    spid: str | None = None
    handset: str | None = None
    sent_as: str | None = None
    code: str | None = None  # of an answer or of any postback
    created_from: datetime | None = None
    created_to: datetime | None = None  # exclusive
    batch_id: str | None = None  # the public one


def search(
    session: Session, wanted: MessageFilter, *, limit: int, cursor: str | None = None
) -> Page[MessageRow]:
    """Return one page, newest first; it may be short where much had to be looked through.

    Raises:
        BadCursorError: `cursor` is not one that an earlier page gave.
    """
    place = cursors.read(cursor) if cursor is not None else None
    others = _others(wanted)
    if not others:
        statement = select(*_COLUMNS).where(*_indexed(wanted))
        if place is not None:
            statement = statement.where(tuple_(Message.created_at, Message.id) < place)
        ordered = statement.order_by(Message.created_at.desc(), Message.id.desc())
        return _page(_rows(session, ordered.limit(limit + 1)), limit, None)
    look = Look(session, _COLUMNS, _indexed(wanted), others, _alike(wanted), limit + 1, place)
    is_at_the_end = look.is_at_the_end()
    return _page(
        [MessageRow(**row) for row in look.found], limit, None if is_at_the_end else look.place
    )


def _page(found: list[MessageRow], limit: int, place: Place | None) -> Page[MessageRow]:
    """Return the page of what was found; `place` is how far was looked, where that is not all."""
    if len(found) > limit:
        last = found[limit - 1]
        return Page(found[:limit], cursors.write(last.created_at, last.id))
    if place is None:
        return Page(found, None)
    return Page(found, cursors.write(*place), looked_to=place[0] if len(found) < limit else None)


def by_public_id(session: Session, public_id: UUID) -> MessageRow | None:
    """Return one message by the id that URLs and the API use."""
    return _first(session, select(*_COLUMNS).where(Message.public_id == public_id))


def by_public_ids(session: Session, public_ids: Iterable[UUID]) -> list[MessageRow]:
    """Return those of these messages that there are, newest first."""
    named = select(*_COLUMNS).where(Message.public_id.in_(list(public_ids)))
    return _rows(session, named.order_by(Message.created_at.desc(), Message.id.desc()))


def by_id(session: Session, message_id: int) -> MessageRow | None:
    """Return one message by the internal id."""
    return _first(session, select(*_COLUMNS).where(Message.id == message_id))


def find(session: Session, text: str, limit: int) -> list[MessageRow]:
    """Return the messages that `text` names, newest first.

    It may be a number as people type it, a tracking id, our own reference, a custom pass id or
    the public id.
    """
    text = text.strip()
    named: list[ColumnElement[bool]] = [
        Message.tracking_key == tracking_key(text),
        Message.reference == text,
        Message.custom_pass_id == text,
    ]
    if number := numbers.clean(text):
        named.append(Message.recipient == number)
    if public_id := _uuid(text):
        named.append(Message.public_id == public_id)
    newest = select(*_COLUMNS).where(or_(*named)).order_by(Message.created_at.desc())
    return _rows(session, newest.order_by(Message.id.desc()).limit(limit))


def others_to(session: Session, message: MessageRow, limit: int) -> list[MessageRow]:
    """Return the newest other messages to the number of a message, newest first."""
    to_number = select(*_COLUMNS).where(
        Message.recipient == message.recipient, Message.id != message.id
    )
    newest = to_number.order_by(Message.created_at.desc(), Message.id.desc())
    return _rows(session, newest.limit(limit))


def content(session: Session, message_id: int) -> ContentRow:
    """Return what a message says."""
    return contents(session, [message_id])[message_id]


def contents(session: Session, message_ids: Iterable[int]) -> dict[int, ContentRow]:
    """Return what messages say, by internal id."""
    found = session.scalars(
        select(MessageContent).where(MessageContent.message_id.in_(list(message_ids)))
    )
    return {
        row.message_id: ContentRow(
            custom_subject=row.custom_subject,
            custom_text=row.custom_text,
            ddm=row.ddm,
            data=row.data,
            pass_data=row.pass_data,
        )
        for row in found
    }


def attempts(session: Session, message_id: int) -> list[AttemptRow]:
    """Return the calls made for a message, oldest first."""
    found = session.scalars(
        select(SendAttempt).where(SendAttempt.message_id == message_id).order_by(SendAttempt.id)
    )
    return [
        AttemptRow(
            started_at=row.started_at,
            finished_at=row.finished_at,
            outcome=row.outcome,
            detail=row.detail,
            answer=row.answer,
            note=row.note,
        )
        for row in found
    ]


def carrier_name(session: Session, spid: str | None) -> str | None:
    """Return the carriers that a SPID stands for; None when no list names it."""
    return carrier_names(session, {spid}).get(spid) if spid else None


def carrier_names(session: Session, spids: Iterable[str]) -> dict[str, str]:
    """Return the names of carriers by SPID; one SPID may stand for two (PROTOCOL 7, 14)."""
    found = session.execute(
        select(Carrier.spid, Carrier.name).where(Carrier.spid.in_(list(spids))).order_by(Carrier.id)
    )
    names: dict[str, str] = {}
    for spid, name in found:
        names[spid] = f"{names[spid]} / {name}" if spid in names else name
    return names


def cancel(session: Session, public_id: UUID, now: datetime) -> bool:
    """Take a queued message out of the queue; False when it is not queued any more."""
    cancelled = session.scalar(
        update(Message)
        .where(Message.public_id == public_id, Message.status == Status.QUEUED)
        .values(status=Status.CANCELLED, due_at=None, updated_at=now, finished_at=now)
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    return cancelled is not None


def mark_resent(session: Session, public_id: UUID, new_id: UUID, now: datetime) -> bool:
    """Note which message was queued in place of this one; False when there is one already."""
    marked = session.scalar(
        update(Message)
        .where(Message.public_id == public_id, Message.resent_as.is_(None))
        .values(resent_as=new_id, updated_at=now)
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    return marked is not None


def known_references(session: Session, references: Iterable[str]) -> set[str]:
    """Return which of these references messages have already."""
    wanted = sorted(set(references))
    if not wanted:
        return set()
    known = select(Message.reference).where(bulk.among(session, Message.reference, wanted))
    return {reference for reference in session.scalars(known.distinct()) if reference}


def _indexed(wanted: MessageFilter) -> list[ColumnElement[bool]]:
    """Return the conditions that an index answers in the order of the list."""
    conditions = _equal({
        Message.recipient: wanted.to,
        Message.tracking_key: wanted.tracking_id and tracking_key(wanted.tracking_id),
        Message.reference: wanted.reference,
        Message.custom_pass_id: wanted.custom_pass_id,
        Message.campaign_ref: wanted.campaign_ref,
        Message.mms_id: wanted.mms_id,
    })  # fmt: skip
    if wanted.batch_id is not None:
        batch = select(Batch.id).where(Batch.public_id == _uuid(wanted.batch_id))
        conditions.append(Message.batch_id == batch.scalar_subquery())
    if wanted.created_from is not None:
        conditions.append(Message.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        conditions.append(Message.created_at < wanted.created_to)
    return conditions


def _others(wanted: MessageFilter) -> list[ColumnElement[bool]]:
    """Return the conditions on what postbacks change, which an index would make dear."""
    conditions = _equal({
        Message.spid: wanted.spid,
        Message.handset: wanted.handset,
        Message.sent_as: wanted.sent_as,
    })  # fmt: skip
    if wanted.status:
        conditions.append(Message.status.in_(wanted.status))
    if wanted.code is not None:
        code = wanted.code.upper()
        told = and_(Postback.message_id == Message.id, Postback.code == code)
        conditions.append(or_(Message.error_code == code, exists().where(told)))
    return conditions


def _alike(wanted: MessageFilter) -> list[ColumnElement[bool]]:
    """Return what the rollups of an hour must have for one of its messages to fit; [] for any."""
    conditions = _equal({Rollup.spid: wanted.spid, Rollup.sent_as: wanted.sent_as})
    if wanted.status:
        conditions.append(Rollup.status.in_(wanted.status))
    if not conditions:
        return []
    conditions += _equal({
        Rollup.mms_id: wanted.mms_id, Rollup.campaign_ref: wanted.campaign_ref
    })  # fmt: skip
    if wanted.created_from is not None:
        conditions.append(Rollup.hour >= hour_of(wanted.created_from))
    return conditions


def _equal(wanted: Mapping[Any, str | None]) -> list[ColumnElement[bool]]:
    return [column == value for column, value in wanted.items() if value is not None]


def _rows(session: Session, statement: Select[*tuple[Any, ...]]) -> list[MessageRow]:
    return [MessageRow(**row) for row in session.execute(statement).mappings()]


def _first(session: Session, statement: Select[*tuple[Any, ...]]) -> MessageRow | None:
    found = _rows(session, statement.limit(1))
    return found[0] if found else None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
