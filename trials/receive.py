"""Trials of the receive path: it is harmed under load, and then has to account for every answer.

Usage: python trials/receive.py NAME... [--engine sqlite|postgresql|both] [--seconds N] [--rate N]

Every trial keeps a ledger of all answers. Afterwards each 200 must be in the journal exactly once
with its exact bytes, each message must have the status that the fold of its postbacks says, and
`tracker rebuild` must find no difference. The command ends with 1 when a promise was broken.
Linux; nothing but the loopback is used, and no process is touched but those that it starts.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from support import clients, deaths, outages
from support.databases import ENGINES
from support.disks import NoDiskError
from support.stage import Options, Report, Stage, stage

BOTH = tuple(ENGINES)
RATE = 200.0
REFUSED = frozenset({"refused"})
DEAD = frozenset({"refused", "closed", "lost"})  # what the death of a process may do
AWAY = frozenset({"503"})


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial, its engines, its usual length, and the answers that it may have beside 200."""

    run: Callable[[Stage], None]
    seconds: float = 20.0
    engines: tuple[str, ...] = BOTH
    allowed: frozenset[str] = frozenset()
    small_disk: str = ""
    disk_size: str = ""
    workers: str = ""


TRIALS = {
    "kill-workers": Trial(deaths.kill_workers, allowed=DEAD, workers="2"),
    "kill-database": Trial(outages.kill_database, engines=("postgresql",), allowed=AWAY),
    "database-away": Trial(outages.database_away, seconds=60, allowed=AWAY),
    "database-hangs": Trial(outages.database_hangs, seconds=60, allowed=AWAY),
    "disk-full": Trial(
        outages.disk_full, seconds=10, allowed=AWAY, small_disk="spool", disk_size="256k"
    ),
    "database-full": Trial(
        outages.database_full, seconds=10, engines=("sqlite",), allowed=AWAY,
        small_disk="database", disk_size="6m",
    ),
    "same-body": Trial(clients.same_body),
    "early": Trial(clients.early),
    "rude": Trial(clients.rude, seconds=30, workers="1"),
    "restart": Trial(deaths.restart, allowed=REFUSED | {"closed"}),
    "crash-while-spooling": Trial(deaths.crash_while_spooling, allowed=DEAD | AWAY),
}  # fmt: skip


def main() -> None:
    """Run the trials that are asked for, and print what they came to."""
    options = _options()
    # What was started has to end, and what was mounted to go, also then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    engines = BOTH if options.engine == "both" else (options.engine,)
    names = list(TRIALS) if "all" in options.names else options.names
    reports = []
    for name in names:
        for engine in (engine for engine in TRIALS[name].engines if engine in engines):
            print(f"{name} on {engine} ...", file=sys.stderr, flush=True)
            try:
                reports.append(_run(name, engine, options))
            except NoDiskError as error:
                print(f"{name} on {engine} is left out: {error}", file=sys.stderr)
                continue
            if not options.json:
                print(_as_text(reports[-1]), flush=True)
    if options.json:
        json.dump([asdict(report) for report in reports], sys.stdout, indent=2)
        print()
    sys.exit(any(report.complaints for report in reports))


def _run(name: str, engine: str, options: argparse.Namespace) -> Report:
    trial = TRIALS[name]
    seconds = options.seconds or trial.seconds
    chosen = Options(seconds, options.rate, options.seed, trial.small_disk, trial.disk_size)
    environ = {"WEB_WORKERS": trial.workers} if trial.workers else {}
    began = time.monotonic()
    with (
        _folder(options.keep, f"{name}-{engine}") as folder,
        stage(folder, engine, chosen, **environ) as built,
    ):
        trial.run(built)
        report = built.report(name, engine, trial.allowed)
    report.seconds = round(time.monotonic() - began, 1)
    return report


@contextmanager
def _folder(keep: Path | None, name: str) -> Iterator[Path]:
    if keep is not None:
        (keep / name).mkdir(parents=True)
        yield keep / name
        return
    with tempfile.TemporaryDirectory(prefix="trial-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _as_text(report: Report) -> str:
    others = {answer: n for answer, n in report.answers.items() if answer not in ("200", "503")}
    verdict = "BROKEN" if report.complaints else "kept"
    kept, refused = (report.answers.get(answer, 0) for answer in ("200", "503"))
    drained = report.drained_seconds or 0.0
    lines = [
        f"{report.name}, {report.engine}: {verdict} ({report.seconds:.0f} s)",
        f"  {report.postbacks} postbacks: 200 {kept}, 503 {refused}, others {others or 0}",
        f"  missing {report.missing}, doubled {report.doubled}",
        f"  stored but not answered {report.kept_unanswered}",
        f"  longest answer {report.longest_seconds:.2f} s, spool empty after {drained:.1f} s",
        *(f"  note: {note}" for note in report.notes),
        *(f"  BROKEN: {complaint}" for complaint in report.complaints),
    ]
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", choices=[*TRIALS, "all"], metavar="NAME",
                        help=f"all, or some of {', '.join(TRIALS)}")  # fmt: skip
    parser.add_argument("--engine", choices=[*ENGINES, "both"], default="both")
    parser.add_argument("--seconds", type=float, help="length of the trouble")
    parser.add_argument("--rate", type=float, default=RATE, help="postbacks a second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave logs and databases here")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
