"""The pages of the settings and of the users: for administrators, and passwords shown once."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages_support import PASSWORD, a_user, log_in, press, token_of, visitor, words
from werkzeug.test import TestResponse

from tracker.services import accounts, two_factor
from tracker.store.db import Sessions
from tracker.store.models import Role
from tracker.store.rows import UserRow

PAGE = "/settings/users"


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    return visitor(app, Role.ADMIN)


def the(sessions: Sessions, name: str) -> UserRow:
    (found,) = [user for user in accounts.users(sessions) if user.username == name]
    return found


def page_of_user(sessions: Sessions, name: str) -> str:
    return f"{PAGE}/{the(sessions, name).id}"


def shown_once(page: TestResponse) -> str:
    found = re.search(r'id="made" value="([^"]+)"', page.text)
    assert found, page.text
    assert page.headers["Cache-Control"] == "no-store"
    return unescape(found[1])


def test_everybody_finds_the_settings_and_sees_what_the_role_allows(app: Flask) -> None:
    for role, is_admin in ((Role.VIEWER, False), (Role.OPERATOR, False), (Role.ADMIN, True)):
        client = visitor(app, role)
        assert 'href="/settings"' in client.get("/messages").text
        page = client.get("/settings")
        assert "Two-factor login" in words(page)
        for address in (PAGE, "/settings/tokens", "/settings/postback-address", "/audit"):
            assert (f'href="{address}"' in page.text) is is_admin


def test_each_of_the_settings_says_where_it_belongs(admin: FlaskClient) -> None:
    for address in (PAGE, "/settings/tokens", "/settings/two-factor", "/audit"):
        page = admin.get(address).text
        assert 'href="/settings" aria-current="page"' in page
        assert page.count('aria-current="page"') == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_administrators_see_or_change_users(
    app: Flask, session_factory: Sessions, role: Role
) -> None:
    client = visitor(app, role)
    one = page_of_user(session_factory, f"a-{role.value}")
    assert client.get(PAGE).status_code == 403
    assert client.get(one).status_code == 403
    assert press(client, PAGE, username="petr", role="admin").status_code == 403
    for action in ("role", "password", "disable", "enable", "reset-two-factor"):
        assert press(client, f"{one}/{action}", role="admin").status_code == 403
    assert [user.username for user in accounts.users(session_factory)] == [f"a-{role.value}"]


def test_a_form_without_its_csrf_token_does_nothing(
    admin: FlaskClient, session_factory: Sessions
) -> None:
    one = page_of_user(session_factory, "a-admin")
    assert admin.post(PAGE, data={"username": "petr", "role": "admin"}).status_code == 400
    assert admin.post(f"{one}/password").status_code == 400
    assert len(accounts.users(session_factory)) == 1


def test_the_list_says_who_may_do_what(
    app: Flask, admin: FlaskClient, session_factory: Sessions
) -> None:
    a_user(session_factory, "olga", Role.OPERATOR)
    a_user(session_factory, "petr", Role.VIEWER)
    now = datetime.now(UTC)
    accounts.disable_user(session_factory, "petr", actor="test", now=now)
    for _ in range(5):
        log_in(app.test_client(), "olga", "a wrong one")
    said = words(admin.get(PAGE))
    assert "a-admin admin Active Two-factor off Last login" in said
    assert "olga operator Locked until" in said
    assert "petr viewer Disabled Two-factor off Last login never" in said


def test_a_made_password_is_shown_once_and_lets_in(
    app: Flask, admin: FlaskClient, session_factory: Sessions
) -> None:
    page = press(admin, PAGE, username=" petr ", role="operator")
    password = shown_once(page)
    assert len(password) == 16
    assert password not in admin.get(PAGE).text
    assert log_in(app.test_client(), "petr", password).status_code == 303
    assert the(session_factory, "petr").role == "operator"


def test_a_typed_password_is_shown_to_nobody(
    app: Flask, admin: FlaskClient, session_factory: Sessions
) -> None:
    answer = press(admin, PAGE, username="petr", role="viewer", password=PASSWORD)
    assert (answer.status_code, answer.location) == (303, PAGE)
    page = admin.get(PAGE)
    assert "petr can log in now." in words(page)
    assert PASSWORD not in page.text
    assert log_in(app.test_client(), "petr").status_code == 303


@pytest.mark.parametrize(
    ("username", "password", "field"),
    [
        ("", "", "username"),
        ("a-admin", "", "username"),
        ("A-Admin", "", "username"),
        ("<b>" * 30, "", "username"),
        ("pe\ttr", "", "username"),
        ("petr", "short", "password"),
        ("petr", "x" * 1001, "password"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    admin: FlaskClient, session_factory: Sessions, username: str, password: str, field: str
) -> None:
    page = press(admin, PAGE, username=username, role="operator", password=password)
    assert page.status_code == 400
    assert f'id="{field}-problem"' in page.text
    assert 'value="operator" id="role-operator" checked' in page.text
    assert "<b>" not in page.text
    assert len(accounts.users(session_factory)) == 1


def test_a_name_differs_in_more_than_its_capitals(
    admin: FlaskClient, session_factory: Sessions
) -> None:
    a_user(session_factory, "Åsa")
    page = press(admin, PAGE, username="åsa", role="viewer")
    assert page.status_code == 400
    assert "here is a user Åsa already" in words(page)
    assert len(accounts.users(session_factory)) == 2


@pytest.mark.parametrize("role", ["", "king"])
def test_an_odd_role_is_refused(admin: FlaskClient, session_factory: Sessions, role: str) -> None:
    assert press(admin, PAGE, username="petr", role=role).status_code == 400
    assert len(accounts.users(session_factory)) == 1


def test_a_role_is_changed(admin: FlaskClient, session_factory: Sessions) -> None:
    a_user(session_factory, "petr", Role.VIEWER)
    one = page_of_user(session_factory, "petr")
    assert press(admin, f"{one}/role", role="operator").location == one
    assert "petr is an operator now." in words(admin.get(one))
    assert the(session_factory, "petr").role == "operator"


@pytest.mark.parametrize("action", ["role", "disable"])
def test_the_only_administrator_stays_one(
    admin: FlaskClient, session_factory: Sessions, action: str
) -> None:
    one = page_of_user(session_factory, "a-admin")
    page = press(admin, f"{one}/{action}", role="viewer")
    assert page.status_code == 409
    assert "a-admin is the only administrator; make another one first" in words(page)
    assert 'role="alert"' in page.text
    assert admin.get(PAGE).status_code == 200


def test_who_gives_up_the_own_role_is_led_to_what_is_left(
    admin: FlaskClient, session_factory: Sessions
) -> None:
    a_user(session_factory, "anna", Role.ADMIN)
    one = page_of_user(session_factory, "a-admin")
    assert press(admin, f"{one}/role", role="viewer").location == "/"
    assert admin.get("/").status_code == 200
    assert admin.get(PAGE).status_code == 403


def test_a_disabled_user_is_out_at_once_and_may_come_back(
    app: Flask, admin: FlaskClient, session_factory: Sessions
) -> None:
    inside = visitor(app, Role.VIEWER)
    one = page_of_user(session_factory, "a-viewer")
    assert press(admin, f"{one}/disable").location == one
    assert inside.get("/messages").status_code == 302
    assert "Let in again" in words(admin.get(one))
    assert press(admin, f"{one}/enable").location == one
    assert log_in(app.test_client(), "a-viewer").status_code == 303


def test_a_new_password_ends_the_sessions_and_is_shown_once(
    app: Flask, admin: FlaskClient, session_factory: Sessions
) -> None:
    inside = visitor(app, Role.VIEWER)
    one = page_of_user(session_factory, "a-viewer")
    password = shown_once(press(admin, f"{one}/password"))
    assert inside.get("/messages").status_code == 302
    assert log_in(app.test_client(), "a-viewer").status_code == 401
    assert log_in(app.test_client(), "a-viewer", password).status_code == 303
    assert press(admin, f"{one}/password", password=PASSWORD).location == one
    assert log_in(app.test_client(), "a-viewer").status_code == 303
    assert press(admin, f"{one}/password", password="short").status_code == 400


def test_an_administrator_resets_a_lost_second_step(
    app: Flask, admin: FlaskClient, session_factory: Sessions
) -> None:
    a_user(session_factory, "petr", Role.VIEWER)
    now = datetime.now(UTC)
    secret = two_factor.begin(session_factory, "petr", PASSWORD, "key", now)
    two_factor.confirm(session_factory, "petr", pyotp.TOTP(secret).at(now), "key", now)
    one = page_of_user(session_factory, "petr")
    assert "Two-factor on since" in words(admin.get(one))
    assert press(admin, f"{one}/reset-two-factor").location == one
    page = admin.get(one)
    assert "petr logs in with the password alone now." in words(page)
    assert "/reset-two-factor" not in page.text
    assert log_in(app.test_client(), "petr").location == "/"
    press(admin, f"{one}/reset-two-factor")
    assert "Nothing was done: petr has no two-factor login" in words(admin.get(one))


def test_nobody_gets_around_the_own_second_step_or_the_old_password(
    app: Flask, admin: FlaskClient, session_factory: Sessions
) -> None:
    now = datetime.now(UTC)
    key = app.extensions["tracker.settings"].secret_key
    secret = two_factor.begin(session_factory, "a-admin", PASSWORD, key, now)
    two_factor.confirm(session_factory, "a-admin", pyotp.TOTP(secret).at(now), key, now)
    log_in(admin, "a-admin")
    form = {"csrf_token": token_of(admin.get("/login/code"))}
    code = pyotp.TOTP(secret).at(now + timedelta(seconds=30))
    assert admin.post("/login/code", data={**form, "code": code}).status_code == 303
    one = page_of_user(session_factory, "a-admin")
    for action, there in (("reset-two-factor", "two-factor"), ("password", "password")):
        page = press(admin, f"{one}/{action}", password="another long enough one")
        assert page.status_code == 409
        assert "Nothing was done: you " in words(page)
        assert f'href="/settings/{there}"' in page.text
        assert f'action="{one}/{action}"' not in page.text
    assert the(session_factory, "a-admin").has_two_factor
    assert log_in(app.test_client(), "a-admin").location == "/login/code"


@pytest.mark.parametrize("path", ["999", "999/role", "0", "9223372036854775807"])
def test_who_is_not_there_is_not_found(admin: FlaskClient, path: str) -> None:
    page = f"{PAGE}/{path}"
    found = press(admin, page, role="viewer") if "/role" in page else admin.get(page)
    assert found.status_code == 404


def test_strangers_names_stay_text(admin: FlaskClient, session_factory: Sessions) -> None:
    name = "<script>alert(1)</script>\u202e"[:-1]
    a_user(session_factory, name, Role.VIEWER)
    for page in (admin.get(PAGE), admin.get(page_of_user(session_factory, name))):
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page.text)
