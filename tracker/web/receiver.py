"""What every way into the receiver shares: who may speak, how much, and what is answered.

The worker of ours calls it from its event loop, the Flask view from a thread; which of the two
served a postback is nobody's concern. What is counted by source is counted by each process for
itself.

Source: PROTOCOL 6.1 and 6.10.
"""

import hmac
import logging
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from tracker.config import AllowMode, Settings, SettleUnknown
from tracker.domain.fold import Outcome
from tracker.protocol.postback import NotAPostbackError
from tracker.services import answers, arrivals
from tracker.services.committer import Committer, NotKept, Receipt, Spooled
from tracker.services.lane import Lane
from tracker.services.postback_tokens import token_hash
from tracker.services.receive import Recorded
from tracker.store import alerts, db, postback_tokens
from tracker.store.db import Sessions
from tracker.store.postback_tokens import FROM_FIRST_START, FROM_SETTINGS
from tracker.store.spool import Spool

from . import metrics
from .sources import AllowList, PerMinute, behind_proxies, site_of

RECEIVER: Final = "tracker.receiver"
MAX_UNKNOWN_PER_MINUTE: Final = 60  # of one source outside of the allow-list, if there is one
GUESSING_PER_MINUTE: Final = 100  # unknown ids and contradicting numbers; one more is an alert
MAX_LINES_PER_MINUTE: Final = 100  # in the log, about what was refused
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
        if settings.settle_unknown is SettleUnknown.TAKE:
            answers.let_take(self._sessions, settings.gateway_zone)
        kind = FROM_SETTINGS if settings.postback_tokens else FROM_FIRST_START
        self._own = {token_hash(token): kind for token in tokens}
        self._valid = tuple(self._own)
        self._has_read_tokens = False  # of the database; until then nobody knows them all
        self._starting = threading.Lock()
        self._is_started = False
        self._used: set[bytes] = set()
        self._noted_until: dict[bytes, float] = {}
        self._allowed = AllowList(settings.postback_allow_from)
        self._strange = PerMinute()  # by source: what a guesser of tracking ids would send
        self._guessers: set[str] = set()
        self._said = PerMinute()
        self.spool = Spool(settings.spool_dir)
        self._committer = Committer(
            self._sessions,
            self.spool,
            zone=settings.gateway_zone,
            chores=(
                self._open_lane, self._look_up_tokens, self._note_uses, self._sound_guessing,
            ),
            on_batch=metrics.batch,
        )  # fmt: skip
        self._lane: Lane | None = None

    @property
    def database_is_away(self) -> bool:
        """The last batch found no database."""
        return self._committer.is_away

    def start(self, loop: AbstractEventLoop | None = None) -> None:
        """Learn the tokens, and begin to drain what an earlier process spooled; idempotent.

        A process whose requests are handled on an event loop names it.
        """
        with self._starting:
            if self._is_started:
                return
            if loop is not None and db.engine_of(self._sessions).dialect.name == "postgresql":
                self._lane = Lane(loop, self._sessions, self._committer, metrics.batch)
            try:
                self._look_up_tokens()
            except SQLAlchemyError:
                log.warning("the database is away; tokens made on the page are not known yet")
            self._committer.start()
            self._is_started = True

    def stop(self) -> None:
        """Answer all that waits; blocks for some seconds at most."""
        if self._lane is not None:
            self._lane.close()
        self._committer.stop()
        db.engine_of(self._sessions).dispose()

    def source(self, peer: str, forwarded_for: str | None) -> str:
        """Return the address of whoever speaks, behind the stated number of proxies."""
        return behind_proxies(peer, forwarded_for, self._settings.trusted_proxies)

    def refusal(self, token: str, source: str) -> Answer | None:
        """Say why nothing is taken from this source with this token; None when it may speak."""
        given = token_hash(token)
        if not self._is_valid(given):
            return self._refuse_token(source)
        mode = self._settings.postback_allow_mode
        if mode is not AllowMode.OFF and not self._allowed.has(source):
            is_refused = mode is AllowMode.ENFORCE
            metrics.refused("address" if is_refused else "address, only reported")
            self._say("postback from outside of the allow-list", source, refused=is_refused)
            if is_refused:
                return _NOT_ALLOWED
        self._used.add(given)
        return None

    def take(
        self,
        body: bytes,
        content_type: str | None,
        headers: str,
        source: str,
        done: Callable[[Answer], None],
    ) -> None:
        """Keep one postback; `done` is called once, with the answer, perhaps at once."""
        zone, now = self._settings.gateway_zone, datetime.now(UTC)
        try:
            arrival = arrivals.read(body, content_type, headers, zone=zone, now=now)
        except NotAPostbackError as error:
            metrics.refused("not a postback")
            self._say("postback rejected", source, reason=str(error), bytes=len(body))
            done(Answer(HTTPStatus.BAD_REQUEST, f"not a postback: {error}"))
            return
        except Exception as error:  # our fault: the bytes are kept all the same
            log.exception("a postback could not be read")
            reason = f"It could not be read: {type(error).__name__}."
            arrival = arrivals.unread(body, content_type, reason, headers, now=now)
        if not self._may_send_unknown(source, len(arrival.events)):
            arrival = replace(arrival, may_wait=False)
        keeper = self._lane or self._committer
        keeper.submit(arrival, lambda receipt: self._settle(receipt, source, done))

    def too_large(self, source: str) -> Answer:
        """Answer a body over the limit; nothing of it is kept."""
        metrics.refused("too large")
        self._say("postback refused: too large", source)
        return _TOO_LARGE

    def broken_off(self, source: str) -> Answer:
        """Answer half a postback: it is never applied, and its sender will try again."""
        metrics.refused("broken off")
        self._say("postback refused: it broke off", source)
        return _BROKEN_OFF

    def _settle(self, receipt: Receipt, source: str, done: Callable[[Answer], None]) -> None:
        """Answer, and count then: the client need not wait for that."""
        if isinstance(receipt, Spooled):
            done(_SPOOLED)
            metrics.received("spooled")
        elif isinstance(receipt, NotKept):
            done(_NOT_KEPT)
            metrics.refused("not stored")
        # 200 is for the whole body: with one event left out, all of it must come again.
        elif all(recorded.postback_id for recorded in receipt):
            done(Answer(HTTPStatus.OK, _line(receipt)))
            self._count(receipt, source)
        else:
            done(Answer(HTTPStatus.TOO_MANY_REQUESTS, _line(receipt)))
            self._count(receipt, source)
            metrics.refused("unknown ids")
            self._say("postback refused: too many unknown tracking ids", source)

    def _count(self, receipt: list[Recorded], source: str) -> None:
        for recorded in receipt:
            self._count_one(recorded, source)

    def _count_one(self, recorded: Recorded, source: str) -> None:
        if recorded.postback_id:
            metrics.received("repeat" if recorded.is_repeat else str(recorded.outcome))
        if not _is_strange(recorded) or self._allowed.has(source):
            return
        if self._strange.add(site_of(source)) == GUESSING_PER_MINUTE + 1:
            self._guessers.add(site_of(source))

    def _may_send_unknown(self, source: str, events: int) -> bool:
        # Without a list nobody can tell the gateway from a stranger, and nothing may be lost.
        if self._allowed.is_empty or self._allowed.has(source):
            return True
        return self._strange.count(site_of(source)) + events <= MAX_UNKNOWN_PER_MINUTE

    def _is_valid(self, given: bytes) -> bool:
        """Compare with every token, in the same time whichever matches."""
        is_valid = False
        for known in self._valid:
            is_valid |= hmac.compare_digest(given, known)
        return is_valid

    def _refuse_token(self, source: str) -> Answer:
        if not self._has_read_tokens:
            metrics.refused("token cannot be looked up")
            self._say("postback refused: the token cannot be looked up", source)
            return _CANNOT_TELL
        metrics.refused("token")
        self._say("postback refused: wrong token", source)
        return _NOT_FOUND

    def _say(self, line: str, source: str, **more: object) -> None:
        """Log a refusal once a minute for each source; the metrics count them all."""
        is_first = self._said.add(f"{line} {site_of(source)}") == 1
        if is_first and len(self._said) <= MAX_LINES_PER_MINUTE:
            log.warning(line, extra={"source": source, **more})

    def _open_lane(self) -> None:
        if self._lane is not None:
            self._lane.open()

    def _look_up_tokens(self) -> None:
        with self._sessions() as session:
            hashes = postback_tokens.hashes(session)
        self._valid = tuple((self._own.keys() | hashes.active) - hashes.revoked)
        self._has_read_tokens = True

    def _note_uses(self) -> None:
        now = time.monotonic()
        due = {digest for digest in set(self._used) if self._noted_until.get(digest, 0.0) <= now}
        if not due:
            return
        with self._sessions.begin() as session:
            postback_tokens.note_use(session, due, self._own, datetime.now(UTC))
        self._used -= due
        self._noted_until |= dict.fromkeys(due, now + USES_SECONDS)

    def _sound_guessing(self) -> None:
        for source in list(self._guessers):
            detail = (
                f"More than {GUESSING_PER_MINUTE} postbacks within a minute named unknown tracking "
                "ids or a wrong number. Somebody may be guessing ids with a stolen token."
            )
            with self._sessions.begin() as session:
                alerts.sound(session, "guessing", source, detail, datetime.now(UTC))
            self._guessers.discard(source)


def _is_strange(recorded: Recorded) -> bool:
    """Tell what names a message that is none, or another recipient; refused or not."""
    is_contradicting = recorded.outcome is Outcome.QUARANTINED and "TO is not" in recorded.reason
    is_unknown = recorded.outcome is Outcome.UNMATCHED or not recorded.postback_id
    return is_unknown or is_contradicting


def _line(recorded: list[Recorded]) -> str:
    lines = (f"{'repeat' if r.is_repeat else r.outcome or 'refused'}: {r.reason}" for r in recorded)
    return " | ".join(lines)[:500]
