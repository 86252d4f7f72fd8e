"""Who gets in: a password, and for those who have turned it on a code as the second step.

Errors:
    LoginRefusedError    wrong name, password or code, or disabled: one message for all of them
    LoginLockedError     too many wrong ones; `until` says when to try again
"""

import secrets
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from tracker.store import accounts
from tracker.store.db import Sessions
from tracker.store.models import User
from tracker.store.rows import UserRow

from . import codes, passwords

MAX_FAILURES: Final = 5
LOCK: Final = timedelta(minutes=5)


class LoginRefusedError(Exception):
    """The name, the password or the code is wrong."""


class LoginLockedError(Exception):
    """The user must wait until `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"locked until {until.isoformat()}")
        self.until = until


def log_in(sessions: Sessions, username: str, password: str, now: datetime) -> UserRow:
    """Check the first step of a login; who `has_two_factor` is not in before `second_step`.

    Raises:
        LoginRefusedError: wrong name, wrong password or disabled.
        LoginLockedError: five wrong passwords or codes in a row; five minutes' wait.
    """
    is_right = _is_password(sessions, username, password)
    with sessions.begin() as session:
        user = _unlocked(accounts.locked_user(session, username), now)
        if user is not None and is_right and not user.is_disabled:
            # With a second step the count goes on: else each right password would allow five codes.
            if user.two_factor_since is None:
                let_in(session, user, "password", now)
            return accounts.user_row(user)
        if user is not None and not is_right:
            count_failure(session, user, now)
    raise LoginRefusedError


def second_step(
    sessions: Sessions, session_key: str, code: str, key: str, now: datetime
) -> UserRow:
    """Let in whoever passed the first step and gives a code, of the phone or for recovery.

    Raises:
        LoginRefusedError: wrong code, or the session key has changed since the first step.
        LoginLockedError: five wrong passwords or codes in a row; five minutes' wait.
    """
    with sessions.begin() as session:
        user = _unlocked(accounts.locked_user_of_session(session, session_key), now)
        if user is not None and (how := codes.accept(session, user, code, key, now)):
            let_in(session, user, f"password and {how}", now)
            return accounts.user_row(user)
        if user is not None:
            count_failure(session, user, now)
    raise LoginRefusedError


def log_out(sessions: Sessions, session_key: str, now: datetime) -> None:
    """End all sessions of a user by a new key: a copy of a cookie, too, opens nothing any more."""
    with sessions.begin() as session:
        user = accounts.locked_user_of_session(session, session_key)
        if user is not None:
            user.session_key = secrets.token_urlsafe(32)
            accounts.audit(session, f"user:{user.username}", "logout", now=now)


def prove(sessions: Sessions, username: str, password: str, now: datetime) -> None:
    """Check the password of somebody who is logged in, for what must not be done behind her back.

    Raises:
        LoginRefusedError: the password is wrong.
        LoginLockedError: five wrong passwords or codes in a row; five minutes' wait.
    """
    is_right = _is_password(sessions, username, password)
    with sessions.begin() as session:
        user = _unlocked(accounts.locked_user(session, username), now)
        if is_right:
            return
        if user is not None:
            count_failure(session, user, now)
    raise LoginRefusedError


def let_in(session: Session, user: User, how: str, now: datetime) -> None:
    """Note that somebody got in, and how."""
    user.failed_logins, user.locked_until, user.last_login_at = 0, None, now
    accounts.audit(session, f"user:{user.username}", "login", detail=how, now=now)


def count_failure(session: Session, user: User, now: datetime) -> None:
    """Count a wrong password or code; the last of too many locks the account for a while."""
    user.failed_logins += 1
    if user.failed_logins >= MAX_FAILURES:
        user.failed_logins, user.locked_until = 0, now + LOCK
        said = f"{MAX_FAILURES} wrong passwords or codes in a row"
        accounts.audit(
            session, "login", "login.locked", subject=user.username, detail=said, now=now
        )


def _is_password(sessions: Sessions, username: str, password: str) -> bool:
    with sessions() as session:
        user = accounts.user_named(session, username)
        kept = user.password_hash if user else None
    # Outside of any transaction: it takes a while by design, and a writer may not wait for it.
    return passwords.is_right(kept, password)


def _unlocked(user: User | None, now: datetime) -> User | None:
    if user is not None and user.locked_until is not None and user.locked_until > now:
        raise LoginLockedError(user.locked_until)
    return user
