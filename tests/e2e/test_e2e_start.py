"""Starting it in other ways and other surroundings than `make run` does."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from builders import a_postback
from conftest import POSTBACK_TOKEN, wait_for_http
from running import TRACKER, Up, free_port, up
from sqlalchemy import create_engine, text

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "event-ticket.xml"
SEND = ("--mms-id", "45633", "--from", "11111", "--pass", "BARCODEVALUE=1")
# DESIGN 3.4, a message in JSON.
FIELDS = [
    "id", "status", "status_label", "status_reason", "tracking_id", "to", "from", "from_used",
    "mms_id", "campaign_ref", "reference", "custom_pass_id", "custom_subject", "custom_text",
    "ddm", "data", "pass_data", "sent_as", "spid", "carrier", "operator_id", "handset", "os",
    "aggregator_id", "status_details", "error_code", "error_info", "ddm_status", "attempts",
    "created_at", "send_at", "accepted_at", "sent_at", "finished_at", "updated_at", "batch_id",
]  # fmt: skip


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Where the shell has a proxy that is away, and the key of the real gateway is set already."""
    folder = tmp_path_factory.mktemp("up")
    (folder / "key").write_text("the-key-of-the-real-gateway\n")
    proxy = f"http://127.0.0.1:{free_port()}"
    surroundings = {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
    settings = {"TRACKER_GATEWAY_API_KEY_FILE": str(folder / "key"), "PYTHONWARNINGS": "error"}
    with up(folder, **surroundings, **settings) as started:
        yield started
    assert "Traceback" not in started.said


def get(url: str, method: str = "GET", **headers: str) -> requests.Response:
    """Ask past the proxy that the surroundings may name."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, headers=headers, timeout=15)


def test_it_says_what_runs_where_and_what_to_do_next(behind_a_proxy: Up) -> None:
    said = behind_a_proxy.said
    for line in (
        f"Dashboard   {behind_a_proxy.url}/",
        f"Sandbox     http://127.0.0.1:{behind_a_proxy.sandbox_port}/",
        "State       instance/",
        "Stop with Ctrl-C.",
    ):
        assert f"\n{line}" in said
    assert said.count("password") == 1
    # There is no example below an empty folder, so it names the one of the source tree.
    assert f"tracker send --xml {EXAMPLE} --wait 60" in said


def test_the_message_has_the_fields_of_the_contract(behind_a_proxy: Up) -> None:
    sent = behind_a_proxy.run("send", "--xml", str(EXAMPLE), "--wait", "60", "--json")
    assert sent.count("\n") == 1
    message = json.loads(sent)
    assert list(message) == FIELDS
    assert (message["status"], message["ddm_status"]) == ("delivered", "delivered")
    assert json.loads(behind_a_proxy.run("show", message["id"], "--json")) == message
    assert json.loads(behind_a_proxy.run("show", message["tracking_id"], "--json")) == message
    token = behind_a_proxy.run("token", "create", "reader").strip()
    answer = get(
        f"{behind_a_proxy.url}/api/v1/messages/{message['id']}", Authorization=f"Bearer {token}"
    ).json()
    timeline = answer.pop("timeline")
    assert answer == message
    codes = [entry["what"][:4] for entry in timeline if entry["source"] == "postback"]
    assert codes == ["N501", "N502", "N101", "N102"]


def test_no_receipt_stays_sent_and_is_no_failure(behind_a_proxy: Up) -> None:
    said = behind_a_proxy.run("send", "12025559002", *SEND, "--wait", "6")
    assert said.splitlines()[-1].startswith("Sent. The gateway is sending it; no receipt has come")


def test_the_postback_address_answers_probes_without_effect(behind_a_proxy: Up) -> None:
    token = (behind_a_proxy.folder / "instance" / "postback_token").read_text().strip()
    for method in ("GET", "HEAD"):
        answer = get(f"{behind_a_proxy.url}/postbacks/{token}", method)
        assert answer.status_code == 200
        assert get(f"{behind_a_proxy.url}/postbacks/{token}x", method).status_code == 404


def test_secrets_are_for_their_owner_alone(behind_a_proxy: Up) -> None:
    for name in ("postback_token", "secret_key"):
        assert (behind_a_proxy.folder / "instance" / name).stat().st_mode & 0o077 == 0


def test_sigkill_frees_the_ports_at_once(tmp_path: Path) -> None:
    with up(tmp_path) as started:
        started.process.kill()
        started.process.wait(10)
        deadline = time.monotonic() + 30
        while not all(map(is_free, (started.port, started.sandbox_port))):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def refused(folder: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """Run what must not start; returns the exit code and the only thing said."""
    done = subprocess.run(
        arguments, cwd=folder, env={**os.environ, **settings}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_one_port_for_both_is_misuse(tmp_path: Path) -> None:
    port = str(free_port())
    code, said = refused(tmp_path, TRACKER, "up", "--port", port, "--sandbox-port", port)
    assert code == 2
    assert "--port and --sandbox-port are the same" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["up"], ["web"], ["db", "upgrade"]])
def test_a_database_ahead_of_the_code_is_one_line(
    database_url: str, tmp_path: Path, command: list[str]
) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    ports = {"up": ["--port", str(free_port()), "--sandbox-port", str(free_port())]}
    ports["web"] = ports["up"][:2]
    code, said = refused(
        tmp_path, TRACKER, *command, *ports.get(command[0], []), TRACKER_DATABASE_URL=database_url
    )
    assert code == 1
    assert said.startswith("tracker: the database is at revision 9999, newer than this code")
    assert said.count("\n") == 1


GUNICORN = [sys.executable, "-m", "gunicorn"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("TRACKER_GATEWAY_ZONE", "Mars"), ("WEB_WORKERS", "many"), ("WEB_THREADS", "0")],
)
def test_gunicorn_names_a_wrong_setting_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    conf = str(ROOT / "deploy" / "gunicorn.conf.py")
    code, said = refused(tmp_path, *GUNICORN, "-c", conf, **{name: value})
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith(f"gunicorn: {name}: ")


@pytest.mark.parametrize(
    "arguments", [["-c", "deploy/gunicorn.conf.py"], ["-b", "127.0.0.1:{port}", "wsgi:app"]]
)
def test_gunicorn_serves_the_source_tree(
    tmp_path: Path, sqlite_url: str, arguments: list[str]
) -> None:
    source = tmp_path / "source"
    for name in ("tracker", "migrations", "deploy"):
        ignored = shutil.ignore_patterns("vendor", "__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    shutil.copy(ROOT / "wsgi.py", source)
    port = free_port()
    environ = {
        **os.environ,
        "PYTHONPATH": str(source),
        "WEB_BIND": f"127.0.0.1:{port}",
        "TRACKER_DATABASE_URL": sqlite_url,
        "TRACKER_POSTBACK_TOKENS": POSTBACK_TOKEN,
    }
    command = [*GUNICORN, *(argument.format(port=port) for argument in arguments)]
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=source, env=environ, stderr=log)
    try:
        wait_for_http(url + "/healthz", 40)
        answer = requests.post(f"{url}/postbacks/{POSTBACK_TOKEN}", a_postback(), timeout=15)
        assert answer.status_code == 200
        assert requests.get(url + "/readyz", timeout=15).json()["database"] == "up"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    assert not re.search("Traceback|ERROR", (tmp_path / "log").read_text())
