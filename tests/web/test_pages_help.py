"""The page that explains the statuses, and the ways to it."""

from builders import accepted, queued
from flask import Flask
from flask.testing import FlaskClient
from pages_support import arrived, page_of, visitor, words
from test_pages_headers import INLINE

from tracker.domain.explained import DUPLICATE, OUTCOMES, STATUSES
from tracker.domain.status import LABELS, Status
from tracker.store.db import Sessions

HELP = "/help/statuses"


def test_every_status_and_outcome_is_explained_in_the_words_of_the_domain(app: Flask) -> None:
    page = visitor(app).get(HELP)
    text = words(page)
    for status in Status:
        assert f'id="{status.value}"' in page.text
        assert f"{LABELS[status]} {STATUSES[status].says}" in text
        assert f"What to do: {STATUSES[status].next}" in text
    for outcome, meaning in OUTCOMES.items():
        assert f'id="{outcome.value}"' in page.text
        assert f"{meaning.says} What to do: {meaning.next}" in text
    assert f"Duplicate {DUPLICATE.says}" in text
    assert not INLINE.search(page.text)


def test_the_page_is_for_people_who_are_logged_in(client: FlaskClient) -> None:
    assert client.get(HELP).status_code == 302


def test_a_message_says_what_to_do_and_leads_to_its_word(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = queued(session_factory)
    page = visitor(app).get(page_of(public_id))
    assert "What to do: Nothing: it goes out by itself." in words(page)
    assert f'href="{HELP}#queued"' in page.text
    assert f'href="{HELP}#outcomes"' in page.text


def test_the_lists_lead_there(app: Flask) -> None:
    client = visitor(app)
    assert f'href="{HELP}"' in client.get("/messages").text
    assert f'href="{HELP}#outcomes"' in client.get("/journal").text


def test_the_steps_tell_the_time_between_them(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    arrived(session_factory)
    page = visitor(app).get(page_of(public_id)).text
    steps = page[page.index('class="steps"') : page.index("</ol>")]
    assert steps.count("steps__gap") == 2  # accepted, delivered; nothing comes before queued
    assert "+0." in steps
