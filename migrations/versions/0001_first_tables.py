"""First tables: messages, their contents and calls, the journal, people and tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
    )
    op.create_table(
        "audit",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=True),
        sa.Column("detail", sa.String(length=1000), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "carriers",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("spid", sa.String(length=32), nullable=False),
        sa.Column("country", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carriers")),
    )
    op.create_index(op.f("ix_carriers_spid"), "carriers", ["spid"])

    op.create_table(
        "handsets",
        sa.Column("number", sa.String(length=15), nullable=False),
        sa.Column("handset", sa.String(length=256), nullable=False),
        sa.Column("os", sa.String(length=128), nullable=True),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_handsets")),
    )
    op.create_table(
        "messages",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("recipient", sa.String(length=15), nullable=False),
        sa.Column("sender", sa.String(length=15), nullable=False),
        sa.Column("mms_id", sa.String(length=32), nullable=False),
        sa.Column("campaign_ref", sa.String(length=32), nullable=True),
        sa.Column("reference", sa.String(length=128), nullable=True),
        sa.Column("custom_pass_id", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("send_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tracking_id", sa.String(length=256), nullable=True),
        sa.Column("tracking_key", sa.String(length=128), nullable=True),
        sa.Column("sender_used", sa.String(length=32), nullable=True),
        sa.Column("error_code", sa.String(length=16), nullable=True),
        sa.Column("error_info", sa.String(length=1000), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_as", sa.String(length=16), nullable=True),
        sa.Column("spid", sa.String(length=32), nullable=True),
        sa.Column("operator_id", sa.String(length=32), nullable=True),
        sa.Column("handset", sa.String(length=256), nullable=True),
        sa.Column("os", sa.String(length=128), nullable=True),
        sa.Column("aggregator_id", sa.String(length=256), nullable=True),
        sa.Column("status_details", sa.String(length=1000), nullable=True),
        sa.Column("ddm_status", sa.String(length=16), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resent_as", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("public_id", name=op.f("uq_messages_public_id")),
        postgresql_with={"fillfactor": 80},
    )
    op.create_index(op.f("ix_messages_created_at_id"), "messages", ["created_at", "id"])
    op.create_index(
        op.f("ix_messages_custom_pass_id_created_at"), "messages", ["custom_pass_id", "created_at"]
    )
    op.create_index(op.f("ix_messages_mms_id_created_at"), "messages", ["mms_id", "created_at"])
    op.create_index(
        "ix_messages_outbox",
        "messages",
        ["due_at"],
        postgresql_where=sa.text("status IN ('queued', 'sending')"),
        sqlite_where=sa.text("status IN ('queued', 'sending')"),
    )
    op.create_index(
        op.f("ix_messages_recipient_created_at"), "messages", ["recipient", "created_at"]
    )
    op.create_index(
        op.f("ix_messages_reference_created_at"), "messages", ["reference", "created_at"]
    )
    op.create_index(op.f("ix_messages_tracking_key"), "messages", ["tracking_key"])

    op.create_table(
        "postback_bodies",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_type", sa.String(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postback_bodies")),
        sa.UniqueConstraint("digest", name=op.f("uq_postback_bodies_digest")),
    )
    op.create_table(
        "users",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("is_disabled", sa.Boolean(), nullable=False),
        sa.Column("session_key", sa.String(length=64), nullable=False),
        sa.Column("failed_logins", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("session_key", name=op.f("uq_users_session_key")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("token_id", BIG_ID, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("message_id", BIG_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_idempotency_keys_message_id_messages"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["token_id"], ["api_tokens.id"], name=op.f("fk_idempotency_keys_token_id_api_tokens")
        ),
        sa.PrimaryKeyConstraint("token_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_message_id"), "idempotency_keys", ["message_id"])

    op.create_table(
        "message_contents",
        sa.Column("message_id", BIG_ID, nullable=False),
        sa.Column("custom_subject", sa.String(length=80), nullable=True),
        sa.Column("custom_text", JSON, nullable=False),
        sa.Column("ddm", JSON, nullable=True),
        sa.Column("data", JSON, nullable=False),
        sa.Column("pass_data", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_message_contents_message_id_messages"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_message_contents")),
    )
    op.create_table(
        "postbacks",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("body_id", BIG_ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("outcome_reason", sa.String(length=1000), nullable=False),
        sa.Column("message_id", BIG_ID, nullable=True),
        sa.Column("code", sa.String(length=32), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("tracking_key", sa.String(length=128), nullable=True),
        sa.Column("sms_key", sa.String(length=128), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fields", JSON, nullable=False),
        sa.Column("remarks", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["body_id"], ["postback_bodies.id"], name=op.f("fk_postbacks_body_id_postback_bodies")
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_postbacks_message_id_messages"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postbacks")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_postbacks_fingerprint")),
    )
    op.create_index(op.f("ix_postbacks_body_id"), "postbacks", ["body_id"])
    op.create_index(op.f("ix_postbacks_message_id_id"), "postbacks", ["message_id", "id"])
    op.create_index(op.f("ix_postbacks_outcome_id"), "postbacks", ["outcome", "id"])
    op.create_index(
        "ix_postbacks_sms_key",
        "postbacks",
        ["sms_key"],
        postgresql_where=sa.text("sms_key IS NOT NULL"),
        sqlite_where=sa.text("sms_key IS NOT NULL"),
    )
    op.create_index(op.f("ix_postbacks_tracking_key"), "postbacks", ["tracking_key"])

    op.create_table(
        "send_attempts",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("message_id", BIG_ID, nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("detail", sa.String(length=1000), nullable=True),
        sa.Column("answer", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_send_attempts_message_id_messages"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_send_attempts")),
        sa.UniqueConstraint("claim_id", name=op.f("uq_send_attempts_claim_id")),
    )
    op.create_index(op.f("ix_send_attempts_message_id"), "send_attempts", ["message_id"])


def downgrade() -> None:

    op.drop_table("send_attempts")

    op.drop_table("postbacks")
    op.drop_table("message_contents")

    op.drop_table("idempotency_keys")
    op.drop_table("users")
    op.drop_table("postback_bodies")

    op.drop_table("messages")
    op.drop_table("handsets")

    op.drop_table("carriers")
    op.drop_table("audit")
    op.drop_table("api_tokens")
