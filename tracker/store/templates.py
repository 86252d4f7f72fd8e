"""Descriptions of pass templates, and what the gateway said of the stored MMS behind them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .db import dialect_of
from .models import MmsContent, PassTemplate
from .rows import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRow:
    """One template as an operator described it."""

    mms_id: str
    title: str
    description: Mapping[str, Any]
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentStateRow:
    """What the gateway last said of a stored MMS."""

    mms_id: str
    is_usable: bool
    code: str
    detail: str | None
    seen_at: datetime


_TEMPLATE = tuple(getattr(PassTemplate, name) for name in TemplateRow.__dataclass_fields__)
_STATE = tuple(getattr(MmsContent, name) for name in ContentStateRow.__dataclass_fields__)


def by_id(session: Session, mms_id: str) -> TemplateRow | None:
    """Return the template of a stored MMS; None when nobody described it."""
    return by_ids(session, [mms_id]).get(mms_id)


def by_ids(session: Session, mms_ids: Collection[str]) -> dict[str, TemplateRow]:
    """Return the templates of those stored MMS that have one."""
    found = session.execute(select(*_TEMPLATE).where(PassTemplate.mms_id.in_(list(mms_ids))))
    return {row["mms_id"]: TemplateRow(**row) for row in found.mappings()}


def page(session: Session, *, limit: int, after: str | None = None) -> Page[TemplateRow]:
    """Return one page of templates, in the order of their MMS ids as text."""
    statement = select(*_TEMPLATE).order_by(PassTemplate.mms_id).limit(limit + 1)
    if after is not None:
        statement = statement.where(PassTemplate.mms_id > after)
    found = [TemplateRow(**row) for row in session.execute(statement).mappings()]
    more = len(found) > limit
    return Page(found[:limit], found[limit - 1].mms_id if more else None)


def put(session: Session, rows: Iterable[TemplateRow]) -> None:
    """Write templates down, in place of those that are there."""
    dialect = sqlite if dialect_of(session) == "sqlite" else postgresql
    # In their order: two who write the same ones must not wait for each other.
    for row in sorted(rows, key=lambda row: row.mms_id):
        values = {name: getattr(row, name) for name in TemplateRow.__dataclass_fields__}
        statement = dialect.insert(PassTemplate).values(**values)
        del values["mms_id"]
        session.execute(statement.on_conflict_do_update(index_elements=["mms_id"], set_=values))


def remove(session: Session, mms_id: str) -> bool:
    """Forget a template; False when there was none."""
    statement = delete(PassTemplate).where(PassTemplate.mms_id == mms_id)
    found = session.execute(statement.returning(PassTemplate.mms_id))
    return found.first() is not None


def content_states(session: Session, mms_ids: Collection[str]) -> dict[str, ContentStateRow]:
    """Return what the gateway said of those stored MMS that it said something of."""
    found = session.execute(select(*_STATE).where(MmsContent.mms_id.in_(list(mms_ids))))
    return {row["mms_id"]: ContentStateRow(**row) for row in found.mappings()}
