"""Receiving: queue index apart from the status, tokens, alerts, suppressions, rollups."""

import sqlalchemy as sa
from alembic import op

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # The old condition named the status, so every postback had to move an index entry.
    op.drop_index("ix_messages_outbox", "messages")
    with op.batch_alter_table("messages") as messages:
        messages.alter_column("due_at", existing_type=TIME, nullable=True)
    op.execute("UPDATE messages SET due_at = NULL WHERE status NOT IN ('queued', 'sending')")
    op.create_index(
        "ix_messages_outbox",
        "messages",
        ["due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
        sqlite_where=sa.text("due_at IS NOT NULL"),
    )

    op.add_column("postbacks", sa.Column("judged_at", TIME, nullable=True))
    op.execute("UPDATE postbacks SET judged_at = received_at WHERE outcome <> 'unmatched'")
    op.drop_index("ix_postbacks_outcome_id", "postbacks")
    op.create_index(
        "ix_postbacks_not_applied",
        "postbacks",
        ["outcome", "id"],
        postgresql_where=sa.text("outcome <> 'applied'"),
        sqlite_where=sa.text("outcome <> 'applied'"),
    )

    op.create_table(
        "postback_tokens",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postback_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_postback_tokens_token_hash")),
    )
    op.create_table(
        "alerts",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("detail", sa.String(length=1000), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", TIME, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.Column("closed_at", TIME, nullable=True),
        sa.Column("closed_by", sa.String(length=80), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["kind", "subject"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
        sqlite_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "suppressions",
        sa.Column("number", sa.String(length=15), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(length=1000), nullable=True),
        sa.Column("since", TIME, nullable=False),
        sa.Column("told_at", TIME, nullable=True),
        sa.Column("lifted_at", TIME, nullable=True),
        sa.Column("lifted_by", sa.String(length=80), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_suppressions")),
    )
    op.create_table(
        "mms_contents",
        sa.Column("mms_id", sa.String(length=32), nullable=False),
        sa.Column("is_usable", sa.Boolean(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.String(length=1000), nullable=True),
        sa.Column("told_at", TIME, nullable=True),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("mms_id", name=op.f("pk_mms_contents")),
    )
    op.create_table(
        "rollup_marks",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("hour", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollup_marks")),
    )
    op.create_table(
        "rollups",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("hour", TIME, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("mms_id", sa.String(length=32), nullable=False),
        sa.Column("campaign_ref", sa.String(length=32), nullable=True),
        sa.Column("spid", sa.String(length=32), nullable=True),
        sa.Column("sent_as", sa.String(length=16), nullable=True),
        sa.Column("code", sa.String(length=16), nullable=True),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollups")),
    )
    op.create_index(op.f("ix_rollups_hour"), "rollups", ["hour"])
    op.create_table(
        "checkpoints",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_checkpoints")),
    )


def downgrade() -> None:
    for table in (
        "checkpoints",
        "rollups",
        "rollup_marks",
        "mms_contents",
        "suppressions",
        "alerts",
        "postback_tokens",
    ):
        op.drop_table(table)
    op.drop_index("ix_postbacks_not_applied", "postbacks")
    op.create_index("ix_postbacks_outcome_id", "postbacks", ["outcome", "id"])
    with op.batch_alter_table("postbacks") as postbacks:
        postbacks.drop_column("judged_at")
    op.drop_index("ix_messages_outbox", "messages")
    op.execute("UPDATE messages SET due_at = created_at WHERE due_at IS NULL")
    with op.batch_alter_table("messages") as messages:
        messages.alter_column("due_at", existing_type=TIME, nullable=False)
    op.create_index(
        "ix_messages_outbox",
        "messages",
        ["due_at"],
        postgresql_where=sa.text("status IN ('queued', 'sending')"),
        sqlite_where=sa.text("status IN ('queued', 'sending')"),
    )
