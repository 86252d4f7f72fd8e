"""The list of messages: bulk actions, saved views, and what a person wants to see."""

import sqlalchemy as sa
from alembic import op

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True).with_variant(
    sa.dialects.postgresql.JSONB(none_as_null=True), "postgresql"
)

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "bulk_actions",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=True),
        sa.Column("asked", JSON, nullable=False),
        sa.Column("chosen", sa.Integer(), nullable=False),
        sa.Column("statuses", JSON, nullable=False),
        sa.Column("against", JSON, nullable=False),
        sa.Column("next_cursor", sa.String(length=40), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("confirmed_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_actions")),
        sa.UniqueConstraint("public_id", name=op.f("uq_bulk_actions_public_id")),
    )
    is_unfinished = sa.text("confirmed_at IS NOT NULL AND finished_at IS NULL")
    op.create_index(
        "ix_bulk_actions_unfinished",
        "bulk_actions",
        ["actor"],
        postgresql_where=is_unfinished,
        sqlite_where=is_unfinished,
    )
    op.create_table(
        "bulk_action_items",
        sa.Column("bulk_action_id", BIG_ID, nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("is_done", sa.Boolean(), nullable=True),
        sa.Column("detail", sa.String(length=1000), nullable=True),
        sa.ForeignKeyConstraint(
            ["bulk_action_id"],
            ["bulk_actions.id"],
            name=op.f("fk_bulk_action_items_bulk_action_id_bulk_actions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("bulk_action_id", "message_id", name=op.f("pk_bulk_action_items")),
    )
    op.create_table(
        "saved_views",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("user_id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("asked", JSON, nullable=False),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_saved_views_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
    )
    op.create_index("uq_saved_views_name", "saved_views", ["user_id", "name"], unique=True)
    is_shared = sa.text("is_shared")
    op.create_index(
        "ix_saved_views_shared",
        "saved_views",
        ["name"],
        postgresql_where=is_shared,
        sqlite_where=is_shared,
    )
    op.create_table(
        "user_preferences",
        sa.Column("user_id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_user_preferences_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "name", name=op.f("pk_user_preferences")),
    )


def downgrade() -> None:
    op.drop_table("user_preferences")
    op.drop_table("saved_views")
    op.drop_table("bulk_action_items")
    op.drop_table("bulk_actions")
