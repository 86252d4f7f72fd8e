"""`tracker report`: what became of the messages of a period, by one of their properties."""

import sys
from datetime import datetime

import click

from tracker.config import Settings
from tracker.domain.overview import Measure
from tracker.domain.report import GroupBy, Line, total
from tracker.services import reports

from .common import now, opened, plain, print_json, talk
from .demo import Moment


@click.command()
@click.option("--from", "begin", type=Moment(), help="From this hour on; a week before --to.")
@click.option("--to", "end", type=Moment(), help="Up to this hour; now.")
@click.option(
    "--group-by", type=click.Choice([str(one) for one in GroupBy]), default="day",
    show_default=True, help="What a line stands for; days and hours are those of UTC.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def report(
    *, begin: datetime | None, end: datetime | None, group_by: str, as_json: bool, as_csv: bool
) -> None:
    """Say what became of the messages that were queued in a period."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two ways to print; give one of them.")
    with opened(Settings.from_environ())() as session:
        found = reports.summary(session, begin, end, GroupBy(group_by), now())
    if found.is_behind:
        talk("Some hours have changed since they were counted; a running sender counts them anew.")
    if as_json:
        print_json(reports.describe(found))
    elif as_csv:
        sys.stdout.writelines(reports.report_csv(found))
    else:
        _print_table([*found.lines, total(found.lines)], len(found.lines))


def _print_table(lines: list[Line], groups: int) -> None:
    names = [line.group or "none" for line in lines[:groups]] + ["total"]
    width = max(map(len, names))
    heads = ("messages", "sent", "delivered", "as link", "waiting", "failed", "unknown", "share")
    click.echo(" " * width + "".join(f"{head:>11}" for head in heads))
    for name, line in zip(names, lines, strict=True):
        share = "-" if line.delivery_share is None else f"{line.delivery_share:.1%}"
        numbers = (
            line.messages,
            *(line.measure(m) for m in (
                Measure.SENT, Measure.DELIVERED, Measure.LINK, Measure.WAITING, Measure.FAILED,
                Measure.UNKNOWN,
            )),
        )  # fmt: skip
        cells = "".join(f"{number:>11,}" for number in numbers)
        click.echo(plain(f"{name:<{width}}{cells}{share:>11}"))
