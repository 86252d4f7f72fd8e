"""`tracker report`: the report of the API at the command line."""

import json
from pathlib import Path

import pytest
from builders import accepted
from test_cli import Shell

from tracker.store.db import Sessions


@pytest.fixture
def shell(tmp_path: Path, database_url: str) -> Shell:
    return Shell(tmp_path, TRACKER_DATABASE_URL=database_url)


def test_a_report_is_printed_in_three_ways(shell: Shell, sessions: Sessions) -> None:
    for number in range(3):
        accepted(sessions, f"T{number}", mms_id="35674")
    table = shell("report", "--group-by", "mms_id").out.splitlines()
    assert table[0].split()[:2] == ["messages", "sent"]
    assert table[1].split()[:3] == ["35674", "3", "3"]
    assert table[2].split()[:3] == ["total", "3", "3"]
    found = json.loads(shell("report", "--group-by", "mms_id", "--json").out)
    assert (found["items"][0]["group"], found["total"]["messages"]) == ("35674", 3)
    lines = shell("report", "--group-by", "mms_id", "--csv").out.splitlines()
    assert lines[1].startswith("35674,3,3,")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--json", "--csv"), "give one of them"),
        (("--group-by", "moon"), "moon"),
        (("--from", "yesterday"), "yesterday"),
    ],
)
def test_a_wrong_question_is_misuse(shell: Shell, arguments: tuple[str, ...], says: str) -> None:
    done = shell("report", *arguments)
    assert done.code == 2
    assert says in done.err
    assert done.out == ""
