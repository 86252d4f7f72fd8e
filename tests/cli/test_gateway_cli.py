"""`tracker gateway`: status, pause and resume from a terminal."""

import json
import os
import subprocess
from pathlib import Path

from running import TRACKER


def tracker(database_url: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "TRACKER_DATABASE_URL": database_url, "USER": "olga"}
    return subprocess.run(
        [TRACKER, *arguments], cwd=folder, env=environ, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_a_person_pauses_looks_and_resumes(sqlite_url: str, tmp_path: Path) -> None:
    paused = tracker(sqlite_url, tmp_path, "gateway", "pause", "Wrong campaign.", "--json")
    assert paused.returncode == 0
    assert json.loads(paused.stdout)["paused"]["by"] == "cli:olga"
    shown = tracker(sqlite_url, tmp_path, "gateway", "status")
    assert "by cli:olga: Wrong campaign." in shown.stdout
    assert "0 due" in shown.stdout
    resumed = tracker(sqlite_url, tmp_path, "gateway", "resume", "It is right now.", "--json")
    assert json.loads(resumed.stdout)["state"] == "running"
    again = tracker(sqlite_url, tmp_path, "gateway", "resume", "Once more.")
    assert (again.returncode, again.stderr) == (1, "tracker: the queue is not paused\n")
    silent = tracker(sqlite_url, tmp_path, "gateway", "pause", " ")
    assert silent.returncode == 1
    assert "REASON" in silent.stderr
