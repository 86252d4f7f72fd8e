"""What the log may never hold."""

import json
import logging
from collections.abc import Iterator

import pytest
from builders import NUMBER
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tracker import logs
from tracker.store import db


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


def test_a_row_that_the_database_refuses_is_not_in_the_log(
    postgresql_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure()
    sessions = db.connect(postgresql_url)  # it hides the parameters of a statement
    with sessions() as session:
        session.execute(
            text("CREATE TEMPORARY TABLE kept (number text CHECK (number = ''), b text)")
        )
        try:
            values = {"number": NUMBER, "text": "two\nlines\n\nmore"}
            session.execute(text("INSERT INTO kept VALUES (:number, :text)"), values)
        except IntegrityError:
            logging.getLogger("x").exception("not stored")
    db.engine_of(sessions).dispose()
    said = capsys.readouterr().err
    assert "CheckViolation" in said
    assert "DETAIL: left out" in said
    assert NUMBER not in said
    assert "lines" not in said
