"""`tracker rebuild`: what is stored, recomputed from the bytes that the gateway posted."""

import click

from tracker.config import Settings
from tracker.services.rebuild import STEP, Counts, Mode, Rebuild
from tracker.services.recompute import Difference

from .common import RefusedError, actor, now, opened, plain, print_json, talk
from .progress import make_room, until_stopped


@click.command()
@click.option("--dry-run", is_flag=True, help="Only report; exit 1 when there are differences.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one difference a line.")
@click.option("--from-start", is_flag=True, help="Begin anew where an earlier run was stopped.")
@click.option(
    "--step", type=click.IntRange(1, 10_000), default=STEP, show_default=True,
    help="How many messages or numbers a transaction looks at.",
)  # fmt: skip
def rebuild(*, dry_run: bool, as_json: bool, from_start: bool, step: int) -> None:
    """Recompute statuses, handsets and rollups from the postbacks, and repair what differs.

    It may run beside everything else, and goes on where it was stopped.
    """
    settings = Settings.from_environ()
    work = Rebuild(
        opened(settings),
        mode=Mode.DRY_RUN if dry_run else Mode.REPAIR,
        zone=settings.gateway_zone,
        clock=now,
        tell=_print_json if as_json else _print_line,
        step=step,
    )
    _begin(work, from_start=from_start)
    is_finished = until_stopped(work.steps())
    work.end(actor(), is_finished=is_finished)
    talk(_summary(work.counts, dry_run=dry_run))
    if not is_finished:
        command = f"tracker rebuild{' --dry-run' if dry_run else ''}"
        raise RefusedError(f"stopped; `{command}` goes on from here")
    if work.counts.left or (dry_run and work.counts.differences):
        raise SystemExit(1)


def _begin(work: Rebuild, *, from_start: bool) -> None:
    if from_start:
        work.forget()
    elif stage := work.resume():
        talk(f"Going on with the {stage} where a run was stopped; --from-start begins anew.")


def _print_line(difference: Difference) -> None:
    where = ", ".join(f"{name} {value}" for name, value in difference.where.items())
    stored = difference.stored or "none"
    change = f"{stored} -> {difference.right or 'none'}"
    if not difference.is_mendable:
        change = f"{stored} (cannot be repaired)"
    make_room()
    click.echo(plain(f"{where}: {difference.field} {change}"))


def _print_json(difference: Difference) -> None:
    make_room()
    print_json(
        {
            "kind": difference.kind,
            **difference.where,
            "field": difference.field,
            "stored": difference.stored,
            "right": difference.right,
            "repairable": difference.is_mendable,
        }
    )


def _summary(counts: Counts, *, dry_run: bool) -> str:
    lines = [
        f"Looked at {counts.messages} messages, {counts.numbers} numbers, {counts.hours} hours: "
        f"{counts.differences or 'no'} differences"
        + (f", {counts.repaired} repaired." if counts.differences and not dry_run else ".")
    ]
    if counts.left:
        lines.append(f"{counts.left} cannot be repaired.")
    if counts.expired:
        lines.append(f"{counts.expired} left as they are: their postbacks' bytes are gone.")
    if counts.pending:
        lines.append(f"{counts.pending} hours are about to be counted anyway.")
    return "\n".join(lines)
