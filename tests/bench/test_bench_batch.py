"""The benchmark of batches, run as short as it goes: what it measures here means nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "batch.py"

pytestmark = pytest.mark.xdist_group("bench")


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_every_row_is_counted_in_the_queue(engine: str) -> None:
    command = [sys.executable, str(BENCH), "--engine", engine, "--rows", "50", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)["engines"][engine]
    assert (measured["rows"], measured["peak_mib"] > 0) == (50, True)
