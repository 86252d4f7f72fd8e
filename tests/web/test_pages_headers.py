"""Headers, static files, and the pages that say what is wrong."""

import re
from pathlib import Path

import pytest
from builders import accepted, queued
from flask import Flask, Response
from flask.testing import FlaskClient
from pages_support import arrived, page_of, press, visitor, words
from sqlalchemy import text
from werkzeug.datastructures import Headers

from tracker.store.db import Sessions
from tracker.web import security

INLINE = re.compile(
    r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", re.IGNORECASE
)


def headers_of(client: FlaskClient, path: str) -> Headers:
    with client.get(path) as answer:  # closes the file that a static address opens
        return answer.headers


def test_every_answer_has_the_headers_that_keep_markup_harmless(client: FlaskClient) -> None:
    for path in ("/login", "/messages", "/nowhere", "/static/page.js"):
        headers = headers_of(client, path)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
        assert "unsafe" not in policy
        for part in ("form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert part in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Strict-Transport-Security" not in headers


def test_https_is_kept_to_once_it_was_used(client: FlaskClient) -> None:
    headers = client.get("/login", base_url="https://localhost").headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000"


def test_a_view_may_narrow_the_policy_for_itself(app: Flask) -> None:
    narrow = "default-src 'none'"
    app.add_url_rule(
        "/narrow", view_func=lambda: Response("", headers={"Content-Security-Policy": narrow})
    )
    assert app.test_client().get("/narrow").headers["Content-Security-Policy"] == narrow


def test_no_page_has_inline_script_or_style(app: Flask, session_factory: Sessions) -> None:
    public_id = accepted(session_factory)
    queued(session_factory)
    postback_id = arrived(session_factory)
    client = visitor(app)
    for path in ("/messages", page_of(public_id), page_of(public_id, "postbacks", postback_id)):
        assert not INLINE.search(client.get(path).text)
    assert not INLINE.search(press(client, "/messages/search", q="nothing").text)
    assert not INLINE.search(app.test_client().get("/login").text)
    assert not INLINE.search(client.get("/nowhere").text)


def test_pages_are_never_kept_and_own_files_for_a_year(client: FlaskClient) -> None:
    page = client.get("/login")
    assert page.headers["Cache-Control"] == "no-store"
    script = re.search(r'src="(/static/page\.js\?v=[0-9a-f]{16})"', page.text)
    assert script
    for path, keeps in (
        (script[1], "public, max-age=31536000, immutable"),
        ("/static/page.js", "no-cache"),
        ("/static/none.js?v=1", "no-cache"),
    ):
        assert headers_of(client, path)["Cache-Control"] == keeps


def test_pages_work_without_the_files_that_npm_brings(
    app: Flask, client: FlaskClient, tmp_path: Path
) -> None:
    app.static_folder = str(tmp_path)
    page = client.get("/login")
    assert page.status_code == 200
    assert "/static/" not in page.text


def test_a_file_has_a_new_address_when_it_changes(app: Flask, tmp_path: Path) -> None:
    app.static_folder = str(tmp_path)
    addresses = set()
    for content in ("a", "b"):
        (tmp_path / "x.css").write_text(content)
        security._fingerprint.cache_clear()
        with app.test_request_context():
            addresses.add(security.asset("x.css"))
    assert len(addresses) == 2


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/nowhere", 404, "There is no such page"),
        ("/messages/not-a-uuid", 404, "There is no such page"),
        ("/logout", 405, "This address does not take that"),
    ],
)
def test_errors_are_said_in_plain_words(app: Flask, path: str, status: int, says: str) -> None:
    page = visitor(app).get(path)
    assert page.status_code == status
    assert says in words(page)


def test_a_fault_of_ours_shows_no_trace(app: Flask) -> None:
    def broken() -> str:
        raise RuntimeError("secret detail")

    app.add_url_rule("/broken", view_func=broken)
    page = app.test_client().get("/broken")
    assert page.status_code == 500
    assert "Something broke on our side" in words(page)
    assert "secret detail" not in page.text


def test_the_error_page_needs_no_database(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app)
    with session_factory.begin() as session:
        session.execute(text("ALTER TABLE users RENAME TO gone"))
    page = client.get("/messages")
    assert page.status_code >= 500
    assert "Try again in a minute." in words(page)


def test_an_api_path_is_answered_in_its_own_form(client: FlaskClient) -> None:
    assert client.get("/api/v1/nowhere").mimetype == "application/problem+json"
