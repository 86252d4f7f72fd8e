"""Who may use the dashboard and the API.

Errors:
    LoginRefusedError    wrong name or password, or disabled: one message for all three
    LoginLockedError     too many wrong passwords; `until` says when to try again
    AccountError         what an administrator asked for cannot be done
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tracker.store import accounts
from tracker.store.db import Sessions
from tracker.store.models import Role, Scope, User
from tracker.store.rows import TokenRow, UserRow

MIN_PASSWORD: Final = 10
MAX_PASSWORD: Final = 1000
MAX_FAILURES: Final = 5
LOCK: Final = timedelta(minutes=5)
MAX_RATE_PER_MINUTE: Final = 1_000_000

_hasher = PasswordHasher()


class LoginRefusedError(Exception):
    """The name or the password is wrong."""


class LoginLockedError(Exception):
    """The user must wait until `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"locked until {until.isoformat()}")
        self.until = until


class AccountError(ValueError):
    """A user or token cannot be made or changed as asked."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; the only time its secret is seen."""

    id: int
    name: str
    token: str


def log_in(sessions: Sessions, username: str, password: str, now: datetime) -> UserRow:
    """Check a login.

    Raises:
        LoginRefusedError: wrong name, wrong password or disabled.
        LoginLockedError: five wrong passwords in a row; five minutes' wait.
    """
    with sessions() as session:
        known = accounts.user_named(session, username)
    # Outside of any transaction: it takes a while by design, and a writer may not wait for it.
    is_right = _is_password(known, password)
    with sessions.begin() as session:
        user = accounts.locked_user(session, username)
        if user is not None and user.locked_until is not None and user.locked_until > now:
            raise LoginLockedError(user.locked_until)
        if user is not None and is_right and not user.is_disabled:
            user.failed_logins, user.locked_until, user.last_login_at = 0, None, now
            return accounts.user_row(user)
        if user is not None and not is_right:
            _count_failure(user, now)
    raise LoginRefusedError


def by_session_key(sessions: Sessions, session_key: str) -> UserRow | None:
    """Return whose session this is; None when unknown, disabled or logged out everywhere."""
    with sessions() as session:
        return accounts.user_of_session(session, session_key)


def add_user(
    sessions: Sessions, username: str, password: str, role: Role, *, actor: str, now: datetime
) -> None:
    """Make a user.

    Raises:
        AccountError: the name is taken or odd, or the password too short.
    """
    username = username.strip()
    if not 1 <= len(username) <= 64 or not username.isprintable():
        raise AccountError("a user name has 1 to 64 printable characters")
    password_hash = _hash(password)
    with sessions.begin() as session:
        if accounts.locked_user(session, username) is not None:
            raise AccountError(f"there is a user {username} already")
        accounts.add_user(
            session,
            username,
            password_hash=password_hash,
            role=role,
            session_key=secrets.token_urlsafe(32),
            now=now,
        )
        accounts.audit(session, actor, "user.add", subject=username, detail=role, now=now)


def set_password(
    sessions: Sessions, username: str, password: str, *, actor: str, now: datetime
) -> None:
    """Give a user a new password; all her sessions end.

    Raises:
        AccountError: no such user, or the password is too short.
    """
    password_hash = _hash(password)
    with sessions.begin() as session:
        user = accounts.locked_user(session, username)
        if user is None:
            raise AccountError(f"there is no user {username}")
        user.password_hash = password_hash
        user.session_key = secrets.token_urlsafe(32)
        user.failed_logins, user.locked_until = 0, None
        accounts.audit(session, actor, "user.password", subject=username, now=now)


def disable_user(sessions: Sessions, username: str, *, actor: str, now: datetime) -> None:
    """Keep a user out; all her sessions end.

    Raises:
        AccountError: no such user.
    """
    with sessions.begin() as session:
        user = accounts.locked_user(session, username)
        if user is None:
            raise AccountError(f"there is no user {username}")
        user.is_disabled = True
        user.session_key = secrets.token_urlsafe(32)
        accounts.audit(session, actor, "user.disable", subject=username, now=now)


def users(sessions: Sessions) -> list[UserRow]:
    """Return all users by name."""
    with sessions() as session:
        return accounts.users(session)


def first_admin(sessions: Sessions, now: datetime) -> str | None:
    """Make the operator `admin` when nobody can log in yet, and return the password, once."""
    with sessions() as session:
        if accounts.has_users(session):
            return None
    password = secrets.token_urlsafe(12)
    add_user(sessions, "admin", password, Role.ADMIN, actor="tracker up", now=now)
    return password


def create_token(
    sessions: Sessions,
    name: str,
    *,
    actor: str,
    now: datetime,
    scopes: Collection[Scope] = tuple(Scope),
    rate_per_minute: int | None = None,
) -> NewToken:
    """Make an API token; only its hash is kept.

    Raises:
        AccountError: the name is empty, too long or in use; no scope; a limit out of bounds.
    """
    name = name.strip()
    wanted = [scope for scope in Scope if scope in scopes]
    if not wanted:
        raise AccountError(f"a token needs a scope: {', '.join(Scope)}")
    if rate_per_minute is not None and not 1 <= rate_per_minute <= MAX_RATE_PER_MINUTE:
        raise AccountError(f"a limit is 1 to {MAX_RATE_PER_MINUTE} requests a minute")
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise AccountError("a token's name has 1 to 64 printable characters")
    token = "pdt_" + secrets.token_urlsafe(32)
    with sessions.begin() as session:
        if any(t.name == name and t.revoked_at is None for t in accounts.tokens(session)):
            raise AccountError(f"there is an active token {name} already; revoke it first")
        token_id = accounts.add_token(
            session, name, token, scopes=wanted, rate_per_minute=rate_per_minute, now=now
        )
        limit = f"{rate_per_minute} a minute" if rate_per_minute else "no limit"
        detail = f"{', '.join(wanted)}; {limit}"
        accounts.audit(session, actor, "token.create", subject=name, detail=detail, now=now)
    return NewToken(token_id, name, token)


def tokens(sessions: Sessions) -> list[TokenRow]:
    """Return all API tokens, without their secrets."""
    with sessions() as session:
        return accounts.tokens(session)


def revoke_token(sessions: Sessions, name_or_id: str, *, actor: str, now: datetime) -> None:
    """End an API token at once.

    Raises:
        AccountError: no active token has this name or id.
    """
    with sessions.begin() as session:
        if not accounts.revoke_tokens(session, name_or_id, now):
            raise AccountError(f"there is no active token {name_or_id}")
        accounts.audit(session, actor, "token.revoke", subject=name_or_id, now=now)


def use_token(sessions: Sessions, token: str, now: datetime) -> TokenRow | None:
    """Return the active token with this secret, noting its use at most once a minute."""
    with sessions() as session:
        found = accounts.token_named(session, token)
    if found and (found.last_used_at is None or now - found.last_used_at > timedelta(minutes=1)):
        with sessions.begin() as session:
            accounts.use_token(session, found.id, now)
    return found


def _is_password(user: User | None, password: str) -> bool:
    try:
        _hasher.verify(user.password_hash if user else _nobodys_hash(), password[:MAX_PASSWORD])
    except (VerificationError, InvalidHashError):
        return False
    return user is not None


@cache
def _nobodys_hash() -> str:
    """Checked when the name is unknown, so that an answer takes as long either way."""
    return _hasher.hash(secrets.token_hex())


def _count_failure(user: User, now: datetime) -> None:
    user.failed_logins += 1
    if user.failed_logins >= MAX_FAILURES:
        user.failed_logins, user.locked_until = 0, now + LOCK


def _hash(password: str) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise AccountError(f"a password has at least {MIN_PASSWORD} characters")
    return _hasher.hash(password)
