"""The tables. `messages` is small and hot; what never changes after submit stands apart."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from tracker.domain.status import Status

from .base import Base, BigId, Json

# Written out, not bound: a planner takes a partial index only for the very words of its condition.
# It does not name the status: an index that does would have to move with every postback.
IS_IN_OUTBOX = text("due_at IS NOT NULL")
IS_NOT_APPLIED = text("outcome <> 'applied'")
IS_OPEN = text("closed_at IS NULL")
IS_IN_BATCH = text("batch_id IS NOT NULL")
HAS_KEY = text("idempotency_key IS NOT NULL")
IS_UNFINISHED = text("confirmed_at IS NOT NULL AND finished_at IS NULL")
IS_SHARED = text("is_shared")


class Message(Base):
    """One MT message: a pass for one recipient."""

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    status: Mapped[Status]
    recipient: Mapped[str] = mapped_column(String(15))
    sender: Mapped[str] = mapped_column(String(15))
    mms_id: Mapped[str] = mapped_column(String(32))
    campaign_ref: Mapped[str | None] = mapped_column(String(32))
    reference: Mapped[str | None] = mapped_column(String(128))
    custom_pass_id: Mapped[str] = mapped_column(String(256))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # The outbox. `due_at` orders the queue: the asked time, or the next try; NULL outside of it.
    send_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    claim_id: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    # The gateway's answer.
    tracking_id: Mapped[str | None] = mapped_column(String(256))
    tracking_key: Mapped[str | None] = mapped_column(String(128))
    sender_used: Mapped[str | None] = mapped_column(String(32))
    error_code: Mapped[str | None] = mapped_column(String(16))
    error_info: Mapped[str | None] = mapped_column(String(1000))
    accepted_at: Mapped[datetime | None]
    # What postbacks told.
    told_at: Mapped[datetime | None]  # TIMESTAMP of the postback that set the status
    sent_as: Mapped[str | None] = mapped_column(String(16))
    spid: Mapped[str | None] = mapped_column(String(32))
    operator_id: Mapped[str | None] = mapped_column(String(32))
    handset: Mapped[str | None] = mapped_column(String(256))
    os: Mapped[str | None] = mapped_column(String(128))
    aggregator_id: Mapped[str | None] = mapped_column(String(256))
    status_details: Mapped[str | None] = mapped_column(String(1000))
    ddm_status: Mapped[str | None] = mapped_column(String(16))
    sent_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    resent_as: Mapped[UUID | None]  # public id of the message that was queued in its place
    batch_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("batches.id"))
    batch_row: Mapped[int | None]  # its row in the file, the header not counted, from 1
    settled_as: Mapped[str | None] = mapped_column(String(16))  # of `Settled`, without an answer

    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "recipient", "created_at"),
        Index(None, "mms_id", "created_at"),
        Index(None, "campaign_ref", "created_at"),
        Index(None, "reference", "created_at"),
        Index(None, "custom_pass_id", "created_at"),
        # Not unique: a gateway that gives an id twice must not make us lose an answer.
        Index(None, "tracking_key"),
        # The queue is the only question about a status that must be quick at any size.
        Index(
            "ix_messages_outbox",
            "due_at",
            postgresql_where=IS_IN_OUTBOX,
            sqlite_where=IS_IN_OUTBOX,
        ),
        # A row of a batch is queued once, however often its work is begun anew.
        Index(
            "uq_messages_batch_row",
            "batch_id",
            "batch_row",
            unique=True,
            postgresql_where=IS_IN_BATCH,
            sqlite_where=IS_IN_BATCH,
        ),
        # Room on the page for the versions of a whole batch, that of neighbours too: then no update
        # touches an index, and the table ends smaller than with fuller pages.
        {"postgresql_with": {"fillfactor": 50}},
    )


class MessageContent(Base):
    """What the message says; written once, by submit."""

    __tablename__ = "message_contents"

    message_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True
    )
    custom_subject: Mapped[str | None] = mapped_column(String(80))
    custom_text: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    ddm: Mapped[dict[str, Any] | None] = mapped_column(Json)
    data: Mapped[dict[str, str]] = mapped_column(Json)
    pass_data: Mapped[dict[str, str]] = mapped_column(Json)


class SendAttempt(Base):
    """One call of the gateway. The row is committed before the first byte leaves."""

    __tablename__ = "send_attempts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    message_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("messages.id", ondelete="CASCADE"), index=True
    )
    claim_id: Mapped[UUID] = mapped_column(unique=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(16))
    detail: Mapped[str | None] = mapped_column(String(1000))
    answer: Mapped[str | None]  # word for word
    note: Mapped[str | None] = mapped_column(String(400))  # what was done otherwise than asked


class PostbackBody(Base):
    """The exact bytes of one request body; equal requests share one row."""

    __tablename__ = "postback_bodies"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)  # SHA-256 of content type and bytes
    received_at: Mapped[datetime]
    content_type: Mapped[str | None]  # whole: the bytes cannot be read again without it
    headers: Mapped[str | None]  # of the first such request, see domain.headers
    body: Mapped[bytes]


class Postback(Base):
    """One notification in the journal; what comes later deletes nothing here, retention does."""

    __tablename__ = "postbacks"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(unique=True)  # SHA-256
    # No foreign key: bytes leave before the rest, and to check it would read the whole journal.
    body_id: Mapped[int] = mapped_column(BigId)
    position: Mapped[int] = mapped_column(default=0)  # within the body: the oldest dialect batches
    received_at: Mapped[datetime]
    last_received_at: Mapped[datetime]
    repeats: Mapped[int] = mapped_column(default=0)
    outcome: Mapped[str] = mapped_column(String(16))
    outcome_reason: Mapped[str] = mapped_column(String(1000))
    judged_at: Mapped[datetime | None]  # when the outcome was found: the order of the fold
    message_id: Mapped[int | None] = mapped_column(
        BigId, ForeignKey("messages.id", ondelete="SET NULL")
    )
    code: Mapped[str | None] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(16))
    tracking_key: Mapped[str | None] = mapped_column(String(128))
    sms_key: Mapped[str | None] = mapped_column(String(128))
    occurred_at: Mapped[datetime | None]
    fields: Mapped[dict[str, Any]] = mapped_column(Json)  # PROTOCOL 6.11
    remarks: Mapped[list[str]] = mapped_column(Json)  # repairs and doubts

    __table_args__ = (
        Index(None, "message_id", "id"),
        Index(None, "tracking_key"),
        Index(
            "ix_postbacks_not_applied",
            "outcome",
            "id",
            postgresql_where=IS_NOT_APPLIED,
            sqlite_where=IS_NOT_APPLIED,
        ),
        Index(
            "ix_postbacks_sms_key",
            "sms_key",
            postgresql_where=text("sms_key IS NOT NULL"),
            sqlite_where=text("sms_key IS NOT NULL"),
        ),
    )


class Handset(Base):
    """The handset last seen behind a number."""

    __tablename__ = "handsets"

    number: Mapped[str] = mapped_column(String(15), primary_key=True)
    handset: Mapped[str] = mapped_column(String(256))
    os: Mapped[str | None] = mapped_column(String(128))
    source: Mapped[str] = mapped_column(String(32))  # the code that named it: N102, N502
    seen_at: Mapped[datetime]
    used_at: Mapped[datetime | None]  # when a message was last sent by what is known here


class Suppression(Base):
    """A number that must not be sent to, until it is lifted."""

    __tablename__ = "suppressions"

    number: Mapped[str] = mapped_column(String(15), primary_key=True)
    reason: Mapped[str] = mapped_column(String(16))  # N302, STOP, E114, E715
    detail: Mapped[str | None] = mapped_column(String(1000))
    since: Mapped[datetime]
    told_at: Mapped[datetime | None]  # TIMESTAMP of the postback that said so
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None] = mapped_column(String(80))


class MmsContent(Base):
    """What the gateway last said of a stored MMS. Source: PROTOCOL 6.9."""

    __tablename__ = "mms_contents"

    mms_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    is_usable: Mapped[bool]
    code: Mapped[str] = mapped_column(String(32))
    detail: Mapped[str | None] = mapped_column(String(1000))
    told_at: Mapped[datetime | None]
    seen_at: Mapped[datetime]


class Alert(Base):
    """Something that a person must know; one open row for what is still the same trouble."""

    __tablename__ = "alerts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(128))
    detail: Mapped[str] = mapped_column(String(1000))
    count: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None] = mapped_column(String(80))

    __table_args__ = (
        Index(
            "uq_alerts_open",
            "kind",
            "subject",
            unique=True,
            postgresql_where=IS_OPEN,
            sqlite_where=IS_OPEN,
        ),
    )


class RollupMark(Base):
    """An hour whose rollups are out of date. Rows are only added: two writers never meet."""

    __tablename__ = "rollup_marks"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    hour: Mapped[datetime]


class Rollup(Base):
    """How many messages queued in one hour are alike; rebuilt whole for an hour.

    Those that `is_purged` count messages that are gone, and are only ever added to: an hour has
    both kinds while some of its messages are still there, and its counts are their sum.
    """

    __tablename__ = "rollups"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    hour: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[Status]
    mms_id: Mapped[str] = mapped_column(String(32))
    campaign_ref: Mapped[str | None] = mapped_column(String(32))
    spid: Mapped[str | None] = mapped_column(String(32))
    sent_as: Mapped[str | None] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(String(16))  # of the gateway's refusal
    messages: Mapped[int]
    is_purged: Mapped[bool] = mapped_column(default=False, server_default=false())


class Checkpoint(Base):
    """How far a long piece of work has come, so that it can go on where it was stopped."""

    __tablename__ = "checkpoints"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]


class Carrier(Base):
    """A carrier's name. A SPID may stand for two carriers, and carriers share names."""

    __tablename__ = "carriers"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    spid: Mapped[str] = mapped_column(String(32), index=True)
    country: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(128))


class Role(StrEnum):
    """What a user may do; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class User(Base):
    """A person who logs in to the dashboard."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(256))
    role: Mapped[str] = mapped_column(String(16))
    is_disabled: Mapped[bool] = mapped_column(default=False)
    session_key: Mapped[str] = mapped_column(String(64), unique=True)  # a new one ends all sessions
    failed_logins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]
    # The secret of the codes is made of a salt and the key of the installation.
    totp_salt: Mapped[str | None] = mapped_column(String(64))
    totp_next_salt: Mapped[str | None] = mapped_column(String(64))  # until a code confirms it
    totp_step: Mapped[int | None] = mapped_column(BigInteger)  # of the last code that was taken
    two_factor_since: Mapped[datetime | None]
    external_id: Mapped[str | None] = mapped_column(String(512))  # issuer and subject

    __table_args__ = (Index("uq_users_external_id", "external_id", unique=True),)


class RecoveryCode(Base):
    """A code that stands once for the phone that makes the others; only its hash is kept."""

    __tablename__ = "recovery_codes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    code_hash: Mapped[bytes]  # SHA-256: the code is random, not a password
    used_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "user_id", "code_hash"),)


class Scope(StrEnum):
    """What a token may do. None includes another: a shop that sends need not read."""

    SEND = "send"  # send, cancel, send again, settle
    READ = "read"  # whatever GET gives
    ADMIN = "admin"  # what concerns everybody: the gateway, templates, judging anew


class ApiToken(Base):
    """A bearer token of the API; only its hash is kept."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    token_hash: Mapped[bytes] = mapped_column(
        unique=True
    )  # SHA-256: the token is random, not a password
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    scopes: Mapped[str] = mapped_column(String(64), server_default="send,read,admin")
    rate_per_minute: Mapped[int | None]  # requests; None: no limit


class TokenUse(Base):
    """How many requests a token with a limit has made in one minute."""

    __tablename__ = "token_uses"

    token_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("api_tokens.id", ondelete="CASCADE"), primary_key=True
    )
    minute: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # since 1970
    uses: Mapped[int]


class PostbackToken(Base):
    """A secret of the postback URL; only its hash is kept. A revoked one is never valid again."""

    __tablename__ = "postback_tokens"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    token_hash: Mapped[bytes] = mapped_column(unique=True)  # SHA-256
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """A request to send that a token has made under a key of its own."""

    __tablename__ = "idempotency_keys"

    token_id: Mapped[int] = mapped_column(BigId, ForeignKey("api_tokens.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[bytes]  # SHA-256 of the request
    # NULL when the message was erased: a key that went with it would let its request send again.
    message_id: Mapped[int | None] = mapped_column(
        BigId, ForeignKey("messages.id", ondelete="SET NULL"), index=True
    )


class ReferenceKey(Base):
    """A request to send that a token has made under a reference of its own."""

    __tablename__ = "reference_keys"

    token_id: Mapped[int] = mapped_column(BigId, ForeignKey("api_tokens.id"), primary_key=True)
    reference: Mapped[str] = mapped_column(String(128), primary_key=True)
    digest: Mapped[bytes]  # SHA-256 of the request
    message_id: Mapped[int | None] = mapped_column(  # NULL when the message was erased
        BigId, ForeignKey("messages.id", ondelete="SET NULL"), index=True
    )


class Settlement(Base):
    """What was decided about a message whose answer was lost; who decided it, and why."""

    __tablename__ = "settlements"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    message_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("messages.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(80))
    outcome: Mapped[str] = mapped_column(String(16))  # of `Settled`
    reason: Mapped[str] = mapped_column(String(1000))
    postback_id: Mapped[int | None] = mapped_column(BigId)  # that was taken as the answer


class Batch(Base):
    """A file of messages to send, and how far it is checked and queued."""

    __tablename__ = "batches"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(String(128))
    status: Mapped[str] = mapped_column(String(16))
    hold: Mapped[str | None] = mapped_column(String(16))  # pausing, paused or resuming, beside it
    is_dry_run: Mapped[bool]
    skips_wrong_rows: Mapped[bool]
    actor: Mapped[str] = mapped_column(String(80))
    defaults: Mapped[dict[str, Any]] = mapped_column(Json)  # request fields for every row
    columns: Mapped[list[Any]] = mapped_column(Json)  # header and request field of each column
    format: Mapped[dict[str, Any]] = mapped_column(Json)  # encoding, separator, where rows begin
    size: Mapped[int] = mapped_column(BigInteger)  # bytes
    digest: Mapped[bytes | None]  # SHA-256 of the file and of how it is to be read
    token_id: Mapped[int | None] = mapped_column(BigId)  # whose Idempotency-Key the next one is
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    # How far the present status has come: bytes of the file, and rows in them.
    position: Mapped[int] = mapped_column(BigInteger)
    position_row: Mapped[int]
    rows: Mapped[int]  # blank ones not counted
    wrong_rows: Mapped[int]
    warnings: Mapped[int]
    queued_rows: Mapped[int]
    detail: Mapped[str | None] = mapped_column(String(1000))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    claim_id: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_batches_idempotency_key",
            "token_id",
            "idempotency_key",
            unique=True,
            postgresql_where=HAS_KEY,
            sqlite_where=HAS_KEY,
        ),
    )


class BatchChunk(Base):
    """A piece of a batch's file; `position` is that of its first byte."""

    __tablename__ = "batch_chunks"

    batch_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    data: Mapped[bytes]


class BatchKept(Base):
    """Rows of a batch that were found right, packed, up to `row`; there until they are queued."""

    __tablename__ = "batch_kept"

    batch_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True
    )
    row: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)  # where they end in the file
    data: Mapped[bytes]


class BatchError(Base):
    """What is wrong, or worth a warning, in one cell of a batch's file."""

    __tablename__ = "batch_errors"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    batch_id: Mapped[int] = mapped_column(BigId, ForeignKey("batches.id", ondelete="CASCADE"))
    row: Mapped[int]
    column: Mapped[str | None] = mapped_column(String(128))
    value: Mapped[str | None] = mapped_column(String(256))
    reason: Mapped[str] = mapped_column(String(1000))
    is_warning: Mapped[bool]

    __table_args__ = (Index("ix_batch_errors_batch_id", "batch_id", "row", "id"),)


class GatewayState(Base):
    """What all senders know of the gateway: one row, of id 1."""

    __tablename__ = "gateway_state"

    id: Mapped[int] = mapped_column(primary_key=True)
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None] = mapped_column(String(80))
    paused_code: Mapped[str | None] = mapped_column(String(16))
    paused_why: Mapped[str | None] = mapped_column(String(1000))
    probe_at: Mapped[datetime | None]  # when one message is to try whether it works again
    probes: Mapped[int]  # made since the pause
    next_call_at: Mapped[datetime | None]  # the first moment that no sender has taken yet
    slow_interval_ms: Mapped[int]  # between two calls, as the gateway asked; 0: nothing asked
    slow_since: Mapped[datetime | None]  # when it was last made slower
    slow_until: Mapped[datetime | None]  # when it becomes faster again, by a step
    slow_code: Mapped[str | None] = mapped_column(String(16))
    changed_at: Mapped[datetime | None]  # when it was last paused or resumed


class PassTemplate(Base):
    """What an operator says of the pass behind a stored MMS."""

    __tablename__ = "pass_templates"

    mms_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    title: Mapped[str] = mapped_column(String(128))
    description: Mapped[dict[str, Any]] = mapped_column(Json)
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(String(80))


class BulkAction(Base):
    """What is to be done with many messages at once; `confirmed_at` is NULL while it is asked."""

    __tablename__ = "bulk_actions"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    public_id: Mapped[UUID] = mapped_column(unique=True)
    action: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(String(80))
    reason: Mapped[str | None] = mapped_column(String(1000))
    asked: Mapped[dict[str, Any]] = mapped_column(Json)  # the list's question; ticked
    chosen: Mapped[int]
    statuses: Mapped[dict[str, Any]] = mapped_column(Json)  # how many of the chosen by label
    against: Mapped[dict[str, Any]] = mapped_column(Json)  # how many were left out by reason
    next_cursor: Mapped[str | None] = mapped_column(String(40))  # where the list goes on
    position: Mapped[int | None] = mapped_column(BigInteger)  # the last message that was looked at
    done: Mapped[int]
    skipped: Mapped[int]
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ix_bulk_actions_unfinished",
            "actor",
            postgresql_where=IS_UNFINISHED,
            sqlite_where=IS_UNFINISHED,
        ),
    )


class BulkActionItem(Base):
    """One message that a bulk action was confirmed for, and what came of it."""

    __tablename__ = "bulk_action_items"

    bulk_action_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("bulk_actions.id", ondelete="CASCADE"), primary_key=True
    )
    # No foreign key: to erase a message must not look through these.
    message_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    is_done: Mapped[bool | None]
    detail: Mapped[str | None] = mapped_column(String(1000))  # why it was skipped


class SavedView(Base):
    """A question to the list of messages that somebody gave a name."""

    __tablename__ = "saved_views"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(60))
    asked: Mapped[dict[str, Any]] = mapped_column(Json)
    is_shared: Mapped[bool]
    created_at: Mapped[datetime]

    __table_args__ = (
        Index("uq_saved_views_name", "user_id", "name", unique=True),
        Index(
            "ix_saved_views_shared",
            "name",
            postgresql_where=IS_SHARED,
            sqlite_where=IS_SHARED,
        ),
    )


class UserPreference(Base):
    """How a person wants a page to be."""

    __tablename__ = "user_preferences"

    user_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[list[Any]] = mapped_column(Json)


class AuditEntry(Base):
    """Who did what to what, and when."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(80))  # user:admin, token:billing, cli
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str | None] = mapped_column(String(128))
    detail: Mapped[str | None] = mapped_column(String(1000))

    __table_args__ = (
        Index(None, "at", "id"),
        Index(None, "actor", "at", "id"),
        Index(None, "action", "at", "id"),
        Index(None, "actor", "action", "at", "id"),
    )
