"""`tracker replay`: judge postbacks of the journal anew."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

import click

from tracker.config import Settings
from tracker.domain.fold import Outcome
from tracker.protocol.notification import Kind
from tracker.services import replay as service
from tracker.services.replay import Replayed, ReplayFilter, Tally
from tracker.store.db import Sessions

from .common import RefusedError, actor, now, opened, plain, print_json, talk

MANY = service.STEP
WAITING = (Outcome.UNMATCHED.value, Outcome.QUARANTINED.value)


class Moment(click.ParamType[datetime]):
    """A time on the command line; without an offset it is UTC."""

    name = "TIME"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read a time in ISO 8601."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time such as 2026-11-27T18:00:00Z", param, ctx)


@click.command()
@click.argument("ids", metavar="[ID]...", type=click.IntRange(1, 2**63 - 1), nargs=-1)
@click.option("--outcome", type=click.Choice(WAITING), help="Both, when not given.")
@click.option("--code", help="Such as N102.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="What it is about.")
@click.option("--tracking-id", help="The gateway's id of the message.")
@click.option("--received-from", type=Moment(), help="Received then or later; UTC if not said.")
@click.option("--received-to", type=Moment(), help="Received before; UTC if not said.")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Say what would change, no more.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one postback a line.")
def replay(*, is_dry_run: bool, as_json: bool, **conditions: Any) -> None:  # noqa: ANN401
    """Judge kept postbacks anew: those with these IDs, or those that fit all conditions.

    What told its message already is left as it is.
    """
    wanted = ReplayFilter(**conditions)
    if wanted.is_empty:
        raise click.UsageError("Say which postbacks: give an ID, or an option such as --outcome.")
    settings = Settings.from_environ()
    sessions = opened(settings)
    if missing := service.missing(sessions, wanted.ids):
        raise RefusedError(f"there is no postback {missing[0]}; nothing was done")
    run = service.run(
        sessions,
        wanted,
        actor=actor(),
        is_dry_run=is_dry_run,
        zone=settings.gateway_zone,
        now=now(),
    )
    tally = Tally()
    with _watched(sessions, wanted, run) as watched:
        for one in watched:
            tally.add(one)
            _print(one, as_json=as_json)
    talk(tally.sentence(is_dry_run=is_dry_run))


def _watched(
    sessions: Sessions, wanted: ReplayFilter, run: Iterator[Replayed]
) -> AbstractContextManager[Iterator[Replayed]]:
    """Draw a bar for many, unless the lines themselves go to the same screen."""
    if sys.stdout.isatty() or not sys.stderr.isatty():
        return nullcontext(run)
    count = service.count(sessions, wanted)
    if count <= MANY:
        return nullcontext(run)
    return click.progressbar(run, length=count, label="Judging anew", file=sys.stderr)


def _print(one: Replayed, *, as_json: bool) -> None:
    if as_json:
        print_json(as_object(one))
        return
    verdict = f"{one.before} -> {one.after}" if one.is_changed else f"stays {one.after}"
    message = f"  [{one.message_id}]" if one.message_id else ""
    click.echo(plain(f"{one.id} {verdict}: {one.error or one.reason}{message}"))


def as_object(one: Replayed) -> dict[str, Any]:
    """Return what became of a postback as a JSON object."""
    return {
        "id": one.id,
        "code": one.code,
        "before": one.before,
        "after": one.after,
        "is_changed": one.is_changed,
        "message_id": str(one.message_id) if one.message_id else None,
        "reason": one.reason,
        "error": one.error,
    }
