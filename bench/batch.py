"""How long a batch takes to be read, checked and queued, and in how much memory. Linux.

Usage: python bench/batch.py [--engine sqlite|postgresql|both] [--rows N] [--json]

A file of so many rows is handed to `tracker batch` as people do it, in a process of its own, on a
database of its own; the rows in the queue are counted, and a difference ends the run with 1. The
memory is the most that the process ever had (resident, as the kernel counts it).
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text
from support import report
from support.databases import database, folders
from support.options import parser_of, positive

ROWS = 100_000
MOST_SECONDS = 60.0
MOST_MIB = 200.0
HEADER = "to,mms_id,from,reference,pass.BARCODEVALUE,pass.PRIMARYVALUE1,data.FIRST_NAME\n"


def main() -> None:
    """Measure and print."""
    options = _options()
    results = {}
    with folders(options.engine) as made:
        for engine, folder in made.items():
            path = folder / "rows.csv"
            _write(path, options.rows)
            results[engine] = _measure(engine, path, options.rows, folder)
            if not options.json:
                print(_line(engine, results[engine]), flush=True)
    report.finish(results, as_json=options.json)


def _write(path: Path, rows: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        for number in range(rows):
            to = 12_025_550_000 + number % 10_000 + 10_000_000 * (number // 10_000)
            file.write(f"{to},45633,11111,order-{number},A-{number:08d},Gate {number % 40},Zoë\n")


def _measure(engine: str, path: Path, rows: int, folder: Path) -> dict[str, Any]:
    with database(engine, folder, {}) as made:
        command = [str(Path(sys.executable).with_name("tracker")), "batch", str(path), "--json"]
        environ = {**os.environ, "TRACKER_DATABASE_URL": made.url}
        began = time.monotonic()
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=said
            )
            _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        if status:
            raise SystemExit((folder / "said").read_text())
        with made.engine.connect() as connection:
            queued = connection.scalar(text("SELECT count(*) FROM messages"))
            contents = connection.scalar(text("SELECT count(*) FROM message_contents"))
        if not queued == contents == rows:
            raise SystemExit(f"{rows} rows, but {queued} messages and {contents} contents")
        return {
            "version": made.version,
            "rows": rows,
            "seconds": seconds,
            "processor_seconds": used.ru_utime + used.ru_stime,
            "rows_per_second": rows / seconds,
            "peak_mib": _mib(used),
        }


def _mib(used: resource.struct_rusage) -> float:
    return used.ru_maxrss / 1024


def _line(engine: str, result: dict[str, Any]) -> str:
    seconds, mib = result["seconds"], result["peak_mib"]
    is_met = seconds * ROWS / result["rows"] <= MOST_SECONDS and mib <= MOST_MIB
    return (
        f"{report.ENGINE_NAMES[engine]} {result['version']}: {result['rows']:,} rows in"
        f" {seconds:.1f} s ({result['processor_seconds']:.1f} s of a processor),"
        f" {result['rows_per_second']:,.0f}/s, at most {mib:.0f} MiB;"
        f" must: 100,000 in {MOST_SECONDS:.0f} s with {MOST_MIB:.0f} MiB"
        f"{'' if is_met else ' (not met)'}"
    )


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=positive, default=ROWS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
