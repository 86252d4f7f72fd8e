"""Saved views: a question to the list of messages under a name, private or shared.

A view is an address, so what looks like a person's number is kept out of it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tracker.domain import numbers
from tracker.domain.remark import fault_of
from tracker.store import accounts
from tracker.store import saved_views as store
from tracker.store.db import Sessions
from tracker.store.models import Role
from tracker.store.saved_views import SavedViewRow

MAX_NAME: Final = 60
MOST_OWN: Final = 30
MOST_SHARED: Final = 100  # of others, on one page
_TAKEN: Final = "You have a view of this name already; choose another name."


class ViewError(ValueError):
    """The view cannot be saved so; the text says why."""


class NoSuchViewError(LookupError):
    """The person has no view of this id that she may change."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who saves a view."""

    id: int
    role: Role
    actor: str

    @property
    def may_share(self) -> bool:
        """Viewers keep their views to themselves."""
        return self.role is not Role.VIEWER


def seen_by(session: Session, user_id: int) -> list[SavedViewRow]:
    """Return a person's own views, then those that others share, each by name."""
    own = store.own(session, user_id, MOST_OWN)
    return own + store.shared_by_others(session, user_id, MOST_SHARED)


def save(
    sessions: Sessions,
    person: Person,
    name: str,
    asked: Mapping[str, list[str]],
    *,
    is_shared: bool,
    now: datetime,
) -> str:
    """Keep a view, and return its name as it is kept.

    Raises:
        ViewError: the name or the question is not fit, or there are too many.
    """
    name = _checked_name(name)
    _check_question(asked)
    shares = is_shared and person.may_share
    try:
        with sessions.begin() as session:
            if store.count(session, person.id) >= MOST_OWN:
                raise ViewError(f"You have {MOST_OWN} views already; delete one first.")
            store.add(session, person.id, name, asked, is_shared=shares, now=now)
            _audit(session, person, "view.save", name, shares=shares, now=now)
    except IntegrityError as error:
        raise ViewError(_TAKEN) from error
    return name


def change(
    sessions: Sessions, person: Person, view_id: int, name: str, *, is_shared: bool, now: datetime
) -> None:
    """Rename a view of one's own, share it or keep it to oneself.

    Raises:
        NoSuchViewError: it is not hers.
        ViewError: the name is not fit.
    """
    name = _checked_name(name)
    shares = is_shared and person.may_share
    try:
        with sessions.begin() as session:
            _changeable(session, person, view_id)
            store.change(session, view_id, name, is_shared=shares)
            _audit(session, person, "view.change", name, shares=shares, now=now)
    except IntegrityError as error:
        raise ViewError(_TAKEN) from error


def remove(sessions: Sessions, person: Person, view_id: int, now: datetime) -> str:
    """Forget a view, and return its name; administrators also what others share.

    Raises:
        NoSuchViewError: there is none that she may delete.
    """
    with sessions.begin() as session:
        view = store.by_id(session, view_id, person.id)
        if view is None or not may_remove(view, person):
            raise NoSuchViewError(str(view_id))
        store.remove(session, view_id)
        _audit(session, person, "view.delete", view.name, shares=view.is_shared, now=now)
    return view.name


def may_remove(view: SavedViewRow, person: Person) -> bool:
    """Say whether a person may delete a view that she sees."""
    return view.user_id == person.id or person.role is Role.ADMIN


def _changeable(session: Session, person: Person, view_id: int) -> SavedViewRow:
    view = store.by_id(session, view_id, person.id)
    if view is None or view.user_id != person.id:
        raise NoSuchViewError(str(view_id))
    return view


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME:
        raise ViewError(f"Give the view a name of 1 to {MAX_NAME} characters.")
    if fault := fault_of(name, MAX_NAME):
        raise ViewError(f"The name {fault}.")
    if _is_number(name):
        raise ViewError("The name looks like a phone number; choose another one.")
    return name


def _check_question(asked: Mapping[str, list[str]]) -> None:
    if not asked:
        raise ViewError("Choose a filter first: the list without one needs no view.")
    if any(map(_is_number, _texts(asked))):
        raise ViewError(
            "One of the filters looks like a phone number, which no address may hold;"
            " search for a number in the field above the list."
        )


def _texts(asked: Mapping[str, list[str]]) -> Iterable[str]:
    return (text for texts in asked.values() for text in texts)


def _is_number(text: str) -> bool:
    """Say whether a text is a number that somebody may have; an order's is not."""
    number = numbers.clean(re.sub("[_:]", " ", text))
    return number is not None and len(number) > 9 and numbers.is_dialled(number)


def _audit(
    session: Session, person: Person, action: str, name: str, *, shares: bool, now: datetime
) -> None:
    detail = f"{name} ({'shared' if shares else 'private'})"
    accounts.audit(session, person.actor, action, detail=detail, now=now)
