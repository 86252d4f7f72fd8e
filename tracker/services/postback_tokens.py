"""The secrets of the postback URL: made, shown once, and revoked when the gateway has a new one.

A token comes from `create`, from the settings or from the first start. Those of the last two are
known to the process alone, which passes them as `own`: by name, the secrets themselves.

Errors:
    PostbackTokenError      it cannot be done as asked
      LastTokenError        no token would be left, so that no postback would be taken
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from tracker.store import accounts
from tracker.store import postback_tokens as store
from tracker.store.db import Sessions
from tracker.store.postback_tokens import FROM_FIRST_START, FROM_SETTINGS, OWN_NAMES
from tracker.store.rows import TokenRow

from .accounts import NewToken

MAX_NAME: Final = 64

Own = Mapping[str, str]  # secrets by the name that people know them by


class PostbackTokenError(ValueError):
    """A token cannot be made or revoked as asked."""


class LastTokenError(PostbackTokenError):
    """Without this token no postback would be taken any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenState:
    """One token and how it stands. Without an id it is ours and has never been used.

    When a token of ours was made is not known.
    """

    id: int | None
    name: str
    made_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    is_valid: bool
    state: str

    @property
    def handle(self) -> str:
        """What `revoke` knows it by."""
        return self.name if self.id is None else str(self.id)


def token_hash(token: str) -> bytes:
    """Return what is kept of a token; it is random, so a plain hash does."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def kind_of(own_name: str) -> str:
    """Return what the row of a token of ours is called: its place in the settings may change."""
    return FROM_FIRST_START if own_name == FROM_FIRST_START else FROM_SETTINGS


def create(sessions: Sessions, name: str, *, actor: str, now: datetime) -> NewToken:
    """Make a token; only its hash is kept, and the others stay valid.

    Raises:
        PostbackTokenError: the name is odd or in use.
    """
    name = _checked(name)
    token = secrets.token_urlsafe(32)
    with sessions.begin() as session:
        store.lock(session)
        if any(row.name == name and not row.revoked_at for row in store.rows(session).values()):
            raise PostbackTokenError(f"there is a valid token {name} already; revoke it first")
        token_id = store.add(session, name, token_hash(token), now)
        accounts.audit(session, actor, "postback_token.create", subject=name, now=now)
    return NewToken(token_id, name, token)


def rows(sessions: Sessions, own: Own) -> list[TokenState]:
    """Return all tokens: ours first, then the newest."""
    with sessions() as session:
        return list(_states(session, own).values())


def to_revoke(sessions: Sessions, own: Own, name_or_id: str) -> tuple[TokenState, bool]:
    """Return the token that `revoke` would end, and whether it is the last valid one.

    Raises:
        PostbackTokenError: none can be revoked by this name or id, or several can.
    """
    with sessions() as session:
        states = _states(session, own)
    _, chosen = _chosen(states, name_or_id)
    return chosen, _is_last(states.values(), chosen)


def revoke(
    sessions: Sessions,
    own: Own,
    name_or_id: str,
    *,
    actor: str,
    now: datetime,
    is_forced: bool = False,
) -> TokenState:
    """End a token for ever, one of ours too, and return it as it was.

    Raises:
        PostbackTokenError: no token that is not revoked has this name or id, or several have.
        LastTokenError: no valid one would be left, and it is not forced.
    """
    with sessions.begin() as session:
        store.lock(session)
        states = _states(session, own)
        digest, chosen = _chosen(states, name_or_id)
        if _is_last(states.values(), chosen) and not is_forced:
            raise LastTokenError(f"{chosen.name} is the last valid token; make a new one first")
        store.revoke(session, kind_of(chosen.name), digest, now)
        accounts.audit(session, actor, "postback_token.revoke", subject=chosen.name, now=now)
    return chosen


def first_valid(sessions: Sessions, tokens: Sequence[str]) -> str | None:
    """Return the first of our own tokens that is not revoked; None when all of them are."""
    with sessions() as session:
        revoked = store.hashes(session).revoked
    return next((token for token in tokens if token_hash(token) not in revoked), None)


def _states(session: Session, own: Own) -> dict[bytes, TokenState]:
    kept = store.rows(session)
    ours = {token_hash(token): name for name, token in own.items()}
    states = {digest: _own_state(name, kept.get(digest)) for digest, name in ours.items()}
    return states | {d: _state(row) for d, row in kept.items() if d not in ours}


def _own_state(name: str, row: TokenRow | None) -> TokenState:
    is_revoked = row is not None and row.revoked_at is not None
    state = _in_words(row) if row else "Valid; not used yet"
    if is_revoked and name != FROM_FIRST_START:
        state = "Revoked; take it out of TRACKER_POSTBACK_TOKENS"
    return TokenState(
        id=row.id if row else None,
        name=name,
        made_at=None,
        last_used_at=row.last_used_at if row else None,
        revoked_at=row.revoked_at if row else None,
        is_valid=not is_revoked,
        state=state,
    )


def _state(row: TokenRow) -> TokenState:
    # Of another machine, or of settings that have changed: the note of its use is no permission.
    is_elsewhere = row.name in OWN_NAMES
    state = _in_words(row)
    if is_elsewhere and not row.revoked_at:
        state = "Not among this machine's settings"
    return TokenState(
        id=row.id,
        name=row.name,
        made_at=None if is_elsewhere else row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        is_valid=row.revoked_at is None and not is_elsewhere,
        state=state,
    )


def _in_words(row: TokenRow) -> str:
    if row.revoked_at:
        return "Revoked"
    return "Valid" if row.last_used_at else "Valid; not used yet"


def _chosen(states: Mapping[bytes, TokenState], name_or_id: str) -> tuple[bytes, TokenState]:
    named = [
        (digest, state)
        for digest, state in states.items()
        if state.revoked_at is None and name_or_id in (state.name, state.handle)
    ]
    found = [(digest, state) for digest, state in named if state.is_valid] or named
    if not found:
        raise PostbackTokenError(f"no token that can be revoked is called {name_or_id}")
    if len(found) > 1:
        raise PostbackTokenError(f"several tokens are called {name_or_id}; give the id")
    return found[0]


def _is_last(states: Iterable[TokenState], chosen: TokenState) -> bool:
    return chosen.is_valid and sum(state.is_valid for state in states) == 1


def _checked(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise PostbackTokenError("a token's name has 1 to 64 printable characters")
    if name.isdecimal():
        raise PostbackTokenError("a name that is a number would be taken for an id")
    if name == FROM_FIRST_START or name.split()[0] == FROM_SETTINGS:
        raise PostbackTokenError(f"{name} is what other tokens are called; take another name")
    return name
