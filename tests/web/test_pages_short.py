"""Lists that had to stop before they were full say how far they looked, and lead on."""

import re
from datetime import UTC, datetime
from html import unescape

import pytest
from builders import NUMBER, a_postback, accepted, queued
from flask import Flask
from pages_support import arrived, visitor, words
from werkzeug.test import TestResponse

from tracker.store import looking, postbacks
from tracker.store.db import Sessions


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (looking, postbacks):
        monkeypatch.setattr(module, "FEW", 2)
        monkeypatch.setattr(module, "MOST", 3)


def older(page: TestResponse) -> str | None:
    found = re.search(r'href="([^"]+)" rel="next"', page.text)
    return unescape(found[1]) if found else None


def test_the_list_of_messages_leads_on_until_all_was_looked_at(
    app: Flask, session_factory: Sessions
) -> None:
    wanted = accepted(session_factory, "T1")
    arrived(session_factory, a_postback("N102", TRACKINGID="T1", HANDSET="rare"))
    for _ in range(12):
        queued(session_factory)
    client = visitor(app)
    page = client.get("/messages?handset=rare")
    assert "None found yet" in words(page)
    assert "Looked back to" in words(page)
    steps = 0
    while url := older(page):
        assert "Look further back" in words(page)
        page = client.get(url)
        steps += 1
    assert 1 < steps < 6
    assert f"/messages/{wanted}" in page.text
    assert "Looked back to" not in words(page)


def test_so_does_the_journal(app: Flask, session_factory: Sessions) -> None:
    for code in ["E102", *["N101"] * 12]:
        arrived(session_factory, a_postback(code, TRACKINGID=f"K-{code}", TO=NUMBER))
        arrived(session_factory, a_postback(code, TRACKINGID=f"K{datetime.now(UTC)}", TO=NUMBER))
    client = visitor(app)
    page, steps = client.get("/journal?code=E102"), 0
    assert "None found yet" in words(page)
    while url := older(page):
        page = client.get(url)
        steps += 1
    assert steps > 1
    assert "E102" in words(page)
    assert "None found yet" not in words(page)
