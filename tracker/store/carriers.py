"""The list of carriers: pages of it, and the whole of it in place of another."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, or_, select, text, tuple_
from sqlalchemy.orm import Session

from tracker.domain.carriers import Entry

from . import bulk
from .db import dialect_of
from .models import Carrier
from .rows import Page


@dataclass(frozen=True, slots=True)
class CarrierRow:
    """One carrier of the list."""

    id: int
    spid: str
    country: str
    name: str


_COLUMNS = (Carrier.id, Carrier.spid, Carrier.country, Carrier.name)


def page(
    session: Session, words: str, *, limit: int, after: tuple[str, int] | None = None
) -> Page[CarrierRow]:
    """Return one page in the order of SPIDs.

    `words` is part of a name or country, or begins a SPID. The order is that of the index; what
    does not fit is passed over: a file fills the table, and so it is small.
    """
    statement = select(*_COLUMNS).order_by(Carrier.spid, Carrier.id).limit(limit + 1)
    if words:
        of_text = (
            func.lower(column).contains(words.lower(), autoescape=True)
            for column in (Carrier.name, Carrier.country)
        )
        statement = statement.where(or_(*of_text, Carrier.spid.startswith(words, autoescape=True)))
    if after is not None:
        statement = statement.where(tuple_(Carrier.spid, Carrier.id) > after)
    found = [CarrierRow(*row) for row in session.execute(statement)]
    last = found[limit - 1] if len(found) > limit else None
    return Page(found[:limit], f"{last.spid}-{last.id}" if last else None)


def everything(session: Session) -> list[CarrierRow]:
    """Return the whole list, in the order in which it came."""
    return [CarrierRow(*row) for row in session.execute(select(*_COLUMNS).order_by(Carrier.id))]


def of_spids(session: Session, spids: Collection[str]) -> list[CarrierRow]:
    """Return the carriers that these SPIDs stand for, one after the other."""
    if not spids:
        return []
    wanted = bulk.among(session, Carrier.spid, sorted(spids))
    found = session.execute(select(*_COLUMNS).where(wanted).order_by(Carrier.spid, Carrier.id))
    return [CarrierRow(*row) for row in found]


def lock(session: Session) -> None:
    """Let nobody else change the list until the transaction ends; SQLite has one writer anyway."""
    if dialect_of(session) != "sqlite":
        session.execute(text("LOCK TABLE carriers IN SHARE ROW EXCLUSIVE MODE"))


def change(session: Session, gone: Collection[int], new: Iterable[Entry]) -> None:
    """Take carriers out by their ids, and add others."""
    if gone:
        session.execute(delete(Carrier).where(bulk.among(session, Carrier.id, sorted(gone))))
    rows = [{"spid": one.spid, "country": one.country, "name": one.name} for one in new]
    if rows:
        session.execute(insert(Carrier), rows)
