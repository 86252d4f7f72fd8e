"""Alembic's entry: on the connection it is given, else on the one the settings name."""

from alembic import context
from sqlalchemy import Connection

from tracker.config import Settings
from tracker.store import db
from tracker.store.models import Message


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Message.metadata,  # of all tables: they share a module
        render_as_batch=True,  # SQLite alters a table by copying it
        compare_type=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with db.engine_of(db.connect(Settings.from_environ().database_url)).connect() as connection:
        run(connection)
        connection.commit()
