"""`tracker demo` as a person runs it."""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from running import TRACKER


def run(folder: Path, database_url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if "TRACKER_" not in name}
    done = subprocess.run(
        [TRACKER, "demo", *arguments],
        cwd=folder, env={**clean, "TRACKER_DATABASE_URL": database_url},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_it_fills_an_empty_database_and_refuses_to_do_so_twice(
    tmp_path: Path, database_url: str
) -> None:
    first = run(tmp_path, database_url, "--messages", "60", "--until", "2026-11-26T22:30")
    assert (first.returncode, first.stdout) == (0, "")
    assert "72 messages and " in first.stderr
    assert "all invented, until 2026-11-26 22:30 UTC." in first.stderr
    second = run(tmp_path, database_url)
    assert (second.returncode, second.stdout) == (1, "")
    assert "the database is not empty" in second.stderr


def test_it_makes_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, f"sqlite:///{tmp_path}/new/demo.db", "--messages", "60")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "demo.db").stat().st_size > 100_000


def test_interrupted_it_says_what_it_leaves(tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path}/demo.db"
    process = subprocess.Popen(
        [TRACKER, "demo", "--messages", "50000"], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TRACKER_DATABASE_URL": database_url},
    )  # fmt: skip
    until = time.monotonic() + 60
    while not count(tmp_path / "demo.db"):
        assert time.monotonic() < until
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "messages of an unfinished week" in said
    assert "Traceback" not in said


def count(path: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM messages").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize(
    "arguments", [["--until", "yesterday"], ["--messages", "1"], ["--seed", "x"], ["more"]]
)
def test_misuse_is_exit_2(tmp_path: Path, sqlite_url: str, arguments: list[str]) -> None:
    done = run(tmp_path, sqlite_url, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error" in done.stderr
