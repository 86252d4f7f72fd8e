"""What the sandbox remembers of calls and postbacks, for people and for tests."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tracker.protocol.request import PassRequest

from .delivery import Step
from .message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call and how it was judged; a fault may have kept the answer from the caller."""

    id: int
    number: str | None
    mms_id: str | None
    tracking_id: str | None  # None when refused
    error_code: str | None
    received_at: datetime
    request: PassRequest | None = field(repr=False)  # None when unreadable
    answer: str = "normal"  # what the caller got: an error code, or a fault in place of the XML
    rule: str | None = None  # of the scenario, when one applied
    message: Message | None = field(default=None, repr=False)  # None when refused
    steps: tuple[Step, ...] = field(default=(), repr=False)  # what becomes of it


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST of a postback: an HTTP status, or what went wrong instead."""

    started_at: datetime
    status: int | None
    problem: str | None = None

    @property
    def is_accepted(self) -> bool:
        """Only 200 in time counts. Source: PROTOCOL 6.1."""
        return self.status == 200 and self.problem is None


@dataclass(slots=True, kw_only=True)
class Posted:
    """One postback and all its attempts; `state` is "unposted" where no URL is set."""

    id: int
    code: str
    number: str
    tracking_id: str
    content_type: str
    by_hand: bool = False
    body: bytes = b""
    attempts: list[Attempt] = field(default_factory=list)
    state: Literal["waiting", "accepted", "dropped", "unposted"] = "waiting"
