"""How fast one sender sends, as ratios measured in one run. Linux; about a minute.

Usage: python bench/send.py [--engine sqlite|postgresql|both] [--messages N] [--rounds N]
                            [--delay SECONDS] [--json]

The sandbox gateway, a process of its own, answers each call after 50 ms. In every round one sender
process (`tracker sender`) empties a queue, and a bare client then posts as many documents of the
same kind with as many calls at once, without a database: the sandbox's own ceiling. Every message
must end as accepted, with a tracking id of its own, and the sandbox must have been called once for
each; anything else ends the run with 1. Nothing but the loopback is used.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from support import report
from support.databases import ENGINES
from support.options import positive
from support.sending import Round, sending_stage

MUST = 300.0  # messages a second


@dataclass(frozen=True, slots=True)
class Result:
    """What one engine came to."""

    engine: str
    version: str
    messages: int
    rate: float
    lowest: float
    highest: float
    ceiling: float
    ratio: float
    sender_ms: float  # processor time of the sender a message
    sandbox_ms: float

    @classmethod
    def of(cls, engine: str, version: str, rounds: Sequence[Round]) -> "Result":
        rates = [one.messages / one.seconds for one in rounds]
        ceilings = [one.messages / one.bare_seconds for one in rounds]
        return cls(
            engine=engine,
            version=version,
            messages=sum(one.messages for one in rounds),
            rate=median(rates),
            lowest=min(rates),
            highest=max(rates),
            ceiling=median(ceilings),
            ratio=median(ours / bare for ours, bare in zip(rates, ceilings, strict=True)),
            sender_ms=median(1000 * one.sender_cpu / one.messages for one in rounds),
            sandbox_ms=median(1000 * one.sandbox_cpu / one.messages for one in rounds),
        )


def main() -> None:
    """Measure and print."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    engines = ENGINES if options.engine == "both" else (options.engine,)
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        for engine in engines:
            print(f"{engine}: send ...", file=sys.stderr, flush=True)
            with sending_stage(engine, Path(name) / engine, options.delay) as stage:
                rounds = [stage.round(options.messages) for _ in range(options.rounds)]
                results.append(Result.of(engine, stage.database.version, rounds))
            if not options.json:
                print(f"\n{_as_text(results[-1], options.delay)}", flush=True)
    if options.json:
        found = {result.engine: asdict(result) for result in results}
        json.dump({"machine": report.machine(), "engines": found}, sys.stdout, indent=2)
        print()
    else:
        print(f"\n{report.machine()}")


def _as_text(result: Result, delay: float) -> str:
    verdict = "reached" if result.rate >= MUST else "MISSED"
    return "\n".join(
        (
            (
                f"{result.engine} {result.version}: {result.messages:,} messages, answers after"
                f" {delay * 1000:.0f} ms"
            ),
            (
                f"  one sender     {result.rate:6.0f}/s  ({result.lowest:.0f} to"
                f" {result.highest:.0f}; {result.sender_ms:.2f} ms of processor time a message);"
                f" {MUST:.0f}/s is {verdict}"
            ),
            (
                f"  bare client    {result.ceiling:6.0f}/s  (the sandbox's ceiling;"
                f" {result.sandbox_ms:.2f} ms of the sandbox's processor time a call)"
            ),
            f"  ratio          {result.ratio:6.2f}",
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=[*ENGINES, "both"], default="both")
    parser.add_argument("--messages", type=positive, default=3000, help="in each round")
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--delay", type=float, default=0.05, help="of the answers, in seconds")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
