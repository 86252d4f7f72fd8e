"""`tracker settle`, run as a person runs it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from builders import a_postback, begin_call, claim_due, queued, reloaded
from test_cli import Shell

from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.gateway import Unknown
from tracker.services import receive, send
from tracker.store.db import Sessions

WHY = ("--reason", "seen in the report")


@pytest.fixture
def tracker(tmp_path: Path, database_url: str) -> Shell:
    return Shell(tmp_path, TRACKER_DATABASE_URL=database_url, USER="olga")


@pytest.fixture
def lost(sessions: Sessions) -> UUID:
    public_id = queued(sessions, reference="order 7")
    began = datetime.now(UTC) + timedelta(seconds=1)
    (claimed,) = claim_due(sessions, 5, began)
    begin_call(sessions, claimed, began)
    answer = Unknown("no answer in time")
    send.record(sessions, claimed, answer, zone=DEFAULT_ZONE, now=began)
    return public_id


def shelved(sessions: Sessions) -> int:
    body = a_postback("N101", TRACKINGID="MMS_1")
    now = datetime.now(UTC)
    (recorded,) = receive.record(sessions, body, None, zone=DEFAULT_ZONE, now=now)
    return recorded.postback_id


def test_what_may_be_the_answer_is_listed_and_taken(
    tracker: Shell, sessions: Sessions, lost: UUID
) -> None:
    none = tracker("settle", str(lost))
    assert (none.code, none.out) == (0, "")
    assert "No postback on the shelf fits" in none.err
    postback_id = shelved(sessions)
    listed = tracker("settle", "order 7")
    assert listed.out.startswith(f"{postback_id}  N101  MMS_1  It came ")
    assert json.loads(tracker("settle", "order 7", "--json").out)["postback_id"] == postback_id
    taken = tracker("settle", "order 7", "--sent", "--postback", str(postback_id), *WHY)
    assert (taken.code, taken.out.split("  ")[0]) == (0, str(lost))
    assert reloaded(sessions, lost).tracking_id == "MMS_1"
    again = tracker("settle", str(lost), "--not-sent", *WHY)
    assert again.code == 1
    assert "nothing was changed: It has the tracking id MMS_1" in again.err


def test_not_sent_and_sent_again(tracker: Shell, sessions: Sessions, lost: UUID) -> None:
    done = tracker("settle", str(lost), "--not-sent", *WHY)
    assert "Marked as not sent by cli:olga: seen in the report; it can be sent again." in done.out
    again = tracker("settle", str(lost), "--resend", *WHY, "--json")
    assert json.loads(again.out)["status"] == "queued"
    assert reloaded(sessions, lost).resent_as == UUID(json.loads(again.out)["id"])


def test_misuse_is_named(tracker: Shell, lost: UUID) -> None:
    for arguments, said in (
        (("--sent",), "--reason must say why"),
        (("--not-sent", "--tracking-id", "M", *WHY), "--tracking-id goes only with"),
        (("--sent", "--postback", "0", *WHY), "0 is not in the range"),
    ):
        done = tracker("settle", str(lost), *arguments)
        assert done.code == 2, done
        assert said in done.err
    assert tracker("settle", "nobody", "--sent", *WHY).code == 1


def test_with_take_a_postback_fed_by_hand_is_taken(
    tracker: Shell, sessions: Sessions, lost: UUID
) -> None:
    done = tracker(
        "postback", "-", stdin=a_postback("N101", TRACKINGID="MMS_1"),
        settings={"TRACKER_SETTLE_UNKNOWN": "take"},
    )  # fmt: skip
    assert " applied: " in done.out
    assert reloaded(sessions, lost).status is Status.SENT
