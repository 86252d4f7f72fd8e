"""How fast postbacks are received, as ratios measured in one run. Linux; about two minutes.

Usage: python bench/receive.py [--engine sqlite|postgresql|both] [--figures LIST] [--full] [--json]

Every postback tells of a message of its own, and every 200 is counted against the database; a
difference ends the run with 1. Nothing but the loopback is used. The figures:

    empty      durable postbacks a second ÷ an empty Flask view, new connections
    naive      ÷ the same work with one ORM session a request (naive.py)
    pgbench    ÷ PostgreSQL alone with the same insert and update in one statement
    keepalive  ÷ an empty Flask view, one request at a time on one kept connection
    p99        the 99th percentile of the answer time at half of the full rate
    fsync      the rate that is kept when every fsync of the database takes 2 ms longer
    memory     resident memory of the web processes, late in a long load against early in it
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from support import report
from support.databases import ENGINES
from support.figures import FIGURES
from support.options import positive
from support.stage import Plan, stage

SHORT = Plan(messages=20_000, rounds=3, seconds=1.5, memory=(2_000, 20_000))
FULL = Plan(messages=1_000_000, rounds=7, seconds=5.0, memory=(10_000, 1_000_000))


def main() -> None:
    """Measure and print."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are stopped on the way out
    engines = ENGINES if options.engine == "both" else (options.engine,)
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        for engine in engines:
            results.append(_measure(engine, _plan(options), options.figures, Path(name)))
            if not options.json:
                print(f"\n{report.as_text(results[-1])}", flush=True)
    if options.json:
        found = {result.engine: report.as_json(result) for result in results}
        json.dump({"machine": report.machine(), "engines": found}, sys.stdout, indent=2)
        print()
    else:
        print(f"\n{report.machine()}")


def _measure(engine: str, plan: Plan, names: Sequence[str], folder: Path) -> report.Result:
    figures = []
    with stage(engine, plan, folder / engine, wants_slow_fsync="fsync" in names) as built:
        for name in names:
            print(f"{engine}: {name} ...", file=sys.stderr, flush=True)
            figures.append(FIGURES[name](built))
        return report.Result(
            engine=engine,
            version=built.database.version,
            messages=built.loaded,
            postbacks=built.used,
            figures=figures,
            others=dict(built.others),
            costs=built.costs,
        )


def _plan(options: argparse.Namespace) -> Plan:
    base = FULL if options.full else SHORT
    messages = options.messages or base.messages
    return Plan(
        messages=messages,
        rounds=options.rounds or base.rounds,
        seconds=options.seconds or base.seconds,
        memory=base.memory if messages >= base.memory[1] else (messages // 10 + 1, messages + 1),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=[*ENGINES, "both"], default="both")
    parser.add_argument(
        "--figures", type=_figures, default=list(FIGURES), metavar="LIST",
        help=f"some of {','.join(FIGURES)}",
    )  # fmt: skip
    parser.add_argument("--full", action="store_true", help="a million messages; an hour")
    parser.add_argument("--messages", type=positive, help="loaded before the first round")
    parser.add_argument("--rounds", type=positive)
    parser.add_argument("--seconds", type=float, help="length of a round")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _figures(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(FIGURES):
        raise argparse.ArgumentTypeError(f"no figure is called {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    main()
