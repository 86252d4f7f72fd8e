"""The journal without the index on its bodies: nobody asks by it, and every postback pays."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.drop_index(op.f("ix_postbacks_body_id"), "postbacks")


def downgrade() -> None:
    op.create_index(op.f("ix_postbacks_body_id"), "postbacks", ["body_id"])
