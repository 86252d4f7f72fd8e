"""`tracker carriers import`, run as a person runs it."""

import json
from pathlib import Path

import pytest
from test_cli import Shell

from tracker.store import carriers
from tracker.store.db import Sessions

GOOD = "spid,country,carrier\n0001890,United States,Verizon Wireless\n0034010,España,Telefónica\n"


@pytest.fixture
def tracker(tmp_path: Path, database_url: str) -> Shell:
    return Shell(tmp_path, TRACKER_DATABASE_URL=database_url, USER="olga")


def names(sessions: Sessions) -> list[str]:
    with sessions() as session:
        return [row.name for row in carriers.everything(session)]


def test_a_dry_run_counts_and_an_import_does_it(tracker: Shell, sessions: Sessions) -> None:
    file = tracker.folder / "list.csv"
    file.write_bytes(GOOD.replace(",", ";").encode("windows-1252"))
    dry = tracker("carriers", "import", "list.csv", "--dry-run")
    counts = "2 new, 0 changed, 0 gone, 0 as before\n"
    assert (dry.code, dry.out, dry.err) == (0, counts, "Nothing was changed.\n")
    assert names(sessions) == []
    done = tracker("carriers", "import", "list.csv")
    assert (done.code, done.out, done.err) == (0, counts, "")
    assert names(sessions) == ["Verizon Wireless", "Telefónica"]
    again = tracker("carriers", "import", "-", "--json", stdin=GOOD.encode())
    assert json.loads(again.out) == {"new": 0, "changed": 0, "gone": 0, "same": 2}


def test_wrong_rows_are_named_and_nothing_is_changed(tracker: Shell, sessions: Sessions) -> None:
    rows = GOOD + "189,Canada,\n" + "x,A,B\n" * 30
    done = tracker("carriers", "import", "-", stdin=rows.encode())
    assert (done.code, done.out) == (1, "")
    assert "nothing was changed\n  row 3, spid '189': has 3 digits and needs 7" in done.err
    assert "  row 3, carrier '': is empty" in done.err
    assert done.err.endswith("  and 12 more\n")
    assert names(sessions) == []


def test_a_file_that_cannot_be_read_is_said(tracker: Shell) -> None:
    for stdin in (b"", b"x" * (4 * 1024 * 1024 + 1)):
        done = tracker("carriers", "import", "-", stdin=stdin)
        assert done.code == 1
        assert "nothing was changed; the file cannot be read: " in done.err
    assert tracker("carriers", "import", "nowhere.csv").code == 2
    assert tracker("carriers", "import", "-", "--separator", "pipe").code == 2
