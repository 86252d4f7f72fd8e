"""The benchmark of retention, run as short as it goes: what it measures here means nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "purge.py"

pytestmark = pytest.mark.xdist_group("bench")


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_messages_leave_while_postbacks_come(engine: str) -> None:
    command = [sys.executable, str(BENCH), "--engine", engine, "--json"]
    command += ["--messages", "1000", "--days", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)["engines"][engine]
    assert 0 < measured["gone"]["messages"] < measured["messages"]
