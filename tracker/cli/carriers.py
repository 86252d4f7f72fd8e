"""`tracker carriers`: names for the SPIDs that postbacks carry."""

from typing import BinaryIO, Final

import click

from tracker.config import Settings
from tracker.domain.carriers import Difference
from tracker.services import carriers
from tracker.services.batch_file import ENCODINGS, SEPARATORS, FileError
from tracker.services.carriers import MAX_BYTES, WrongCell, WrongListError

from .common import RefusedError, actor, now, opened, plain, print_json, talk

MOST_SHOWN: Final = 20


@click.group("carriers")
def group() -> None:
    """Names for the SPIDs that postbacks carry."""


@group.command("import")
@click.argument("file", type=click.File("rb"), metavar="FILE.csv")
@click.option("--encoding", type=click.Choice(ENCODINGS), help="Found out, when not given.")
@click.option("--separator", type=click.Choice(list(SEPARATORS)), help="Found out, when not given.")
@click.option("--dry-run", is_flag=True, help="Say what would change, no more.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def import_file(
    *, file: BinaryIO, encoding: str | None, separator: str | None, dry_run: bool, as_json: bool
) -> None:
    """Put the carriers of FILE.csv (`-` for stdin) in place of those that are there.

    Its first row names the columns: spid, country, carrier. One wrong row, and nothing is changed.
    """
    sessions = opened(Settings.from_environ())
    try:
        found = carriers.read(
            file.read(MAX_BYTES + 1), encoding=encoding, separator=SEPARATORS.get(separator or "")
        )
    except FileError as error:
        raise RefusedError(f"nothing was changed; the file cannot be read: {error}") from error
    except WrongListError as error:
        raise RefusedError(_lines(error.problems)) from error
    if dry_run:
        difference = carriers.compare(sessions, found)
        talk("Nothing was changed.")
    else:
        difference = carriers.replace(sessions, found, actor(), now())
    print_json(_counts(difference)) if as_json else click.echo(difference.words)


def _counts(found: Difference) -> dict[str, int]:
    return {
        "new": len(found.new),
        "changed": len(found.changed),
        "gone": len(found.gone),
        "same": found.same,
    }


def _lines(problems: tuple[WrongCell, ...]) -> str:
    lines = [
        f"  row {p.row:,}, {p.column or 'the row'} {plain(p.value)!r}: {plain(p.reason)}"
        for p in problems[:MOST_SHOWN]
    ]
    if len(problems) > MOST_SHOWN:
        lines.append(f"  and {len(problems) - MOST_SHOWN:,} more")
    return "nothing was changed\n" + "\n".join(lines)
