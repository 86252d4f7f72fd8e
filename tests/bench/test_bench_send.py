"""The benchmark of sending, run as short as it goes: what it measures here means nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"

# One at a time: each starts several processes.
pytestmark = pytest.mark.xdist_group("bench")


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_every_message_is_counted_against_the_sandboxs_record(engine: str) -> None:
    asked = ("--engine", engine, "--messages", "60", "--rounds", "1", "--delay", "0.01", "--json")
    command = [sys.executable, str(BENCH / "send.py"), *asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)["engines"][engine]
    assert measured["messages"] == 60
    assert measured["rate"] > 0
    assert measured["ratio"] > 0
