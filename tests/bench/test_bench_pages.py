"""The benchmark of pages, run as short as it goes: what it measures here means nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "pages.py"

pytestmark = pytest.mark.xdist_group("bench")


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_every_page_is_asked_for(engine: str) -> None:
    command = [sys.executable, str(BENCH), "--engine", engine]
    command += ["--messages", "600", "--times", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)["engines"][engine]
    assert measured["messages"] >= 600
    names = {page["name"] for page in measured["pages"]}
    assert {"/", "/messages", "a message", "search by number", "postbacks: code"} <= names
    assert all(0 < page["kilobytes"] < 1000 for page in measured["pages"])
