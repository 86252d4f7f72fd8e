"""`tracker postback-token`, and how `tracker up` goes on when its own token is revoked."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import TRACKER, up

from tracker.services.postback_tokens import token_hash
from tracker.store import postback_tokens as store
from tracker.store.db import Sessions

SEND = ["--mms-id", "45633", "--from", "11111", "--pass", "BARCODEVALUE=1"]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class Shell:
    """A folder and settings in which `tracker postback-token` is run."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if "TRACKER_" not in name}
        self.environ = {**clean, **settings}

    def __call__(self, *arguments: str) -> Done:
        done = subprocess.run(
            [TRACKER, "postback-token", *arguments], cwd=self.folder, env=self.environ,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def listed(self) -> dict[str, dict[str, object]]:
        lines = self("list", "--json").out.splitlines()
        return {line["name"]: line for line in map(json.loads, lines)}


@pytest.fixture
def shell(tmp_path: Path, database_url: str) -> Shell:
    return Shell(
        tmp_path, TRACKER_DATABASE_URL=database_url, TRACKER_POSTBACK_TOKENS="first-token,second"
    )


def test_create_prints_the_token_alone_and_says_how_to_go_on(
    shell: Shell, sessions: Sessions
) -> None:
    done = shell("create", "autumn")
    token = done.out.strip()
    assert (done.code, done.out.count("\n"), len(token)) == (0, 1, 43)
    assert f"/postbacks/{token}\n" in done.err
    assert "Give the gateway the new URL" in done.err
    assert "revoke the old one" in done.err
    with sessions() as session:
        assert token_hash(token) in store.hashes(session).active


def test_create_with_json_is_one_object(shell: Shell) -> None:
    made = json.loads(shell("create", "autumn", "--json").out)
    assert set(made) == {"id", "name", "token"}
    assert made["name"] == "autumn"


def test_the_list_has_all_tokens_and_no_secret(shell: Shell) -> None:
    token = shell("create", "autumn").out.strip()
    listed = shell.listed()
    assert list(listed) == ["settings 1", "settings 2", "autumn"]
    assert listed["settings 1"]["id"] is None
    assert listed["autumn"]["state"] == "Valid; not used yet"
    assert listed["autumn"]["valid"] is True
    assert set(listed["autumn"]) == {
        "id", "name", "created_at", "last_used_at", "revoked_at", "valid", "state",
    }  # fmt: skip
    plain = shell("list").out
    assert plain.split()[:2] == ["-", "settings"]
    for secret in (token, "first-token"):
        assert secret not in plain + json.dumps(listed)


def test_tokens_are_revoked_by_name_or_id_and_once(shell: Shell) -> None:
    made = json.loads(shell("create", "autumn", "--json").out)
    assert shell("revoke", str(made["id"])).code == 0
    again = shell("revoke", "autumn")
    assert (again.code, again.out) == (1, "")
    assert again.err == "tracker: no token that can be revoked is called autumn\n"
    assert shell("revoke", "settings 2").code == 0
    assert shell.listed()["settings 2"]["state"] == (
        "Revoked; take it out of TRACKER_POSTBACK_TOKENS"
    )


def test_the_last_valid_token_needs_force(shell: Shell) -> None:
    assert shell("revoke", "settings 1").code == 0
    refused = shell("revoke", "settings 2")
    assert refused.code == 1
    assert refused.err == (
        "tracker: settings 2 is the last valid token; make a new one first, or add --force\n"
    )
    assert shell("revoke", "settings 2", "--force").code == 0


@pytest.mark.parametrize(
    "arguments", [["create", "12"], ["create", "settings"], ["create", ""], ["revoke", "nobody"]]
)
def test_what_cannot_be_done_is_one_line(shell: Shell, arguments: list[str]) -> None:
    done = shell(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)


def test_listing_makes_no_token(tmp_path: Path, sqlite_url: str) -> None:
    shell = Shell(tmp_path, TRACKER_DATABASE_URL=sqlite_url)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert shell("list").out == ""
    after = {path.name for path in tmp_path.iterdir()} - {"tracker.db-shm", "tracker.db-wal"}
    assert sorted(after) == before


@pytest.mark.xdist_group("up")
def test_up_replaces_a_token_that_was_revoked_and_the_sandbox_posts_with_the_new_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "instance" / "postback_token"
    with up(tmp_path) as tracker:
        first = path.read_text()
        assert "first start" in tracker.run("postback-token", "list")
        tracker.run("postback-token", "revoke", "first start", "--force")
    with up(tmp_path) as tracker:
        assert path.read_text() != first
        assert path.stat().st_mode & 0o777 == 0o600
        assert "a new one takes its place" in tracker.said
        sent = tracker.run("send", "12025550143", *SEND, "--wait", "60")
        assert sent.splitlines()[-1].startswith("Delivered")
    with up(tmp_path):
        second = path.read_text()
        assert second.strip()
    assert path.read_text() == second


def test_up_does_not_start_a_sandbox_that_cannot_post(shell: Shell) -> None:
    for name in ("settings 1", "settings 2"):
        shell("revoke", name, "--force")
    done = subprocess.run(
        [TRACKER, "up"], cwd=shell.folder, env=shell.environ, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "every token of TRACKER_POSTBACK_TOKENS is revoked" in done.stderr
