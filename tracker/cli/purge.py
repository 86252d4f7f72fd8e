"""`tracker purge`: what is older than the settings let it be leaves."""

import click

from tracker.config import Settings
from tracker.services.describe import iso
from tracker.services.purge import STEP, Purge, Retention

from .common import RefusedError, actor, now, opened, print_json, talk
from .progress import until_stopped


@click.command()
@click.option("--dry-run", is_flag=True, help="Only count what would leave.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.option(
    "--step", type=click.IntRange(1, 5_000), default=STEP, show_default=True,
    help="How many rows a transaction looks at.",
)  # fmt: skip
def purge(*, dry_run: bool, as_json: bool, step: int) -> None:
    """Delete what is older than TRACKER_RETENTION_DAYS and TRACKER_BODY_RETENTION_DAYS.

    The exact bytes of postbacks leave first, then messages that are over, with their contents,
    calls and postbacks. What is queued, being sent or unknown stays, and so do the reports. It may
    run beside everything else; senders do the same once a day.
    """
    settings = Settings.from_environ()
    retention = Retention(settings.retention_days, settings.body_retention_days)
    if not retention.is_set:
        raise RefusedError("nothing leaves: neither TRACKER_RETENTION_DAYS nor "
                           "TRACKER_BODY_RETENTION_DAYS is set")  # fmt: skip
    work = Purge(opened(settings), retention, now=now(), only_counts=dry_run, step=step)
    for table, before in work.cut_offs.items():
        if before:
            talk(f"{table}: what was last heard of before {before:%Y-%m-%d %H:%M} UTC")
    is_finished = until_stopped(work.steps())
    work.end(actor(), is_finished=is_finished)
    _print(work, as_json=as_json, dry_run=dry_run)
    if not is_finished:
        raise RefusedError("stopped; `tracker purge` goes on from here")


def _print(work: Purge, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        cut_offs = {table: iso(before) for table, before in work.cut_offs.items()}
        rows = dict(sorted(work.gone.items()))
        print_json({"dry_run": dry_run, "before": cut_offs, "rows": rows})
        return
    for table, count in sorted(work.gone.items()):
        click.echo(f"{table}  {count}")
    if not work.gone:
        talk("Nothing is that old.")
    elif dry_run:
        talk("Nothing was deleted.")
