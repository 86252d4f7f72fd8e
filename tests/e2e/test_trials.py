"""The trials of the receive path, as short as they go, and what they would make of a loss."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from builders import a_postback, accepted

from tracker.config import DEFAULT_ZONE
from tracker.services import arrivals, receive
from tracker.services.rebuild import Mode, Rebuild
from tracker.store.db import Sessions

TRIALS = Path(__file__).parents[2] / "trials"
# Every trial is run on the engine that has more to fear from it: each has to start its servers.
SHORT = [
    ("kill-workers", "postgresql", "--seconds", "1.5"),
    ("kill-database", "postgresql", "--seconds", "1.5"),
    ("database-away", "sqlite", "--seconds", "1"),
    ("database-hangs", "postgresql", "--seconds", "1"),
    ("disk-full", "postgresql", "--seconds", "1", "--rate", "400"),
    ("database-full", "sqlite", "--seconds", "1", "--rate", "300"),
    ("same-body", "postgresql", "--seconds", "1"),
    ("early", "postgresql", "--seconds", "2"),
    ("rude", "sqlite", "--seconds", "2"),
    ("restart", "postgresql", "--seconds", "1"),
    ("crash-while-spooling", "sqlite", "--seconds", "2"),
]
LEDGER = """
import sys
sys.path.insert(0, sys.argv[1])
from support.ledger import Ledger, settle
from support.postbacks import postback, tracking_id
from tracker.domain.status import Status

ledger = Ledger()
for answer in ("200", "200", "200", "lost", "200", "200"):
    ledger.note(ledger.open(), answer, 0.1)
bodies = {number: (postback(number).body, postback(number).content_type) for number in range(6)}
kept = {bodies[0]: 1, bodies[2]: 1, bodies[3]: 1, bodies[4]: 2, bodies[5]: 1}
kept[postback(5).body + b" ", "text/xml"] = 1
told = {tracking_id(0): Status.SENT, tracking_id(1): Status.SENT, tracking_id(2): Status.EXPIRED}
print(settle(ledger, kept, told))
"""


@pytest.mark.parametrize("asked", SHORT, ids=lambda asked: f"{asked[0]}-{asked[1]}")
def test_every_200_is_kept_through(asked: tuple[str, ...]) -> None:
    name, engine, *options = asked
    command = [sys.executable, str(TRIALS / "receive.py"), name, "--engine", engine, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if "is left out" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert f"{name}, {engine}: kept" in done.stdout


def test_a_ledger_finds_what_is_missing_doubled_changed_or_wrong() -> None:
    command = [sys.executable, "-c", LEDGER, str(TRIALS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "missing=[1]" in done.stdout
    assert "doubled=[4]" in done.stdout
    assert "strange=1" in done.stdout
    assert "kept_unanswered=[3]" in done.stdout
    assert "wrong=['MMS_2000000001 is sent, not delivered']" in done.stdout


def test_a_postback_that_was_overtaken_in_the_spool_leaves_nothing_to_rebuild(
    sessions: Sessions, now: datetime
) -> None:
    accepted(sessions)
    early, late = now, now + timedelta(seconds=30)
    for code, received_at in (("N102", late), ("N101", early)):
        arrival = arrivals.read_spooled(
            a_postback(code), None, zone=DEFAULT_ZONE, received_at=received_at
        )
        receive.ingest(sessions, [arrival], zone=DEFAULT_ZONE, now=late)
    found: list[object] = []
    rebuild = Rebuild(
        sessions, mode=Mode.DRY_RUN, zone=DEFAULT_ZONE, clock=lambda: late, tell=found.append
    )
    list(rebuild.steps())
    assert found == []
