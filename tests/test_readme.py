"""Every command that README shows is run, in its order, against a running tracker."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from running import Up, up

from tracker.config import NAMES, PREFIX

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Up]:
    """Run `tracker up` in an empty folder that has the examples, as `make run` does."""
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    with up(tmp_path) as started:
        yield started


def test_every_command_of_the_readme_works(tracker: Up) -> None:
    script = "\n".join(block for block in BLOCKS if ".venv/bin/" in block)
    assert script.count(".venv/bin/tracker") >= 8
    script = script.replace(":8000", f":{tracker.port}").replace(
        ":8001", f":{tracker.sandbox_port}"
    )
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script.replace("curl -s", "curl -sS --fail-with-body")],
        cwd=tracker.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Delivered, handset") == 2
    assert "Delivered as link" in done.stdout
    assert '"reference":"order-4711"' in done.stdout
    assert requests.get(f"http://127.0.0.1:{tracker.sandbox_port}/", timeout=10).ok


def test_the_make_commands_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
    assert {"run", "test", "lint", "bench"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_file_the_readme_names_is_there() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert link.startswith("http") or (ROOT / link).exists(), link


def test_every_setting_is_in_the_table() -> None:
    for name in NAMES:
        assert f"`{PREFIX}{name}`" in README, name
