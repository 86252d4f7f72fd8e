"""The benchmark of the receiver, run as short as it goes: what it measures here means nothing."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SHORTEST = ("--messages", "60", "--rounds", "1", "--seconds", "0.2", "--json")

# One at a time: each starts several servers.
pytestmark = pytest.mark.xdist_group("bench")


@pytest.mark.parametrize(
    ("engine", "figures"), [("postgresql", "pgbench,fsync"), ("sqlite", "naive,p99")]
)
def test_every_answer_is_counted_against_what_is_stored(engine: str, figures: str) -> None:
    asked = ("--engine", engine, "--figures", figures, *SHORTEST)
    command = [sys.executable, str(BENCH / "receive.py"), *asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)["engines"][engine]
    assert measured["postbacks"] > 0
    assert list(measured["figures"]) == figures.split(",")
    for name, figure in measured["figures"].items():
        assert figure["value"] is None or figure["value"] > 0, name


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("support.stage")


def test_a_200_that_is_not_stored_ends_the_run(
    stage: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SPOOL_SECONDS", 0.0)
    plan = stage.Plan(messages=10, rounds=1, seconds=0.1, memory=(1, 2))
    with (
        stage.stage("sqlite", plan, tmp_path / "stage", wants_slow_fsync=False) as built,
        stage.servers.empty(tmp_path, "-w", "1") as forgetful,
        pytest.raises(SystemExit, match="10 answers with 200, but 0 applied postbacks"),
    ):
        built.postbacks(forgetful, seconds=5.0)
