"""`--scenario` and `--keep`: read before anything starts, and in force in real processes."""

import os
import subprocess
import time
from pathlib import Path

import pytest
import requests
from running import TRACKER, free_port, up

from tracker.protocol.request import PassRequest, to_xml
from tracker.protocol.response import parse_response
from tracker.sandbox.fixture import API_KEY

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PATIENCE = 40.0


def environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")}


def refused(folder: Path, *arguments: str) -> str:
    """Run a command that is misused, and return what it says; it starts nothing."""
    done = subprocess.run(
        [TRACKER, *arguments], cwd=folder, env=environ(), capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def code_of(port: int, to: str, **changes: str) -> str | None:
    """Call the sandbox, and return the error code of its answer."""
    request = PassRequest(
        action="sendPassInMMS", api_key=changes.get("api_key", API_KEY), mms_id="45633", to=to,
        from_="11111", pass_data={"BARCODEVALUE": "A-17"},
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/API/wxml/1.3/index.php"
    answer = requests.post(url, data={"xml": to_xml(request)}, timeout=PATIENCE)
    return parse_response(answer.text).error_code


@pytest.mark.parametrize("command", ["sandbox", "up"])
def test_a_wrong_scenario_is_misuse_and_nothing_starts(tmp_path: Path, command: str) -> None:
    (tmp_path / "bad.toml").write_text("[[rule]]\npercent = 130\n")
    said = refused(tmp_path, command, "--scenario", "bad.toml")
    assert "bad.toml: rule[1].percent: 130 is not a number from 0 to 100" in said
    assert [path.name for path in tmp_path.iterdir()] == ["bad.toml"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff", "is not UTF-8"), (b"#" * 1_000_001, "has more than 1000000 bytes"),
     (b"[", "the file: ")],
)  # fmt: skip
def test_what_is_no_scenario_at_all_is_misuse(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    assert said in refused(tmp_path, "sandbox", "--scenario", "bad.toml")


def test_a_missing_scenario_or_too_many_calls_to_keep_are_misuse(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path, "sandbox", "--scenario", "none.toml")
    assert "100001" in refused(tmp_path, "sandbox", "--keep", "100001")


def test_a_scenario_without_a_sandbox_is_misuse(tmp_path: Path) -> None:
    scenario = str(EXAMPLES / "rainy-friday.toml")
    said = refused(tmp_path, "up", "--no-sandbox", "--scenario", scenario)
    assert "--scenario is for the sandbox" in said
    assert list(tmp_path.iterdir()) == []


def test_a_sandbox_plays_the_scenario_and_keeps_as_many_calls_as_asked(tmp_path: Path) -> None:
    port = free_port()
    scenario = str(EXAMPLES / "each-error-class.toml")
    command = [TRACKER, "sandbox", "--port", str(port), "--scenario", scenario, "--keep", "3",
               "--postback-url", "http://127.0.0.1:1/"]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environ(), stdout=log, stderr=log)
    try:
        wait_until_up(port)
        codes = [code_of(port, f"120255501{number:02}") for number in range(1, 6)]
        assert codes == ["E629", "E713", "E503", "E106", "E628"]
        rows = requests.get(f"http://127.0.0.1:{port}/_sandbox/calls", timeout=PATIENCE).json()
        assert [row["error_code"] for row in rows] == codes[-3:]
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_up_hands_the_scenario_on_and_sends_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\n[account]\napi_key = "AnotherKeyOfThirtyLettersAndMore"\n'
        '[[rule]]\nsuffix = "7"\nerror = "E628"\n'
    )
    with up(tmp_path, "--scenario", "mine.toml") as started:
        sent = [
            started.run("send", f"1202555014{last}", "--mms-id", "45633", "--from", "11111",
                        "--pass", "BARCODEVALUE=A-17", "--json")
            for last in "67"
        ]  # fmt: skip
        assert all('"id"' in each for each in sent)
        address = f"http://127.0.0.1:{started.sandbox_port}/_sandbox"
        deadline = time.monotonic() + PATIENCE
        while len(rows := requests.get(f"{address}/calls", timeout=PATIENCE).json()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert sorted(row["error_code"] or "" for row in rows) == ["", "E628"]
        assert requests.get(f"{address}/state", timeout=PATIENCE).json()["scenario"] == "Mine"


def wait_until_up(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2)
        except requests.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return
