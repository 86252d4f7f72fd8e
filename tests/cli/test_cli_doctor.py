"""`tracker doctor` and the receiver: its tokens, the allow-list, and the spool."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from running import TRACKER, free_port

from tracker.services import postback_tokens
from tracker.store.db import Sessions
from tracker.store.spool import Spool, SpoolRecord


class Doctor:
    """Runs `tracker doctor` in a folder, and keeps what it finds."""

    def __init__(self, folder: Path, **settings: str) -> None:
        clean = {name: value for name, value in os.environ.items() if "TRACKER_" not in name}
        self.folder = folder
        self.environ = {**clean, "TRACKER_SPOOL_DIR": str(folder / "spool"), **settings}

    def says(self, what: str, **settings: str) -> list[tuple[str, str]]:
        """Return state and detail of every finding about one thing."""
        done = subprocess.run(
            [TRACKER, "doctor", "--json"], cwd=self.folder, env={**self.environ, **settings},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == any(line["state"] == "wrong" for line in found)
        return [(line["state"], line["detail"]) for line in found if line["what"] == what]


@pytest.fixture
def doctor(tmp_path: Path, database_url: str) -> Doctor:
    return Doctor(tmp_path, TRACKER_DATABASE_URL=database_url)


@pytest.fixture
def sqlite_doctor(tmp_path: Path, sqlite_url: str) -> Doctor:
    return Doctor(tmp_path, TRACKER_DATABASE_URL=sqlite_url)


def spooled(folder: Path, *ages: timedelta) -> None:
    """Leave postbacks in the spool, as a web part does whose database is away."""
    spool = Spool(folder / "spool")
    spool.append([SpoolRecord(datetime.now(UTC) - age, "text/xml", b"<POSTBACK/>") for age in ages])
    spool.close()


def test_a_token_of_the_settings_is_enough(doctor: Doctor) -> None:
    token = {"TRACKER_POSTBACK_TOKENS": "a-token-that-is-long-enough"}
    assert doctor.says("token", **token) == [("ok", "valid in the postback URL: 1")]


def test_before_the_first_start_there_is_no_token_and_nothing_wrong(
    sqlite_doctor: Doctor,
) -> None:
    assert sqlite_doctor.says("token") == [
        ("note", "no token for the postback URL; the first start makes one")
    ]
    assert not (sqlite_doctor.folder / "postback_token").exists()


def test_it_is_wrong_when_every_token_is_revoked(
    doctor: Doctor, sessions: Sessions, now: datetime
) -> None:
    own = {"settings": "a-token-that-is-long-enough"}
    postback_tokens.revoke(sessions, own, "settings", actor="tests", now=now, is_forced=True)
    settings = {"TRACKER_POSTBACK_TOKENS": own["settings"]}
    ((state, detail),) = doctor.says("token", **settings)
    assert (state, "tracker postback-token create" in detail) == ("wrong", True)
    postback_tokens.create(sessions, "new", actor="tests", now=now)
    assert doctor.says("token", **settings) == [("ok", "valid in the postback URL: 1")]


@pytest.mark.parametrize(
    ("mode", "state", "says"),
    [
        ("enforce", "ok", "others are refused"),
        ("report", "note", "reported and not refused"),
        ("off", "note", "TRACKER_POSTBACK_ALLOW_MODE is off"),
    ],
)
def test_the_allow_list_is_said(sqlite_doctor: Doctor, mode: str, state: str, says: str) -> None:
    settings = {
        "TRACKER_POSTBACK_ALLOW_FROM": "203.0.113.0/24", "TRACKER_POSTBACK_ALLOW_MODE": mode,
    }  # fmt: skip
    (found,) = sqlite_doctor.says("allow-list", **settings)
    assert (found[0], says in found[1]) == (state, True)


def test_no_allow_list_is_worth_a_note_only_before_a_real_gateway(sqlite_doctor: Doctor) -> None:
    assert sqlite_doctor.says("allow-list") == []
    gateway = {"TRACKER_GATEWAY_URL": f"http://127.0.0.1:{free_port()}/"}
    assert sqlite_doctor.says("allow-list", **gateway) == [
        ("note", "off: whoever has the URL may post; see TRACKER_POSTBACK_ALLOW_FROM")
    ]


def test_an_allow_list_without_proxies_is_worth_a_note(sqlite_doctor: Doctor) -> None:
    settings = {
        "TRACKER_POSTBACK_ALLOW_FROM": "203.0.113.0/24", "TRACKER_POSTBACK_ALLOW_MODE": "enforce",
    }  # fmt: skip
    ((state, detail),) = sqlite_doctor.says("proxies", **settings)
    assert (state, "TRACKER_TRUSTED_PROXIES is 0" in detail) == ("note", True)
    assert sqlite_doctor.says("proxies", **settings, TRACKER_TRUSTED_PROXIES="1") == []
    assert sqlite_doctor.says("proxies") == []


def test_an_empty_spool_is_well_and_stays_unmade(sqlite_doctor: Doctor) -> None:
    assert sqlite_doctor.says("spool") == [("ok", "empty, and can be written")]
    assert not (sqlite_doctor.folder / "spool").exists()


def test_what_waits_in_the_spool_is_said_with_its_age(sqlite_doctor: Doctor) -> None:
    spooled(sqlite_doctor.folder, timedelta(hours=3), timedelta(minutes=1))
    assert sqlite_doctor.says("spool") == [
        ("note", "2 postbacks wait for the database, the oldest for 3 hours; tracker spool drain")
    ]


def test_damaged_pieces_of_the_spool_are_said(sqlite_doctor: Doctor) -> None:
    damaged = sqlite_doctor.folder / "spool" / "damaged"
    damaged.mkdir(parents=True)
    (damaged / "piece.0").write_bytes(b"x")
    found = sqlite_doctor.says("spool")
    assert [state for state, _ in found] == ["ok", "note"]
    assert f"1 damaged pieces are in {damaged}" in found[1][1]


@pytest.mark.parametrize("place", ["file", "file/spool", "x" * 300])
def test_a_spool_that_cannot_be_used_is_wrong_and_the_rest_is_looked_at(
    sqlite_doctor: Doctor, place: str
) -> None:
    (sqlite_doctor.folder / "file").write_text("where a folder should be")
    settings = {"TRACKER_SPOOL_DIR": str(sqlite_doctor.folder / place)}
    ((state, _),) = sqlite_doctor.says("spool", **settings)
    assert state == "wrong"
    assert sqlite_doctor.says("gateway", **settings) != []


def test_a_folder_that_cannot_be_looked_into_is_a_finding(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/{'x' * 300}/tracker.db"
    doctor = Doctor(tmp_path, TRACKER_DATABASE_URL=url)
    ((state, detail),) = doctor.says("database")
    assert (state, detail.startswith("File name too long: ")) == ("wrong", True)
    assert doctor.says("spool") == [("ok", "empty, and can be written")]
