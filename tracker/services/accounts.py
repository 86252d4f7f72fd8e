"""Who may use the dashboard and the API. How people get in is in `logins`.

Errors:
    AccountError         what an administrator asked for cannot be done; `field` is what was wrong
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from tracker.store import accounts
from tracker.store.db import Sessions
from tracker.store.models import Role, Scope, User
from tracker.store.rows import TokenRow, UserRow

from . import passwords

MAX_RATE_PER_MINUTE: Final = 1_000_000


class AccountError(ValueError):
    """A user or token cannot be made or changed as asked."""

    def __init__(self, text: str, field: str | None = None) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made; the only time its secret is seen."""

    id: int
    name: str
    token: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """The token that was ended, and another one that has its id for a name and was not."""

    token: TokenRow
    namesake: TokenRow | None


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
        raise AccountError("a user name has 1 to 64 printable characters", "username")
    password_hash = _hash(password)
    with sessions.begin() as session:
        if taken := accounts.same_name(session, username):
            raise AccountError(f"there is a user {taken} already", "username")
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
        user = _the_user(session, username)
        user.password_hash = password_hash
        user.session_key = secrets.token_urlsafe(32)
        user.failed_logins, user.locked_until = 0, None
        accounts.audit(session, actor, "user.password", subject=username, now=now)


def set_role(sessions: Sessions, username: str, role: Role, *, actor: str, now: datetime) -> None:
    """Give a user another role, from the next page on.

    Raises:
        AccountError: no such user, or the only administrator.
    """
    with sessions.begin() as session:
        if role is not Role.ADMIN:
            leave_an_admin(session, username)
        change_role(session, _the_user(session, username), role, actor, now)


def leave_an_admin(session: Session, username: str) -> None:
    """Refuse to take away the last administrator; all of them stay locked until the end."""
    if accounts.locked_admins(session) == [username]:
        raise AccountError(f"{username} is the only administrator; make another one first", "role")


def change_role(session: Session, user: User, role: Role, actor: str, now: datetime) -> None:
    """Give a user another role, in the caller's transaction."""
    if user.role != role:
        said = f"{user.role} to {role}"
        user.role = role
        accounts.audit(session, actor, "user.role", subject=user.username, detail=said, now=now)


def disable_user(sessions: Sessions, username: str, *, actor: str, now: datetime) -> None:
    """Keep a user out; all her sessions end.

    Raises:
        AccountError: no such user, or the only administrator.
    """
    with sessions.begin() as session:
        leave_an_admin(session, username)
        user = _the_user(session, username)
        user.is_disabled = True
        user.session_key = secrets.token_urlsafe(32)
        accounts.audit(session, actor, "user.disable", subject=username, now=now)


def enable_user(sessions: Sessions, username: str, *, actor: str, now: datetime) -> None:
    """Let a user in again.

    Raises:
        AccountError: no such user.
    """
    with sessions.begin() as session:
        user = _the_user(session, username)
        user.is_disabled = False
        user.failed_logins, user.locked_until = 0, None
        accounts.audit(session, actor, "user.enable", subject=username, now=now)


def user_by_id(sessions: Sessions, user_id: int) -> UserRow | None:
    """Return one user; None when there is no such."""
    with sessions() as session:
        return accounts.user_by_id(session, user_id)


def users(sessions: Sessions) -> list[UserRow]:
    """Return all users by name."""
    with sessions() as session:
        return accounts.users(session)


def first_admin(sessions: Sessions, now: datetime) -> str | None:
    """Make the operator `admin` when nobody can log in yet, and return the password, once."""
    with sessions() as session:
        if accounts.has_users(session):
            return None
    password = passwords.made()
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
        raise AccountError(f"a token needs a scope: {', '.join(Scope)}", "scope")
    if rate_per_minute is not None and not 1 <= rate_per_minute <= MAX_RATE_PER_MINUTE:
        raise AccountError(f"a limit is 1 to {MAX_RATE_PER_MINUTE:,} requests a minute", "rate")
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise AccountError("a token's name has 1 to 64 printable characters", "name")
    token = "pdt_" + secrets.token_urlsafe(32)
    with sessions.begin() as session:
        if any(t.name == name and t.revoked_at is None for t in accounts.tokens(session)):
            said = f"there is an active token {name} already; revoke it first"
            raise AccountError(said, "name")
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


def revoke_token(sessions: Sessions, name_or_id: str, *, actor: str, now: datetime) -> Revoked:
    """End an API token at once; what is the id of a token, active or not, is no name.

    Raises:
        AccountError: there is no such active token.
    """
    with sessions.begin() as session:
        rows = accounts.tokens(session)
        by_id = next((row for row in rows if str(row.id) == name_or_id), None)
        active = [row for row in rows if row.name == name_or_id and row.revoked_at is None]
        named = next((row for row in active if row != by_id), None)
        meant = by_id or named
        if meant is None or not _revoke(session, meant.id, actor, now):
            other = f"; the token of that name has the id {named.id}" if by_id and named else ""
            raise AccountError(f"there is no active token {name_or_id}{other}")
        return Revoked(meant, named if by_id else None)


def revoke_one_token(sessions: Sessions, token_id: int, *, actor: str, now: datetime) -> bool:
    """End an API token at once, by its id alone; False when it is not active."""
    with sessions.begin() as session:
        return _revoke(session, token_id, actor, now)


def _revoke(session: Session, token_id: int, actor: str, now: datetime) -> bool:
    name = accounts.revoke_token(session, token_id, now)
    if name is not None:
        accounts.audit(session, actor, "token.revoke", subject=name, now=now)
    return name is not None


def use_token(sessions: Sessions, token: str, now: datetime) -> TokenRow | None:
    """Return the active token with this secret, noting its use at most once a minute."""
    with sessions() as session:
        found = accounts.token_named(session, token)
    if found and (found.last_used_at is None or now - found.last_used_at > timedelta(minutes=1)):
        with sessions.begin() as session:
            accounts.use_token(session, found.id, now)
    return found


def _hash(password: str) -> str:
    try:
        return passwords.hashed(password)
    except passwords.PasswordError as error:
        raise AccountError(str(error), "password") from error


def _the_user(session: Session, username: str) -> User:
    user = accounts.locked_user(session, username)
    if user is None:
        raise AccountError(f"there is no user {username}")
    return user
