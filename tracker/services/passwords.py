"""Passwords: how long they are, how they are kept, and whether one is right."""

import secrets
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_PASSWORD: Final = 10
MAX_PASSWORD: Final = 1000
NONE: Final = "!"  # kept of a user who has no password here

_hasher = PasswordHasher()


class PasswordError(ValueError):
    """A password that nobody may have."""


def made() -> str:
    """Return a new password that nobody has chosen."""
    return secrets.token_urlsafe(12)


def hashed(password: str) -> str:
    """Return what is kept of a password; it takes a while by design.

    Raises:
        PasswordError: it is too short or too long.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise PasswordError(
            f"a password has {MIN_PASSWORD} to {MAX_PASSWORD:,} characters,"
            f" and this one has {len(password):,}"
        )
    return _hasher.hash(password)


def is_right(kept: str | None, password: str) -> bool:
    """Say whether a password is the one that is kept; never when None is."""
    asked = None if kept == NONE else kept
    try:
        _hasher.verify(asked or _nobodys_hash(), password[:MAX_PASSWORD])
    except (VerificationError, InvalidHashError):
        return False
    return asked is not None


@cache
def _nobodys_hash() -> str:
    """Checked when the name is unknown, so that an answer takes as long either way."""
    return _hasher.hash(secrets.token_hex())
