"""Logins: slow by design, and nobody else's burden."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from builders import a_postback

from tracker.config import DEFAULT_ZONE
from tracker.services import accounts, logins, receive
from tracker.services.logins import LoginLockedError, LoginRefusedError
from tracker.store.db import Sessions
from tracker.store.models import Role

PASSWORD = "a long enough one"


@pytest.fixture
def _olga(sessions: Sessions, now: datetime) -> None:
    accounts.add_user(sessions, "olga", PASSWORD, Role.VIEWER, actor="test", now=now)


def wrong(sessions: Sessions, now: datetime) -> None:
    with pytest.raises((LoginRefusedError, LoginLockedError)):
        logins.log_in(sessions, "olga", "a wrong one", now)


@pytest.mark.usefixtures("_olga")
def test_five_wrong_passwords_lock_for_five_minutes(sessions: Sessions, now: datetime) -> None:
    for _ in range(5):
        with pytest.raises(LoginRefusedError):
            logins.log_in(sessions, "olga", "a wrong one", now)
    with pytest.raises(LoginLockedError):
        logins.log_in(sessions, "olga", PASSWORD, now)
    assert logins.log_in(sessions, "olga", PASSWORD, now + timedelta(minutes=6)).role == "viewer"


@pytest.mark.usefixtures("_olga")
def test_a_flood_of_logins_keeps_no_postback_waiting(sessions: Sessions, now: datetime) -> None:
    slowest = 0.0
    started = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        flood = [pool.submit(wrong, sessions, now) for _ in range(30)]
        for number in range(10):
            began = time.monotonic()
            body = a_postback("N102", TRACKINGID=f"FLOOD{number}")
            receive.record(sessions, body, None, zone=DEFAULT_ZONE, now=now)
            slowest = max(slowest, time.monotonic() - began)
        for one in flood:
            one.result()
    assert slowest < (time.monotonic() - started) / 2  # one waited as long as the flood lasted
