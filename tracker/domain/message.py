"""What the company wants sent: one pass for one recipient, checked and in the gateway's terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SlideText:
    """Text in place of one slide's own; slides count from 1 to 8."""

    slide: int
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The discovery message (DDM) asked for; sent only when there is a text (PROTOCOL 4.5)."""

    title: str | None = None
    text: str | None = None
    timeout_minutes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassMessage:
    """One message to send. Made by `validation.check` alone, so every field is known to be good."""

    to: str
    mms_id: str
    from_: str
    campaign_ref: str | None = None
    reference: str | None = None
    custom_subject: str | None = None
    custom_text: tuple[SlideText, ...] = ()
    ddm: Discovery | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    pass_data: Mapping[str, str] = field(default_factory=dict)
    send_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that is wrong: which, what it held, and what would be right."""

    field: str
    value: object
    detail: str


class InvalidMessageError(ValueError):
    """A message cannot be sent as asked; `problems` names every field at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.detail}" for p in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Checked:
    """A message that may be sent, with what is worth saying about it all the same."""

    message: PassMessage
    warnings: tuple[Problem, ...] = ()
