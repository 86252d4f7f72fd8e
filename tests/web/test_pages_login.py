"""Login, logout, and who may see or do what."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from builders import queued, reloaded
from flask import Flask
from flask.testing import FlaskClient
from pages_support import PASSWORD, a_user, log_in, page_of, press, token_of, visitor, words

from tracker.config import Settings
from tracker.domain.status import Status
from tracker.services import accounts, logins
from tracker.store import db
from tracker.store.db import Sessions
from tracker.store.models import Role
from tracker.web import create_app


def test_a_right_password_opens_the_overview(
    client: FlaskClient, session_factory: Sessions
) -> None:
    a_user(session_factory)
    answer = log_in(client, "olga")
    assert (answer.status_code, answer.location) == (303, "/")
    page = client.get("/")
    assert "Overview" in words(page)
    assert "Logged in as olga operator" in words(page)


@pytest.mark.parametrize(("username", "password"), [("olga", "wrong"), ("nobody", PASSWORD)])
def test_a_wrong_name_and_a_wrong_password_get_one_answer(
    client: FlaskClient, session_factory: Sessions, username: str, password: str
) -> None:
    a_user(session_factory)
    page = log_in(client, username, password)
    assert page.status_code == 401
    assert "Wrong user name or password." in words(page)
    assert client.get("/messages").status_code == 302


@pytest.mark.parametrize("username", ["x" * 500, "a\0b", "", "<b>'\""])
def test_odd_user_names_are_wrong_and_nothing_more(client: FlaskClient, username: str) -> None:
    page = log_in(client, username)
    assert page.status_code == 401
    assert "<b>" not in page.text


def test_a_disabled_user_stays_out_and_is_out_at_once(
    app: Flask, client: FlaskClient, session_factory: Sessions
) -> None:
    inside = visitor(app)
    accounts.disable_user(session_factory, "a-operator", actor="tests", now=datetime.now(UTC))
    assert inside.get("/messages").status_code == 302
    assert log_in(client, "a-operator").status_code == 401


def test_five_wrong_passwords_lock_the_account_and_say_until_when(
    client: FlaskClient, session_factory: Sessions
) -> None:
    a_user(session_factory)
    for _ in range(logins.MAX_FAILURES):
        log_in(client, "olga", "wrong")
    page = log_in(client, "olga")
    assert page.status_code == 429
    assert "this account is locked for a while. Try again after" in words(page)
    assert 0 < int(page.headers["Retry-After"]) <= logins.LOCK.total_seconds()


def test_a_login_without_its_token_is_refused(
    client: FlaskClient, session_factory: Sessions
) -> None:
    a_user(session_factory)
    page = client.post("/login", data={"username": "olga", "password": PASSWORD})
    assert page.status_code == 400
    assert "This page was open too long" in words(page)


def test_a_login_leads_to_the_page_that_was_asked_for(
    client: FlaskClient, session_factory: Sessions
) -> None:
    a_user(session_factory)
    sent_away = client.get("/messages?status=failed&mms_id=35674")
    assert sent_away.location == "/login?next=/messages?status%3Dfailed%26mms_id%3D35674"
    form = client.get(sent_away.location)
    assert 'value="/messages?status=failed&amp;mms_id=35674"' in form.text
    answer = log_in(client, "olga", next="/messages?status=failed&mms_id=35674")
    assert answer.location == "/messages?status=failed&mms_id=35674"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        " //evil.example",
        "evil",
        "///evil.example",
        "http:/evil.example",
    ],
)
def test_a_login_never_leads_to_another_site(
    client: FlaskClient, session_factory: Sessions, elsewhere: str
) -> None:
    a_user(session_factory)
    assert log_in(client, "olga", next=elsewhere).location == "/"
    assert client.get("/login", query_string={"next": elsewhere}).location == "/"


@pytest.mark.parametrize("path", ["/logout", "/logout?x=1"])
def test_a_login_does_not_lead_to_the_logout(
    client: FlaskClient, session_factory: Sessions, path: str
) -> None:
    a_user(session_factory)
    assert log_in(client, "olga", next=path).location == "/"
    assert client.get("/login", query_string={"next": path}).location == "/"


@pytest.mark.parametrize("path", ["/login", "/login/code"])
def test_a_login_form_left_open_in_another_tab_leads_in(
    client: FlaskClient, session_factory: Sessions, path: str
) -> None:
    a_user(session_factory)
    form = {"csrf_token": token_of(client.get("/login")), "username": "x", "password": "x"}
    log_in(client, "olga")
    answer = client.post(path, data={**form, "next": "/messages?status=failed"})
    assert (answer.status_code, answer.location) == (303, "/messages?status=failed")
    assert "You are logged in as olga already." in words(client.get("/messages"))
    elsewhere = client.post(path, data={**form, "next": "https://evil.example/"})
    assert elsewhere.location == "/"


def test_logout_ends_the_session(app: Flask) -> None:
    client = visitor(app)
    answer = press(client, "/logout")
    assert (answer.status_code, answer.location) == (303, "/login")
    assert "You are logged out, here and everywhere else." in words(client.get("/login"))
    assert client.get("/messages").status_code == 302


def test_no_copy_of_the_cookie_outlives_the_logout(app: Flask) -> None:
    client, other = visitor(app), visitor(app, Role.VIEWER)
    copy, phone = app.test_client(), app.test_client()
    cookie = client.get_cookie("tracker_session")
    assert cookie
    copy.set_cookie("tracker_session", cookie.value)
    log_in(phone, "a-operator")
    assert copy.get("/messages").status_code == phone.get("/messages").status_code == 200
    press(client, "/logout")
    assert copy.get("/messages").status_code == phone.get("/messages").status_code == 302
    assert other.get("/messages").status_code == 200
    assert log_in(client, "a-operator").status_code == 303
    assert copy.get("/messages").status_code == 302


def test_logout_needs_a_post_with_a_token(app: Flask) -> None:
    client = visitor(app)
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").status_code == 400
    assert client.get("/messages").status_code == 200


def test_a_session_ends_after_twelve_hours_however_busy_it_is(app: Flask) -> None:
    client = visitor(app)
    with client.session_transaction() as session:
        life = timedelta(seconds=session["until"] - datetime.now(UTC).timestamp())
    assert timedelta(hours=11.9) < life <= timedelta(hours=12)
    assert client.get("/messages").status_code == 200
    with client.session_transaction() as session:
        session["until"] -= life.total_seconds() + 1  # as if so much time had passed
    assert client.get("/messages").status_code == 302


IDLE = 30 * 60


@pytest.fixture
def idle_client(settings: Settings) -> Iterator[FlaskClient]:
    """A browser whose user is logged in where nobody may do nothing for half an hour."""
    app = create_app(replace(settings, idle_minutes=30))
    yield visitor(app)
    app.extensions["tracker.receiver"].stop()
    db.engine_of(app.extensions["tracker.sessions"]).dispose()


def let_pass(client: FlaskClient, seconds: int) -> None:
    """Make the session as it is after so much time."""
    with client.session_transaction() as session:
        session["seen"] -= seconds
        session["until"] -= seconds


def test_who_does_nothing_is_logged_out_and_told_so(idle_client: FlaskClient) -> None:
    let_pass(idle_client, IDLE - 5)
    assert idle_client.get("/messages").status_code == 200
    let_pass(idle_client, IDLE + 1)
    answer = idle_client.get("/messages?status=failed")
    assert answer.location == "/login?next=/messages?status%3Dfailed"
    said = words(idle_client.get(answer.location))
    assert "You were logged out: nothing was done here for 30 minutes." in said
    assert log_in(idle_client, "a-operator").status_code == 303


def test_each_page_begins_the_time_anew_and_a_live_part_does_not(idle_client: FlaskClient) -> None:
    live = {"HX-Request": "true"}
    for _ in range(3):
        let_pass(idle_client, IDLE - 60)
        assert idle_client.get("/messages").status_code == 200
    let_pass(idle_client, IDLE - 60)
    answer = idle_client.get("/messages/live", headers=live)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    let_pass(idle_client, 61)
    answer = idle_client.get("/messages/live", headers=live)
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (204, "true")
    assert idle_client.get("/messages").status_code == 302


def test_without_a_setting_a_wall_screen_stays_for_the_session_s_life(app: Flask) -> None:
    client = visitor(app)
    with client.session_transaction() as session:
        session["seen"] -= 11 * 3600
    assert client.get("/messages/live", headers={"HX-Request": "true"}).status_code == 200
    with client.session_transaction() as session:
        session["seen"] -= 3600
    assert client.get("/messages").status_code == 302


def test_a_longer_idle_time_makes_the_session_s_life_longer(settings: Settings) -> None:
    app = create_app(replace(settings, idle_minutes=1440))
    with visitor(app).session_transaction() as session:
        assert session["until"] - session["seen"] == 24 * 3600
    app.extensions["tracker.receiver"].stop()
    db.engine_of(app.extensions["tracker.sessions"]).dispose()


def test_what_was_planted_before_the_login_is_gone_after_it(
    client: FlaskClient, session_factory: Sessions
) -> None:
    a_user(session_factory)
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"
    before = token_of(client.get("/login"))
    log_in(client, "olga")
    with client.session_transaction() as session:
        assert "planted" not in session
    assert client.post("/logout", data={"csrf_token": before}).status_code == 400


def test_the_session_cookie_is_out_of_reach_and_secure_on_https(
    client: FlaskClient, session_factory: Sessions
) -> None:
    a_user(session_factory)
    plain = log_in(client, "olga").headers["Set-Cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    another = client.application.test_client()
    assert "Secure" in another.get("/login", base_url="https://localhost").headers["Set-Cookie"]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/overview/today",
        "/overview/health",
        "/overview/detail",
        "/messages",
        "/messages/live",
        "/messages/search",
        "/messages/11111111-2222-4333-8444-555555555555",
        "/messages/11111111-2222-4333-8444-555555555555/live",
        "/messages/11111111-2222-4333-8444-555555555555/postbacks/1",
        "/messages/11111111-2222-4333-8444-555555555555/postbacks/1/raw",
    ],
)
def test_every_page_needs_a_login(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer.location.startswith("/login")


@pytest.mark.parametrize("action", ["search", "X/cancel", "X/resend"])
def test_every_action_needs_a_login(
    client: FlaskClient, session_factory: Sessions, action: str
) -> None:
    public_id = queued(session_factory)
    path = "/messages/" + action.replace("X", str(public_id))
    answer = client.post(path, data={"csrf_token": token_of(client.get("/login"))})
    assert (answer.status_code, answer.location) == (302, "/login")
    assert reloaded(session_factory, public_id).status is Status.QUEUED


def test_a_live_part_without_a_session_makes_the_whole_page_ask(client: FlaskClient) -> None:
    answer = client.get("/messages/live", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (204, "true")


@pytest.mark.parametrize(
    ("role", "may_act"), [(Role.VIEWER, False), (Role.OPERATOR, True), (Role.ADMIN, True)]
)
def test_only_operators_and_administrators_act(
    app: Flask, session_factory: Sessions, role: Role, may_act: bool
) -> None:
    client = visitor(app, role)
    public_id = queued(session_factory)
    assert ("/cancel" in client.get(page_of(public_id)).text) is may_act
    answer = press(client, page_of(public_id, "cancel"))
    assert answer.status_code == (303 if may_act else 403)
    cancelled = reloaded(session_factory, public_id).status is Status.CANCELLED
    assert cancelled is may_act


@pytest.mark.parametrize("action", ["cancel", "resend"])
def test_an_action_without_its_token_does_nothing(
    app: Flask, session_factory: Sessions, action: str
) -> None:
    client = visitor(app)
    public_id = queued(session_factory)
    assert client.post(page_of(public_id, action)).status_code == 400
    assert reloaded(session_factory, public_id).status is Status.QUEUED
