"""What the statistics know and no postback told. The files are the sandbox's, or like its own."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from builders import NUMBER, a_postback, accepted, begin_call, claim_due, queued, reloaded
from sqlalchemy import select

from tracker.config import DEFAULT_ZONE
from tracker.domain.status import Status
from tracker.gateway import Unknown
from tracker.protocol.statistics import NotStatisticsError
from tracker.services import receive, reconcile, send, timeline
from tracker.services.rebuild import Mode, Rebuild
from tracker.services.recompute import Difference
from tracker.services.reconcile import Found, Reconciled
from tracker.store import alerts, messages
from tracker.store import reconciling as store
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Postback

DELIVERED = ("ACK", "9"), ("DLR", "20")
EXPIRED = ("ACK", "9"), ("EXPIRED", "30")


def clock() -> datetime:
    return datetime.now(UTC)


def an_entry(
    *steps: tuple[str, str], to: str = NUMBER, mms_id: str = "45633", at: datetime | None = None,
    history_id: str = "455811",
) -> str:  # fmt: skip
    at = at or clock()
    told = "".join(f'<{name} gw="{gw}" net="0" time="{at:%FT%T.%f}Z">' for name, gw in steps)
    return (
        f'<CONTENT id="{history_id}" to="{to}" contentid="{mms_id}" delivery="binary"'
        f' from="11111"><MSG_STATUS><INQUE time="{at:%FT%T.%f}Z"/>{told}</MSG_STATUS>'
        "<MM7_HANDSETID>motol7c</MM7_HANDSETID></CONTENT>"
    )


def reconciled(sessions: Sessions, *entries: str, is_dry_run: bool = False) -> list[Reconciled]:
    document = f"<RESPONSE><SENDING_LIST>{''.join(entries)}</SENDING_LIST></RESPONSE>".encode()
    run = reconcile.run(
        sessions,
        [document],
        actor="cli:olga",
        is_dry_run=is_dry_run,
        zone=DEFAULT_ZONE,
        now=clock(),
    )
    return list(run)


def founds(run: Sequence[Reconciled]) -> list[Found]:
    return [one.found for one in run]


def told(sessions: Sessions, public_id: UUID, code: str, **changes: str | None) -> None:
    tracking_id = reloaded(sessions, public_id).tracking_id
    body = a_postback(code, TRACKINGID=tracking_id, **changes)
    receive.record(sessions, body, "text/xml", zone=DEFAULT_ZONE, now=clock())


def unknown(sessions: Sessions) -> UUID:
    public_id = queued(sessions)
    (claimed,) = claim_due(sessions, 1, clock())
    assert begin_call(sessions, claimed, clock()) is not None
    send.record(sessions, claimed, Unknown("closed", None), zone=DEFAULT_ZONE, now=clock())
    return public_id


def journal(sessions: Sessions) -> list[tuple[str | None, str]]:
    with sessions() as session:
        found = session.execute(select(Postback.code, Postback.outcome).order_by(Postback.id))
        return [(code, outcome) for code, outcome in found]


def test_a_lost_receipt_is_made_up_for_once(sessions: Sessions) -> None:
    public_id = accepted(sessions)
    told(sessions, public_id, "N101")
    (one,) = reconciled(sessions, an_entry(*DELIVERED))
    assert (one.found, one.message, one.before) == (Found.REPAIRED, public_id, Status.SENT)
    row = reloaded(sessions, public_id)
    assert (row.status, row.handset, row.sent_as) == (Status.DELIVERED, "motol7c", "MMS")
    assert founds(reconciled(sessions, an_entry(*DELIVERED))) == [Found.AGREES]
    assert journal(sessions) == [("N101", "applied"), ("N102", "applied")]


def test_it_has_a_source_of_its_own_in_the_timeline_and_survives_a_rebuild(
    sessions: Sessions,
) -> None:
    public_id = accepted(sessions)
    reconciled(sessions, an_entry(*DELIVERED))
    with sessions() as session:
        row = messages.by_public_id(session, public_id)
        assert row is not None
        last = timeline.of_message(session, row)[-1]
    assert last.source == "statistics"
    assert "made up for" in last.detail
    mode, forget = Mode.REPAIR, list[Difference]().append
    list(Rebuild(sessions, mode=mode, zone=DEFAULT_ZONE, clock=clock, tell=forget).steps())
    assert reloaded(sessions, public_id).status is Status.DELIVERED


def test_a_dry_run_changes_nothing(sessions: Sessions) -> None:
    public_id = accepted(sessions, to="12025550144")
    lost = unknown(sessions)
    entries = an_entry(*DELIVERED), an_entry(*DELIVERED, to="12025550144")
    run = reconciled(sessions, *entries, is_dry_run=True)
    assert founds(run) == [Found.SETTLED, Found.REPAIRED]
    assert reloaded(sessions, public_id).status is Status.ACCEPTED
    assert reloaded(sessions, lost).status is Status.UNKNOWN
    assert not journal(sessions)


def test_another_day_is_another_sending(sessions: Sessions) -> None:
    accepted(sessions)
    run = reconciled(sessions, an_entry(*DELIVERED, at=clock() - timedelta(days=9)))
    assert founds(run) == [Found.STRANGE]


@pytest.mark.parametrize("later", [False, True])
def test_a_postback_of_equal_rank_keeps_the_word(sessions: Sessions, *, later: bool) -> None:
    """Also one that has no time of its own, and also when it comes afterwards."""
    public_id = accepted(sessions)
    rejected = {"STATUS": "Message Sent/Rejected", "TIMESTAMP": None}
    if later:
        assert founds(reconciled(sessions, an_entry(*EXPIRED))) == [Found.REPAIRED]
        assert reloaded(sessions, public_id).status is Status.EXPIRED
    told(sessions, public_id, "N102", **rejected)
    assert founds(reconciled(sessions, an_entry(*EXPIRED))) == [Found.AGREES]
    assert reloaded(sessions, public_id).status is Status.REJECTED


def test_a_receipt_beats_what_the_statistics_say(sessions: Sessions) -> None:
    public_id = accepted(sessions)
    reconciled(sessions, an_entry(*EXPIRED))
    told(sessions, public_id, "N102")
    assert reloaded(sessions, public_id).status is Status.DELIVERED


def test_two_to_one_number_are_left_to_a_person(sessions: Sessions) -> None:
    first, second = accepted(sessions, "A"), accepted(sessions, "B")
    run = reconciled(sessions, an_entry(*DELIVERED), an_entry(*EXPIRED, history_id="455812"))
    assert founds(run) == [Found.AMBIGUOUS, Found.AMBIGUOUS]
    assert {reloaded(sessions, i).status for i in (first, second)} == {Status.ACCEPTED}


def test_a_lost_answer_is_settled_by_it(sessions: Sessions) -> None:
    public_id = unknown(sessions)
    (one,) = reconciled(sessions, an_entry(*DELIVERED))
    assert (one.found, one.before) == (Found.SETTLED, Status.UNKNOWN)
    row = reloaded(sessions, public_id)
    assert row.status is Status.SENT
    with sessions() as session:
        decided = [e for e in timeline.of_message(session, row) if e.what == "Marked as sent"]
    assert "455811" in decided[0].detail
    assert "cli:olga" in decided[0].detail
    assert founds(reconciled(sessions, an_entry(*DELIVERED))) == [Found.AGREES]


def test_what_is_not_ours_or_says_too_little_is_counted(sessions: Sessions) -> None:
    accepted(sessions)
    run = reconciled(
        sessions, an_entry(*DELIVERED, to="12025550199"), an_entry(*DELIVERED, mms_id="1"),
        an_entry(*DELIVERED, to=""),
    )  # fmt: skip
    assert sorted(founds(run)) == [Found.STRANGE, Found.STRANGE, Found.UNUSABLE]


def test_more_than_none_repaired_is_an_alarm_and_every_run_is_audited(sessions: Sessions) -> None:
    accepted(sessions)
    reconciled(sessions, an_entry(("ACK", "9")))
    reconciled(sessions, an_entry(("ACK", "9")))
    with sessions() as session:
        (alert,) = alerts.open_ones(session, 10)
        told = session.scalars(select(AuditEntry.detail).where(AuditEntry.action == "reconcile"))
        assert ["1 repaired" in (detail or "") for detail in told] == [True, False]
    assert (alert.kind, alert.count) == ("lost_postbacks", 1)


def test_a_run_that_ends_halfway_has_sounded_the_alarm_and_is_gone_on_with(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "STEP", 1)
    numbers = ["12025550101", "12025550102"]
    ids = [accepted(sessions, f"T{number}", to=number) for number in numbers]
    entries = [an_entry(*DELIVERED, to=number) for number in numbers]
    document = f"<SENDING_LIST>{''.join(entries)}</SENDING_LIST>".encode()
    run = reconcile.run(
        sessions, [document], actor="cli:olga", is_dry_run=False, zone=DEFAULT_ZONE, now=clock()
    )
    assert next(run).found is Found.REPAIRED
    run.close()  # type: ignore[attr-defined]
    assert [reloaded(sessions, i).status for i in ids] == [Status.DELIVERED, Status.ACCEPTED]
    with sessions() as session:
        assert [alert.kind for alert in alerts.open_ones(session, 10)] == ["lost_postbacks"]
    assert founds(reconciled(sessions, *entries)) == [Found.AGREES, Found.REPAIRED]


def test_side_by_side_each_is_repaired_once(sessions: Sessions) -> None:
    public_id, lost = accepted(sessions, to="12025550144"), unknown(sessions)
    entries = an_entry(*DELIVERED), an_entry(*DELIVERED, to="12025550144")
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: reconciled(sessions, *entries), range(4)))
    found = [one.found for run in runs for one in run]
    assert found.count(Found.SETTLED) == 1
    assert reloaded(sessions, public_id).status is Status.DELIVERED
    assert reloaded(sessions, lost).status is Status.SENT
    assert len(journal(sessions)) == 1


def test_among_too_many_messages_nothing_is_decided(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST", 2)
    for number in range(3):
        accepted(sessions, f"T{number}", mms_id=str(number))
    assert founds(reconciled(sessions, an_entry(*DELIVERED, mms_id="1"))) == [Found.AMBIGUOUS]


def test_many_sendings_are_repaired_in_steps(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "STEP", 3)
    numbers = [f"120255501{number:02d}" for number in range(10)]
    ids = [accepted(sessions, f"T{number}", to=number) for number in numbers]
    run = reconciled(sessions, *(an_entry(*DELIVERED, to=number) for number in reversed(numbers)))
    assert founds(run) == [Found.REPAIRED] * 10
    assert {reloaded(sessions, i).status for i in ids} == {Status.DELIVERED}


def test_another_file_does_nothing(sessions: Sessions) -> None:
    with pytest.raises(NotStatisticsError):
        list(
            reconcile.run(
                sessions, [b"<html></html>"], actor="cli:olga", is_dry_run=False,
                zone=DEFAULT_ZONE, now=clock(),
            )
        )  # fmt: skip
    with sessions() as session:
        assert not session.scalars(select(AuditEntry)).all()
