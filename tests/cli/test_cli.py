"""Every command, run as a person runs it: data on stdout, talk on stderr, exit 0, 1 or 2."""

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyotp
import pytest
from builders import a_postback, accepted, queued
from running import TRACKER, free_port
from sqlalchemy import select

from tracker.services import two_factor
from tracker.store import db, schema
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry

GOOD = ["--mms-id", "45633", "--from", "11111", "--pass", "BARCODEVALUE=1"]
DOCUMENT = (
    "<REQUEST><ACTION>sendPassInMMS</ACTION><API_KEY>ignored</API_KEY><MMSID>45633</MMSID>"
    "<TO>12025550143</TO><FROM>11111</FROM><PASSDATA><BARCODEVALUE>1</BARCODEVALUE></PASSDATA>"
    "</REQUEST>"
)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class Shell:
    """A folder and an environment in which commands are run."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if "TRACKER_" not in name}
        self.environ = {**clean, **settings}

    def __call__(
        self, *arguments: str, stdin: bytes = b"", settings: Mapping[str, str] | None = None
    ) -> Done:
        done = subprocess.run(
            [TRACKER, *arguments],
            cwd=self.folder,
            env={**self.environ, **(settings or {})},
            input=stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        said = Done(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in said.out + said.err, said
        return said


@pytest.fixture
def tracker(tmp_path: Path, database_url: str) -> Shell:
    return Shell(tmp_path, TRACKER_DATABASE_URL=database_url)


@pytest.fixture
def sqlite_tracker(tmp_path: Path, sqlite_url: str) -> Shell:
    return Shell(tmp_path, TRACKER_DATABASE_URL=sqlite_url)


@pytest.mark.parametrize(
    "command",
    [
        "", "up", "web", "sender", "sandbox", "db", "db upgrade", "db check", "send", "show",
        "user", "user add", "user list", "user disable", "user password",
        "user enable", "user role", "user reset-two-factor", "token",
        "token create", "token list", "token revoke", "postback-token", "postback-token create",
        "postback-token list", "postback-token revoke", "postback", "spool", "spool status",
        "spool drain", "replay", "reconcile", "rebuild", "doctor", "settle", "demo",
    ],
)  # fmt: skip
def test_every_command_explains_itself_without_a_database(tmp_path: Path, command: str) -> None:
    done = Shell(tmp_path)(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert "Usage: tracker" in done.out
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_the_package_s(tmp_path: Path) -> None:
    assert Shell(tmp_path)("--version").out.startswith("tracker, version ")


@pytest.mark.parametrize(
    "arguments", [["fly"], ["send", "--colour"], ["send", "1", "--wait", "x"], ["show"],
                  ["send"], ["send", "1", "--pass", "novalue"],
                  ["send", "1", "--pass", "A=1", "--pass", "a=2"], ["postback", "/none"],
                  ["web", "--port", "0"], ["user", "add", "x", "--role", "king"]]
)  # fmt: skip
def test_misuse_is_exit_2(sqlite_tracker: Shell, arguments: list[str]) -> None:
    done = sqlite_tracker(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Error" in done.err


@pytest.mark.parametrize(
    ("name", "value"),
    [("DATABASE_URL", "mysql://x/y"), ("GATEWAY_TIMEOUT_SECONDS", "soon"), ("SECRET_KEY", "x"),
     ("GATEWAY_ZONE", "Mars"), ("POSTBACK_TOKENS", "a/b"), ("DEFAULT_FROM_FILE", "/none")],
)  # fmt: skip
def test_a_wrong_setting_is_one_line_that_names_it(
    sqlite_tracker: Shell, name: str, value: str
) -> None:
    done = sqlite_tracker("show", "x", settings={f"TRACKER_{name}": value})
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"tracker: TRACKER_{name}: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("command", ["sender", "up"])
def test_sending_without_a_gateway_names_the_setting(sqlite_tracker: Shell, command: str) -> None:
    flags = ["--no-sandbox"] if command == "up" else []
    done = sqlite_tracker(command, *flags)
    assert (done.code, "TRACKER_GATEWAY_URL is not set" in done.err) == (1, True)


def test_no_database_is_one_line_and_makes_none(tmp_path: Path) -> None:
    done = Shell(tmp_path)("send", "12025550143", *GOOD)
    assert (done.code, done.out) == (1, "")
    assert "there is no database at instance/tracker.db" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["show", "x"], ["web"], ["sender"], ["token", "list"]])
def test_a_database_behind_the_code_is_one_line(tracker: Shell, command: list[str]) -> None:
    sessions = db.connect(tracker.environ["TRACKER_DATABASE_URL"])
    schema.downgrade(db.engine_of(sessions), "base")
    db.engine_of(sessions).dispose()
    gateway = {"TRACKER_GATEWAY_URL": "http://127.0.0.1:1/", "TRACKER_GATEWAY_API_KEY": "k"}
    done = tracker(*command, settings=gateway)
    assert (done.code, done.out) == (1, "")
    assert "run `tracker db upgrade`" in done.err
    assert tracker("db", "upgrade").code == 0
    assert tracker("db", "check").code == 0


def test_a_database_that_is_away_is_one_line(tmp_path: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    done = Shell(tmp_path, TRACKER_DATABASE_URL=url)("show", "x")
    assert done.code == 1
    assert done.err.startswith("tracker: the database cannot be used: ")


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is no database" * 1000)
    done = Shell(tmp_path, TRACKER_DATABASE_URL="sqlite:///x.db")("show", "x")
    assert done.code == 1
    assert done.err.startswith("tracker: the database cannot be used: ")


def test_send_prints_the_id_alone(tracker: Shell) -> None:
    done = tracker("send", "+1 202-555-0143", *GOOD, "--reference", "r 1", "--text", "1=Hello")
    assert (done.code, done.err) == (0, "")
    public_id = done.out.strip()
    shown = json.loads(tracker("show", public_id, "--json").out)
    assert (shown["id"], shown["status"], shown["reference"]) == (public_id, "queued", "r 1")
    assert shown["custom_text"] == [{"slide": 1, "value": "Hello"}]
    for key in ("+1 (202) 555-0143", "r 1", shown["custom_pass_id"]):
        assert public_id in tracker("show", key).out


def test_send_json_prints_the_message(sqlite_tracker: Shell) -> None:
    done = sqlite_tracker("send", "12025550143", *GOOD, "--json")
    assert json.loads(done.out)["to"] == "12025550143"
    assert done.out.count("\n") == 1


def test_the_default_sender_comes_from_the_settings(sqlite_tracker: Shell) -> None:
    without = ["send", "12025550143", "--mms-id", "45633"]
    assert "from: is missing" in sqlite_tracker(*without).err
    done = sqlite_tracker(*without, "--json", settings={"TRACKER_DEFAULT_FROM": "60856"})
    assert json.loads(done.out)["from"] == "60856"


def test_every_wrong_field_is_a_line(sqlite_tracker: Shell) -> None:
    done = sqlite_tracker(
        "send", "nobody", "--mms-id", "x", "--from", "ACME", "--text", "9=a", "--pass", "SEAT=1",
        "--send-at", "tomorrow",
    )  # fmt: skip
    assert (done.code, done.out) == (1, "")
    for field in ("to", "mms_id", "from", "custom_text[0].slide", "pass_data.SEAT", "send_at"):
        assert f"\n  {field}: " in done.err


def test_a_document_is_read_from_a_file_or_stdin(tracker: Shell) -> None:
    (tracker.folder / "r.xml").write_text(DOCUMENT)
    for done in (
        tracker("send", "--xml", "r.xml", "--json"),
        tracker("send", "--xml", "-", "--json", stdin=DOCUMENT.encode()),
    ):
        assert json.loads(done.out)["mms_id"] == "45633"
        assert "ignored" not in done.out


def test_a_document_may_declare_another_encoding(sqlite_tracker: Shell) -> None:
    text = DOCUMENT.replace("<PASSDATA>", "<CUSTOMSUBJECT>Zoë</CUSTOMSUBJECT><PASSDATA>")
    body = ("<?xml version='1.0' encoding='ISO-8859-1'?>" + text).encode("latin-1")
    done = sqlite_tracker("send", "--xml", "-", "--json", stdin=body)
    assert json.loads(done.out)["custom_subject"] == "Zoë"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"hello", DOCUMENT[:50].encode(), b"<!DOCTYPE REQUEST>" + DOCUMENT.encode(),
        DOCUMENT.replace("45633", "a & b").encode(), b"<RESPONSE/>", b" " * (2 * 1024 * 1024),
        DOCUMENT.replace("<MMSID>45633</MMSID>", "").encode(),
        DOCUMENT.replace("sendPassInMMS", "sendSMS").encode(),
    ],
    ids=["empty", "text", "cut", "doctype", "ampersand", "other", "huge", "no mms id", "action"],
)  # fmt: skip
def test_a_document_that_cannot_be_sent_is_exit_1(sqlite_tracker: Shell, body: bytes) -> None:
    done = sqlite_tracker("send", "--xml", "-", stdin=body)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("tracker: ")


def test_a_document_and_fields_contradict_each_other(sqlite_tracker: Shell) -> None:
    (sqlite_tracker.folder / "r.xml").write_text(DOCUMENT)
    assert sqlite_tracker("send", "12025550143", "--xml", "r.xml").code == 2
    assert sqlite_tracker("send", "--xml", "r.xml", "--mms-id", "1").code == 2


def test_waiting_in_vain_is_exit_1_and_says_why(sqlite_tracker: Shell) -> None:
    done = sqlite_tracker("send", "12025550143", *GOOD, "--wait", "0.5")
    assert done.code == 1
    assert "Is a sender running?" in done.out


def test_show_of_nothing_is_exit_1(sqlite_tracker: Shell) -> None:
    assert sqlite_tracker("show", "nobody").code == 1


def test_show_of_many_is_a_list(tracker: Shell, sessions: Sessions) -> None:
    ids = [str(queued(sessions)) for _ in range(3)]
    done = tracker("show", "12025550143")
    assert [line.split()[0] for line in done.out.splitlines()] == ids[::-1]
    assert len(tracker("show", "12025550143", "--json").out.splitlines()) == 3


def test_a_postback_is_fed_by_hand(tracker: Shell, sessions: Sessions) -> None:
    public_id = accepted(sessions)
    path = tracker.folder / "n102.xml"
    path.write_bytes(a_postback("N102"))
    assert "applied: " in tracker("postback", str(path)).out
    assert "repeat: " in tracker("postback", "-", stdin=a_postback("N102")).out
    assert "Delivered" in tracker("show", str(public_id)).out
    assert tracker("postback", "-", stdin=b"<html/>").code == 1
    assert tracker("postback", "-", stdin=b" " * (1024 * 1024 + 1)).code == 1


def test_tokens_are_made_listed_and_revoked(tracker: Shell) -> None:
    plain = tracker("token", "create", "shop")
    assert plain.out.startswith("pdt_")
    assert plain.out.count("\n") == 1
    made = json.loads(tracker("token", "create", "till", "--json").out)
    assert set(made) == {"id", "name", "token"}
    assert tracker("token", "create", "till").code == 1
    listed = tracker("token", "list")
    assert "shop" in listed.out
    assert made["token"] not in listed.out + tracker("token", "list", "--json").out
    assert tracker("token", "revoke", "shop").code == 0
    assert tracker("token", "revoke", "shop").code == 1
    namesake = json.loads(tracker("token", "create", str(made["id"]), "--json").out)["id"]
    said = tracker("token", "revoke", str(made["id"])).err
    assert said == (
        f"{made['name']} is revoked.\nIt has the id {made['id']}."
        f" Another token, of that name, stays active: {namesake}.\n"
    )


def test_a_token_is_made_with_scopes_and_a_limit_and_both_are_listed(tracker: Shell) -> None:
    assert tracker("token", "create", "whole").code == 0
    scopes = ["--scope", "read", "--scope", "send"]
    assert tracker("token", "create", "till", *scopes, "--rate-per-minute", "60").code == 0
    lines = tracker("token", "list", "--json").out.splitlines()
    listed = [(row["scopes"], row["rate_per_minute"]) for row in map(json.loads, lines)]
    assert listed == [(["send", "read", "admin"], None), (["send", "read"], 60)]
    shown = tracker("token", "list").out.splitlines()
    assert "send,read,admin no limit" in shown[0]
    assert "send,read       60/min" in shown[1]
    assert tracker("token", "create", "odd", "--scope", "everything").code == 2
    assert tracker("token", "create", "odd", "--rate-per-minute", "0").code == 2


def test_users_are_made_listed_and_disabled(tracker: Shell) -> None:
    secret = ["--password", "a long enough one"]
    assert tracker("user", "add", "olga", "--role", "operator", *secret).code == 0
    assert tracker("user", "add", "olga", *secret).code == 1
    assert tracker("user", "add", "ivan", "--password", "short").code == 1
    assert tracker("user", "password", "olga", *secret).code == 0
    assert tracker("user", "password", "nobody", *secret).code == 1
    assert tracker("user", "disable", "olga").code == 0
    assert json.loads(tracker("user", "list", "--json").out)["disabled"] is True


def test_roles_change_and_the_last_administrator_stays(tracker: Shell, sessions: Sessions) -> None:
    secret = ["--password", "a long enough one"]
    assert tracker("user", "add", "anna", "--role", "admin", *secret).code == 0
    for arguments in (["role", "anna", "viewer"], ["disable", "anna"]):
        refused = tracker("user", *arguments)
        assert (refused.code, refused.out) == (1, "")
        assert "anna is the only administrator; make another one first" in refused.err
    assert tracker("user", "add", "olga", *secret).code == 0
    assert tracker("user", "role", "olga", "admin").code == 0
    assert tracker("user", "disable", "anna").code == 0
    assert tracker("user", "enable", "anna").code == 0
    assert tracker("user", "role", "anna", "king").code == 2
    listed = [json.loads(line) for line in tracker("user", "list", "--json").out.splitlines()]
    assert [(one["username"], one["role"], one["disabled"]) for one in listed] == [
        ("anna", "admin", False), ("olga", "admin", False),
    ]  # fmt: skip


def test_a_lost_second_step_is_reset(tracker: Shell, sessions: Sessions) -> None:
    assert tracker("user", "add", "olga", "--password", "a long enough one").code == 0
    assert tracker("user", "reset-two-factor", "olga").code == 1
    now = datetime.now(UTC)
    secret = two_factor.begin(sessions, "olga", "a long enough one", "key", now)
    two_factor.confirm(sessions, "olga", pyotp.TOTP(secret).at(now), "key", now)
    assert json.loads(tracker("user", "list", "--json").out)["two_factor"] is True
    assert tracker("user", "reset-two-factor", "olga").code == 0
    assert json.loads(tracker("user", "list", "--json").out)["two_factor"] is False


def test_who_shows_a_number_on_the_command_line_is_audited(
    tracker: Shell, sessions: Sessions
) -> None:
    assert tracker("show", "+1 202-555-0143").code == 1
    assert tracker("show", "order-4711").code == 1
    with sessions() as session:
        found = [(row.action, row.subject) for row in session.scalars(select(AuditEntry))]
    assert found == [("number.search", "•••143")]


def test_doctor_finds_what_is_wrong(tracker: Shell) -> None:
    found = tracker("doctor", settings={"TRACKER_COLOUR": "red"})
    assert found.code == 0
    assert "TRACKER_COLOUR" in found.out
    gateway = {
        "TRACKER_GATEWAY_URL": f"http://127.0.0.1:{free_port()}/", "TRACKER_GATEWAY_API_KEY": "k",
    }  # fmt: skip
    broken = tracker("doctor", "--json", settings=gateway)
    assert broken.code == 1
    states = {line["what"]: line["state"] for line in map(json.loads, broken.out.splitlines())}
    assert (states["gateway"], states["database"]) == ("wrong", "ok")


def test_doctor_says_when_the_database_is_away(tmp_path: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    done = Shell(tmp_path, TRACKER_DATABASE_URL=url)("doctor")
    assert done.code == 1
    assert "cannot be reached" in done.out


@pytest.mark.parametrize("command", ["web", "sandbox", "up"])
def test_a_port_in_use_is_one_line(sqlite_tracker: Shell, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = sqlite_tracker(command, "--port", port)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"tracker: port {port} is in use; choose another with --port\n"
