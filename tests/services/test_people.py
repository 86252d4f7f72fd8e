"""Users: roles, out and in again, and always somebody who may administer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from sqlalchemy import select

from tracker.services import accounts, logins
from tracker.services.accounts import AccountError
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Role
from tracker.store.rows import UserRow

PASSWORD = "a long enough one"


@pytest.fixture(autouse=True)
def _people(sessions: Sessions, now: datetime) -> None:
    for name, role in (("anna", Role.ADMIN), ("olga", Role.VIEWER)):
        accounts.add_user(sessions, name, PASSWORD, role, actor="test", now=now)


def the(sessions: Sessions, name: str) -> UserRow:
    (found,) = [user for user in accounts.users(sessions) if user.username == name]
    return found


def audited(sessions: Sessions, action: str) -> list[tuple[str, str | None, str | None]]:
    with sessions() as session:
        found = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
        return [(row.actor, row.subject, row.detail) for row in session.scalars(found)]


def test_a_role_is_changed_and_audited(sessions: Sessions, now: datetime) -> None:
    accounts.set_role(sessions, "olga", Role.OPERATOR, actor="user:anna", now=now)
    accounts.set_role(sessions, "olga", Role.OPERATOR, actor="user:anna", now=now)
    assert the(sessions, "olga").role == "operator"
    assert audited(sessions, "user.role") == [("user:anna", "olga", "viewer to operator")]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_the_last_administrator_stays_one(sessions: Sessions, now: datetime, role: Role) -> None:
    with pytest.raises(AccountError, match="anna is the only administrator"):
        accounts.set_role(sessions, "anna", role, actor="test", now=now)
    with pytest.raises(AccountError, match="anna is the only administrator"):
        accounts.disable_user(sessions, "anna", actor="test", now=now)
    assert (the(sessions, "anna").role, the(sessions, "anna").is_disabled) == ("admin", False)


def test_a_disabled_administrator_counts_for_nothing(sessions: Sessions, now: datetime) -> None:
    accounts.set_role(sessions, "olga", Role.ADMIN, actor="test", now=now)
    accounts.disable_user(sessions, "olga", actor="test", now=now)
    with pytest.raises(AccountError, match="only administrator"):
        accounts.disable_user(sessions, "anna", actor="test", now=now)
    accounts.enable_user(sessions, "olga", actor="test", now=now)
    accounts.disable_user(sessions, "anna", actor="test", now=now)
    assert the(sessions, "anna").is_disabled


def test_two_who_take_each_other_s_role_away_at_once_leave_one(
    sessions: Sessions, now: datetime
) -> None:
    accounts.set_role(sessions, "olga", Role.ADMIN, actor="test", now=now)

    def take(name: str) -> bool:
        try:
            accounts.set_role(sessions, name, Role.VIEWER, actor="test", now=now)
        except AccountError:
            return False
        return True

    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(take, ("anna", "olga"))) == [False, True]
        for name in ("anna", "olga"):
            accounts.set_role(sessions, name, Role.ADMIN, actor="test", now=now)


def test_who_is_enabled_again_gets_in_with_the_old_password(
    sessions: Sessions, now: datetime
) -> None:
    accounts.disable_user(sessions, "olga", actor="test", now=now)
    with pytest.raises(logins.LoginRefusedError):
        logins.log_in(sessions, "olga", PASSWORD, now)
    accounts.enable_user(sessions, "olga", actor="user:anna", now=now)
    assert logins.log_in(sessions, "olga", PASSWORD, now).username == "olga"
    assert audited(sessions, "user.enable") == [("user:anna", "olga", None)]


def test_logins_and_locks_are_audited(sessions: Sessions, now: datetime) -> None:
    logins.log_in(sessions, "olga", PASSWORD, now)
    assert audited(sessions, "login") == [("user:olga", None, "password")]
    for _ in range(logins.MAX_FAILURES):
        with pytest.raises(logins.LoginRefusedError):
            logins.log_in(sessions, "olga", "a wrong one", now)
    said = "5 wrong passwords or codes in a row"
    assert audited(sessions, "login.locked") == [("login", "olga", said)]


@pytest.mark.parametrize("password", ["", "short", "x" * 1001])
def test_a_wrong_length_is_named(sessions: Sessions, now: datetime, password: str) -> None:
    said = f"10 to 1,000 characters, and this one has {len(password):,}"
    with pytest.raises(AccountError, match=said) as refused:
        accounts.set_password(sessions, "olga", password, actor="test", now=now)
    assert refused.value.field == "password"


def test_a_number_that_is_an_id_is_no_name(sessions: Sessions, now: datetime) -> None:
    def active() -> list[int]:
        return [token.id for token in accounts.tokens(sessions) if token.revoked_at is None]

    first = accounts.create_token(sessions, "shop", actor="test", now=now)
    namesake = accounts.create_token(sessions, str(first.id), actor="test", now=now)
    alone = accounts.create_token(sessions, "4711", actor="test", now=now)
    revoked = accounts.revoke_token(sessions, str(first.id), actor="user:anna", now=now)
    assert revoked.token.id == first.id
    assert revoked.namesake is not None
    assert revoked.namesake.id == namesake.id
    assert active() == [namesake.id, alone.id]
    with pytest.raises(AccountError, match=f"the token of that name has the id {namesake.id}"):
        accounts.revoke_token(sessions, str(first.id), actor="user:anna", now=now)
    by_name = accounts.revoke_token(sessions, "4711", actor="user:anna", now=now)
    assert (by_name.token.id, by_name.namesake) == (alone.id, None)
    assert active() == [namesake.id]
    said = [("user:anna", "shop", None), ("user:anna", "4711", None)]
    assert sorted(audited(sessions, "token.revoke")) == sorted(said)


def test_a_token_is_revoked_by_its_id_alone(sessions: Sessions, now: datetime) -> None:
    first = accounts.create_token(sessions, "shop", actor="test", now=now)
    namesake = accounts.create_token(sessions, str(first.id), actor="test", now=now)
    assert accounts.revoke_one_token(sessions, first.id, actor="user:anna", now=now)
    assert not accounts.revoke_one_token(sessions, first.id, actor="user:anna", now=now)
    active = [token.id for token in accounts.tokens(sessions) if token.revoked_at is None]
    assert active == [namesake.id]
    assert audited(sessions, "token.revoke") == [("user:anna", "shop", None)]
