"""Retention: bytes leave before the journal does, and counts outlive their messages."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

FOREIGN_KEY = "fk_postbacks_body_id_postback_bodies"


def upgrade() -> None:
    op.add_column(
        "rollups",
        sa.Column("is_purged", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    # To delete a body would read the whole journal: nothing is indexed by it, see 0004.
    with op.batch_alter_table("postbacks") as postbacks:
        postbacks.drop_constraint(op.f(FOREIGN_KEY), type_="foreignkey")


def downgrade() -> None:
    # Bodies that are gone get empty ones in their places: the journal must name some.
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    digest = "'gone ' || body_id"
    as_bytes = f"convert_to({digest}, 'UTF8')" if is_postgresql else f"CAST({digest} AS BLOB)"
    nothing = "''::bytea" if is_postgresql else "x''"
    op.execute(
        "INSERT INTO postback_bodies (id, digest, received_at, body)"  # noqa: S608
        f" SELECT body_id, {as_bytes}, min(received_at), {nothing} FROM postbacks"
        " WHERE body_id NOT IN (SELECT id FROM postback_bodies) GROUP BY body_id"
    )
    with op.batch_alter_table("postbacks") as postbacks:
        postbacks.create_foreign_key(op.f(FOREIGN_KEY), "postback_bodies", ["body_id"], ["id"])
    op.execute("DELETE FROM rollups WHERE is_purged")
    with op.batch_alter_table("rollups") as rollups:
        rollups.drop_column("is_purged")
