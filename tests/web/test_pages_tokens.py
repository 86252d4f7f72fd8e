"""The page of the API tokens: for administrators, and a token is shown once."""

import re
from datetime import datetime
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages_support import press, token_of, visitor, words

from tracker.services import accounts
from tracker.store.db import Sessions
from tracker.store.models import Role, Scope
from tracker.store.rows import TokenRow

PAGE = "/settings/tokens"


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    return visitor(app, Role.ADMIN)


def the(sessions: Sessions, name: str) -> TokenRow:
    (found,) = [token for token in accounts.tokens(sessions) if token.name == name]
    return found


def status_with(app: Flask, token: str) -> int:
    bearer = {"Authorization": f"Bearer {token}"}
    return app.test_client().get("/api/v1/messages", headers=bearer).status_code


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_administrators_see_make_or_revoke_tokens(
    app: Flask, session_factory: Sessions, now: datetime, role: Role
) -> None:
    made = accounts.create_token(session_factory, "shop", actor="test", now=now)
    client, revoke = visitor(app, role), f"{PAGE}/{made.id}/revoke"
    assert client.get(PAGE).status_code == 403
    assert client.get(revoke).status_code == 403
    assert press(client, PAGE, name="mine", scope="read").status_code == 403
    assert press(client, revoke).status_code == 403
    assert [token.name for token in accounts.tokens(session_factory)] == ["shop"]
    assert the(session_factory, "shop").revoked_at is None


def test_a_form_without_its_csrf_token_does_nothing(
    admin: FlaskClient, session_factory: Sessions, now: datetime
) -> None:
    made = accounts.create_token(session_factory, "shop", actor="test", now=now)
    assert admin.post(PAGE, data={"name": "mine", "scope": "read"}).status_code == 400
    assert admin.post(f"{PAGE}/{made.id}/revoke").status_code == 400
    assert the(session_factory, "shop").revoked_at is None


def test_without_a_token_the_page_says_what_that_means(admin: FlaskClient) -> None:
    assert "No token yet: no program can use the API." in words(admin.get(PAGE))


def test_a_token_is_shown_once_and_may_do_what_was_chosen(
    app: Flask, admin: FlaskClient, session_factory: Sessions
) -> None:
    page = press(admin, PAGE, name="till", scope="read", rate="60")
    assert page.headers["Cache-Control"] == "no-store"
    found = re.search(r'id="made" value="(pdt_[^"]+)"', page.text)
    assert found
    token = unescape(found[1])
    assert status_with(app, token) == 200
    row = the(session_factory, "till")
    assert (row.scopes, row.rate_per_minute) == (("read",), 60)
    again = admin.get(PAGE)
    assert token not in again.text
    assert "till Active May read 60 a minute Made" in words(again)


def test_tokens_without_a_limit_and_with_every_scope_are_offered_first(
    admin: FlaskClient, session_factory: Sessions
) -> None:
    page = admin.get(PAGE)
    assert page.text.count('name="scope"') == len(Scope)
    assert all(f'id="scope-{scope}" checked' in page.text for scope in Scope)
    form = {"csrf_token": token_of(page), "name": "shop", "scope": list(Scope), "rate": " "}
    assert admin.post(PAGE, data=form).status_code == 200
    row = the(session_factory, "shop")
    assert (row.scopes, row.rate_per_minute) == (tuple(Scope), None)


@pytest.mark.parametrize(
    ("name", "scope", "rate", "field"),
    [
        ("", "read", "", "name"),
        ("<b>" * 30, "read", "", "name"),
        ("a\0b", "read", "", "name"),
        ("shop", "read", "", "name"),
        ("till", "king", "", "scope"),
        ("till", "read", "0", "rate"),
        ("till", "read", "1000001", "rate"),
        ("till", "read", "many", "rate"),
        ("till", "read", "-1", "rate"),
        ("till", "read", "9" * 400, "rate"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_the_rest_is_kept(
    admin: FlaskClient,
    session_factory: Sessions,
    now: datetime,
    name: str,
    scope: str,
    rate: str,
    field: str,
) -> None:
    accounts.create_token(session_factory, "shop", actor="test", now=now)
    page = press(admin, PAGE, name=name, scope=scope, rate=rate)
    assert page.status_code == 400
    assert f'id="{field}-problem"' in page.text
    assert ('id="scope-read" checked' in page.text) is (scope == "read")
    assert 'id="scope-admin" checked' not in page.text
    assert "<b>" not in page.text
    assert len(accounts.tokens(session_factory)) == 1


def test_a_token_is_revoked_after_a_question(
    app: Flask, admin: FlaskClient, session_factory: Sessions, now: datetime
) -> None:
    made = accounts.create_token(session_factory, "shop", actor="test", now=now)
    page = admin.get(f"{PAGE}/{made.id}/revoke")
    assert "Revoke shop? It was never used." in words(page)
    assert status_with(app, made.token) == 200
    assert press(admin, f"{PAGE}/{made.id}/revoke").location == PAGE
    said = words(admin.get(PAGE))
    assert "Revoked: shop. It is refused from now on." in said
    assert "shop Revoked" in said
    assert "Revoke shop" not in said
    assert status_with(app, made.token) == 401
    assert admin.get(f"{PAGE}/{made.id}/revoke").status_code == 404
    press(admin, f"{PAGE}/{made.id}/revoke")
    assert "Somebody revoked it already." in words(admin.get(PAGE))


@pytest.mark.parametrize("token_id", ["0", "999", "9223372036854775807", "shop", "9" * 30])
def test_what_is_no_token_is_not_found(admin: FlaskClient, token_id: str) -> None:
    assert admin.get(f"{PAGE}/{token_id}/revoke").status_code == 404
    assert press(admin, f"{PAGE}/{token_id}/revoke").status_code in (404, 405)


def test_strangers_names_stay_text(admin: FlaskClient) -> None:
    page = press(admin, PAGE, name="<script>alert(1)</script>", scope="read")
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page.text)
