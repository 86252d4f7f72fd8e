"""Requests that are made again: one message for all of them, whichever came first.

A token may name its request twice over: by an Idempotency-Key, and by the reference of the message.
Under either name there is one request and one message, for ever: a name outlives the message that
was erased, lest the pass be sent a second time.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tracker.domain.message import Problem
from tracker.store import repeats as store
from tracker.store.db import Sessions
from tracker.store.models import IdempotencyKey, ReferenceKey
from tracker.store.repeats import Known, Names

TRIES: Final = 3  # a request may lose once by its key and once by its reference
_WORDS: Final[dict[Names, str]] = {IdempotencyKey: "Idempotency-Key", ReferenceKey: "reference"}


@dataclass(frozen=True, slots=True)
class Repeat:
    """How a caller marks a request that it may make again: its token, and a key of its own."""

    token_id: int
    key: str | None = None


class RepeatDiffersError(ValueError):
    """The key or the reference was used before, for another request."""


@dataclass(frozen=True, slots=True)
class Named:
    """A request under the names that its token gave it."""

    token_id: int
    names: dict[Names, str]
    digest: bytes

    @classmethod
    def of(cls, repeat: Repeat, reference: str | None, request: object) -> "Named":
        """Return a request with its names; alike are two only when they say the same."""
        given: dict[Names, str | None] = {IdempotencyKey: repeat.key, ReferenceKey: reference}
        names = {n: name for n, name in given.items() if name}
        return cls(repeat.token_id, names, digest_of(request))


def once(
    sessions: Sessions, named: Named | None, queue: Callable[[Session], tuple[int, UUID]]
) -> UUID:
    """Queue a message unless it was asked for before, and return the id of the one there is.

    Raises:
        RepeatDiffersError: a name of the request belongs to another one.
    """
    for _ in range(TRIES - 1):
        try:
            return _once(sessions, named, queue)
        except IntegrityError:  # another request was a moment faster; SQLite cannot come here
            if named is None:
                raise
    return _once(sessions, named, queue)


def digest_of(request: object) -> bytes:
    """Return what tells a request from every other one."""
    return sha256(dumps(request, sort_keys=True, default=str).encode()).digest()


def used_references(
    session: Session, token_id: int, references: Iterable[str]
) -> Mapping[str, Problem]:
    """Return what is wrong with those references that a token has used before, by reference."""
    found = store.known_among(session, ReferenceKey, token_id, references)
    return {
        reference: Problem("reference", reference, _used(known))
        for reference, known in found.items()
    }


def _used(known: Known) -> str:
    if known.public_id is None:
        return "was used for a message that is erased; it is not sent again under it"
    return f"was used before, for message {known.public_id}; it is not sent again under it"


def _once(
    sessions: Sessions, named: Named | None, queue: Callable[[Session], tuple[int, UUID]]
) -> UUID:
    with sessions.begin() as session:
        if named is None:
            return queue(session)[1]
        first = _first(session, named)
        message_id, public_id, known = first or (*queue(session), set())
        for names, name in named.names.items():
            if names not in known:
                store.add(session, names, named.token_id, name, named.digest, message_id)
        return public_id


def _first(session: Session, named: Named) -> tuple[int, UUID, set[Names]] | None:
    """Return the message that was queued under these names, and which of them are known."""
    known: dict[Names, Known] = {}
    for names, name in named.names.items():
        if found := store.known(session, names, named.token_id, name):
            known[names] = found
    messages = {_message(names, found, named.digest) for names, found in known.items()}
    if len(messages) > 1:
        raise RepeatDiffersError(
            "this Idempotency-Key and this reference belong to two messages; give new ones"
        )
    return (*messages.pop(), set(known)) if messages else None


def _message(names: Names, known: Known, digest: bytes) -> tuple[int, UUID]:
    word = _WORDS[names]
    if known.message_id is None or known.public_id is None:
        raise RepeatDiffersError(
            f"this {word} was used for a message that is erased; it is not sent again under it,"
            f" so use a new {word}"
        )
    if known.digest != digest:
        raise RepeatDiffersError(
            f"this {word} was used for another request, which is message {known.public_id};"
            f" send the very same request, or use a new {word}"
        )
    return known.message_id, known.public_id
