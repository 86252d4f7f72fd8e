"""All commands. Data on stdout, talk on stderr; exit 0 done, 1 refused, 2 misused."""

import sys

import click
from sqlalchemy.exc import SQLAlchemyError

from tracker import __version__
from tracker.config import SettingsError

from . import (
    INTERRUPTED,
    accounts,
    batch,
    carriers,
    database,
    demo,
    doctor,
    forget,
    gateway,
    messages,
    postback_tokens,
    postbacks,
    purge,
    rebuild,
    reconcile,
    replay,
    report,
    serve,
    settle,
    spool,
    tail,
    templates,
)
from .common import RefusedError, database_reason


class _Commands(click.Group):
    """A group that leaves Ctrl-C to `main`; click itself would say "Aborted!" and exit 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="tracker")
def cli() -> None:
    """Send wallet passes by MMS and know what became of each of them."""


for command in (
    serve.up,
    serve.web,
    serve.sender,
    serve.sandbox,
    database.db,
    messages.send,
    messages.show,
    settle.settle,
    batch.batch,
    batch.batches_,
    postbacks.postback,
    tail.tail,
    reconcile.reconcile,
    replay.replay,
    report.report,
    rebuild.rebuild,
    purge.purge,
    forget.forget,
    accounts.user,
    accounts.token,
    postback_tokens.postback_token,
    templates.group,
    carriers.group,
    spool.spool,
    gateway.gateway,
    demo.demo,
    doctor.doctor,
):
    cli.add_command(command)


def run() -> None:
    """Run a command; what an administrator can mend is one line, not a stack trace."""
    try:
        cli(prog_name="tracker")
    except (RefusedError, SettingsError) as error:
        _end(str(error))
    except SQLAlchemyError as error:
        _end(f"the database cannot be used: {database_reason(error)}")
    except OSError as error:
        _end(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except UnicodeEncodeError as error:
        # Bytes of the command line that are no text reach us as halves of characters.
        _end(f"{error.object!r} cannot be written as {error.encoding}", code=2)


def _end(line: str, code: int = 1) -> None:
    click.echo(f"tracker: {line}", err=True)
    sys.exit(code)
