"""The headers of a postback's request, beside its bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("postback_bodies", sa.Column("headers", sa.String(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("postback_bodies") as bodies:
        bodies.drop_column("headers")
