"""The second step of a login: codes once each, throttled, and a secret that is kept nowhere."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pyotp
import pytest
from sqlalchemy import select, text

from tracker.services import accounts, codes, logins, two_factor
from tracker.services.accounts import AccountError
from tracker.services.logins import LoginLockedError, LoginRefusedError
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, RecoveryCode, Role
from tracker.store.rows import UserRow

PASSWORD = "a long enough one"
KEY = "the key of this installation"
STEP = timedelta(seconds=codes.STEP_SECONDS)


@pytest.fixture(autouse=True)
def _olga(sessions: Sessions, now: datetime) -> None:
    accounts.add_user(sessions, "olga", PASSWORD, Role.VIEWER, actor="test", now=now)


def turned_on(sessions: Sessions, now: datetime) -> tuple[pyotp.TOTP, list[str]]:
    """Turn it on a minute before `now`; return olga's phone and her recovery codes."""
    before = now - 2 * STEP
    phone = pyotp.TOTP(two_factor.begin(sessions, "olga", PASSWORD, KEY, before))
    made = two_factor.confirm(sessions, "olga", phone.at(before), KEY, before)
    return phone, made.recovery_codes


def second(sessions: Sessions, code: str, now: datetime) -> UserRow:
    first = logins.log_in(sessions, "olga", PASSWORD, now)
    assert first.has_two_factor
    return logins.second_step(sessions, first.session_key, code, KEY, now)


def audited(sessions: Sessions, prefix: str) -> list[tuple[str, str, str | None]]:
    with sessions() as session:
        found = select(AuditEntry).where(AuditEntry.action.startswith(prefix))
        rows = session.scalars(found.order_by(AuditEntry.id))
        return [(row.actor, row.action, row.detail) for row in rows]


def test_a_code_of_the_phone_lets_in_and_a_password_alone_does_not(
    sessions: Sessions, now: datetime
) -> None:
    phone, _ = turned_on(sessions, now)
    logins.log_in(sessions, "olga", PASSWORD, now)
    (row,) = accounts.users(sessions)
    assert row.last_login_at is None
    assert second(sessions, phone.at(now), now).username == "olga"
    (row,) = accounts.users(sessions)
    assert row.last_login_at == now
    assert audited(sessions, "login") == [("user:olga", "login", "password and code")]


@pytest.mark.parametrize(("steps", "is_right"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_clock_may_be_wrong_by_one_step(
    sessions: Sessions, now: datetime, steps: int, is_right: bool
) -> None:
    phone, _ = turned_on(sessions, now - 9 * STEP)
    code = phone.at(now + steps * STEP)
    if is_right:
        assert second(sessions, code, now).username == "olga"
    else:
        with pytest.raises(LoginRefusedError):
            second(sessions, code, now)


def test_a_code_works_once_and_none_before_it_works_after_it(
    sessions: Sessions, now: datetime
) -> None:
    phone, _ = turned_on(sessions, now)
    second(sessions, phone.at(now), now)
    for code in (phone.at(now), phone.at(now - STEP)):
        with pytest.raises(LoginRefusedError):
            second(sessions, code, now)
    assert second(sessions, phone.at(now + STEP), now + STEP).username == "olga"


def test_one_code_given_twice_at_once_lets_one_in(sessions: Sessions, now: datetime) -> None:
    phone, _ = turned_on(sessions, now)
    key = logins.log_in(sessions, "olga", PASSWORD, now).session_key

    def gets_in(_: int) -> bool:
        try:
            logins.second_step(sessions, key, phone.at(now), KEY, now)
        except LoginRefusedError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(gets_in, range(2))) == [False, True]


def test_the_code_that_confirmed_it_logs_nobody_in(sessions: Sessions, now: datetime) -> None:
    phone = pyotp.TOTP(two_factor.begin(sessions, "olga", PASSWORD, KEY, now))
    two_factor.confirm(sessions, "olga", phone.at(now), KEY, now)
    with pytest.raises(LoginRefusedError):
        second(sessions, phone.at(now), now)


@pytest.mark.parametrize("written", [str, str.upper, lambda code: code.replace("-", " ")])
def test_a_recovery_code_works_once_however_it_is_typed(
    sessions: Sessions, now: datetime, written: type[str]
) -> None:
    _, made = turned_on(sessions, now)
    assert len(set(made)) == codes.RECOVERY_CODES
    assert second(sessions, written(made[3]), now).username == "olga"
    with pytest.raises(LoginRefusedError):
        second(sessions, made[3], now)
    assert second(sessions, made[4], now).username == "olga"
    said = [detail for _, _, detail in audited(sessions, "login")]
    assert said == ["password and recovery code, 9 left", "password and recovery code, 8 left"]


@pytest.mark.parametrize("code", ["", "12345", "abcdefg", "\0", "\ud800", "١٢٣٤٥٦", "1" * 5000])
def test_odd_codes_are_wrong_and_nothing_more(sessions: Sessions, now: datetime, code: str) -> None:
    turned_on(sessions, now)
    with pytest.raises(LoginRefusedError):
        second(sessions, code, now)


def test_five_wrong_codes_lock_and_a_right_password_between_them_does_not_help(
    sessions: Sessions, now: datetime
) -> None:
    phone, made = turned_on(sessions, now)
    for _ in range(logins.MAX_FAILURES):
        with pytest.raises(LoginRefusedError):
            second(sessions, "000000x", now)
    with pytest.raises(LoginLockedError):
        logins.log_in(sessions, "olga", PASSWORD, now)
    (row,) = accounts.users(sessions)
    with pytest.raises(LoginLockedError):
        logins.second_step(sessions, row.session_key, made[0], KEY, now)
    later = now + timedelta(minutes=6)
    assert second(sessions, phone.at(later), later).username == "olga"


def test_a_new_password_between_the_steps_ends_the_first(sessions: Sessions, now: datetime) -> None:
    phone, _ = turned_on(sessions, now)
    key = logins.log_in(sessions, "olga", PASSWORD, now).session_key
    accounts.set_password(sessions, "olga", "another long one", actor="test", now=now)
    with pytest.raises(LoginRefusedError):
        logins.second_step(sessions, key, phone.at(now), KEY, now)


def test_turning_it_on_ends_all_sessions(sessions: Sessions, now: datetime) -> None:
    (before,) = accounts.users(sessions)
    turned_on(sessions, now)
    assert accounts.by_session_key(sessions, before.session_key) is None


def test_it_is_on_only_after_the_right_code(sessions: Sessions, now: datetime) -> None:
    with pytest.raises(two_factor.NotBegunError):
        two_factor.confirm(sessions, "olga", "123456", KEY, now)
    secret = two_factor.begin(sessions, "olga", PASSWORD, KEY, now)
    with pytest.raises(two_factor.WrongCodeError):
        two_factor.confirm(sessions, "olga", pyotp.TOTP(secret).at(now + 9 * STEP), KEY, now)
    assert not logins.log_in(sessions, "olga", PASSWORD, now).has_two_factor
    assert two_factor.begun(sessions, "olga", KEY) == secret
    two_factor.confirm(sessions, "olga", pyotp.TOTP(secret).at(now), KEY, now)
    assert two_factor.begun(sessions, "olga", KEY) is None


def test_beginning_needs_the_password_and_is_throttled(sessions: Sessions, now: datetime) -> None:
    for _ in range(logins.MAX_FAILURES):
        with pytest.raises(LoginRefusedError):
            two_factor.begin(sessions, "olga", "a wrong one", KEY, now)
    with pytest.raises(LoginLockedError):
        two_factor.begin(sessions, "olga", PASSWORD, KEY, now)


def test_turning_it_off_needs_password_and_code(sessions: Sessions, now: datetime) -> None:
    phone, _ = turned_on(sessions, now)
    with pytest.raises(LoginRefusedError):
        two_factor.turn_off(sessions, "olga", "a wrong one", phone.at(now), KEY, now)
    with pytest.raises(two_factor.WrongCodeError):
        two_factor.turn_off(sessions, "olga", PASSWORD, "000000x", KEY, now)
    two_factor.turn_off(sessions, "olga", PASSWORD, phone.at(now), KEY, now)
    assert not logins.log_in(sessions, "olga", PASSWORD, now).has_two_factor
    with pytest.raises(two_factor.NotBegunError):
        two_factor.turn_off(sessions, "olga", PASSWORD, phone.at(now), KEY, now)


def test_new_recovery_codes_end_the_old_ones(sessions: Sessions, now: datetime) -> None:
    _, old = turned_on(sessions, now)
    new = two_factor.new_recovery_codes(sessions, "olga", PASSWORD, now)
    with pytest.raises(LoginRefusedError):
        second(sessions, old[0], now)
    assert second(sessions, new[0], now).username == "olga"
    assert set(old).isdisjoint(new)


def test_an_administrator_resets_it_and_that_ends_the_sessions(
    sessions: Sessions, now: datetime
) -> None:
    turned_on(sessions, now)
    (before,) = accounts.users(sessions)
    two_factor.reset(sessions, "olga", actor="user:anna", now=now)
    assert accounts.by_session_key(sessions, before.session_key) is None
    assert not logins.log_in(sessions, "olga", PASSWORD, now).has_two_factor
    with sessions() as session:
        assert session.scalars(select(RecoveryCode)).all() == []
    assert audited(sessions, "two_factor.reset") == [("user:anna", "two_factor.reset", None)]
    for name in ("olga", "nobody"):
        with pytest.raises(AccountError):
            two_factor.reset(sessions, name, actor="test", now=now)


def test_the_database_has_neither_secret_nor_codes(sessions: Sessions, now: datetime) -> None:
    phone, made = turned_on(sessions, now)
    second(sessions, made[0], now)
    with sessions() as session:
        kept = repr([tuple(row) for row in session.execute(text("SELECT * FROM users"))])
        kept += repr([tuple(row) for row in session.execute(text("SELECT * FROM audit"))])
        kept += repr([bytes(row.code_hash) for row in session.scalars(select(RecoveryCode))])
    assert phone.secret not in kept
    assert made[1] not in kept
    assert made[1].replace("-", "") not in kept


def test_another_key_makes_other_secrets_and_recovery_codes_still_help(
    sessions: Sessions, now: datetime
) -> None:
    phone, made = turned_on(sessions, now)
    key = logins.log_in(sessions, "olga", PASSWORD, now).session_key
    with pytest.raises(LoginRefusedError):
        logins.second_step(sessions, key, phone.at(now), "another key", now)
    user = logins.second_step(sessions, key, made[0], "another key", now)
    assert user.username == "olga"


def test_the_address_says_what_the_phone_needs() -> None:
    address = codes.address_of(codes.secret_of("salt", KEY), "olga:ø@example.com")
    phone = pyotp.parse_uri(address)
    assert isinstance(phone, pyotp.TOTP)
    assert (phone.interval, phone.digits, phone.issuer) == (30, 6, codes.ISSUER)
    assert phone.secret == codes.secret_of("salt", KEY)
