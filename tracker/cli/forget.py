"""`tracker forget`: erase a person, and certify it."""

import json
from pathlib import Path

import click

from tracker.config import Settings, kept_secret
from tracker.domain import numbers
from tracker.services.forget import BeingSentError, Certificate, Forget, Means
from tracker.store.spool import Spool

from .common import RefusedError, actor, now, opened, print_json, talk
from .progress import Shown


@click.command()
@click.argument("number")
@click.option("--dry-run", is_flag=True, help="Only count what would be erased.")
@click.option(
    "--certificate", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the certificate as JSON.",
)  # fmt: skip
@click.option(
    "--with-suppression", is_flag=True,
    help="Erase a suppression that holds, too: the number may be sent to again.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")
def forget(
    number: str, *, dry_run: bool, certificate: Path | None, with_suppression: bool, as_json: bool
) -> None:
    """Erase NUMBER, in any spelling, and what was sent to it, everywhere; counts stay.

    Messages to it lose their recipient, contents, answers and postbacks, and the number is erased
    wherever else it is written. It is refused while something is still to be sent to it. Whatever
    stops it, the same command goes on.
    """
    digits = numbers.clean(number)
    if digits is None:
        raise click.UsageError(f"This is not a phone number; it needs {numbers.EXPECTED}.")
    settings = Settings.from_environ()
    means = Means(
        sessions=opened(settings),
        spool=Spool(settings.spool_dir),
        zone=settings.gateway_zone,
        secret_key=settings.secret_key or kept_secret(settings.state_dir / "secret_key"),
        clock=now,
    )
    work = Forget(
        means, digits, actor=actor(), only_counts=dry_run, with_suppression=with_suppression
    )
    try:
        with Shown() as shown:
            for progress in work.steps():
                shown.show(progress)
    except BeingSentError as error:
        raise RefusedError(f"not erased: {error}") from error
    _print(work.end(), certificate, as_json=as_json)


def _print(made: Certificate, path: Path | None, *, as_json: bool) -> None:
    if path is not None:
        text = json.dumps(made.as_json(), indent=2) + "\n"
        path.write_text(text, encoding="utf-8")
    if as_json:
        print_json(made.as_json())
        return
    for table, count in made.erased.items():
        click.echo(f"{table}  {count}")
    if not made.erased:
        talk("There was nothing of it.")
    talk(f"Suppression: {made.suppression}. Number, as a keyed hash: {made.number_hash}.")
    talk("Nothing was erased." if made.is_dry_run else f"Certificate {made.id}.")
