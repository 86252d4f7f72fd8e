"""`tracker spool`: postbacks that were kept on disk while the database was away."""

import sys

import click

from tracker.config import Settings
from tracker.services.committer import ingest_spooled
from tracker.services.describe import iso
from tracker.store.spool import Spool, SpoolRecord

from .common import now, opened, print_json, talk


@click.group()
def spool() -> None:
    """Postbacks that were kept on disk while the database was away."""


@spool.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Say how many wait, since when, and what was set aside because it was damaged."""
    settings = Settings.from_environ()
    state = Spool(settings.spool_dir).state()
    if as_json:
        print_json(
            {
                "folder": str(settings.spool_dir),
                "records": state.records,
                "bytes": state.bytes,
                "oldest_at": iso(state.oldest_at),
                "set_aside": state.set_aside,
            }
        )
        return
    if not state.records:
        click.echo(f"Nothing waits in {settings.spool_dir}.")
    elif state.oldest_at:
        age = (now() - state.oldest_at).total_seconds()
        click.echo(
            f"{state.records} wait in {settings.spool_dir} ({state.bytes} bytes), "
            f"the oldest since {iso(state.oldest_at)}, for {age:.0f} s."
        )
    if state.set_aside:
        click.echo(f"{state.set_aside} damaged pieces are in {settings.spool_dir}/damaged.")


@spool.command()
def drain() -> None:
    """Bring what waits to the database, as the web part does by itself."""
    settings = Settings.from_environ()
    sessions = opened(settings)
    files = Spool(settings.spool_dir)
    with click.progressbar(length=files.state().records, label="Draining", file=sys.stderr) as bar:

        def take(records: list[SpoolRecord]) -> None:
            ingest_spooled(sessions, files, records, zone=settings.gateway_zone, now=now())
            bar.update(len(records))

        count = files.drain(take)
    talk(f"{count} postbacks are in the database now; {files.state().records} wait.")
