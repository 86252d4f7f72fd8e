"""What every way into the receiver shares: who may speak, how much, and what is answered.

The worker of ours calls it from its event loop, the Flask view from a thread; which of the two
served a postback is nobody's concern.

Source: PROTOCOL 6.1 and 6.10.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from tracker.config import AllowMode, Settings
from tracker.domain.fold import Outcome
from tracker.protocol.postback import NotAPostbackError
from tracker.services import receive
from tracker.services.committer import Committer, NotKept, Receipt, Spooled
from tracker.services.receive import Recorded
from tracker.store import alerts, db, postback_tokens
from tracker.store.db import Sessions
from tracker.store.postback_tokens import Hashes
from tracker.store.spool import Spool

from . import metrics

RECEIVER: Final = "tracker.receiver"
MAX_UNKNOWN_PER_MINUTE: Final = 60  # of one source outside of the allow-list, if there is one
GUESSING_PER_MINUTE: Final = 100  # unknown ids and contradicting numbers that sound an alert
MAX_SOURCES: Final = 10_000  # remembered at once
TOKENS_SECONDS: Final = 2.0  # until a new or a revoked token is known
USES_SECONDS: Final = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and one line of text."""

    status: int
    line: str


_NOT_FOUND: Final = Answer(HTTPStatus.NOT_FOUND, "not found")
_CANNOT_TELL: Final = Answer(HTTPStatus.SERVICE_UNAVAILABLE, "the token cannot be looked up now")
_NOT_ALLOWED: Final = Answer(HTTPStatus.FORBIDDEN, "this address may not post here")
_TOO_LARGE: Final = Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "larger than 1 MiB")
_BROKEN_OFF: Final = Answer(
    HTTPStatus.BAD_REQUEST,
    "the body broke off, is shorter than its Content-Length, or its chunks are broken",
)
_NOT_KEPT: Final = Answer(HTTPStatus.SERVICE_UNAVAILABLE, "not stored; send it again")
_SPOOLED: Final = Answer(HTTPStatus.OK, "spooled: the database is away; kept on disk until then")


class Receiver:
    """The receiver of one process."""

    def __init__(self, settings: Settings, tokens: tuple[str, ...]) -> None:
        self._settings = settings
        self._sessions: Sessions = db.connect(settings.database_url, in_a_hurry=True)
        self._own_tokens = frozenset(token_hash(token) for token in tokens)
        self._hashes: Hashes | None = None  # of the database; None until it was read once
        self._hashes_until = 0.0
        self._is_started = False
        self._used: set[bytes] = set()
        self._uses_until = 0.0
        self._unknown = _PerMinute()
        self._guesses = _PerMinute()
        self.spool = Spool(settings.spool_dir)
        self._committer = Committer(
            self._sessions,
            self.spool,
            zone=settings.gateway_zone,
            chores=(self._look_up_tokens, self._note_uses, self._sound_guessing),
            on_batch=metrics.batch,
        )

    @property
    def database_is_away(self) -> bool:
        """The last batch found no database."""
        return self._committer.is_away

    def start(self) -> None:
        """Learn the tokens, and begin to drain what an earlier process spooled; idempotent."""
        if self._is_started:
            return
        self._is_started = True
        try:
            self._look_up_tokens()
        except SQLAlchemyError:
            log.warning("the database is away; tokens made on the page are not known yet")
        self._committer.start()

    def stop(self) -> None:
        """Answer all that waits; blocks for some seconds at most."""
        self._committer.stop()
        db.engine_of(self._sessions).dispose()

    def source(self, peer: str, forwarded_for: str | None) -> str:
        """Return the address of whoever speaks, behind the stated number of proxies.

        Each proxy appends the address it saw; what stands before the last `trusted_proxies` of
        them anybody may have written.
        """
        hops = self._settings.trusted_proxies
        seen = [part.strip() for part in (forwarded_for or "").split(",")]
        return seen[-hops] if hops and len(seen) >= hops else peer

    def refusal(self, token: str, source: str) -> Answer | None:
        """Say why nothing is taken from this source with this token; None when it may speak."""
        if not self._is_known(token):
            metrics.refused("token")
            log.warning("postback refused: wrong token", extra={"source": source})
            # Before the database was read once, nobody knows all the tokens.
            return _CANNOT_TELL if self._hashes is None else _NOT_FOUND
        if self._settings.postback_allow_mode is AllowMode.OFF or self._is_allowed(source):
            return None
        metrics.refused("address")
        log.warning("postback from outside of the allow-list", extra={"source": source})
        is_enforced = self._settings.postback_allow_mode is AllowMode.ENFORCE
        return _NOT_ALLOWED if is_enforced else None

    def take(
        self, body: bytes, content_type: str | None, source: str, done: Callable[[Answer], None]
    ) -> None:
        """Keep one postback; `done` is called once, with the answer, perhaps at once."""
        now = datetime.now(UTC)
        try:
            arrival = receive.read(body, content_type, zone=self._settings.gateway_zone, now=now)
        except NotAPostbackError as error:
            metrics.refused("not a postback")
            extra = {"reason": str(error), "bytes": len(body), "source": source}
            log.warning("postback rejected", extra=extra)
            done(Answer(HTTPStatus.BAD_REQUEST, f"not a postback: {error}"))
            return
        except Exception as error:  # our fault: the bytes are kept all the same
            log.exception("a postback could not be read")
            reason = f"It could not be read: {type(error).__name__}."
            arrival = receive.unread(body, content_type, reason, now=now)
        if self._has_sent_too_many_unknown(source):
            arrival = replace(arrival, may_wait=False)
        self._committer.submit(arrival, lambda receipt: done(self._answer(receipt, source)))

    def too_large(self, source: str) -> Answer:
        """Answer a body over the limit; nothing of it is kept."""
        metrics.refused("too large")
        log.warning("postback refused: too large", extra={"source": source})
        return _TOO_LARGE

    def broken_off(self, source: str) -> Answer:
        """Answer half a postback: it is never applied, and its sender will try again."""
        metrics.refused("broken off")
        log.warning("postback refused: it broke off", extra={"source": source})
        return _BROKEN_OFF

    def _answer(self, receipt: Receipt, source: str) -> Answer:
        if isinstance(receipt, Spooled):
            metrics.received("spooled")
            return _SPOOLED
        if isinstance(receipt, NotKept):
            metrics.refused("not stored")
            return _NOT_KEPT
        for recorded in receipt:
            self._note(recorded, source)
        if not any(recorded.postback_id for recorded in receipt):
            metrics.refused("unknown ids")
            return Answer(HTTPStatus.TOO_MANY_REQUESTS, _line(receipt))
        return Answer(HTTPStatus.OK, _line(receipt))

    def _note(self, recorded: Recorded, source: str) -> None:
        metrics.received("repeat" if recorded.is_repeat else str(recorded.outcome or "refused"))
        is_contradicted = recorded.outcome is Outcome.QUARANTINED and "TO is not" in recorded.reason
        if recorded.outcome is Outcome.UNMATCHED or is_contradicted:
            self._unknown.add(source)
            if not self._is_allowed(source):
                self._guesses.add(source)

    def _has_sent_too_many_unknown(self, source: str) -> bool:
        # Without a list nobody can tell the gateway from a stranger, and nothing may be lost.
        if not self._settings.postback_allow_from or self._is_allowed(source):
            return False
        return self._unknown.count(source) >= MAX_UNKNOWN_PER_MINUTE

    def _is_allowed(self, source: str) -> bool:
        try:
            address = ip_address(source)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._settings.postback_allow_from)

    def _is_known(self, token: str) -> bool:
        """Compare with every token, in the same time whichever matches."""
        given = token_hash(token)
        active = self._own_tokens | (self._hashes.active if self._hashes else frozenset())
        revoked = self._hashes.revoked if self._hashes else frozenset[bytes]()
        is_active = sum(hmac.compare_digest(given, known) for known in active) > 0
        is_revoked = sum(hmac.compare_digest(given, known) for known in revoked) > 0
        if is_active and not is_revoked:
            self._used.add(given)
        return is_active and not is_revoked

    def _look_up_tokens(self) -> None:
        if time.monotonic() < self._hashes_until:
            return
        with self._sessions() as session:
            self._hashes = postback_tokens.hashes(session)
        self._hashes_until = time.monotonic() + TOKENS_SECONDS

    def _note_uses(self) -> None:
        if not self._used or time.monotonic() < self._uses_until:
            return
        used, self._used = self._used, set()
        with self._sessions.begin() as session:
            postback_tokens.note_use(session, used, datetime.now(UTC))
        self._uses_until = time.monotonic() + USES_SECONDS

    def _sound_guessing(self) -> None:
        for source in self._guesses.over(GUESSING_PER_MINUTE):
            detail = (
                f"More than {GUESSING_PER_MINUTE} postbacks within a minute named unknown tracking "
                "ids or a wrong number. Somebody may be guessing ids with a stolen token."
            )
            with self._sessions.begin() as session:
                alerts.sound(session, "guessing", source, detail, datetime.now(UTC))
            self._guesses.forget(source)


class _PerMinute:
    """Counts by source in the present minute; bounded, the oldest sources are forgotten."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._minute = 0

    def add(self, source: str) -> None:
        self._turn()
        counts = self._counts
        counts[source] = counts.get(source, 0) + 1
        if len(counts) > MAX_SOURCES:
            del counts[next(iter(counts))]

    def count(self, source: str) -> int:
        self._turn()
        return self._counts.get(source, 0)

    def over(self, limit: int) -> list[str]:
        return [source for source, count in list(self._counts.items()) if count > limit]

    def forget(self, source: str) -> None:
        self._counts.pop(source, None)

    def _turn(self) -> None:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._counts = minute, {}


def token_hash(token: str) -> bytes:
    """Return what is kept of a token; it is random, so a plain hash does."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _line(recorded: list[Recorded]) -> str:
    lines = (f"{'repeat' if r.is_repeat else r.outcome or 'refused'}: {r.reason}" for r in recorded)
    return " | ".join(lines)[:500]
