"""What the log may never hold."""

import json
import logging
from collections.abc import Iterator

import pytest

from tracker import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def test_a_line_is_json_with_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger("x").warning("something", extra={"public_id": "p1"})
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["public_id"], line["level"]) == ("something", "p1", "warning")


@pytest.mark.parametrize("name", ["flask.app", "gunicorn.error"])
def test_a_token_in_an_address_is_hidden(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    logging.getLogger(name).error("Exception on %s [%s]", "/postbacks/the-secret", "POST")
    said = capsys.readouterr().err
    assert "the-secret" not in said
    assert "/postbacks/***" in said
