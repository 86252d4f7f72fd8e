"""The drop-in: a client of the gateway calls us instead, and every message is tracked.

A connection is opened first; when it stands, the message and the call that begins are committed.
Then the gateway is asked, in a thread of its own, so that whoever waits for the answer never waits
longer than a lease lasts; then the answer is recorded and handed on word for word. The client has
been told, so nothing is ever asked again.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from threading import BoundedSemaphore, Event, Thread
from typing import Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from tracker.domain.reasons import OUR_REFUSAL
from tracker.gateway import Accepted, Answer, Connection, Gateway, NotSent, Refused, Unknown
from tracker.protocol.request import PassRequest
from tracker.store import dropin as rows
from tracker.store import gateway_state, suppressions
from tracker.store.db import Sessions
from tracker.store.models import Scope
from tracker.store.outbox import Claim

from . import accounts, allowance, pace, send
from .allowance import WINDOW_SECONDS, Allowance
from .dropin_checks import Call, CallRefusedError, check_fields, check_form
from .record import NOT_REACHED
from .take import Policy

CALLS_AT_ONCE: Final = 8  # half of the threads that the web part has by default
CALL_SECONDS: Final = 50.0  # with those for recording less than a lease
RECORD_SECONDS: Final = 5.0
LONGEST_TURN: Final = timedelta(seconds=2)  # to wait, where calls may begin only so often
SHORTEST_TURN_SECONDS: Final = 0.05

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Asked:
    """A call under way: the answer, once it is there, and whether it is recorded."""

    answer: Answer | None = None
    is_answered: Event = field(default_factory=Event)
    is_recorded: Event = field(default_factory=Event)


class DropIn:
    """The drop-in of one process; safe to share between threads."""

    def __init__(
        self,
        sessions: Sessions,
        gateway: Gateway | None,
        *,
        zone: ZoneInfo,
        clock: Callable[[], datetime],
        policy: Policy | None = None,
    ) -> None:
        self._sessions = sessions
        self._gateway = gateway
        self._zone = zone
        self._clock = clock
        self._policy = policy or Policy()
        self._room = BoundedSemaphore(CALLS_AT_ONCE)

    def limit(self, calls_at_once: int) -> None:
        """Make no more calls at once than this: a slow gateway may not take every thread."""
        self._room = BoundedSemaphore(max(1, calls_at_once))

    def answer(self, call: Call) -> bytes:
        """Pass a call on and return the gateway's answer, byte for byte.

        Raises:
            CallRefusedError: it was refused here, or what became of it is unknown.
        """
        key = check_form(call.request)
        self._check_key(key, call.request.to)
        check_fields(call.request)
        if self._gateway is None:
            raise _unavailable(call, "this service has no gateway to send by; ask who runs it")
        public_id = uuid4()
        return self._sent(self._gateway, _with_pass_id(call, public_id), public_id)

    def _check_key(self, key: str, to: str | None) -> None:
        """Let in whoever may send, this often; in the gateway's order. Source: PROTOCOL 5."""
        now = self._clock()
        token = accounts.use_token(self._sessions, key, now)
        if token is None:
            raise CallRefusedError("E104", to=to)
        left = allowance.take(self._sessions, token, now)  # what is refused counts too
        if Scope.SEND not in token.scopes:
            raise CallRefusedError("E105", "This API token may not send", to)
        if left is not None and left.is_spent:
            raise CallRefusedError("E106", _too_fast(left), to)

    def _sent(self, gateway: Gateway, call: Call, public_id: UUID) -> bytes:
        room = self._room
        if not room.acquire(blocking=False):
            log.warning("drop-in call turned away: too many at once")
            raise _unavailable(call, "too many calls are under way; ask again in some seconds")
        asked = _Asked()
        try:
            document = gateway.passed_on(call.request, call.original)
            claimed, connection = self._begin(gateway, call.request, public_id)
            arguments = (connection, document, claimed, asked, room)
            Thread(target=self._ask, args=arguments, name="drop-in", daemon=True).start()
        except BaseException:
            room.release()
            raise
        return _told(asked, call, public_id)

    def _begin(
        self, gateway: Gateway, request: PassRequest, public_id: UUID
    ) -> tuple[Claim, Connection]:
        """Commit the message and its call, or why there is none; a turn is waited for a little.

        No connection is opened before there may be a call, and no call begins without one: whatever
        dies while it connects leaves nothing that nobody can say the outcome of.
        """
        latest = self._clock() + LONGEST_TURN
        opened: Connection | NotSent | None = None
        try:
            while True:
                taken = self._take(opened, request, public_id, latest)
                if isinstance(taken, Claim):
                    assert isinstance(opened, Connection)  # noqa: S101  # no call without one
                    return taken, opened
                if taken.count:
                    opened = gateway.connect()
                else:
                    time.sleep(SHORTEST_TURN_SECONDS)
        except BaseException:
            if isinstance(opened, Connection):
                opened.close()
            raise

    def _take(
        self,
        opened: Connection | NotSent | None,
        request: PassRequest,
        public_id: UUID,
        latest: datetime,
    ) -> Claim | pace.Allowance:
        """Begin the call if it may be made and its connection stands; else say what is allowed.

        Raises:
            CallRefusedError: there will be no call, and the message is written down as refused.
        """
        now = self._clock()
        with self._sessions.begin() as session:
            turn = pace.allowance(session, 1, self._policy.rate, now)
            refusal = _refusal(session, request, turn, latest) or _not_reached(opened)
            if refusal is not None:
                rows.refuse(session, request, public_id, *refusal, now)
            elif turn.count and opened is not None:
                turn.take(session, 1, now)
                return rows.begin(session, request, public_id, now, is_probe=turn.is_probe)
        if refusal is not None:
            code, why = refusal
            raise CallRefusedError(code, f"{why}; message {public_id}", request.to)
        return turn

    def _ask(
        self,
        connection: Connection,
        document: bytes,
        claimed: Claim,
        asked: _Asked,
        room: BoundedSemaphore,
    ) -> None:
        try:
            asked.answer = _answer(connection, document)
            asked.is_answered.set()
            sent = send.record_patiently(
                self._sessions,
                claimed,
                asked.answer,
                zone=self._zone,
                clock=self._clock,
                default_from=self._policy.default_from,
                is_final=True,
            )
            extra = {
                "public_id": str(sent.public_id), "outcome": sent.outcome, "status": sent.status
            }  # fmt: skip
            log.info("drop-in call made", extra=extra)
        except Exception:
            # The lease settles it: unknown, though the client has its answer.
            log.exception("call not recorded", extra={"public_id": str(claimed.public_id)})
        finally:
            asked.is_recorded.set()
            room.release()


def gateway_of(url: str | None, api_key: str | None, timeout_seconds: float) -> Gateway | None:
    """Return the gateway to pass calls on to; None when the settings name none."""
    return Gateway(url, api_key, timeout_seconds) if url and api_key else None


def _with_pass_id(call: Call, public_id: UUID) -> Call:
    """Give the pass an id of ours where it has none: the only field that postbacks echo."""
    pass_data = {"CUSTOMPASSID": public_id.hex, **call.request.pass_data}
    return replace(call, request=replace(call.request, pass_data=pass_data))


def _answer(connection: Connection, document: bytes) -> Answer:
    try:
        connection.start(document)
        return connection.finish()
    except Exception as error:  # nobody can say how far it came
        log.exception("call failed")
        return Unknown(f"the call failed here: {type(error).__name__}")


def _told(asked: _Asked, call: Call, public_id: UUID) -> bytes:
    """Return what the gateway says once it is recorded, or soon after all the same."""
    asked.is_answered.wait(CALL_SECONDS)
    if asked.is_answered.is_set():
        asked.is_recorded.wait(RECORD_SECONDS)
    match asked.answer:
        case Accepted(raw=raw) | Refused(raw=raw):
            return raw
        case Unknown(why=why):
            raise _unknown(why, call, public_id)
    raise _unknown("no answer in time", call, public_id)


def _unknown(why: str, call: Call, public_id: UUID) -> CallRefusedError:
    info = (
        f"The outcome is unknown: {why}. The gateway may have taken it;"
        f" look at message {public_id} before you send it again"
    )
    return CallRefusedError("E503", info, _to(call))


def _unavailable(call: Call, why: str) -> CallRefusedError:
    return CallRefusedError("E503", f"{OUR_REFUSAL}{why}", _to(call))


def _refusal(
    session: Session, request: PassRequest, turn: pace.Allowance, latest: datetime
) -> tuple[str, str] | None:
    """Return code and text of why there is no call: none to this number, none now, or so soon."""
    if found := suppressions.find(session, request.to or ""):
        info = f"the number is suppressed here since {found.since:%Y-%m-%d} ({found.reason})"
        return "E114", f"{OUR_REFUSAL}{info}"
    if turn.count:
        return None
    state = gateway_state.read(session)
    if state.is_paused:
        info = f"sending is paused since {state.paused_at:%Y-%m-%d %H:%M} UTC: {state.paused_why}"
        return "E503", f"{OUR_REFUSAL}{info}"
    if turn.next_at is None or turn.next_at > latest:
        info = "calls come faster than the gateway may be called; ask again later"
        return "E106", f"{OUR_REFUSAL}{info}"
    return None


def _not_reached(opened: Connection | NotSent | None) -> tuple[str, str] | None:
    """Say that there was no connection, or that the gateway hung up before it was asked."""
    is_gone = isinstance(opened, NotSent) or (opened is not None and not opened.is_open())
    return ("E503", NOT_REACHED) if is_gone else None


def _too_fast(left: Allowance) -> str:
    """Name the interval, as the gateway's E106 does: one that keeps to the limit."""
    interval = ceil(WINDOW_SECONDS / left.limit)
    return (
        f"{OUR_REFUSAL}this API token may make {left.limit} calls a minute; the minimum interval"
        f" is {interval} s, and the next call is taken in {left.reset_seconds} s"
    )


def _to(call: Call) -> str | None:
    return call.request.to
