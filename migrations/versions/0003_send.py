"""Sending: batches, the state of the gateway, pass templates, scopes of tokens."""

import sqlalchemy as sa
from alembic import op

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True).with_variant(
    sa.dialects.postgresql.JSONB(none_as_null=True), "postgresql"
)

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("hold", sa.String(length=16), nullable=True),
        sa.Column("is_dry_run", sa.Boolean(), nullable=False),
        sa.Column("skips_wrong_rows", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("defaults", JSON, nullable=False),
        sa.Column("columns", JSON, nullable=False),
        sa.Column("format", JSON, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("token_id", BIG_ID, nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("position_row", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("wrong_rows", sa.Integer(), nullable=False),
        sa.Column("warnings", sa.Integer(), nullable=False),
        sa.Column("queued_rows", sa.Integer(), nullable=False),
        sa.Column("detail", sa.String(length=1000), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("claim_id", sa.Uuid(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("public_id", name=op.f("uq_batches_public_id")),
    )
    op.create_index(
        "uq_batches_idempotency_key",
        "batches",
        ["token_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "batch_chunks",
        sa.Column("batch_id", BIG_ID, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["batches.id"],
            name=op.f("fk_batch_chunks_batch_id_batches"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("pk_batch_chunks")),
    )
    op.create_table(
        "batch_kept",
        sa.Column("batch_id", BIG_ID, nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["batches.id"],
            name=op.f("fk_batch_kept_batch_id_batches"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("batch_id", "row", name=op.f("pk_batch_kept")),
    )
    op.create_table(
        "batch_errors",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("batch_id", BIG_ID, nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("column", sa.String(length=128), nullable=True),
        sa.Column("value", sa.String(length=256), nullable=True),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("is_warning", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["batches.id"],
            name=op.f("fk_batch_errors_batch_id_batches"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_errors")),
    )
    op.create_index("ix_batch_errors_batch_id", "batch_errors", ["batch_id", "row", "id"])

    with op.batch_alter_table("messages") as messages:
        messages.add_column(sa.Column("batch_id", BIG_ID, nullable=True))
        messages.add_column(sa.Column("batch_row", sa.Integer(), nullable=True))
        messages.add_column(sa.Column("settled_as", sa.String(length=16), nullable=True))
        messages.create_foreign_key(
            op.f("fk_messages_batch_id_batches"), "batches", ["batch_id"], ["id"]
        )
    op.create_index(
        "uq_messages_batch_row",
        "messages",
        ["batch_id", "batch_row"],
        unique=True,
        postgresql_where=sa.text("batch_id IS NOT NULL"),
        sqlite_where=sa.text("batch_id IS NOT NULL"),
    )

    # Postbacks update neighbours in one transaction; measured, see docs/performance.md.
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE messages SET (fillfactor = 50)")

    op.create_table(
        "gateway_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("paused_at", TIME, nullable=True),
        sa.Column("paused_by", sa.String(length=80), nullable=True),
        sa.Column("paused_code", sa.String(length=16), nullable=True),
        sa.Column("paused_why", sa.String(length=1000), nullable=True),
        sa.Column("probe_at", TIME, nullable=True),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("next_call_at", TIME, nullable=True),
        sa.Column("slow_interval_ms", sa.Integer(), nullable=False),
        sa.Column("slow_since", TIME, nullable=True),
        sa.Column("slow_until", TIME, nullable=True),
        sa.Column("slow_code", sa.String(length=16), nullable=True),
        sa.Column("changed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway_state")),
    )
    op.execute("INSERT INTO gateway_state (id, probes, slow_interval_ms) VALUES (1, 0, 0)")

    op.create_table(
        "pass_templates",
        sa.Column("mms_id", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(length=128), nullable=False),
        sa.Column("description", JSON, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("updated_by", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("mms_id", name=op.f("pk_pass_templates")),
    )
    op.add_column("handsets", sa.Column("used_at", TIME, nullable=True))
    op.add_column("send_attempts", sa.Column("note", sa.String(length=400), nullable=True))

    op.create_table(
        "reference_keys",
        sa.Column("token_id", BIG_ID, nullable=False),
        sa.Column("reference", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("message_id", BIG_ID, nullable=True),
        sa.ForeignKeyConstraint(
            ["token_id"], ["api_tokens.id"], name=op.f("fk_reference_keys_token_id_api_tokens")
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_reference_keys_message_id_messages"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("token_id", "reference", name=op.f("pk_reference_keys")),
    )
    op.create_index("ix_reference_keys_message_id", "reference_keys", ["message_id"])
    _let_keys_outlive_their_messages("SET NULL", is_nullable=True)
    op.create_table(
        "settlements",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("message_id", BIG_ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("postback_id", BIG_ID, nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_settlements_message_id_messages"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlements")),
    )
    op.create_index("ix_settlements_message_id", "settlements", ["message_id"])
    op.add_column(
        "api_tokens",
        sa.Column("scopes", sa.String(length=64), nullable=False, server_default="send,read,admin"),
    )
    op.add_column("api_tokens", sa.Column("rate_per_minute", sa.Integer(), nullable=True))
    op.create_table(
        "token_uses",
        sa.Column("token_id", BIG_ID, nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["api_tokens.id"],
            name=op.f("fk_token_uses_token_id_api_tokens"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_id", "minute", name=op.f("pk_token_uses")),
    )
    op.create_index(
        op.f("ix_messages_campaign_ref_created_at"), "messages", ["campaign_ref", "created_at"]
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_messages_campaign_ref_created_at"), "messages")
    op.drop_table("token_uses")
    with op.batch_alter_table("api_tokens") as tokens:
        tokens.drop_column("rate_per_minute")
        tokens.drop_column("scopes")
    op.drop_table("settlements")
    op.execute("DELETE FROM idempotency_keys WHERE message_id IS NULL")
    _let_keys_outlive_their_messages("CASCADE", is_nullable=False)
    op.drop_table("reference_keys")
    with op.batch_alter_table("send_attempts") as attempts:
        attempts.drop_column("note")
    with op.batch_alter_table("handsets") as handsets:
        handsets.drop_column("used_at")
    op.drop_table("pass_templates")
    op.drop_table("gateway_state")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE messages SET (fillfactor = 80)")
    op.drop_index("uq_messages_batch_row", "messages")
    with op.batch_alter_table("messages") as messages:
        messages.drop_constraint(op.f("fk_messages_batch_id_batches"), type_="foreignkey")
        messages.drop_column("settled_as")
        messages.drop_column("batch_row")
        messages.drop_column("batch_id")
    op.drop_table("batch_errors")
    op.drop_table("batch_kept")
    op.drop_table("batch_chunks")
    op.drop_table("batches")


def _let_keys_outlive_their_messages(ondelete: str, *, is_nullable: bool) -> None:
    name = op.f("fk_idempotency_keys_message_id_messages")
    with op.batch_alter_table("idempotency_keys") as keys:
        keys.drop_constraint(name, type_="foreignkey")
        keys.alter_column("message_id", existing_type=BIG_ID, nullable=is_nullable)
        keys.create_foreign_key(name, "messages", ["message_id"], ["id"], ondelete=ondelete)
