"""The gateway itself: judges calls, numbers messages, caches handsets, has postbacks posted.

All state is in memory and bounded; a restart begins clean.
"""

import asyncio
import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlencode

from tracker.protocol.request import PassRequest
from tracker.protocol.response import GatewayResponse, response_xml

from .account import Account
from .behaviour import Behaviour, Dialect, is_error_code
from .checks import Accepted, Refused, judge
from .delivery import Discovery, Step, event_by_hand, plan
from .dialects import content_type, postback_body
from .message import Event, Message
from .numbers import first_history_number, first_tracking_number, pick
from .options import Delays, SandboxOptions
from .postman import Letter, Postman
from .records import Call, Posted
from .reports import Reports, is_report_action
from .rules import Rulebook


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the caller gets: XML, or a fault in its place; `follow_up` sends the postbacks off.

    Where postbacks come ahead of the answer, `first` sends them and then calls what it is given.
    """

    xml: bytes
    fault: str = "normal"
    wait_seconds: float = 0.0
    drip_seconds: float = 0.0
    follow_up: Callable[[], None] | None = None
    first: Callable[[Callable[[], None]], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One readable call on its way through the gateway."""

    request: PassRequest
    behaviour: Behaviour
    demanded: str
    rule: str | None
    attempt: int
    wait_seconds: float

    @property
    def number(self) -> str:
        return self.request.to or ""


class Gateway:
    """One account at the gateway."""

    def __init__(
        self, options: SandboxOptions, loop: asyncio.AbstractEventLoop, now: datetime
    ) -> None:
        self.options = options
        self.postman = Postman(options, loop)
        self.account = Account(
            options.states,
            calls_per_second=options.calls_per_second,
            rate_code=options.rate_code,
            allowance=options.allowance,
        )
        self.rulebook = Rulebook(options.rules, options.seed)
        self.reports = Reports(options)
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque(maxlen=options.kept_calls)
        self._posted: deque[Posted] = deque(maxlen=options.kept_postbacks)
        self._demands: Counter[str] = Counter()  # answers on demand given, by number
        self._handsets = dict(options.known_handsets)
        self._call_numbers = itertools.count(1)
        self._posted_numbers = itertools.count(1)
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

    def forget_handsets(self) -> None:
        """Clear the handset cache."""
        with self._lock:
            self._handsets.clear()

    # Calls.

    def answer(self, request: PassRequest | Refused) -> Answer:
        """Judge one call and say what the caller gets; this never waits."""
        usual = self._usual_wait()
        if isinstance(request, Refused):
            return self._refuse(None, request, usual)
        if is_report_action(request.action):
            return Answer(xml=self.reports.answer(request, self.account), wait_seconds=usual)
        case = self._case(request, usual)
        judged = judge(request, self.options, case.demanded)
        if isinstance(judged, Refused):
            if case.behaviour.error_info and judged.code == case.demanded:
                judged = replace(judged, info=case.behaviour.error_info)
            return self._refuse(case, judged, case.wait_seconds)
        return self._accept(case, judged)

    def post_by_hand(
        self, call: Call, code: str, dialect: Dialect, *, phrase: str | None, is_form: bool
    ) -> Posted:
        """Post any code about a message, now.

        Raises:
            ValueError: the call made no message.
        """
        if call.message is None:
            raise ValueError("the call was refused, so there is no message")
        behaviour = replace(
            call.message.behaviour, dialect=dialect, form_encoded=is_form, together=False
        )
        # The ids stay those of the answer, whatever the dialect.
        event = event_by_hand(call.message, code, phrase)
        letter = self._letter(replace(call.message, behaviour=behaviour), [event], by_hand=True)
        self.postman.post([(0.0, letter)])
        return letter.record

    def post_again(self, posted: Posted) -> Posted:
        """Post the very bytes of a postback once more."""
        return self.post_body(posted.body, posted.content_type, like=posted)

    def post_body(self, body: bytes, label: str, *, like: Posted | None = None) -> Posted:
        """Post any bytes under any content type."""
        record = Posted(
            id=next(self._posted_numbers),
            code=like.code if like else "",
            number=like.number if like else "",
            tracking_id=like.tracking_id if like else "",
            content_type=label,
            by_hand=True,
            body=body,
        )
        with self._lock:
            self._posted.append(record)
        letter = Letter(record=record, write=lambda _now: body, content_type=label)
        self.postman.post([(0.0, letter)])
        return record

    def _usual_wait(self) -> float:
        span = self.options.answer_span
        drawn = span.drawn(self.options.seed, "answer", time.monotonic_ns()) if span.high else 0.0
        return self.options.answer_delay_seconds + drawn

    def _case(self, request: PassRequest, usual_wait: float) -> _Case:
        number = request.to or ""
        rule, call = self.rulebook.choose(number, request.mms_id)
        if rule:
            behaviour = rule.behaviour
            demanded = behaviour.answer if behaviour.answer != "normal" else self.options.answer
        else:
            behaviour = self.options.behaviour_for(number)
            demanded = self._demanded(number, behaviour)
        own = behaviour.answer_delay.drawn(self.options.seed, "delay", number, call.attempt)
        return _Case(
            request=request,
            behaviour=behaviour,
            demanded=self.account.code(time.monotonic()) or demanded,
            rule=rule.name if rule else None,
            attempt=call.attempt,
            wait_seconds=usual_wait + own,
        )

    def _demanded(self, number: str, behaviour: Behaviour) -> str:
        if behaviour.answer == "normal":
            return self.options.answer
        with self._lock:
            self._demands[number] += 1
            given = self._demands[number]
        is_over = behaviour.answer_times is not None and given > behaviour.answer_times
        return self.options.answer if is_over else behaviour.answer

    def _refuse(self, case: _Case | None, judged: Refused, wait: float) -> Answer:
        request = case.request if case else None
        self._note(Call(
            id=next(self._call_numbers),
            number=request.to if request else None,
            mms_id=request.mms_id if request else None,
            tracking_id=None,
            error_code=judged.code,
            received_at=datetime.now(UTC),
            request=request,
            answer=judged.code,
            rule=case.rule if case else None,
        ))  # fmt: skip
        response = GatewayResponse(
            status="Failure",
            error_code=judged.code,
            to=request.to if request else None,
            error_info=judged.info,
        )
        return Answer(xml=_written(response, case), wait_seconds=wait)

    def _accept(self, case: _Case, judged: Accepted) -> Answer:
        message = self._message(case, judged)
        steps = self._plan(case, message)
        fault = "normal" if is_error_code(case.demanded) else case.demanded
        self._note(Call(
            id=next(self._call_numbers),
            number=message.to,
            mms_id=message.mms_id,
            tracking_id=message.tracking_id,
            error_code=None,
            received_at=datetime.now(UTC),
            request=case.request,
            answer=fault,
            rule=case.rule,
            message=message,
            steps=steps,
        ))  # fmt: skip
        response = GatewayResponse(
            status="Success",
            mms_id=message.mms_id,
            tracking_id=None if fault == "no_tracking_id" else message.tracking_id,
            to=message.to,
            from_=message.sender,
        )
        letters = self._letters(message, steps)
        is_first = case.behaviour.postback_before_answer
        return Answer(
            xml=_written(response, case),
            fault=fault,
            wait_seconds=case.wait_seconds,
            drip_seconds=case.behaviour.drip_seconds,
            first=partial(self.postman.post_first, letters) if is_first else None,
            follow_up=None if is_first else partial(self.postman.post, letters),
        )

    def _message(self, case: _Case, judged: Accepted) -> Message:
        with self._lock:
            tracking_number = next(self._tracking_numbers)
            history_number = next(self._history_numbers)
            handset = self._handsets.get(judged.to)
        behaviour = case.behaviour
        return Message(
            to=judged.to,
            mms_id=judged.mms_id,
            sender=judged.sender,
            tracking_number=tracking_number,
            history_number=history_number,
            spid=behaviour.spid or pick(judged.to, self.options.spids),
            handset=behaviour.handset or handset or pick(judged.to, self.options.handsets),
            aggregator_id="-".join(
                f"{(tracking_number * k) % 100000:05}" for k in (1, 3, 7, 11, 13)
            ),
            custom_pass_id=case.request.pass_data.get("CUSTOMPASSID"),
            behaviour=behaviour,
            has_plain_ids=behaviour.is_legacy,
        )

    # Postbacks.

    def _plan(self, case: _Case, message: Message) -> tuple[Step, ...]:
        with self._lock:
            knows_handset = message.to in self._handsets
        return plan(
            message,
            discovery_of(case.request),
            self._delays(case),
            knows_handset=knows_handset,
            gives_receipts=message.spid not in self.options.silent_spids,
        )

    def _delays(self, case: _Case) -> Delays:
        own = {"sending": case.behaviour.n101_delay, "receipt": case.behaviour.receipt_delay}
        spans = {**self.options.delay_spans, **{name: span for name, span in own.items() if span}}
        if not spans:
            return self.options.delays
        drawn = {
            name: span.drawn(self.options.seed, name, case.number, case.attempt)
            for name, span in spans.items()
        }
        return replace(self.options.delays, **drawn)

    def _letters(self, message: Message, steps: Sequence[Step]) -> list[tuple[float, Letter]]:
        due = [step for step in steps if not step.is_dropped]
        if message.behaviour.together and due:
            return [(due[-1].at, self._letter(message, [step.event for step in due]))]
        return [(step.at, self._letter(message, [step.event])) for step in due]

    def _letter(self, message: Message, events: list[Event], *, by_hand: bool = False) -> Letter:
        behaviour = message.behaviour
        label = content_type(behaviour.dialect, is_form=behaviour.form_encoded)
        record = Posted(
            id=next(self._posted_numbers),
            code="+".join(event.code for event in events),
            number=message.to,
            tracking_id=message.tracking_id,
            content_type=label,
            by_hand=by_hand,
        )
        with self._lock:
            self._posted.append(record)
        return Letter(
            record=record,
            write=partial(self._write, message, events),
            content_type=label,
            copies=2 if behaviour.duplicate and not by_hand else 1,
        )

    def _write(self, message: Message, events: list[Event], now: datetime) -> bytes:
        for event in events:
            if event.names_handset:
                with self._lock:
                    self._handsets[message.to] = event.names_handset
        body = postback_body(events, message.behaviour.dialect, now)
        return urlencode({"xml": body}).encode("ascii") if message.behaviour.form_encoded else body

    def _note(self, call: Call) -> None:
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


def _written(response: GatewayResponse, case: _Case | None) -> bytes:
    is_sinch = case is not None and case.behaviour.dialect in ("sinch", "json")
    return response_xml(response, dialect="sinch" if is_sinch else "skycore")
