"""The gateway itself: judges calls, numbers messages, caches handsets, has postbacks posted.

All state is in memory; a restart begins clean.
"""

import asyncio
import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlencode

from tracker.protocol.request import PassRequest
from tracker.protocol.response import GatewayResponse, response_xml

from .behaviour import Behaviour, is_error_code
from .checks import Accepted, Refused, judge
from .delivery import Discovery, Step, plan
from .dialects import postback_xml
from .message import Event, Message
from .numbers import first_history_number, first_tracking_number, pick
from .options import SandboxOptions
from .postman import Letter, Postman
from .records import Call, Posted


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets: XML, or a fault in its place; `follow_up` sends the postbacks off.

    Where postbacks come ahead of the answer, `first` sends them and then calls what it is given.
    """

    xml: bytes
    fault: str = "normal"
    follow_up: Callable[[], None] | None = None
    first: Callable[[Callable[[], None]], None] | None = None


class Gateway:
    """One account at the gateway."""

    def __init__(
        self, options: SandboxOptions, loop: asyncio.AbstractEventLoop, now: datetime
    ) -> None:
        self.options = options
        self.postman = Postman(options, loop)
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque(maxlen=options.kept_calls)
        self._posted: deque[Posted] = deque(maxlen=options.kept_postbacks)
        self._demands: Counter[str] = Counter()  # answers on demand given, by number
        self._handsets = dict(options.known_handsets)
        self._tracking_numbers = itertools.count(first_tracking_number(now))
        # A link takes a second number of the history: that of its SMS.
        self._history_numbers = itertools.count(first_history_number(now), 2)

    @property
    def calls(self) -> list[Call]:
        """The last calls, oldest first."""
        with self._lock:
            return list(self._calls)

    @property
    def postbacks(self) -> list[Posted]:
        """The last postbacks, oldest first, those that are still to be posted among them."""
        with self._lock:
            return list(self._posted)

    @property
    def handsets(self) -> dict[str, str]:
        """The handset cache, by number."""
        with self._lock:
            return dict(self._handsets)

    def answer(self, request: PassRequest | Refused) -> Answer:
        """Judge one call and say what the caller gets; this never waits."""
        if isinstance(request, Refused):
            return self._refuse(None, request)
        behaviour = self.options.behaviour_for(request.to or "")
        demanded = self._demanded(request.to or "", behaviour)
        judged = judge(request, self.options, demanded)
        if isinstance(judged, Refused):
            return self._refuse(request, judged, behaviour)
        return self._accept(request, judged, behaviour, demanded)

    def _demanded(self, number: str, behaviour: Behaviour) -> str:
        if behaviour.answer == "normal":
            return self.options.answer
        with self._lock:
            self._demands[number] += 1
            given = self._demands[number]
        is_over = behaviour.answer_times is not None and given > behaviour.answer_times
        return self.options.answer if is_over else behaviour.answer

    def _refuse(
        self, request: PassRequest | None, judged: Refused, behaviour: Behaviour | None = None
    ) -> Answer:
        number = request.to if request else None
        self._note(request, None, judged.code)
        response = GatewayResponse(
            status="Failure", error_code=judged.code, to=number, error_info=judged.info
        )
        return Answer(_written(response, behaviour))

    def _accept(
        self, request: PassRequest, judged: Accepted, behaviour: Behaviour, demanded: str
    ) -> Answer:
        message = self._message(request, judged, behaviour)
        self._note(request, message.tracking_id, None)
        response = GatewayResponse(
            status="Success",
            mms_id=message.mms_id,
            tracking_id=None if demanded == "no_tracking_id" else message.tracking_id,
            to=message.to,
            from_=message.sender,
        )
        fault = "normal" if is_error_code(demanded) else demanded
        letters = self._letters(request, message)
        written = _written(response, behaviour)
        if behaviour.postback_before_answer:
            return Answer(written, fault, first=partial(self.postman.post_first, letters))
        return Answer(written, fault, partial(self.postman.post, letters))

    def _message(self, request: PassRequest, judged: Accepted, behaviour: Behaviour) -> Message:
        with self._lock:
            tracking_number = next(self._tracking_numbers)
            history_number = next(self._history_numbers)
            handset = self._handsets.get(judged.to)
        return Message(
            to=judged.to,
            mms_id=judged.mms_id,
            sender=judged.sender,
            tracking_number=tracking_number,
            history_number=history_number,
            spid=pick(judged.to, self.options.spids),
            handset=handset or pick(judged.to, self.options.handsets),
            aggregator_id="-".join(
                f"{(tracking_number * k) % 100000:05}" for k in (1, 3, 7, 11, 13)
            ),
            custom_pass_id=request.pass_data.get("CUSTOMPASSID"),
            behaviour=behaviour,
        )

    def _letters(self, request: PassRequest, message: Message) -> list[tuple[float, Letter]]:
        steps = plan(
            message,
            discovery_of(request),
            self.options.delays,
            knows_handset=self._knows(message.to),
            gives_receipts=message.spid not in self.options.silent_spids,
        )
        return [(step.at, self._letter(message, step)) for step in steps]

    def _knows(self, number: str) -> bool:
        with self._lock:
            return number in self._handsets

    def _letter(self, message: Message, step: Step) -> Letter:
        record = Posted(code=step.event.code, number=message.to, tracking_id=message.tracking_id)
        with self._lock:
            self._posted.append(record)
        is_form = message.behaviour.form_encoded
        return Letter(
            record=record,
            write=partial(self._write, message, step.event),
            content_type=(
                "application/x-www-form-urlencoded" if is_form else "text/xml; charset=utf-8"
            ),
            copies=2 if message.behaviour.duplicate else 1,
        )

    def _write(self, message: Message, event: Event, now: datetime) -> bytes:
        if event.names_handset:
            with self._lock:
                self._handsets[message.to] = event.names_handset
        body = postback_xml(event, message.behaviour.dialect, now)
        return urlencode({"xml": body}).encode("ascii") if message.behaviour.form_encoded else body

    def _note(
        self, request: PassRequest | None, tracking_id: str | None, error_code: str | None
    ) -> None:
        call = Call(
            number=request.to if request else None,
            mms_id=request.mms_id if request else None,
            tracking_id=tracking_id,
            error_code=error_code,
            received_at=datetime.now(UTC),
            request=request,
        )
        with self._lock:
            self._calls.append(call)


def discovery_of(request: PassRequest) -> Discovery:
    """Read what a call says about discovery; what is no number of minutes is the default, 5.

    Source: PROTOCOL 4.5; DDMFORCE is of a later edition.
    """
    minutes = request.ddm_timeout or ""
    is_number = minutes.isascii() and minutes.isdigit()
    return Discovery(
        is_asked_for=bool(request.ddm_text),
        is_forced=request.others.get("DDMFORCE", "").lower() in {"1", "true", "yes"},
        timeout_seconds=60.0 * float(minutes) if is_number else 300.0,
    )


def _written(response: GatewayResponse, behaviour: Behaviour | None) -> bytes:
    is_sinch = behaviour is not None and behaviour.dialect == "sinch"
    return response_xml(response, dialect="sinch" if is_sinch else "skycore")
