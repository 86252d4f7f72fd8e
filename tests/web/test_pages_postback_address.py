"""The page of the postback address: for administrators, and a secret is shown once."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest
from conftest import POSTBACK_TOKEN
from flask import Flask
from flask.testing import FlaskClient
from pages_support import press, token_of, visitor, words
from sqlalchemy import select

from tracker.config import AllowMode, Settings
from tracker.services import postback_tokens
from tracker.store import db
from tracker.store import postback_tokens as store
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Role
from tracker.web import create_app

PAGE = "/settings/postback-address"
REVOKE = f"{PAGE}/revoke"
OWN = {"settings": POSTBACK_TOKEN}


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    return visitor(app, Role.ADMIN)


def made(sessions: Sessions, name: str = "autumn") -> postback_tokens.TokenState:
    postback_tokens.create(sessions, name, actor="tests", now=datetime.now(UTC))
    return state_of(sessions, name)


def state_of(sessions: Sessions, name: str) -> postback_tokens.TokenState:
    (found,) = [s for s in postback_tokens.rows(sessions, OWN) if s.name == name]
    return found


def shown_url(page: str) -> str:
    found = re.search(r'id="made-url" value="([^"]+)"', page)
    assert found, page
    return unescape(found[1])


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_administrators_see_or_change_it(
    app: Flask, session_factory: Sessions, role: Role
) -> None:
    client = visitor(app, role)
    for path in (PAGE, f"{REVOKE}?token=settings"):
        assert client.get(path).status_code == 403
    assert "You may not do this" in words(client.get(PAGE))
    assert press(client, PAGE, name="mine").status_code == 403
    assert press(client, REVOKE, token="settings", force="yes").status_code == 403
    assert [s.name for s in postback_tokens.rows(session_factory, OWN)] == ["settings"]
    assert PAGE not in client.get("/settings").text


@pytest.mark.parametrize("path", [PAGE, f"{REVOKE}?token=settings"])
def test_it_needs_a_login(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.location.split("?")[0]) == (302, "/login")


def test_a_form_without_its_csrf_token_does_nothing(
    admin: FlaskClient, session_factory: Sessions
) -> None:
    assert admin.post(PAGE, data={"name": "mine"}).status_code == 400
    assert admin.post(REVOKE, data={"token": "settings", "force": "yes"}).status_code == 400
    (state,) = postback_tokens.rows(session_factory, OWN)
    assert state.is_valid


def test_administrators_find_it_among_the_settings(admin: FlaskClient) -> None:
    assert f'href="{PAGE}"' in admin.get("/settings").text
    assert 'href="/settings" aria-current="page"' in admin.get(PAGE).text


def test_every_token_is_listed_and_no_secret(
    admin: FlaskClient, session_factory: Sessions, now: datetime
) -> None:
    made(session_factory, "autumn")
    made(session_factory, "winter")
    postback_tokens.revoke(session_factory, OWN, "winter", actor="tests", now=now)
    page = admin.get(PAGE)
    assert POSTBACK_TOKEN not in page.text
    said = words(page)
    assert "settings Valid; not used yet Made not known Last used never Revoke settings" in said
    assert "autumn Valid; not used yet Made" in said
    assert "winter Revoked Made" in said
    assert "Revoke winter" not in said


def test_a_new_address_is_shown_once_and_works(
    app: Flask, admin: FlaskClient, session_factory: Sessions
) -> None:
    page = press(admin, PAGE, name="autumn")
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    url = urlsplit(shown_url(page.text))
    assert (url.scheme, url.netloc) == ("http", "localhost")
    token = url.path.removeprefix("/postbacks/")
    assert len(token) == 43
    assert "shown only this once" in words(page)
    assert app.test_client().get(url.path).status_code == 200
    again = admin.get(PAGE)
    assert token not in again.text
    assert "autumn" in words(again)
    assert state_of(session_factory, "autumn").is_valid


def test_reloading_the_answer_makes_no_second_address(
    admin: FlaskClient, session_factory: Sessions
) -> None:
    press(admin, PAGE, name="autumn")
    again = press(admin, PAGE, name="autumn")
    assert again.status_code == 400
    assert "there is a valid token autumn already" in words(again)
    assert 'value="autumn"' in again.text
    assert len(postback_tokens.rows(session_factory, {})) == 1


@pytest.mark.parametrize("name", ["", "settings", "12", "<b>bold</b>" * 9])
def test_an_odd_name_is_said_beside_its_field(admin: FlaskClient, name: str) -> None:
    page = press(admin, PAGE, name=name)
    assert page.status_code == 400
    assert 'aria-invalid="true"' in page.text
    assert 'id="name-problem"' in page.text
    assert "<b>" not in page.text


def test_a_token_is_revoked_after_a_question(admin: FlaskClient, session_factory: Sessions) -> None:
    state = made(session_factory)
    page = admin.get(f"{REVOKE}?token={state.handle}")
    assert "Revoke autumn?" in words(page)
    assert "It was never used." in words(page)
    assert "last valid" not in words(page)
    assert state_of(session_factory, "autumn").is_valid
    form = {"csrf_token": token_of(page), "token": state.handle}
    answer = admin.post(REVOKE, data=form)
    assert (answer.status_code, answer.location) == (303, PAGE)
    assert "Revoked: autumn." in words(admin.get(PAGE))
    assert not state_of(session_factory, "autumn").is_valid
    with session_factory() as session:
        last = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert last is not None
    assert (last.actor, last.action) == ("user:a-admin", "postback_token.revoke")


def test_a_token_of_the_settings_is_revoked_by_its_name(
    admin: FlaskClient, session_factory: Sessions, now: datetime
) -> None:
    made(session_factory)
    digest = postback_tokens.token_hash(POSTBACK_TOKEN)
    with session_factory.begin() as session:  # used since the page was opened
        store.note_use(session, {digest}, {digest: "settings"}, now)
    assert "Revoke settings?" in words(admin.get(f"{REVOKE}?token=settings"))
    assert press(admin, REVOKE, token="settings").status_code == 303
    assert "take it out of TRACKER_POSTBACK_TOKENS" in words(admin.get(PAGE))


def test_the_last_valid_address_goes_only_when_it_is_meant(
    admin: FlaskClient, session_factory: Sessions
) -> None:
    page = admin.get(f"{REVOKE}?token=settings")
    assert "It is the last valid address." in words(page)
    refused = press(admin, REVOKE, token="settings")
    assert refused.status_code == 409
    assert 'role="alert"' in refused.text
    assert state_of(session_factory, "settings").is_valid
    assert press(admin, REVOKE, token="settings", force="yes").status_code == 303
    assert not state_of(session_factory, "settings").is_valid


@pytest.mark.parametrize("handle", ["", "nobody", "0", "99", "None", "9" * 30])
def test_what_is_no_token_is_not_asked_about(admin: FlaskClient, handle: str) -> None:
    assert admin.get(f"{REVOKE}?token={handle}").status_code == 404
    answer = press(admin, REVOKE, token=handle)
    assert answer.status_code == 303
    assert "Nothing was done" in words(admin.get(PAGE))


def test_a_token_that_somebody_else_revoked_meanwhile_is_said(
    admin: FlaskClient, session_factory: Sessions, now: datetime
) -> None:
    state = made(session_factory)
    postback_tokens.revoke(session_factory, OWN, "autumn", actor="tests", now=now)
    press(admin, REVOKE, token=state.handle)
    assert "Nothing was done" in words(admin.get(PAGE))
    assert admin.get(f"{REVOKE}?token={state.handle}").status_code == 404


def test_the_allow_list_is_shown_as_it_is_set(settings: Settings) -> None:
    app = create_app(
        replace(
            settings,
            postback_allow_mode=AllowMode.ENFORCE,
            postback_allow_from=(ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")),
            trusted_proxies=1,
        )
    )
    said = words(visitor(app, Role.ADMIN).get(PAGE, headers={"X-Forwarded-For": "192.0.2.9"}))
    assert "Enforce: what comes from elsewhere is refused. TRACKER_POSTBACK_ALLOW_MODE" in said
    assert "203.0.113.0/24, 2001:db8::/32 TRACKER_POSTBACK_ALLOW_FROM" in said
    assert "1 TRACKER_TRUSTED_PROXIES" in said
    assert "192.0.2.9, as the server sees it" in said
    db.engine_of(app.extensions["tracker.sessions"]).dispose()


def test_without_an_allow_list_that_is_said_and_the_metrics_are_linked(
    admin: FlaskClient,
) -> None:
    page = admin.get(PAGE)
    assert "Off: whoever has an address may post" in words(page)
    assert "None. TRACKER_POSTBACK_ALLOW_FROM" in words(page)
    assert 'href="/metrics"' in page.text


def test_strangers_names_stay_text(admin: FlaskClient) -> None:
    page = press(admin, PAGE, name="<script>alert(1)</script>")
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page.text)
