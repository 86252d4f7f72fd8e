"""The trials of sending, as short as they go."""

import subprocess
import sys
from pathlib import Path

import pytest

TRIALS = Path(__file__).parents[2] / "trials"


@pytest.mark.parametrize(("name", "engine"), [("kill", "sqlite"), ("share", "postgresql")])
def test_nobody_is_called_twice_and_nothing_is_lost_through(name: str, engine: str) -> None:
    asked = [name, "--engine", engine, "--messages", "200"]
    command = [sys.executable, str(TRIALS / "send.py"), *asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name}, {engine}: kept" in done.stdout
