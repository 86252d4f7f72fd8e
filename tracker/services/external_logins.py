"""Logins that an OpenID provider answers for: who the person is, and which role its words give.

Errors:
    ExternalRefusedError   the person may not come in; the text says why
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tracker.store import accounts
from tracker.store.db import Sessions
from tracker.store.models import Role, User
from tracker.store.rows import UserRow

from . import logins, passwords
from .accounts import AccountError, change_role, leave_an_admin

ACTOR: Final = "openid"
_LONGEST_NAME: Final = 64
_LONGEST_ID: Final = 512
_NAME_CLAIMS: Final = ("preferred_username", "email", "sub")


class ExternalRefusedError(Exception):
    """The provider knows the person, and the person may not come in all the same."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who somebody is by the word of a provider."""

    external_id: str
    username: str
    role: Role


def person_of(
    claims: Mapping[str, Any], issuer: str, role_claim: str, roles: Mapping[str, str]
) -> Person:
    """Read the claims of a token whose signature was checked.

    Raises:
        ExternalRefusedError: none of the person's words gives a role, or nobody is named.
    """
    role = _role(claims, role_claim, roles)
    if role is None:
        raise ExternalRefusedError("Your account there has no role for this site.")
    subject = claims.get("sub")
    external_id = f"{issuer} {subject}"
    username = next((claims[name] for name in _NAME_CLAIMS if claims.get(name)), None)
    if not isinstance(subject, str) or len(external_id) > _LONGEST_ID or not _is_name(username):
        raise ExternalRefusedError("Your account there has no name that fits here.")
    return Person(external_id, str(username).strip(), role)


def log_in(sessions: Sessions, person: Person, now: datetime) -> UserRow:
    """Let somebody in, with the role of today; a user is made at the first login.

    Who `has_two_factor` here is not in before `logins.second_step`.

    Raises:
        ExternalRefusedError: disabled, the name is somebody else's, or the last administrator
            would not be one any more.
    """
    try:
        with sessions.begin() as session:
            user = _known(session, person, now) or _new(session, person, now)
            if user.two_factor_since is None:
                logins.let_in(session, user, "OpenID provider", now)
            return accounts.user_row(user)
    except IntegrityError as error:  # two first logins at once
        raise ExternalRefusedError("Somebody of this name has just come in. Try again.") from error
    except AccountError as error:
        raise ExternalRefusedError(f"Your role there has changed, and {error}.") from error


def _known(session: Session, person: Person, now: datetime) -> User | None:
    user = accounts.locked_external_user(session, person.external_id)
    if user is None:
        return None
    if user.is_disabled:
        raise ExternalRefusedError("You are kept out here; ask an administrator.")
    if person.role is not Role.ADMIN and user.role == Role.ADMIN:
        leave_an_admin(session, user.username)
    change_role(session, user, person.role, ACTOR, now)
    return user


def _new(session: Session, person: Person, now: datetime) -> User:
    if taken := accounts.same_name(session, person.username):
        # It may be anybody's name there: a namesake must not come into the account of another.
        raise ExternalRefusedError(f"There is another user {taken} here already.")
    user = accounts.add_user(
        session,
        person.username,
        password_hash=passwords.NONE,
        role=person.role,
        session_key=secrets.token_urlsafe(32),
        now=now,
        external_id=person.external_id,
    )
    accounts.audit(session, ACTOR, "user.add", subject=person.username, detail=person.role, now=now)
    return user


def _role(claims: Mapping[str, Any], claim: str, roles: Mapping[str, str]) -> Role | None:
    """Return the highest role that the words of a claim give."""
    told = _told(claims, claim)
    words = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    given = {roles[word] for word in words if isinstance(word, str) and word in roles}
    return next((role for role in reversed(Role) if role.value in given), None)


def _told(claims: Mapping[str, Any], claim: str) -> object:
    """Return a claim by its name, or by a path such as realm_access.roles."""
    if claim in claims:
        return claims[claim]
    found: object = claims
    for name in claim.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _is_name(text: object) -> bool:
    if not isinstance(text, str):
        return False
    return 1 <= len(text.strip()) <= _LONGEST_NAME and text.strip().isprintable()
