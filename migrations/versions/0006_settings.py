"""Two-factor logins, people of an OpenID provider, and indexes for reading the audit trail."""

import sqlalchemy as sa
from alembic import op

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("users", sa.Column("totp_salt", sa.String(length=64), nullable=True))
    op.add_column("users", sa.Column("totp_next_salt", sa.String(length=64), nullable=True))
    op.add_column("users", sa.Column("totp_step", sa.BigInteger(), nullable=True))
    op.add_column("users", sa.Column("two_factor_since", TIME, nullable=True))
    op.add_column("users", sa.Column("external_id", sa.String(length=512), nullable=True))
    op.create_index(op.f("uq_users_external_id"), "users", ["external_id"], unique=True)
    op.create_table(
        "recovery_codes",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("user_id", BIG_ID, nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_recovery_codes_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_codes")),
    )
    op.create_index(
        op.f("ix_recovery_codes_user_id_code_hash"), "recovery_codes", ["user_id", "code_hash"]
    )
    op.create_index(op.f("ix_audit_at_id"), "audit", ["at", "id"])
    op.create_index(op.f("ix_audit_actor_at_id"), "audit", ["actor", "at", "id"])
    op.create_index(op.f("ix_audit_action_at_id"), "audit", ["action", "at", "id"])
    op.create_index(op.f("ix_audit_actor_action_at_id"), "audit", ["actor", "action", "at", "id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_audit_actor_action_at_id"), "audit")
    op.drop_index(op.f("ix_audit_action_at_id"), "audit")
    op.drop_index(op.f("ix_audit_actor_at_id"), "audit")
    op.drop_index(op.f("ix_audit_at_id"), "audit")
    op.drop_table("recovery_codes")
    op.drop_index(op.f("uq_users_external_id"), "users")
    with op.batch_alter_table("users") as users:
        users.drop_column("external_id")
        users.drop_column("two_factor_since")
        users.drop_column("totp_step")
        users.drop_column("totp_next_salt")
        users.drop_column("totp_salt")
