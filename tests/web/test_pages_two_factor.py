"""Two-factor login in the pages: turned on by its owner, asked for at login, off again."""

import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import zxingcpp
from flask import Flask
from flask.testing import FlaskClient
from pages_support import PASSWORD, log_in, press, token_of, visitor, words
from werkzeug.test import TestResponse

from tracker.services import accounts, codes, logins, two_factor
from tracker.store.db import Sessions
from tracker.store.models import Role

PAGE = "/settings/two-factor"
NEXT_STEP = timedelta(seconds=codes.STEP_SECONDS)


@pytest.fixture
def person(app: Flask) -> FlaskClient:
    return visitor(app, Role.VIEWER)


def phone_of(page: TestResponse) -> pyotp.TOTP:
    found = re.search(r'factor__secret">([A-Z2-7 ]+)<', page.text)
    assert found, page.text
    return pyotp.TOTP(found[1].replace(" ", ""))


def turned_on(client: FlaskClient) -> tuple[pyotp.TOTP, list[str]]:
    """Turn it on as a person does; return her phone and her recovery codes."""
    phone = phone_of(press(client, f"{PAGE}/begin", password=PASSWORD))
    page = press(client, f"{PAGE}/confirm", code=phone.now())
    assert page.status_code == 200
    return phone, re.findall(r"<code>([a-z0-9-]{19})</code>", page.text)


def next_code(phone: pyotp.TOTP) -> str:
    """Return the code of the next step: the one of now has been used."""
    return phone.at(datetime.now(UTC) + NEXT_STEP)


def give_code(client: FlaskClient, code: str, **more: str) -> TestResponse:
    form = {"csrf_token": token_of(client.get("/login/code")), "code": code, **more}
    return client.post("/login/code", data=form)


def test_it_needs_a_login(client: FlaskClient) -> None:
    assert client.get(PAGE).status_code == 302
    for action in ("begin", "confirm", "off", "recovery-codes"):
        assert client.post(f"{PAGE}/{action}").status_code == 302


def test_a_form_without_its_csrf_token_does_nothing(person: FlaskClient) -> None:
    for action in ("begin", "confirm", "off", "recovery-codes"):
        assert person.post(f"{PAGE}/{action}", data={"password": PASSWORD}).status_code == 400


def test_the_qr_code_says_what_the_text_says(person: FlaskClient) -> None:
    page = press(person, f"{PAGE}/begin", password=PASSWORD)
    assert page.headers["Cache-Control"] == "no-store"
    size = re.search(r'viewBox="0 0 (\d+) (\d+)"[^>]*><path fill="#000" d="([^"]+)"', page.text)
    assert size
    width, height = int(size[1]), int(size[2])
    pixels = bytearray(b"\xff" * width * height * 16)
    for x, y, wide, tall in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)", size[3]):
        for row in range(4 * int(y), 4 * (int(y) + int(tall))):
            start = row * width * 4 + 4 * int(x)
            pixels[start : start + 4 * int(wide)] = bytes(4 * int(wide))
    drawn = bytes(pixels)
    view = zxingcpp.ImageView(drawn, width * 4, height * 4, zxingcpp.ImageFormat.Lum)
    (read,) = zxingcpp.read_barcodes(view)
    phone = pyotp.parse_uri(read.text)
    assert isinstance(phone, pyotp.TOTP)
    assert (phone.name, phone.secret) == ("a-viewer", phone_of(page).secret)


def test_turned_on_it_keeps_this_session_and_ends_the_others(
    app: Flask, person: FlaskClient
) -> None:
    elsewhere = app.test_client()
    log_in(elsewhere, "a-viewer")
    with person.session_transaction() as session:
        before = session["_user_id"]
    _, recovery = turned_on(person)
    assert len(recovery) == codes.RECOVERY_CODES
    page = person.get(PAGE)
    assert page.status_code == 200
    assert "It is on Since" in words(page)
    assert "10 of 10 left" in words(page)
    assert recovery[0] not in page.text
    with person.session_transaction() as session:
        assert session["_user_id"] != before
    assert elsewhere.get("/messages").status_code == 302


def test_a_login_asks_for_the_code_and_leads_on(app: Flask, person: FlaskClient) -> None:
    phone, _ = turned_on(person)
    client = app.test_client()
    answer = log_in(client, "a-viewer", next="/messages?status=failed")
    assert answer.location == "/login/code?next=/messages?status%3Dfailed"
    assert client.get("/messages").status_code == 302
    assert "Second step" in words(client.get(answer.location))
    answer = give_code(client, next_code(phone), next="/messages?status=failed")
    assert (answer.status_code, answer.location) == (303, "/messages?status=failed")
    assert client.get("/messages").status_code == 200


def test_a_code_lets_in_once(app: Flask, person: FlaskClient) -> None:
    phone, _ = turned_on(person)
    code = next_code(phone)
    first, second = app.test_client(), app.test_client()
    log_in(first, "a-viewer")
    log_in(second, "a-viewer")
    assert give_code(first, code).status_code == 303
    page = give_code(second, code)
    assert page.status_code == 401
    assert "Wrong code. Each one works once" in words(page)
    assert second.get("/messages").status_code == 302


def test_a_recovery_code_stands_for_the_phone_once(app: Flask, person: FlaskClient) -> None:
    _, recovery = turned_on(person)
    client = app.test_client()
    log_in(client, "a-viewer")
    assert give_code(client, recovery[0].upper()).status_code == 303
    assert "9 of 10 left" in words(client.get(PAGE))
    again = app.test_client()
    log_in(again, "a-viewer")
    assert give_code(again, recovery[0]).status_code == 401


def test_wrong_codes_lock_the_account_and_say_until_when(app: Flask, person: FlaskClient) -> None:
    phone, _ = turned_on(person)
    client = app.test_client()
    log_in(client, "a-viewer")
    for _ in range(logins.MAX_FAILURES):
        assert give_code(client, "000000x").status_code == 401
    page = give_code(client, next_code(phone))
    assert page.status_code == 429
    assert "Too many wrong passwords or codes" in words(page)
    assert 0 < int(page.headers["Retry-After"]) <= logins.LOCK.total_seconds()


def test_the_second_step_waits_five_minutes(app: Flask, person: FlaskClient) -> None:
    phone, _ = turned_on(person)
    client = app.test_client()
    log_in(client, "a-viewer")
    token = token_of(client.get("/login/code"))
    with client.session_transaction() as session:
        key, until = session["first_step"]
        session["first_step"] = [key, until - 300]
    answer = client.post("/login/code", data={"csrf_token": token, "code": next_code(phone)})
    assert (answer.status_code, answer.location) == (303, "/login")
    assert "That took too long." in words(client.get("/login"))
    assert client.get("/login/code").location == "/login"


def test_without_a_first_step_there_is_no_second(client: FlaskClient) -> None:
    assert client.get("/login/code").location == "/login"
    form = {"csrf_token": token_of(client.get("/login")), "code": "123456"}
    assert client.post("/login/code", data=form).location == "/login"
    assert client.post("/login/code", data={"code": "123456"}).status_code == 400


def test_a_wrong_first_code_shows_the_same_secret_again(person: FlaskClient) -> None:
    phone = phone_of(press(person, f"{PAGE}/begin", password=PASSWORD))
    page = press(person, f"{PAGE}/confirm", code=phone.at(datetime.now(UTC) + 9 * NEXT_STEP))
    assert page.status_code == 400
    assert 'id="code-problem"' in page.text
    assert phone_of(page).secret == phone.secret
    assert press(person, f"{PAGE}/confirm", code=phone.now()).status_code == 200


@pytest.mark.parametrize("code", ["é", "１２３４５６", "1234567", ""])  # noqa: RUF001
def test_what_no_phone_shows_is_a_wrong_first_code(person: FlaskClient, code: str) -> None:
    press(person, f"{PAGE}/begin", password=PASSWORD)
    page = press(person, f"{PAGE}/confirm", code=code)
    assert page.status_code == 400
    assert 'id="code-problem"' in page.text


def test_nothing_is_confirmed_that_was_not_begun(person: FlaskClient) -> None:
    for action in ("confirm", "recovery-codes", "off"):
        answer = press(person, f"{PAGE}/{action}", code="123456", password=PASSWORD)
        assert (answer.status_code, answer.location) == (303, PAGE)


@pytest.mark.parametrize(
    ("action", "field"),
    [("begin", "password"), ("recovery-codes", "renew-password"), ("off", "password")],
)
def test_every_step_needs_the_password(person: FlaskClient, action: str, field: str) -> None:
    if action != "begin":
        turned_on(person)
    page = press(person, f"{PAGE}/{action}", password="a wrong one", code="123456")
    assert page.status_code == 400
    assert f'id="{field}-problem"' in page.text
    assert "This is not your password." in words(page)


def test_too_many_wrong_passwords_lock_here_too(person: FlaskClient) -> None:
    for _ in range(logins.MAX_FAILURES):
        press(person, f"{PAGE}/begin", password="a wrong one")
    page = press(person, f"{PAGE}/begin", password=PASSWORD)
    assert page.status_code == 429
    assert "factor__secret" not in page.text


def test_it_is_turned_off_by_password_and_code(
    app: Flask, person: FlaskClient, session_factory: Sessions
) -> None:
    phone, _ = turned_on(person)
    page = press(person, f"{PAGE}/off", password=PASSWORD, code="000000x")
    assert page.status_code == 400
    assert 'id="code-problem"' in page.text
    assert press(person, f"{PAGE}/off", password=PASSWORD, code=next_code(phone)).location == PAGE
    assert "Two-factor login is off." in words(person.get(PAGE))
    (row,) = accounts.users(session_factory)
    assert not row.has_two_factor
    assert log_in(app.test_client(), "a-viewer").location == "/"


def test_new_recovery_codes_are_shown_once(
    app: Flask, person: FlaskClient, session_factory: Sessions
) -> None:
    _, old = turned_on(person)
    page = press(person, f"{PAGE}/recovery-codes", password=PASSWORD)
    new = re.findall(r"<code>([a-z0-9-]{19})</code>", page.text)
    assert len(new) == codes.RECOVERY_CODES
    assert set(new).isdisjoint(old)
    client = app.test_client()
    log_in(client, "a-viewer")
    assert give_code(client, old[0]).status_code == 401
    assert give_code(client, new[0]).status_code == 303
    (row,) = accounts.users(session_factory)
    assert two_factor.recovery_codes_left(session_factory, row.id) == codes.RECOVERY_CODES - 1
