"""`tracker up` for real: the main job from end to end, and parts that die."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from running import TRACKER, Up, up

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "event-ticket.xml"
SEND = ["--mms-id", "45633", "--from", "11111", "--pass", "BARCODEVALUE=1", "--ddm-text", "Hello"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def tracker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Up]:
    """One running tracker on each engine; the tests here use numbers of their own."""
    settings = {}
    if request.param == "postgresql":
        settings["TRACKER_DATABASE_URL"] = request.getfixturevalue("empty_postgresql_url")
    with up(tmp_path_factory.mktemp("up"), **settings) as started:
        yield started
    assert "Traceback" not in started.said


@pytest.fixture(scope="module")
def api(tracker: Up) -> Callable[..., Any]:
    token = tracker.run("token", "create", "e2e").strip()

    def get(path: str, **query: str) -> Any:
        answer = requests.get(
            f"{tracker.url}/api/v1{path}",
            params=query, headers={"Authorization": f"Bearer {token}"}, timeout=10,
        )  # fmt: skip
        answer.raise_for_status()
        return answer.json()

    return get


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_the_main_job_from_request_to_delivered(tracker: Up) -> None:
    said = tracker.run("send", "--xml", str(EXAMPLE), "--wait", "60")
    steps = re.findall(r"^\d\d:\d\d:\d\d  ([^\[:]+)", said, re.MULTILINE)
    assert [step.split()[0] for step in steps] == [
        "Queued", "Calling", "Accepted", "N501", "N502", "N101", "N102",
    ]  # fmt: skip
    last = said.splitlines()[-1]
    assert re.match(r"Delivered, handset \S+, 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", last)
    shown = tracker.run("show", "12025550143")
    tracking_id = re.search(r"Tracking id:\s+(\S+)", shown)
    assert tracking_id
    assert shown.split()[0] in tracker.run("show", tracking_id[1])


def test_the_page_says_delivered_and_shows_every_postback(tracker: Up) -> None:
    public_id = tracker.run("send", "12025550188", *SEND, "--wait", "60", "--json")
    browser = requests.Session()
    form = browser.get(f"{tracker.url}/login", timeout=10).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', form)
    assert token
    login = {"csrf_token": token[1], "username": "admin", "password": tracker.password}
    assert browser.post(f"{tracker.url}/login", data=login, timeout=10).url == f"{tracker.url}/"
    found = re.search(r'"id": "([^"]+)"', public_id)
    assert found
    page = browser.get(f"{tracker.url}/messages/{found[1]}", timeout=10).text
    assert "Delivered" in page
    for code in ("N501", "N502", "N101", "N102"):
        assert f"&lt;CODE&gt;{code}&lt;/CODE&gt;" in page


@pytest.mark.parametrize(
    ("ending", "label", "code"),
    [
        ("9001", "Delivered as link", 0),
        ("9003", "Expired", 1),
        ("9004", "Rejected by carrier", 1),
        ("9005", "Not supported", 1),
        ("9006", "Failed", 1),
        ("9007", "Failed", 1),
        ("9011", "Delivered", 0),
        ("9013", "Delivered", 0),
        ("9014", "Delivered", 0),
        ("9015", "Delivered", 0),
        ("9016", "Delivered", 0),
        ("9017", "Delivered", 0),
        ("9027", "Refused by gateway", 1),
    ],
)
def test_every_outcome_of_the_sandbox_ends_in_its_words(
    tracker: Up, ending: str, label: str, code: int
) -> None:
    done = subprocess.run(
        [TRACKER, "send", f"1202555{ending}", *SEND, "--wait", "60"],
        cwd=tracker.folder, env=tracker.environ, capture_output=True, text=True, timeout=90,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    assert re.match(rf"{label}[,.]", done.stdout.splitlines()[-1]), done.stdout


def test_duplicates_are_counted_and_change_nothing(tracker: Up, api: Callable[..., Any]) -> None:
    tracker.run("send", "12025559012", *SEND, "--wait", "60")
    (message,) = api("/messages", to="12025559012")["items"]
    of_message = {"message_id": message["id"]}
    until(lambda: all(i["repeats"] for i in api("/postbacks", **of_message)["items"]))
    codes = Counter(item["code"] for item in api("/postbacks", **of_message)["items"])
    assert codes["N101"] == codes["N102"] == 1
    assert api(f"/messages/{message['id']}")["status"] == "delivered"


def children(tracker: Up) -> dict[str, psutil.Process]:
    """Return the parts by name."""
    found = {}
    for child in psutil.Process(tracker.process.pid).children():
        try:
            line = " ".join(child.cmdline())
        except psutil.Error:  # it ends just now
            continue
        for name, sign in (("web", "gunicorn"), ("sender", " sender"), ("sandbox", " sandbox ")):
            if sign in line + " ":
                found[name] = child
    return found


def test_gunicorn_names_its_configuration(tracker: Up) -> None:
    line = children(tracker)["web"].cmdline()
    assert Path(line[line.index("-c") + 1]).name == "gunicorn.conf.py"


def test_a_part_that_dies_is_started_again(tracker: Up) -> None:
    for name in ("web", "sender"):
        killed = children(tracker)[name]
        killed.kill()
        until(partial(_is_another, tracker, name, killed.pid))
    until(lambda: _answers(tracker.url + "/healthz"))
    said = tracker.run("send", "12025550199", *SEND, "--wait", "60")
    assert said.splitlines()[-1].startswith("Delivered")


def _is_another(tracker: Up, name: str, pid: int) -> bool:
    found = children(tracker).get(name)
    return found is not None and found.pid != pid


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def test_a_second_one_on_the_same_port_is_one_line(tracker: Up) -> None:
    done = subprocess.run(
        [TRACKER, "up", "--port", str(tracker.port)],
        cwd=tracker.folder, env=tracker.environ, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"tracker: port {tracker.port} is in use")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    with up(tmp_path) as started:
        for path in [tmp_path / "instance", *(tmp_path / "instance").iterdir()]:
            assert path.stat().st_mode & 0o077 == 0, path  # numbers and hashes are in there
        family = psutil.Process(started.process.pid).children(recursive=True)
        assert len(family) >= 4  # web and its worker, sender, sandbox
        os.kill(started.process.pid, number)
        started.process.wait(60)
        _, alive = psutil.wait_procs(family, timeout=40)
        assert alive == []
        if number != signal.SIGKILL:
            assert started.process.returncode == 0
        assert "Traceback" not in started.said
    with up(tmp_path) as again:
        assert "password" not in again.said  # said once, at the first start
