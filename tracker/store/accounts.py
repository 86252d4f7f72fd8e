"""Users, API tokens and the audit trail."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Select, delete, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from .db import dialect_of
from .models import ApiToken, AuditEntry, Role, Scope, TokenUse, User
from .rows import TokenRow, UserRow


def add_user(
    session: Session,
    username: str,
    *,
    password_hash: str,
    role: Role,
    session_key: str,
    now: datetime,
    external_id: str | None = None,
) -> User:
    """Store a new user; the name is taken as it is."""
    user = User(
        username=username,
        password_hash=password_hash,
        role=role,
        session_key=session_key,
        created_at=now,
        external_id=external_id,
    )
    session.add(user)
    session.flush()
    return user


def locked_user(session: Session, username: str) -> User | None:
    """Return the row of a user, locked until the transaction ends."""
    return session.scalar(select(User).where(User.username == username).with_for_update())


def user_named(session: Session, username: str) -> User | None:
    """Return the row of a user as it is now."""
    return session.scalar(select(User).where(User.username == username))


def same_name(session: Session, username: str) -> str | None:
    """Return the user's name that is this one but for capitals; None when there is none.

    SQLite knows the capitals of ASCII alone, so the names are compared here.
    """
    wanted = username.casefold()
    names = session.scalars(select(User.username))
    return next((name for name in names if name.casefold() == wanted), None)


def locked_user_of_session(session: Session, session_key: str) -> User | None:
    """Return the row of whose session this is, locked until the transaction ends."""
    return session.scalar(select(User).where(User.session_key == session_key).with_for_update())


def locked_external_user(session: Session, external_id: str) -> User | None:
    """Return the row of a provider's user, locked until the transaction ends."""
    return session.scalar(select(User).where(User.external_id == external_id).with_for_update())


def locked_admins(session: Session) -> list[str]:
    """Return the names of those who may administer now, locked until the transaction ends."""
    may = select(User).where(User.role == Role.ADMIN, User.is_disabled.is_(False))
    return [user.username for user in session.scalars(may.order_by(User.id).with_for_update())]


def user_by_id(session: Session, user_id: int) -> UserRow | None:
    """Return a user by the id that addresses use."""
    user = session.get(User, user_id)
    return user_row(user) if user else None


def has_users(session: Session) -> bool:
    """Say whether anybody can log in at all."""
    return bool(session.scalar(select(exists(select(User.id)))))


def users(session: Session) -> list[UserRow]:
    """Return all users by name."""
    return [user_row(user) for user in session.scalars(select(User).order_by(User.username))]


def user_of_session(session: Session, session_key: str) -> UserRow | None:
    """Return the user whose session this is; None when disabled or logged out everywhere."""
    found = session.scalar(
        select(User).where(User.session_key == session_key, User.is_disabled.is_(False))
    )
    return user_row(found) if found else None


def user_row(user: User) -> UserRow:
    """Return what others may know of a user."""
    return UserRow(
        id=user.id,
        username=user.username,
        role=user.role,
        is_disabled=user.is_disabled,
        session_key=user.session_key,
        created_at=user.created_at,
        last_login_at=user.last_login_at,
        locked_until=user.locked_until,
        two_factor_since=user.two_factor_since,
        is_external=user.external_id is not None,
    )


def add_token(
    session: Session,
    name: str,
    token: str,
    *,
    scopes: Iterable[Scope],
    rate_per_minute: int | None,
    now: datetime,
) -> int:
    """Store the hash of a new API token and return its id."""
    row = ApiToken(
        name=name,
        token_hash=_hash(token),
        scopes=",".join(scopes),
        rate_per_minute=rate_per_minute,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row.id


def token_named(session: Session, token: str) -> TokenRow | None:
    """Return the active API token with this secret.

    The look-up is by hash, so how long it takes says nothing about the secret.
    """
    wanted = _tokens().where(ApiToken.token_hash == _hash(token), ApiToken.revoked_at.is_(None))
    found = session.scalar(wanted)
    return _token_row(found) if found else None


def tokens(session: Session) -> list[TokenRow]:
    """Return all API tokens in order of creation, revoked ones too."""
    return [_token_row(row) for row in session.scalars(_tokens())]


def use_token(session: Session, token_id: int, now: datetime) -> None:
    """Note when a token was last used."""
    session.execute(update(ApiToken).where(ApiToken.id == token_id).values(last_used_at=now))


def count_use(session: Session, token_id: int, minute: int, limit: int) -> int | None:
    """Count one request in a minute and return which it was; None when it is one too many.

    The row holds the count of all processes: what only one of them knows limits nobody.
    """
    insert = sqlite.insert if dialect_of(session) == "sqlite" else postgresql.insert
    counted = insert(TokenUse).values(token_id=token_id, minute=minute, uses=1)
    uses = session.scalar(
        counted.on_conflict_do_update(
            index_elements=[TokenUse.token_id, TokenUse.minute],
            set_={"uses": TokenUse.uses + 1},
            where=TokenUse.uses < limit,
        ).returning(TokenUse.uses)
    )
    if uses == 1:  # hosts' clocks differ, so the minute before may still be somebody's
        past = TokenUse.token_id == token_id, TokenUse.minute < minute - 1
        session.execute(delete(TokenUse).where(*past))
    return uses


def revoke_token(session: Session, token_id: int, now: datetime) -> str | None:
    """Revoke an active token and return its name; None when there is none with this id."""
    return session.scalar(
        update(ApiToken)
        .where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(ApiToken.name)
        .execution_options(synchronize_session=False)
    )


def audit(
    session: Session,
    actor: str,
    action: str,
    *,
    now: datetime,
    subject: str | None = None,
    detail: str | None = None,
) -> None:
    """Write down who did what to what."""
    session.add(AuditEntry(at=now, actor=actor, action=action, subject=subject, detail=detail))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _tokens() -> Select[ApiToken]:
    return select(ApiToken).order_by(ApiToken.id)


def _token_row(row: ApiToken) -> TokenRow:
    return TokenRow(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        scopes=tuple(row.scopes.split(",")),
        rate_per_minute=row.rate_per_minute,
    )
