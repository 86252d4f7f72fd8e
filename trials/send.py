"""Trials of sending: senders are killed, and then every message has to be accounted for.

Usage: python trials/send.py NAME... [--engine sqlite|postgresql|both] [--messages N] [--seed N]

    kill    two senders are killed with SIGKILL at random, and started again, until all is sent
    share   two senders, each with settings of its own, empty one queue

The sandbox gateway keeps its own record of calls. No number may be in it twice; each message must
be accepted here and there, or be unknown; and unknown may be only what a kill caught in a call. The
command ends with 1 when that is broken. Linux; nothing but the loopback is used, and no process is
touched but those that it starts.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from support.databases import ENGINES
from support.sending import Report, SendStage, kill, share, stage

TRIALS: dict[str, tuple[Callable[[SendStage], None], tuple[str, ...]]] = {
    "kill": (kill, tuple(ENGINES)),
    "share": (share, ("postgresql",)),
}


def main() -> None:
    """Run the trials that are asked for, and print what they came to."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    engines = tuple(ENGINES) if options.engine == "both" else (options.engine,)
    names = list(TRIALS) if "all" in options.names else options.names
    reports = []
    for name in names:
        run, has_engines = TRIALS[name]
        for engine in engines:
            if engine not in has_engines:
                print(f"{name} on {engine}: left out, it is about other engines", file=sys.stderr)
                continue
            print(f"{name} on {engine} ...", file=sys.stderr, flush=True)
            reports.append(_run(name, run, engine, options))
            if not options.json:
                print(_as_text(reports[-1]), flush=True)
    if options.json:
        json.dump([asdict(report) for report in reports], sys.stdout, indent=2)
        print()
    sys.exit(any(report.complaints for report in reports))


def _run(
    name: str, run: Callable[[SendStage], None], engine: str, options: argparse.Namespace
) -> Report:
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="trial-", ignore_cleanup_errors=True) as folder,
        stage(Path(folder), engine, options.messages, options.seed) as built,
    ):
        run(built)
        report = built.report(name, engine)
    report.seconds = round(time.monotonic() - began, 1)
    return report


def _as_text(report: Report) -> str:
    verdict = "BROKEN" if report.complaints else "kept"
    lines = [
        f"{report.name}, {report.engine}: {verdict} ({report.seconds:.0f} s)",
        f"  {report.messages} messages, {report.calls} calls, {report.kills} kills",
        (
            f"  accepted {report.accepted}, unknown {report.unknown}"
            f" ({report.unknown_called} of them had reached the gateway)"
        ),
        f"  called twice {report.twice}, lost {report.lost}",
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
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
