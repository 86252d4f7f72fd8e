"""Users and API tokens, as people read them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tracker.store.models import Role, Scope
from tracker.store.rows import TokenRow, UserRow

from .texts import next_minute


@dataclass(frozen=True, slots=True)
class RoleWords:
    """What a role is called, and what it means."""

    value: str
    article: str
    sentence: str


ROLES: Final = {
    Role.VIEWER: RoleWords("viewer", "a", "looks at everything, with masked numbers"),
    Role.OPERATOR: RoleWords("operator", "an", "sees whole numbers; sends, cancels, settles"),
    Role.ADMIN: RoleWords("admin", "an", "does all that, and what is on these pages"),
}
SCOPES: Final = {
    Scope.SEND: "send, cancel, send again, settle",
    Scope.READ: "whatever GET gives",
    Scope.ADMIN: "what concerns everybody: the gateway, templates, judging anew",
}


@dataclass(frozen=True, slots=True)
class UserLine:
    """One user."""

    id: int
    username: str
    role: str
    state: str
    is_disabled: bool
    made_at: datetime
    last_login_at: datetime | None
    two_factor_since: datetime | None
    is_external: bool


@dataclass(frozen=True, slots=True)
class TokenLine:
    """One API token."""

    id: int
    name: str
    scopes: str
    rate: str
    made_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def user_line(row: UserRow, now: datetime) -> UserLine:
    """Return a user as a line of the list."""
    state = "Disabled" if row.is_disabled else "Active"
    if not row.is_disabled and row.locked_until and row.locked_until > now:
        state = f"Locked until {next_minute(row.locked_until)}"
    return UserLine(
        id=row.id,
        username=row.username,
        role=row.role,
        state=state,
        is_disabled=row.is_disabled,
        made_at=row.created_at,
        last_login_at=row.last_login_at,
        two_factor_since=row.two_factor_since,
        is_external=row.is_external,
    )


def token_line(row: TokenRow) -> TokenLine:
    """Return a token as a line of the list."""
    return TokenLine(
        id=row.id,
        name=row.name,
        scopes=", ".join(row.scopes),
        rate=f"{row.rate_per_minute:,} a minute" if row.rate_per_minute else "no limit",
        made_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
