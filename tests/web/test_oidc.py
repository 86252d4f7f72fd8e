"""Login through an OpenID provider that really runs, signs with a key, and may do wrong."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
import requests
from conftest import wait_for_http
from flask import Flask
from flask.testing import FlaskClient
from joserfc.jwk import RSAKey
from pages_support import PASSWORD, a_user, log_in, words
from provider import CLIENT_ID, CLIENT_SECRET, Provider, running_provider
from sqlalchemy import select
from werkzeug.test import TestResponse

from tracker.config import OpenId, Settings
from tracker.services import accounts, two_factor
from tracker.store import db
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Role
from tracker.store.rows import UserRow
from tracker.web import create_app

ROLES = {"viewer": "viewer", "operator": "operator", "it": "admin"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        wait_for_http(started.issuer)
        yield started


@pytest.fixture
def settings(settings: Settings, provider: Provider) -> Settings:
    chosen = OpenId(
        issuer=provider.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        role_claim="roles",
        roles=ROLES,
    )
    return replace(settings, open_id=chosen)


def there_and_back(client: FlaskClient, start: str = "/login/oidc") -> str:
    """Go to the provider as a browser does; return the address it sends the browser back to."""
    sent = client.get(start)
    assert sent.status_code == 302, sent.text
    returned = requests.get(sent.location, allow_redirects=False, timeout=10)
    back = urlsplit(returned.headers["Location"])
    assert (back.netloc, back.path) == ("localhost", "/login/oidc/back")
    return f"{back.path}?{back.query}"


def visited(client: FlaskClient) -> TestResponse:
    return client.get(there_and_back(client))


def the(sessions: Sessions, name: str = "olga") -> UserRow:
    (found,) = [user for user in accounts.users(sessions) if user.username == name]
    return found


def audited(sessions: Sessions) -> list[tuple[str, str, str | None]]:
    with sessions() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(row.actor, row.action, row.detail) for row in rows]


def test_the_first_login_makes_the_user_with_the_mapped_role(
    client: FlaskClient, session_factory: Sessions
) -> None:
    assert "Use your company account" in words(client.get("/login"))
    answer = visited(client)
    assert (answer.status_code, answer.location) == (303, "/")
    assert "Logged in as olga operator" in words(client.get("/"))
    assert the(session_factory).is_external
    assert audited(session_factory) == [
        ("openid", "user.add", "operator"),
        ("user:olga", "login", "OpenID provider"),
    ]


def test_the_way_there_has_state_nonce_and_a_challenge(
    client: FlaskClient, provider: Provider
) -> None:
    there_and_back(client)
    there_and_back(client)
    first, second = provider.asked
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 20
        assert first[name] != second[name]
    assert "openid" in first["scope"].split()


def test_the_login_leads_to_the_page_that_was_asked_for(client: FlaskClient) -> None:
    back = there_and_back(client, "/login/oidc?next=/messages?status%3Dfailed")
    assert client.get(back).location == "/messages?status=failed"
    back = there_and_back(client, "/login/oidc?next=//evil.example/")
    assert client.get(back).location == "/"


def test_a_role_follows_the_provider_at_each_login(
    app: Flask, client: FlaskClient, provider: Provider, session_factory: Sessions
) -> None:
    a_user(session_factory, "anna", Role.ADMIN)
    visited(client)
    provider.claims["roles"] = ["viewer", "it", 7, "odd"]
    assert visited(app.test_client()).status_code == 303
    assert the(session_factory).role == "admin"
    provider.claims["roles"] = "viewer"
    assert visited(app.test_client()).status_code == 303
    assert the(session_factory).role == "viewer"
    changes = [detail for _, action, detail in audited(session_factory) if action == "user.role"]
    assert changes == ["operator to admin", "admin to viewer"]


def test_a_claim_may_lie_deeper(settings: Settings, provider: Provider) -> None:
    assert settings.open_id
    chosen = replace(settings.open_id, role_claim="realm_access.roles")
    app = create_app(replace(settings, open_id=chosen))
    provider.claims = {"sub": "u-2", "email": "petr@example.com", "roles": ["it"]}
    assert visited(app.test_client()).status_code == 403
    provider.claims["realm_access"] = {"roles": ["viewer"]}
    client = app.test_client()
    assert visited(client).status_code == 303
    assert "petr@example.com viewer" in words(client.get("/"))
    app.extensions["tracker.receiver"].stop()
    db.engine_of(app.extensions["tracker.sessions"]).dispose()


@pytest.mark.parametrize("roles", [None, [], ["stranger"], {"it": True}, 7])
def test_who_has_no_role_there_stays_out(
    client: FlaskClient, provider: Provider, session_factory: Sessions, roles: object
) -> None:
    provider.claims["roles"] = roles
    answer = visited(client)
    assert answer.status_code == 403
    assert "Your account there has no role for this site." in words(answer)
    assert accounts.users(session_factory) == []
    assert client.get("/messages").status_code == 302


def test_who_loses_the_role_there_stays_out(
    client: FlaskClient, provider: Provider, session_factory: Sessions
) -> None:
    visited(client)
    provider.claims["roles"] = []
    assert visited(client.application.test_client()).status_code == 403


@pytest.mark.parametrize("name", ["olga", "Olga"])
def test_a_namesake_does_not_come_into_somebody_else_s_account(
    client: FlaskClient, provider: Provider, session_factory: Sessions, name: str
) -> None:
    a_user(session_factory, name, Role.ADMIN)
    answer = visited(client)
    assert answer.status_code == 403
    assert f"There is another user {name} here already." in words(answer)
    assert not the(session_factory, name).is_external
    assert log_in(client, name).status_code == 303


def test_another_subject_of_the_same_name_is_another_person(
    client: FlaskClient, provider: Provider
) -> None:
    visited(client)
    provider.claims["sub"] = "u-2"
    assert visited(client.application.test_client()).status_code == 403


def test_a_new_name_there_is_still_the_same_person(
    client: FlaskClient, provider: Provider, session_factory: Sessions
) -> None:
    visited(client)
    provider.claims["preferred_username"] = "olga.new"
    assert visited(client.application.test_client()).status_code == 303
    assert [user.username for user in accounts.users(session_factory)] == ["olga"]


def test_who_is_disabled_here_stays_out(client: FlaskClient, session_factory: Sessions) -> None:
    a_user(session_factory, "anna", Role.ADMIN)
    visited(client)
    accounts.disable_user(session_factory, "olga", actor="test", now=datetime.now(UTC))
    answer = visited(client.application.test_client())
    assert answer.status_code == 403
    assert "You are kept out here" in words(answer)


def test_the_provider_cannot_take_the_last_administrator_away(
    client: FlaskClient, provider: Provider, session_factory: Sessions
) -> None:
    provider.claims["roles"] = ["it"]
    visited(client)
    provider.claims["roles"] = ["viewer"]
    answer = visited(client.application.test_client())
    assert answer.status_code == 403
    assert "olga is the only administrator" in words(answer)
    assert the(session_factory).role == "admin"


def test_no_password_lets_a_provider_s_user_in(client: FlaskClient) -> None:
    visited(client)
    for password in ("!", "", PASSWORD):
        assert log_in(client.application.test_client(), "olga", password).status_code == 401


def test_a_second_step_here_is_asked_for_too(
    client: FlaskClient, session_factory: Sessions
) -> None:
    visited(client)
    now = datetime.now(UTC)
    accounts.set_password(session_factory, "olga", PASSWORD, actor="test", now=now)
    secret = two_factor.begin(session_factory, "olga", PASSWORD, "key", now)
    two_factor.confirm(session_factory, "olga", pyotp.TOTP(secret).at(now), "key", now)
    other = client.application.test_client()
    assert visited(other).location == "/login/code"
    assert other.get("/messages").status_code == 302


@pytest.mark.parametrize(
    "overrides",
    [
        {"nonce": "of another login"},
        {"aud": "another client"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"iat": 4_000_000_000},
    ],
    ids=lambda overrides: next(iter(overrides)),
)
def test_a_token_for_another_time_or_place_lets_nobody_in(
    client: FlaskClient,
    provider: Provider,
    session_factory: Sessions,
    overrides: dict[str, Any],
) -> None:
    provider.overrides = overrides
    assert_nobody(client, session_factory)


def test_a_token_signed_with_another_key_lets_nobody_in(
    client: FlaskClient, provider: Provider, session_factory: Sessions
) -> None:
    provider.signs_with = RSAKey.generate_key(2048, {"kid": "one"})
    assert_nobody(client, session_factory)


def test_an_answer_without_a_token_lets_nobody_in(
    client: FlaskClient, provider: Provider, session_factory: Sessions
) -> None:
    provider.has_token = False
    assert_nobody(client, session_factory)


def assert_nobody(client: FlaskClient, sessions: Sessions) -> None:
    answer = visited(client)
    assert answer.status_code == 400
    assert "The login was not completed." in words(answer)
    assert accounts.users(sessions) == []
    assert client.get("/messages").status_code == 302


def test_a_key_that_the_provider_has_changed_is_asked_for_anew(
    client: FlaskClient, provider: Provider
) -> None:
    assert visited(client).status_code == 303
    provider.key = provider.signs_with = RSAKey.generate_key(2048, {"kid": "two"})
    assert visited(client.application.test_client()).status_code == 303


def test_the_way_back_belongs_to_the_browser_that_went(
    client: FlaskClient, session_factory: Sessions
) -> None:
    back = there_and_back(client)
    stranger = client.application.test_client()
    assert stranger.get(back).status_code == 400
    assert client.get(f"{back}x").status_code == 400
    assert client.get("/login/oidc/back?error=access_denied").status_code == 400
    assert accounts.users(session_factory) == []
    code = parse_qs(urlsplit(back).query)["code"][0]
    assert client.get(f"/login/oidc/back?code={code}").status_code == 400


def test_a_way_back_works_once(client: FlaskClient) -> None:
    back = there_and_back(client)
    assert client.get(back).status_code == 303
    assert client.application.test_client().get(back).status_code == 400


def test_a_provider_that_is_away_is_said_on_the_page(settings: Settings) -> None:
    assert settings.open_id
    chosen = replace(settings.open_id, issuer="http://127.0.0.1:9")
    app = create_app(replace(settings, open_id=chosen))
    answer = app.test_client().get("/login/oidc")
    assert answer.status_code == 502
    assert "The login provider cannot be reached." in words(answer)
    app.extensions["tracker.receiver"].stop()
    db.engine_of(app.extensions["tracker.sessions"]).dispose()


def test_an_issuer_that_calls_itself_otherwise_is_not_believed(
    client: FlaskClient, provider: Provider, session_factory: Sessions
) -> None:
    real = provider.issuer
    provider.issuer = real.replace("127.0.0.1", "localhost")
    answer = visited(client)
    assert answer.status_code == 400
    assert accounts.users(session_factory) == []


def test_without_a_provider_there_is_neither_button_nor_address(settings: Settings) -> None:
    app = create_app(replace(settings, open_id=None))
    client = app.test_client()
    assert "company account" not in words(client.get("/login"))
    assert client.get("/login/oidc").status_code == 404
    app.extensions["tracker.receiver"].stop()
    db.engine_of(app.extensions["tracker.sessions"]).dispose()
