"""The shared samples, played against what their index expects."""

import csv
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tracker.protocol.postback import parse_postback
from tracker.protocol.transport import document_of

SAMPLES = Path(__file__).parents[2].parent / "shared" / "protocol" / "samples"


def postbacks() -> list[dict[str, str]]:
    if not (SAMPLES / "INDEX.csv").is_file():
        return []
    rows = csv.DictReader((SAMPLES / "INDEX.csv").read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["kind"] == "postback"]


def test_the_samples_are_there() -> None:
    if not SAMPLES.is_dir():
        pytest.skip(f"no shared samples at {SAMPLES}")
    assert postbacks()


@pytest.mark.parametrize("row", postbacks(), ids=lambda row: str(row["file"]))
def test_a_sample_reads_as_expected(row: dict[str, str]) -> None:
    body = (SAMPLES / row["file"]).read_bytes()
    [notification] = parse_postback(
        document_of(body, "text/xml"), zone=ZoneInfo("America/New_York")
    )
    assert notification.fields() == json.loads(row["expected"])
    assert notification.defect is None
    assert notification.remarks == ()
