"""The plan of a message: which postbacks follow its acceptance, and when. Pure.

Source: PROTOCOL 4.5 (discovery), 4.6 (order), 4.7 (links), 6.3 (elements), 6.5 (phrases).
"""

from dataclasses import dataclass, replace
from typing import Final

from .behaviour import Outcome
from .extras import extra_event
from .message import Event, Message
from .options import Delays


@dataclass(frozen=True, slots=True)
class Step:
    """One postback and when it is due, in seconds of gateway time after the acceptance."""

    at: float
    event: Event
    is_dropped: bool = False  # it happened, and is never posted


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What the call says about a discovery message (DDM)."""

    is_asked_for: bool = False
    is_forced: bool = False
    timeout_seconds: float = 300.0

    def is_needed(self, *, knows_handset: bool) -> bool:
        """Say whether a discovery message is sent. Source: PROTOCOL 4.5, the table."""
        return self.is_forced or (self.is_asked_for and not knows_handset)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """What one postback says, apart from the message it is about."""

    code: str
    phrase: str
    sent_as: str = "MMS"
    details: str | None = None
    has_handset: bool = False
    is_sms: bool = False  # about the SMS with the link, under its own id


_LINK_REASON: Final = "Handset setting: mms with pass via xHTML"
_SENT: Final = _Word(code="N101", phrase="Message Sent")
_LINK_SENT: Final = replace(_SENT, sent_as="SMS", details=_LINK_REASON)
_DELIVERED: Final = _Word(code="N102", phrase="Message Sent/Delivered", has_handset=True)
_LINK_DELIVERED: Final = _Word(code="N202", phrase="Message Sent/Delivered", sent_as="SMS")
_LINK_FAILED: Final = replace(
    _LINK_DELIVERED, code="E202", phrase="Message Sent/Failed", details="Number not in service"
)
_UNSUPPORTED: Final = replace(_DELIVERED, phrase="Message Sent/NotSupported")
_WORDS: Final[dict[Outcome, tuple[_Word, ...]]] = {
    "link": (_LINK_SENT, _LINK_DELIVERED),
    "link_failed": (_LINK_SENT, _LINK_FAILED),
    "no_receipt": (_SENT,),
    "expired": (_SENT, _Word(code="N102", phrase="Message Sent/Expired")),
    "rejected": (_SENT, _Word(code="N102", phrase="Message Sent/Rejected")),
    "unsupported": (_SENT, _UNSUPPORTED),
    "failed": (
        _Word(code="E101", phrase="Message Failed", details="Error fetching dynamic content"),
    ),
    "failed_late": (
        _SENT,
        _Word(code="E102", phrase="Message Sent/Failed", details="Recipient not reachable"),
    ),
}
_SINCH_WORDS: Final[dict[Outcome, tuple[_Word, ...]]] = {
    "link": (_LINK_SENT, replace(_LINK_DELIVERED, code="N102")),
    "expired": (_SENT, _Word(code="N103", phrase="Message Sent/Expired")),
    "unsupported": (_SENT, replace(_UNSUPPORTED, phrase="Message Sent/Not Supported")),
}
# There, N102 says that the SMS left, and the SMS has receipts of its own. Source: PROTOCOL 6.8.
_LEGACY_LINK_LEFT: Final = _Word(code="N102", phrase="Message Sent", sent_as="SMS")
_LEGACY_WORDS: Final[dict[Outcome, tuple[_Word, ...]]] = {
    "link": (_LINK_SENT, _LEGACY_LINK_LEFT, replace(_LINK_DELIVERED, is_sms=True)),
    "link_failed": (_LINK_SENT, _LEGACY_LINK_LEFT, replace(_LINK_FAILED, is_sms=True)),
}
_DIALECT_WORDS: Final = {
    "sinch": _SINCH_WORDS,
    "json": _SINCH_WORDS,
    "legacy": _LEGACY_WORDS,
    "legacy_bare": _LEGACY_WORDS,
}

_DDM_SENT: Final = replace(_SENT, code="N501")
_DDM_DELIVERED: Final = replace(_DELIVERED, code="N502")
_DDM_FAILED: Final = _Word(code="E501", phrase="Message Failed", details="Error sending DDM")
_DDM_UNDELIVERED: Final = _Word(
    code="E502", phrase="Message Sent/Rejected", details="Recipient blocked by mobile operator"
)

_BY_HAND: Final = {
    word.code: word
    for word in (
        _SENT,
        _DELIVERED,
        _LINK_DELIVERED,
        _LINK_FAILED,
        _Word(code="N103", phrase="Message Sent/Expired"),
        *_WORDS["failed"],
        _WORDS["failed_late"][1],
        _DDM_SENT,
        _DDM_DELIVERED,
        _DDM_FAILED,
        _DDM_UNDELIVERED,
    )
}

# The elements beyond those that every postback has. Source: PROTOCOL 6.3; N501 and E501 read as
# N101 and E101 do, N502 and E502 as N102 and E102.
_ELEMENTS: Final = {
    "N101": {"SENTAS", "MMSID", "TIMESTAMP"},
    "N501": {"SENTAS", "MMSID", "TIMESTAMP"},
    "N202": {"SENTAS", "TIMESTAMP", "AGGREGATORID"},
    "E202": {"SENTAS", "TIMESTAMP", "AGGREGATORID"},
    "E101": {"MMSID"},
    "E501": {"MMSID"},
    "E102": {"MMSID", "TIMESTAMP", "AGGREGATORID"},
    "E502": {"MMSID", "TIMESTAMP", "AGGREGATORID"},
}
_RECEIPT_ELEMENTS: Final = {"SENTAS", "MMSID", "TIMESTAMP", "AGGREGATORID"}


def plan(
    message: Message,
    discovery: Discovery,
    delays: Delays,
    *,
    knows_handset: bool = False,
    gives_receipts: bool = True,
) -> tuple[Step, ...]:
    """Return everything that becomes of a message, as its behaviour wants it."""
    steps: list[Step] = []
    start = 0.0
    if discovery.is_needed(knows_handset=knows_handset):
        steps, start = _discovery(message, discovery, delays)
    steps += _sending(message, start, delays, gives_receipts=gives_receipts)
    dropped = message.behaviour.drop
    steps = [replace(step, is_dropped=step.event.code in dropped) for step in steps]
    end = max((step.at for step in steps if not step.is_dropped), default=start)
    steps += [Step(end + 0.1, extra_event(message, code)) for code in message.behaviour.also]
    wait = message.behaviour.delay_seconds
    if message.behaviour.together and steps:
        wait, end = 0.0, wait + max(step.at for step in steps)
        steps = [replace(step, at=end) for step in steps]
    return tuple(replace(step, at=step.at + wait) for step in steps)


def event_by_hand(message: Message, code: str, phrase: str | None) -> Event:
    """Return a postback of any code about a message, with another phrase if one is given."""
    word = _BY_HAND.get(code)
    event = _event(message, word) if word else extra_event(message, code)
    return replace(event, fields={**event.fields, "STATUS": phrase}) if phrase else event


def _discovery(message: Message, discovery: Discovery, delays: Delays) -> tuple[list[Step], float]:
    """Return the steps of the discovery message, and when the message itself starts."""
    sent_at = delays.discovery
    told_at = sent_at + delays.discovery_receipt
    patience = sent_at + min(discovery.timeout_seconds, delays.longest_discovery)
    sent = Step(sent_at, _event(message, _DDM_SENT))
    match message.behaviour.outcome:
        case "ddm_failed":
            return [Step(sent_at, _event(message, _DDM_FAILED))], sent_at
        case "ddm_timeout":
            return [sent], patience
        case "ddm_undelivered":
            receipt = _event(message, _DDM_UNDELIVERED)
        case _:
            receipt = _event(message, _DDM_DELIVERED)
    # A receipt after the timeout still improves the cache; it triggers no second message.
    return [sent, Step(told_at, receipt)], min(told_at, patience)


def _sending(message: Message, start: float, delays: Delays, *, gives_receipts: bool) -> list[Step]:
    words = _words(message)
    if not gives_receipts:
        words = words[:1]
    first = start + delays.sending
    times = [first + number * delays.receipt for number in range(len(words))]
    if message.behaviour.reorder:
        times.reverse()
    steps = [Step(at, _event(message, word)) for at, word in zip(times, words, strict=True)]
    return sorted(steps, key=lambda step: step.at)


def _words(message: Message) -> tuple[_Word, ...]:
    outcome = message.behaviour.outcome
    of_dialect = _DIALECT_WORDS.get(message.behaviour.dialect, {})
    return of_dialect.get(outcome) or _WORDS.get(outcome) or (_SENT, _DELIVERED)


def _event(message: Message, word: _Word) -> Event:
    elements = _ELEMENTS.get(word.code, _RECEIPT_ELEMENTS)
    fields = {
        "STATUS": word.phrase,
        "FROM": message.sender,
        "TO": message.to,
        "TRACKINGID": message.sms_id if word.is_sms else message.tracking_id,
        "SPID": message.spid,
        "HISTORYID": str(message.history_number + word.is_sms),
    }
    possible = {
        "SENTAS": word.sent_as,
        "MMSID": message.mms_id,
        "AGGREGATORID": message.aggregator_id,
    }
    fields |= {name: value for name, value in possible.items() if name in elements}
    if word.details:
        fields["STATUSDETAILS"] = word.details
    if word.has_handset:
        fields["HANDSET"] = message.handset
    if word is _LEGACY_LINK_LEFT:
        fields["SMSID"] = message.sms_id
    return Event(
        code=word.code,
        origin="SMS_MT" if word.is_sms else "MMS_MT",
        fields=fields,
        is_timed="TIMESTAMP" in elements,
        names_handset=message.handset if word.has_handset else None,
    )
