"""A send whose answer is lost on a real wire, and what finds it again."""

import json
from pathlib import Path

import pytest
from running import up

GOOD = ("--mms-id", "45633", "--from", "11111", "--pass", "BARCODEVALUE=1")
CLOSED = "12025559020"  # the sandbox takes the message, and closes the connection without an answer
GARBAGE = "12025559018"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_with_take_a_lost_answer_is_found_in_its_n101(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    settings = {"TRACKER_SETTLE_UNKNOWN": "take"}
    if database == "postgresql":
        settings["TRACKER_DATABASE_URL"] = request.getfixturevalue("postgresql_url")
    with up(tmp_path, **settings) as started:
        for number in (CLOSED, GARBAGE):
            said = started.run("send", number, *GOOD, "--wait", "60", "--json")
            message = json.loads(said)
            assert message["status"] == "delivered"
            assert message["tracking_id"]
            shown = started.run("show", message["id"])
            assert "Answer found in a postback: By gateway:N101: " in shown
        assert started.run("rebuild", "--dry-run").count("message") <= 1
