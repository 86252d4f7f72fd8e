"""Each person gives herself a new password, who knows the old one."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pages_support import PASSWORD, log_in, press, visitor, words

from tracker.services import logins
from tracker.store.models import Role

PAGE = "/settings/password"
NEW = "another long enough one"


@pytest.fixture
def person(app: Flask) -> FlaskClient:
    return visitor(app, Role.VIEWER)


def test_a_new_password_ends_every_session_but_this_one(app: Flask, person: FlaskClient) -> None:
    elsewhere = app.test_client()
    log_in(elsewhere, "a-viewer")
    assert f'href="{PAGE}"' in person.get("/settings").text
    assert press(person, PAGE, old=PASSWORD, new=NEW).location == "/settings"
    assert "You have a new password" in words(person.get("/settings"))
    assert elsewhere.get("/messages").status_code == 302
    assert log_in(app.test_client(), "a-viewer").status_code == 401
    assert log_in(app.test_client(), "a-viewer", NEW).status_code == 303


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("a wrong one", NEW, "old"),
        ("", NEW, "old"),
        (PASSWORD, "short", "new"),
        (PASSWORD, "", "new"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    app: Flask, person: FlaskClient, old: str, new: str, field: str
) -> None:
    page = press(person, PAGE, old=old, new=new)
    assert page.status_code == 400
    assert f'id="{field}-problem"' in page.text
    assert log_in(app.test_client(), "a-viewer").status_code == 303


def test_guessing_the_old_one_locks(person: FlaskClient) -> None:
    for _ in range(logins.MAX_FAILURES):
        press(person, PAGE, old="a wrong one", new=NEW)
    page = press(person, PAGE, old=PASSWORD, new=NEW)
    assert page.status_code == 429
    assert "Too many wrong passwords." in words(page)


def test_it_needs_a_login_and_its_token(client: FlaskClient, person: FlaskClient) -> None:
    assert client.get(PAGE).status_code == 302
    assert person.post(PAGE, data={"old": PASSWORD, "new": NEW}).status_code == 400
