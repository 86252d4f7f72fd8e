"""`tracker forget` as an administrator runs it."""

import json
import os
import re
import subprocess
from pathlib import Path

from builders import NUMBER, accepted, queued, reloaded
from running import TRACKER

from tracker.store.db import Sessions

SPELLED = "+1 (202) 555-0143"


def tracker_forget(url: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if "TRACKER_" not in name}
    environ = {**clean, "TRACKER_DATABASE_URL": url, "TRACKER_SECRET_KEY": "k" * 20}
    environ["TRACKER_SPOOL_DIR"] = str(folder / "spool")
    done = subprocess.run(
        [TRACKER, "forget", *arguments],
        env=environ, cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_it_erases_and_certifies_without_the_number(
    sessions: Sessions, database_url: str, tmp_path: Path
) -> None:
    public_id = accepted(sessions)
    counted = tracker_forget(database_url, tmp_path, SPELLED, "--dry-run", "--json")
    assert json.loads(counted.stdout)["dry_run"] is True
    assert reloaded(sessions, public_id).recipient == NUMBER
    file = tmp_path / "certificate.json"
    done = tracker_forget(database_url, tmp_path, SPELLED, "--certificate", str(file))
    assert done.returncode == 0, done.stderr
    assert reloaded(sessions, public_id).recipient == "erased"
    said = json.loads(file.read_text())
    assert said["erased"] == json.loads(counted.stdout)["erased"]
    assert said["erased"]["messages"] == 1
    assert re.fullmatch("[0-9a-f]{64}", said["number_hash"])
    assert said["by"].startswith("cli:")
    for text in (done.stdout, done.stderr, file.read_text()):
        assert "2025550143" not in re.sub("[^0-9a-z]", "", text)
    again = tracker_forget(database_url, tmp_path, NUMBER, "--json")
    assert json.loads(again.stdout)["erased"] == {}
    assert json.loads(again.stdout)["number_hash"] == said["number_hash"]


def test_it_is_refused_while_something_is_to_be_sent(
    sessions: Sessions, database_url: str, tmp_path: Path
) -> None:
    public_id = queued(sessions)
    done = tracker_forget(database_url, tmp_path, SPELLED)
    assert done.returncode == 1
    assert f"message {public_id} is queued: cancel it, or wait" in done.stderr
    assert reloaded(sessions, public_id).recipient == NUMBER


def test_what_is_no_number_is_misuse(database_url: str, tmp_path: Path) -> None:
    done = tracker_forget(database_url, tmp_path, "x")
    assert done.returncode == 2
    assert "This is not a phone number" in done.stderr
