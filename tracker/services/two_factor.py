"""Turning the second step of logins on and off.

Errors:
    WrongCodeError       the code is wrong, too old or was used before
    NotBegunError        there is nothing to confirm or to turn off
    and those of `logins` for the password
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from tracker.store import accounts, two_factor
from tracker.store.db import Sessions
from tracker.store.models import User
from tracker.store.rows import UserRow

from . import codes, logins
from .accounts import AccountError


class WrongCodeError(ValueError):
    """This code is wrong, too old, or was used before."""


class NotBegunError(LookupError):
    """Nothing was begun that could be confirmed, or there is nothing to turn off."""


@dataclass(frozen=True, slots=True)
class TurnedOn:
    """Who has two-factor login now, with a new session key, and the codes for recovery."""

    user: UserRow
    recovery_codes: list[str]


def begin(sessions: Sessions, username: str, password: str, key: str, now: datetime) -> str:
    """Make a secret that waits for its first code, and return it.

    Raises:
        LoginRefusedError, LoginLockedError: the password is wrong, or was too often.
    """
    logins.prove(sessions, username, password, now)
    salt = codes.new_salt()
    with sessions.begin() as session:
        _the_user(session, username).totp_next_salt = salt
    return codes.secret_of(salt, key)


def begun(sessions: Sessions, username: str, key: str) -> str | None:
    """Return the secret that still waits for its first code; None when none does."""
    with sessions() as session:
        user = accounts.user_named(session, username)
        salt = user.totp_next_salt if user else None
    return codes.secret_of(salt, key) if salt else None


def confirm(sessions: Sessions, username: str, code: str, key: str, now: datetime) -> TurnedOn:
    """Turn the second step on by its first code; all sessions end.

    Raises:
        WrongCodeError: the phone shows another code.
        NotBegunError: no secret waits.
    """
    with sessions.begin() as session:
        user = _the_user(session, username)
        if user.totp_next_salt is None:
            raise NotBegunError(username)
        step = codes.matching_step(user.totp_next_salt, key, codes.typed(code), None, now)
        if step is None:
            raise WrongCodeError("wrong code")
        user.totp_salt, user.totp_next_salt, user.totp_step = user.totp_next_salt, None, step
        user.two_factor_since = now
        user.session_key = secrets.token_urlsafe(32)
        made = codes.renew_recovery(session, user)
        accounts.audit(session, f"user:{username}", "two_factor.on", subject=username, now=now)
        return TurnedOn(accounts.user_row(user), made)


def turn_off(
    sessions: Sessions, username: str, password: str, code: str, key: str, now: datetime
) -> None:
    """Turn the second step off, by the password and a code.

    Raises:
        LoginRefusedError, LoginLockedError: the password is wrong, or one of both was too often.
        WrongCodeError: the password is right and the code is not.
        NotBegunError: it is off.
    """
    logins.prove(sessions, username, password, now)
    with sessions.begin() as session:
        user = _the_user(session, username)
        if user.two_factor_since is None:
            raise NotBegunError(username)
        how = codes.accept(session, user, code, key, now)
        if how:
            _forget(session, user)
            accounts.audit(
                session, f"user:{username}", "two_factor.off", subject=username, detail=how, now=now
            )
            return
        logins.count_failure(session, user, now)
    raise WrongCodeError("wrong code")


def new_recovery_codes(
    sessions: Sessions, username: str, password: str, now: datetime
) -> list[str]:
    """Put ten new recovery codes in the place of those there were, and return them, once.

    Raises:
        LoginRefusedError, LoginLockedError: the password is wrong, or was too often.
        NotBegunError: the second step is off.
    """
    logins.prove(sessions, username, password, now)
    with sessions.begin() as session:
        user = _the_user(session, username)
        if user.two_factor_since is None:
            raise NotBegunError(username)
        made = codes.renew_recovery(session, user)
        actor = f"user:{username}"
        accounts.audit(session, actor, "two_factor.recovery_codes", subject=username, now=now)
        return made


def reset(sessions: Sessions, username: str, *, actor: str, now: datetime) -> None:
    """Turn the second step of somebody off who has lost phone and recovery codes; sessions end.

    Raises:
        AccountError: no such user, or it is off already.
    """
    with sessions.begin() as session:
        user = accounts.locked_user(session, username)
        if user is None:
            raise AccountError(f"there is no user {username}")
        if user.two_factor_since is None:
            raise AccountError(f"{username} has no two-factor login")
        _forget(session, user)
        user.session_key = secrets.token_urlsafe(32)
        accounts.audit(session, actor, "two_factor.reset", subject=username, now=now)


def recovery_codes_left(sessions: Sessions, user_id: int) -> int:
    """Return how many recovery codes a user has left."""
    with sessions() as session:
        return two_factor.recovery_codes_left(session, user_id)


def _the_user(session: Session, username: str) -> User:
    user = accounts.locked_user(session, username)
    if user is None:
        raise NotBegunError(username)
    return user


def _forget(session: Session, user: User) -> None:
    user.totp_salt = user.totp_next_salt = user.totp_step = user.two_factor_since = None
    two_factor.replace_recovery_codes(session, user.id, [])
