"""What reads return: frozen rows, safe to use after the session is closed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from tracker.domain.settling import Settled
from tracker.domain.status import Status, label

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One keyset page, newest first; `next_cursor` is None on the last one.

    A page that had much to look through may be short of items: then `looked_to` says how far back
    it looked, and the next one goes on from there.
    """

    items: list[T]
    next_cursor: str | None
    looked_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """One message without its contents. Numbers are digits as on the wire."""

    id: int
    public_id: UUID
    status: Status
    recipient: str
    sender: str
    mms_id: str
    campaign_ref: str | None
    reference: str | None
    custom_pass_id: str
    created_at: datetime
    updated_at: datetime
    send_at: datetime | None
    due_at: datetime | None  # while it is queued or being sent
    attempts: int
    tracking_id: str | None
    tracking_key: str | None
    sender_used: str | None
    error_code: str | None
    error_info: str | None
    accepted_at: datetime | None
    sent_as: str | None
    spid: str | None
    operator_id: str | None
    handset: str | None
    os: str | None
    aggregator_id: str | None
    status_details: str | None
    ddm_status: str | None
    told_at: datetime | None
    sent_at: datetime | None
    finished_at: datetime | None
    resent_as: UUID | None
    settled_as: str | None  # a word of `Settled`, when its answer was lost
    batch_id: int | None = None

    @property
    def status_label(self) -> str:
        """The status in words."""
        return label(self.status, self.sent_as)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentRow:
    """What a message says."""

    custom_subject: str | None
    custom_text: list[dict[str, Any]]
    ddm: dict[str, Any] | None
    data: dict[str, str]
    pass_data: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One call of the gateway; `answer` is its body word for word."""

    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    detail: str | None
    answer: str | None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementRow:
    """What was decided about a message whose answer was lost; who decided it, and why."""

    at: datetime
    actor: str
    outcome: Settled
    reason: str
    postback_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostbackRow:
    """One notification of the journal; `fields` are those of PROTOCOL 6.11."""

    id: int
    received_at: datetime
    last_received_at: datetime
    repeats: int
    outcome: str
    outcome_reason: str
    message_id: int | None
    message_public_id: UUID | None
    body_id: int
    position: int
    code: str | None
    kind: str
    occurred_at: datetime | None
    fields: dict[str, Any]
    remarks: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyRow:
    """The exact bytes of a postback request, and its headers as `domain.headers` kept them.

    `is_gone` when they have left by retention.
    """

    received_at: datetime
    content_type: str | None
    headers: str | None
    body: bytes

    @property
    def is_gone(self) -> bool:
        """The bytes are kept no more; nobody ever posts none."""
        return not self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """A dashboard user; `session_key` identifies her sessions, a new one ends them."""

    id: int
    username: str
    role: str
    is_disabled: bool
    session_key: str
    created_at: datetime
    last_login_at: datetime | None
    locked_until: datetime | None = None
    two_factor_since: datetime | None = None
    is_external: bool = False  # known by an OpenID provider

    @property
    def has_two_factor(self) -> bool:
        """A login needs a code as its second step."""
        return self.two_factor_since is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """An API token, without the secret."""

    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    scopes: tuple[str, ...] = ()
    rate_per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """Something that a person must know; `count` is how often it came while open."""

    id: int
    kind: str
    subject: str
    detail: str
    count: int
    first_at: datetime
    last_at: datetime
    closed_at: datetime | None
    closed_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionRow:
    """A number that must not be sent to, and who said so."""

    number: str
    reason: str
    detail: str | None
    since: datetime
    told_at: datetime | None
    lifted_at: datetime | None
    lifted_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One line of the audit: who did what to what, when, and why."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str | None
    detail: str | None
