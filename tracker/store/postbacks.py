"""The journal of postbacks: append-only, one row an event, its bytes apart."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Select, func, literal_column, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from tracker.domain.fold import Outcome
from tracker.protocol.tracking import tracking_key

from . import bulk
from .db import clock
from .looking import FEW, MOST
from .models import Message, Postback, PostbackBody
from .rows import BodyRow, Page, PostbackRow


class Arrived(Protocol):
    """A row of the journal, as far as its bytes are looked for."""

    @property
    def body_id(self) -> int:
        """Which bytes they are."""

    @property
    def received_at(self) -> datetime:
        """When they came."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A postback that belongs to no message yet."""

    id: int
    body_id: int
    position: int
    received_at: datetime


def judge(
    session: Session, postback_id: int, outcome: Outcome, reason: str, message_id: int | None
) -> None:
    """Write down what became of a postback that waited."""
    session.execute(
        update(Postback)
        .where(Postback.id == postback_id)
        .values(
            outcome=outcome,
            outcome_reason=reason[:1000],
            message_id=message_id,
            judged_at=clock(session),
        )
    )


def reread(session: Session, postback_id: int, values: Mapping[str, Any]) -> None:
    """Write down what a postback says that could not be read when it came."""
    session.execute(update(Postback).where(Postback.id == postback_id).values(**values))


def waiting_for(session: Session, key: str) -> list[Waiting]:
    """Return the postbacks on the shelf for a tracking key, in order of arrival."""
    found = session.execute(
        select(
            Postback.message_id, Postback.outcome,
            Postback.id, Postback.body_id, Postback.position, Postback.received_at,
        )
        .where(Postback.tracking_key == key)
        .order_by(Postback.id)
    )  # fmt: skip
    return [Waiting(*row[2:]) for row in found if _waits(row.message_id, row.outcome)]


def keys_waiting(session: Session, keys: Collection[str]) -> list[str]:
    """Return those of the tracking keys for which there are postbacks on the shelf."""
    if not keys:
        return []
    wanted = bulk.among(session, Postback.tracking_key, sorted(set(keys)))
    found = session.execute(
        select(Postback.message_id, Postback.outcome, Postback.tracking_key).where(wanted)
    )
    return sorted({key or "" for message_id, outcome, key in found if _waits(message_id, outcome)})


def _waits(message_id: int | None, outcome: str) -> bool:
    """Say whether a postback is on the shelf.

    The database is asked for the key alone, which has few rows: by the rest of the question
    PostgreSQL might read a shelf of millions, as long as it has not counted them.
    """
    return message_id is None and outcome in (Outcome.UNMATCHED, Outcome.NOTED)


def of_message(session: Session, message_id: int) -> list[PostbackRow]:
    """Return the postbacks of one message in order of arrival."""
    return _rows(session, _select().where(Postback.message_id == message_id).order_by(Postback.id))


def by_id(session: Session, postback_id: int) -> PostbackRow | None:
    """Return one postback."""
    found = _rows(session, _select().where(Postback.id == postback_id))
    return found[0] if found else None


def by_ids(session: Session, postback_ids: Collection[int]) -> list[PostbackRow]:
    """Return the postbacks that there are of these, in order of arrival."""
    found = _select().where(bulk.among(session, Postback.id, postback_ids))
    return _rows(session, found.order_by(Postback.id))


def body(session: Session, row: PostbackRow) -> BodyRow:
    """Return the exact bytes that a postback came in, and what is kept of its headers."""
    return bodies(session, [row])[row.body_id]


def bodies(session: Session, rows: Iterable[Arrived]) -> dict[int, BodyRow]:
    """Return the exact bytes of the requests of several postbacks by their ids; some are gone."""
    wanted = {row.body_id: row.received_at for row in rows}
    found = session.scalars(select(PostbackBody).where(PostbackBody.id.in_(wanted)))
    kept = {
        row.id: BodyRow(
            received_at=row.received_at,
            content_type=row.content_type,
            headers=row.headers,
            body=row.body,
        )
        for row in found
    }
    gone = {
        body_id: BodyRow(received_at=received_at, content_type=None, headers=None, body=b"")
        for body_id, received_at in wanted.items()
        if body_id not in kept
    }
    return kept | gone


@dataclass(frozen=True, slots=True, kw_only=True)
class PostbackFilter:
    """Conditions that all hold; None asks nothing. `received_to` itself is not included."""

    outcome: str | None = None
    code: str | None = None
    kind: str | None = None
    tracking_id: str | None = None
    message_id: int | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None


def search(
    session: Session, wanted: PostbackFilter, *, limit: int, before_id: int | None = None
) -> Page[PostbackRow]:
    """Return one page of the journal, newest first; the cursor is the last id shown or looked at.

    It may be short where much had to be looked through, see `looking`.
    """
    others = _others(wanted)
    found: list[PostbackRow] = []
    for size in (FEW, MOST) if others else (limit + 1,):
        window = _window(Postback.id, _indexed(wanted), before_id).limit(size).subquery()
        rows = _select().join(window, window.c.id == Postback.id).where(*others)
        newest = rows.order_by(Postback.id.desc()).limit(limit + 1 - len(found))
        found += _rows(session, newest)
        if len(found) > limit:
            return Page(found[:limit], str(found[limit - 1].id))
        if not others:
            return Page(found, None)
        ends = _window(Postback.received_at, _indexed(wanted), before_id).add_columns(Postback.id)
        last = session.execute(ends.offset(size - 1).limit(1)).one_or_none()
        if last is None:
            return Page(found, None)
        looked_to, before_id = last
    return Page(found, str(before_id), looked_to=looked_to if len(found) < limit else None)


def _window(
    column: InstrumentedAttribute[Any],
    indexed: Sequence[ColumnElement[bool]],
    before_id: int | None,
) -> Select[Any]:
    where = [*indexed, *([] if before_id is None else [Postback.id < before_id])]
    return select(column).where(*where).order_by(Postback.id.desc())


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """Postbacks that may be judged anew: `wanted`, of these ids only, or else of these outcomes."""

    wanted: PostbackFilter
    ids: tuple[int, ...] = ()
    outcomes: tuple[str, ...] = (Outcome.UNMATCHED, Outcome.QUARANTINED)
    through_id: int | None = None


def ids_after(session: Session, untold: Untold, after_id: int, limit: int) -> list[int]:
    """Return the next ids in order of arrival."""
    next_ids = select(Postback.id).where(Postback.id > after_id, *_untold(session, untold))
    return list(session.scalars(next_ids.order_by(Postback.id).limit(limit)))


def count(session: Session, untold: Untold) -> int:
    """Return how many may be judged anew."""
    found = select(func.count()).select_from(Postback).where(*_untold(session, untold))
    return session.scalar(found) or 0


def last_id(session: Session) -> int:
    """Return the id of the newest postback; 0 when there is none."""
    return session.scalar(select(func.max(Postback.id))) or 0


def ids_beyond(session: Session, after_id: int, limit: int) -> list[int]:
    """Return the next ids, in their order."""
    beyond = select(Postback.id).where(Postback.id > after_id).order_by(Postback.id)
    return list(session.scalars(beyond.limit(limit)))


def _untold(session: Session, untold: Untold) -> list[ColumnElement[bool]]:
    conditions = _indexed(untold.wanted) + _others(untold.wanted)
    if untold.ids:
        conditions.append(bulk.among(session, Postback.id, untold.ids))
    elif untold.wanted.outcome is None:
        conditions += [Postback.outcome.in_(untold.outcomes), is_not_applied()]
    if untold.through_id is not None:
        conditions.append(Postback.id <= untold.through_id)
    return conditions


def _indexed(wanted: PostbackFilter) -> list[ColumnElement[bool]]:
    """Return the conditions that an index answers in the order of the journal."""
    equal = {
        Postback.outcome: wanted.outcome,
        Postback.tracking_key: wanted.tracking_id and tracking_key(wanted.tracking_id),
        Postback.message_id: wanted.message_id,
    }
    conditions = [column == value for column, value in equal.items() if value is not None]
    if wanted.outcome not in (None, Outcome.APPLIED):
        conditions.append(is_not_applied())
    return conditions


def _others(wanted: PostbackFilter) -> list[ColumnElement[bool]]:
    """Return the conditions that are looked for row by row."""
    equal = {Postback.code: wanted.code and wanted.code.upper(), Postback.kind: wanted.kind}
    conditions = [column == value for column, value in equal.items() if value is not None]
    if wanted.received_from is not None:
        conditions.append(Postback.received_at >= wanted.received_from)
    if wanted.received_to is not None:
        conditions.append(Postback.received_at < wanted.received_to)
    return conditions


def is_not_applied() -> ColumnElement[bool]:
    """Return the condition of the shelf's index, word for word: a planner takes no other."""
    return Postback.outcome != literal_column("'applied'")


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
