"""Tokens of the postback URL: made, overlapping, revoked for ever."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from tracker.services import postback_tokens
from tracker.services.postback_tokens import (
    LastTokenError,
    PostbackTokenError,
    TokenState,
    first_valid,
    token_hash,
)
from tracker.store import postback_tokens as store
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, PostbackToken

OWN = {"settings": "a-token-of-the-settings"}


def made(sessions: Sessions, name: str, now: datetime) -> str:
    return postback_tokens.create(sessions, name, actor="tests", now=now).token


def state_of(sessions: Sessions, name: str, own: dict[str, str]) -> TokenState:
    (found,) = [state for state in postback_tokens.rows(sessions, own) if state.name == name]
    return found


def revoke(
    sessions: Sessions, name_or_id: str, now: datetime, own: dict[str, str], *, force: bool = False
) -> TokenState:
    return postback_tokens.revoke(
        sessions, own, name_or_id, actor="tests", now=now, is_forced=force
    )


def valid_hashes(sessions: Sessions) -> frozenset[bytes]:
    with sessions() as session:
        found = store.hashes(session)
    return found.active - found.revoked


def test_a_token_is_long_random_and_only_its_hash_is_kept(
    sessions: Sessions, now: datetime
) -> None:
    token = made(sessions, "autumn", now)
    assert len(token) == 43
    assert token.replace("-", "").replace("_", "").isalnum()
    assert token != made(sessions, "winter", now)
    with sessions() as session:
        row = session.scalars(select(PostbackToken).order_by(PostbackToken.id)).first()
    assert row is not None
    assert row.token_hash == token_hash(token)
    assert token not in str(vars(row))


def test_old_and_new_are_valid_until_the_old_one_is_revoked(
    sessions: Sessions, now: datetime
) -> None:
    old, new = made(sessions, "old", now), made(sessions, "new", now)
    assert valid_hashes(sessions) == {token_hash(old), token_hash(new)}
    revoke(sessions, "old", now, {})
    assert valid_hashes(sessions) == {token_hash(new)}
    assert state_of(sessions, "old", {}).state == "Revoked"


def test_the_list_says_how_each_one_stands(sessions: Sessions, now: datetime) -> None:
    token = made(sessions, "autumn", now)
    later = now + timedelta(minutes=3)
    states = postback_tokens.rows(sessions, OWN)
    assert [(s.name, s.state, s.id is None) for s in states] == [
        ("settings", "Valid; not used yet", True),
        ("autumn", "Valid; not used yet", False),
    ]
    with sessions.begin() as session:
        own = {token_hash(OWN["settings"]): "settings"}
        store.note_use(session, {token_hash(token), *own}, own, later)
    for name in ("settings", "autumn"):
        state = state_of(sessions, name, OWN)
        assert (state.state, state.last_used_at) == ("Valid", later)
    assert state_of(sessions, "autumn", OWN).made_at == now
    assert state_of(sessions, "settings", OWN).made_at is None


def test_noting_a_use_makes_no_token_of_the_settings_valid_elsewhere(
    sessions: Sessions, now: datetime
) -> None:
    own = {token_hash(OWN["settings"]): "settings"}
    with sessions.begin() as session:
        store.note_use(session, set(own), own, now)
    assert valid_hashes(sessions) == frozenset()
    (state,) = postback_tokens.rows(sessions, {})
    assert (state.is_valid, state.state) == (False, "Not among this machine's settings")


def test_a_use_is_noted_again_and_for_nobody_else(sessions: Sessions, now: datetime) -> None:
    made(sessions, "idle", now)
    own = {token_hash(OWN["settings"]): "settings"}
    for minute in (1, 2):
        with sessions.begin() as session:
            store.note_use(session, set(own), own, now + timedelta(minutes=minute))
    assert state_of(sessions, "settings", OWN).last_used_at == now + timedelta(minutes=2)
    assert state_of(sessions, "idle", OWN).last_used_at is None


@pytest.mark.parametrize("name", ["settings", "first start"])
@pytest.mark.parametrize("is_used", [False, True])
def test_a_token_of_ours_is_revoked_for_ever_too(
    sessions: Sessions, now: datetime, name: str, is_used: bool
) -> None:
    own = {name: "a-token-of-ours"}
    digest = token_hash("a-token-of-ours")
    made(sessions, "new", now)
    if is_used:
        with sessions.begin() as session:
            store.note_use(session, {digest}, {digest: name}, now)
    assert first_valid(sessions, ["a-token-of-ours"]) == "a-token-of-ours"
    revoke(sessions, name, now, own)
    with sessions() as session:
        assert digest in store.hashes(session).revoked
    assert first_valid(sessions, ["a-token-of-ours"]) is None
    assert first_valid(sessions, ["a-token-of-ours", "another"]) == "another"
    state = state_of(sessions, name, own)
    assert not state.is_valid
    assert state.state.startswith("Revoked")
    with pytest.raises(PostbackTokenError, match="is called"):
        revoke(sessions, name, now, own)


def test_a_revoked_token_that_still_stands_in_the_settings_is_said(
    sessions: Sessions, now: datetime
) -> None:
    own = {"settings 1": "the-first-token", "settings 2": "the-second-token"}
    revoke(sessions, "settings 1", now, own)
    assert "take it out of TRACKER_POSTBACK_TOKENS" in state_of(sessions, "settings 1", own).state
    assert state_of(sessions, "settings 2", own).is_valid


def test_the_last_valid_token_stays_unless_it_is_forced(sessions: Sessions, now: datetime) -> None:
    made(sessions, "only", now)
    with pytest.raises(LastTokenError, match="only is the last valid token"):
        revoke(sessions, "only", now, {})
    assert len(valid_hashes(sessions)) == 1
    assert revoke(sessions, "only", now, {}, force=True).name == "only"
    assert valid_hashes(sessions) == frozenset()


def test_a_token_of_ours_counts_as_one_that_is_left(sessions: Sessions, now: datetime) -> None:
    made(sessions, "only", now)
    revoke(sessions, "only", now, OWN)
    with pytest.raises(LastTokenError):
        revoke(sessions, "settings", now, OWN)


def test_two_people_cannot_revoke_the_last_two_tokens_at_once(
    sessions: Sessions, now: datetime
) -> None:
    for name in ("one", "two"):
        made(sessions, name, now)

    def try_to_revoke(name: str) -> bool:
        try:
            revoke(sessions, name, now, {})
        except LastTokenError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(try_to_revoke, ("one", "two"))) == [False, True]
    assert len(valid_hashes(sessions)) == 1


def test_a_token_is_revoked_by_its_id(sessions: Sessions, now: datetime) -> None:
    made(sessions, "kept", now)
    new = postback_tokens.create(sessions, "mistaken", actor="tests", now=now)
    assert revoke(sessions, str(new.id), now, {}).name == "mistaken"


@pytest.mark.parametrize("name_or_id", ["nobody", "0", "99999999999999999999", "", "None"])
def test_what_is_no_token_cannot_be_revoked(
    sessions: Sessions, now: datetime, name_or_id: str
) -> None:
    made(sessions, "kept", now)
    with pytest.raises(PostbackTokenError):
        revoke(sessions, name_or_id, now, OWN)


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * 65, "a\nb", "12", "settings", "settings 2", "first start"]
)
def test_an_odd_name_is_refused(sessions: Sessions, now: datetime, name: str) -> None:
    with pytest.raises(PostbackTokenError):
        made(sessions, name, now)
    assert postback_tokens.rows(sessions, {}) == []


def test_a_name_is_free_again_when_its_token_is_revoked(sessions: Sessions, now: datetime) -> None:
    made(sessions, "other", now)
    first = made(sessions, "gateway", now)
    with pytest.raises(PostbackTokenError, match="already"):
        made(sessions, "gateway", now)
    revoke(sessions, "gateway", now, {})
    second = made(sessions, "gateway", now)
    assert token_hash(second) in valid_hashes(sessions)
    assert token_hash(first) not in valid_hashes(sessions)


def test_everything_is_audited_and_no_secret_is(sessions: Sessions, now: datetime) -> None:
    token = made(sessions, "gateway", now)
    revoke(sessions, "settings", now, OWN)
    with sessions() as session:
        entries = list(session.scalars(select(AuditEntry).order_by(AuditEntry.id)))
    assert [(e.actor, e.action, e.subject) for e in entries] == [
        ("tests", "postback_token.create", "gateway"),
        ("tests", "postback_token.revoke", "settings"),
    ]
    written = " ".join(str(vars(entry)) for entry in entries)
    assert token not in written
    assert OWN["settings"] not in written
