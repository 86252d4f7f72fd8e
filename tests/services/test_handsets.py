"""Discovery that is left out where the handset is known, when the call begins."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from builders import NUMBER, a_postback, accepted, begin_call, claim_due, queued, reloaded
from sqlalchemy import event, select

from tracker.config import DEFAULT_ZONE
from tracker.domain.message import Discovery, PassMessage
from tracker.domain.status import Status
from tracker.gateway import Gateway
from tracker.sandbox.fixture import API_KEY
from tracker.sandbox.server import RunningSandbox
from tracker.sender import Sender
from tracker.services import handsets, receive, timeline
from tracker.services.take import Policy
from tracker.store import db, messages
from tracker.store.db import Sessions
from tracker.store.handsets import HandsetRow
from tracker.store.models import Handset, Message, SendAttempt

DDM = {"text": "Your pass comes next", "timeout_minutes": 5}
OTHER = "12025550144"


@pytest.fixture
def now() -> datetime:
    """A moment at which all that a test queues is due."""
    return datetime.now(UTC) + timedelta(seconds=10)


def seen(sessions: Sessions, number: str = NUMBER, handset: str = "motol7c") -> datetime:
    """Put a handset down as a receipt would, and return when it was seen."""
    at = datetime.now(UTC) - timedelta(days=2)
    with sessions.begin() as session:
        session.add(
            Handset(number=number, handset=handset, source="N102", seen_at=at, used_at=None)
        )
    return at


def begun(
    sessions: Sessions, public_id: UUID, now: datetime, *, discover_known: bool = False
) -> PassMessage:
    """Begin the call of a queued message and return what would be sent."""
    claimed = next(c for c in claim_due(sessions, 100, now) if c.public_id == public_id)
    message = begin_call(sessions, claimed, now, discover_known=discover_known)
    assert message is not None
    return message


def known(sessions: Sessions, number: str = NUMBER) -> HandsetRow:
    found = handsets.known(sessions, number)
    assert found is not None
    return found


def lines(sessions: Sessions, public_id: UUID) -> list[str]:
    row = reloaded(sessions, public_id)
    with sessions() as session:
        return [entry.detail for entry in timeline.of_message(session, row)]


def test_a_known_handset_needs_no_discovery_and_the_timeline_says_so(
    sessions: Sessions, now: datetime
) -> None:
    at = seen(sessions)
    public_id = queued(sessions, ddm=DDM)
    assert begun(sessions, public_id, now).ddm is None
    assert lines(sessions, public_id)[-1] == (
        "The call began. Discovery left out: the handset motol7c is known"
        f" since {at:%Y-%m-%d %H:%M} UTC (N102)."
    )
    assert known(sessions).used_at == now
    assert known(sessions).seen_at == at


def test_an_unknown_handset_is_discovered(sessions: Sessions, now: datetime) -> None:
    seen(sessions, OTHER)
    public_id = queued(sessions, ddm=DDM)
    assert begun(sessions, public_id, now).ddm == Discovery(
        text="Your pass comes next", timeout_minutes=5
    )
    assert lines(sessions, public_id)[-1] == "The call began."
    assert known(sessions, OTHER).used_at is None


def test_by_setting_a_known_handset_is_discovered_all_the_same(
    sessions: Sessions, now: datetime
) -> None:
    seen(sessions)
    public_id = queued(sessions, ddm=DDM)
    assert begun(sessions, public_id, now, discover_known=True).ddm is not None
    assert known(sessions).used_at is None


@pytest.mark.parametrize("ddm", [None, {"title": "Only a title"}])
def test_where_no_discovery_is_asked_for_nothing_is_left_out(
    sessions: Sessions, now: datetime, ddm: object
) -> None:
    seen(sessions)
    public_id = queued(sessions, ddm=ddm)
    begun(sessions, public_id, now)
    assert lines(sessions, public_id)[-1] == "The call began."
    assert known(sessions).used_at is None


def test_a_call_that_does_not_begin_uses_no_handset(sessions: Sessions, now: datetime) -> None:
    seen(sessions)
    queued(sessions, ddm=DDM)
    (claimed,) = claim_due(sessions, 1, now)
    assert begin_call(sessions, claimed, now + timedelta(minutes=2)) is None
    assert known(sessions).used_at is None


def test_what_was_asked_for_stays_with_the_message(sessions: Sessions, now: datetime) -> None:
    """It is the call that differs: a resend asks anew."""
    seen(sessions)
    public_id = queued(sessions, ddm=DDM)
    begun(sessions, public_id, now)
    with sessions() as session:
        ddm = messages.content(session, reloaded(sessions, public_id).id).ddm
    assert ddm is not None
    assert ddm["text"] == DDM["text"]


def calls(sessions: Sessions, count: int, now: datetime) -> dict[UUID, PassMessage]:
    """Begin calls to so many numbers, every other one with a known handset."""
    made = {uuid4(): f"1202555{number:04}" for number in range(count)}
    with sessions.begin() as session:
        for number in list(made.values())[::2]:
            session.add(Handset(number=number, handset=f"of {number}", source="N502", seen_at=now))
    for number in made.values():
        queued(sessions, to=number, ddm=DDM)
    with sessions.begin() as session:
        by_number = {row.recipient: row.id for row in session.scalars(select(Message))}
        for claim_id, number in made.items():
            attempt = SendAttempt(message_id=by_number[number], claim_id=claim_id, started_at=now)
            session.add(attempt)
    return {
        claim_id: PassMessage(to=number, mms_id="45633", from_="11111", ddm=Discovery(text="Hi"))
        for claim_id, number in made.items()
    }


def test_many_are_decided_at_once_each_by_its_own_number(sessions: Sessions, now: datetime) -> None:
    made = calls(sessions, 40, now)
    statements: list[str] = []
    event.listen(
        db.engine_of(sessions),
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: statements.append(statement),
    )
    with sessions.begin() as session:
        found = handsets.without_needless_discovery(session, made, now, discover_known=False)
    told = [s for s in statements if s.split()[0] in ("SELECT", "UPDATE")]
    assert len(told) == 3
    assert [m.ddm is None for m in found.values()] == [True, False] * 20
    assert list(found) == list(made)
    with sessions() as session:
        notes = {row.claim_id: row.note for row in session.scalars(select(SendAttempt))}
        used = {row.number: row.used_at for row in session.scalars(select(Handset))}
    for claim_id, message in found.items():
        if message.ddm is None:
            assert f"the handset of {message.to} is known" in (notes[claim_id] or "")
            assert used[message.to] == now
        else:
            assert notes[claim_id] is None


def test_a_receipt_learns_and_keeps_when_the_handset_was_used(
    sessions: Sessions, now: datetime
) -> None:
    accepted(sessions)
    receive.record(sessions, a_postback("N102"), "text/xml", zone=DEFAULT_ZONE, now=now)
    assert (known(sessions).handset, known(sessions).source) == ("motol7c", "N102")
    public_id = queued(sessions, ddm=DDM)
    begun(sessions, public_id, now)
    later = now + timedelta(hours=1)
    again = a_postback("N502", HANDSET="iphone5", TIMESTAMP="2026-11-21T07:20:49-05:00")
    receive.record(sessions, again, "text/xml", zone=DEFAULT_ZONE, now=later)
    row = known(sessions)
    assert (row.handset, row.source, row.seen_at, row.used_at) == ("iphone5", "N502", later, now)


@pytest.mark.parametrize("discover_known", [False, True])
def test_the_gateway_gets_no_discovery_for_a_known_handset(
    sessions: Sessions, sandbox: RunningSandbox, discover_known: bool
) -> None:
    seen(sessions)
    public_id = queued(sessions, ddm=DDM)
    gateway = Gateway(sandbox.gateway_url, API_KEY, 5.0)
    Sender(
        sessions,
        gateway,
        zone=DEFAULT_ZONE,
        clock=lambda: datetime.now(UTC),
        policy=Policy(discover_known=discover_known),
    ).drain()
    assert reloaded(sessions, public_id).status is Status.ACCEPTED
    (called,) = sandbox.calls
    assert called.request is not None
    assert called.request.ddm_text == (DDM["text"] if discover_known else None)
