"""Everything that can be set about the sandbox; the defaults are the fixture of PROTOCOL 9."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from . import fixture
from .behaviour import Behaviour, check_answer
from .chance import NONE, Span
from .rules import Rule
from .template import Template

__all__ = ["Behaviour", "Delays", "SandboxOptions", "Template"]

_USUAL = Behaviour()
KEPT_AT_MOST: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Seconds of gateway time between the steps of one message.

    The defaults bring N101 well within 10 s of the call, discovery included.
    """

    discovery: float = 0.3  # call to N501
    discovery_receipt: float = 1.0  # N501 to N502 or E502
    sending: float = 0.3  # call or end of discovery to N101
    receipt: float = 2.5  # N101 to its receipt
    longest_discovery: float = 6.0  # DDMTIMEOUT is in minutes; nobody waits that long here


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """One account at the gateway, and how the gateway is to behave."""

    api_key: str = fixture.API_KEY
    senders: frozenset[str] = fixture.SENDERS
    default_sender: str = fixture.DEFAULT_SENDER  # for numbers outside of `country_code`
    country_code: int = fixture.COUNTRY_CODE
    templates: Mapping[str, Template] = field(default_factory=lambda: fixture.TEMPLATES)
    blocked: frozenset[str] = fixture.BLOCKED
    campaign_check: bool = False
    subscriptions: Mapping[str, frozenset[str]] = field(default_factory=dict)  # numbers by campaign

    behaviours: Mapping[str, Behaviour] = field(default_factory=lambda: fixture.BEHAVIOURS)
    answer: str = "normal"  # to every call: a fault or an error code, see Behaviour
    title: str | None = None  # of the scenario
    rules: tuple[Rule, ...] = ()  # ahead of `behaviours`
    seed: int = 0  # of all chance

    states: frozenset[str] = frozenset()  # of the account, at the start
    calls_per_second: float | None = None
    rate_code: str = "E106"  # what a faster one gets; E113
    allowance: int | None = None  # calls until E120

    answer_delay_seconds: float = 0.0
    answer_span: Span = NONE  # beyond it, each call its own
    slow_seconds: float = 60.0  # how late the answer "slow" comes

    known_handsets: Mapping[str, str] = field(default_factory=dict)  # the cache at the start
    handsets: tuple[str, ...] = fixture.HANDSETS
    spids: tuple[str, ...] = fixture.SPIDS
    silent_spids: frozenset[str] = frozenset()  # carriers that give no receipts

    postback_url: str | None = None
    delays: Delays = Delays()
    delay_spans: Mapping[str, Span] = field(default_factory=dict)  # in place of `delays`, by name
    retry_seconds: float = 300.0
    retries: int = 5
    time_factor: float = 1.0  # multiplies delays and retry_seconds
    receiver_seconds: float = 10.0  # real ones, for connecting and answering
    workers: int = 8

    report_days: float = 31.0  # a longer period is E509
    report_seconds: float = 10.0  # real ones, between two statistics calls; sooner is E510

    kept_calls: int = 1000
    kept_postbacks: int = 5000

    def __post_init__(self) -> None:
        check_answer(self.answer)

    def behaviour_for(self, number: str) -> Behaviour:
        """Return the behaviour for a number: its own, else that of its longest suffix."""
        for start in range(len(number)):
            if found := self.behaviours.get(number[start:]):
                return found
        return _USUAL
