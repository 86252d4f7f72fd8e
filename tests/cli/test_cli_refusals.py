"""What a person at the keyboard can get wrong, and what strangers put into what is shown."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from builders import a_postback, accepted, queued
from running import TRACKER, free_port

from tracker.store.db import Sessions

GOOD = ("--mms-id", "45633", "--from", "11111", "--pass", "BARCODEVALUE=1")
NO_TEXT = b"caf\xe9"  # Latin-1, which is no UTF-8


class Ran:
    """A command that has ended; no stack trace, ever."""

    def __init__(
        self, *arguments: str | bytes, settings: Mapping[str, str], stdin: bytes = b""
    ) -> None:
        clean = {name: value for name, value in os.environ.items() if "TRACKER_" not in name}
        done = subprocess.run(
            [TRACKER, *arguments], env={**clean, **settings}, input=stdin, capture_output=True,
            timeout=90, check=False,
        )  # fmt: skip
        self.code = done.returncode
        self.out = done.stdout.decode()
        self.err = done.stderr.decode()
        assert "Traceback" not in self.out + self.err, self.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", NO_TEXT],
        ["user", "disable", NO_TEXT],
        ["user", "add", NO_TEXT, "--password", "a long enough one"],
        ["token", "create", NO_TEXT],
        ["send", NO_TEXT, *GOOD],
        ["send", "12025550143", *GOOD, "--reference", NO_TEXT],
    ],
)
def test_arguments_that_are_no_text_are_refused(
    sqlite_url: str, arguments: list[str | bytes]
) -> None:
    done = Ran(*arguments, settings={"TRACKER_DATABASE_URL": sqlite_url})
    assert done.code in (1, 2)
    assert done.out == ""
    assert done.err.startswith("tracker: ")


@pytest.mark.parametrize("command", [["db", "upgrade"], ["up"]])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    ports = ["--port", str(free_port()), "--sandbox-port", str(free_port())]
    url = f"sqlite:///{tmp_path}/file/x/tracker.db"
    done = Ran(
        *command, *(ports if command == ["up"] else []), settings={"TRACKER_DATABASE_URL": url}
    )
    assert (done.code, done.out) == (1, "")
    assert done.err == f"tracker: Not a directory: {tmp_path}/file/x\n"


@pytest.mark.parametrize("named", ["directory", "none"])
def test_a_document_that_cannot_be_opened_is_misuse(
    sqlite_url: str, tmp_path: Path, named: str
) -> None:
    path = tmp_path if named == "directory" else tmp_path / "none.xml"
    done = Ran("send", "--xml", str(path), settings={"TRACKER_DATABASE_URL": sqlite_url})
    assert (done.code, done.out) == (2, "")
    assert str(path) in done.err


def test_a_setting_may_come_from_a_file(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(sqlite_url + "\n")
    (tmp_path / "from").write_text("60856\n")
    files = {
        "TRACKER_DATABASE_URL_FILE": str(tmp_path / "url"),
        "TRACKER_DEFAULT_FROM_FILE": str(tmp_path / "from"),
    }
    sent = Ran("send", "12025550143", "--mms-id", "45633", "--json", settings=files)
    assert json.loads(sent.out)["from"] == "60856"
    both = Ran("show", "x", settings={**files, "TRACKER_DEFAULT_FROM": "11111"})
    assert both.code == 1
    assert both.err == (
        "tracker: TRACKER_DEFAULT_FROM and TRACKER_DEFAULT_FROM_FILE are both set; keep one\n"
    )


def test_doctor_makes_no_database(tmp_path: Path) -> None:
    done = Ran(
        "doctor", "--json", settings={"TRACKER_DATABASE_URL": f"sqlite:///{tmp_path}/tracker.db"}
    )
    assert done.code == 1
    wrong = [line for line in map(json.loads, done.out.splitlines()) if line["state"] == "wrong"]
    assert [line["what"] for line in wrong] == ["database"]
    assert list(tmp_path.iterdir()) == []


def test_the_password_may_be_piped(sqlite_url: str) -> None:
    """A session of its own: a script has no terminal to ask on."""
    done = subprocess.run(
        [TRACKER, "user", "add", "olga"], input=b"a long enough one\n" * 2, capture_output=True,
        env={**os.environ, "TRACKER_DATABASE_URL": sqlite_url}, timeout=90, check=False,
        start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"a long enough one" not in done.stdout + done.stderr


def test_a_postback_fed_by_hand_is_printed_as_the_api_shows_it(
    database_url: str, sessions: Sessions
) -> None:
    public_id = accepted(sessions)
    where = {"TRACKER_DATABASE_URL": database_url}
    fed = Ran("postback", "-", "--json", stdin=a_postback("N102"), settings=where)
    row = json.loads(fed.out)
    assert (row["code"], row["outcome"], row["message_id"]) == ("N102", "applied", str(public_id))
    again = json.loads(Ran("postback", "-", "--json", stdin=a_postback("N102"), settings=where).out)
    assert (again["id"], again["repeats"]) == (row["id"], 1)
    assert (
        "Delivered. The handset (motol7c) confirmed"
        in Ran("show", str(public_id), settings=where).out
    )


def test_what_strangers_wrote_moves_no_cursor(database_url: str, sessions: Sessions) -> None:
    public_id = accepted(sessions)
    where = {"TRACKER_DATABASE_URL": database_url}
    body = a_postback(
        "N102", HANDSET="good\x9b2Jphone\n  Status: Refused", STATUS="Message\x85Sent"
    )
    Ran("postback", "-", stdin=body, settings=where)
    shown = Ran("show", str(public_id), settings=where).out
    assert "good 2Jphone   Status: Refused" in shown
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "\n  Status: Refused" not in shown


def test_more_messages_than_are_shown_is_said(database_url: str, sessions: Sessions) -> None:
    for _ in range(21):
        queued(sessions)
    done = Ran("show", "12025550143", "--json", settings={"TRACKER_DATABASE_URL": database_url})
    assert len(done.out.splitlines()) == 20
    assert done.err == "note: there are more; these are the newest 20\n"


@pytest.mark.parametrize("arguments", [["--postback-url", "ftp://x/"], ["--port", "99999"]])
def test_a_sandbox_that_makes_no_sense_is_misuse(arguments: list[str]) -> None:
    done = Ran("sandbox", *arguments, settings={})
    assert (done.code, done.out) == (2, "")


def test_a_wait_that_is_no_number_of_seconds_ends(sqlite_url: str) -> None:
    done = Ran(
        "send", "12025550143", *GOOD, "--wait", "nan", settings={"TRACKER_DATABASE_URL": sqlite_url}
    )
    assert done.code in (1, 2)


PRESS_CTRL_C = """
import os, signal, sys

def watch(event, arguments):
    if event == EVENT and (event != "import" or arguments[0] == "sqlalchemy") and not pressed:
        pressed.append(event)
        os.kill(os.getpid(), signal.SIGINT)

pressed = []
sys.addaudithook(watch)
from tracker.cli import main
main()
"""


@pytest.mark.parametrize(
    ("event", "command"), [("import", ["tail"]), ("sqlite3.connect", ["user", "list"])]
)
def test_ctrl_c_at_any_moment_ends_a_command_without_a_word(
    sqlite_url: str, event: str, command: list[str]
) -> None:
    program = f"EVENT = {event!r}\n{PRESS_CTRL_C}"
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        env={**os.environ, "TRACKER_DATABASE_URL": sqlite_url},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
