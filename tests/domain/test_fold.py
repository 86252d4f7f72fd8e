"""The fold of DESIGN promise 2 and PROTOCOL 6.5, row by row and as a property."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from builders import a_postback
from hypothesis import given
from hypothesis import strategies as st

from tracker.config import DEFAULT_ZONE
from tracker.domain.fold import RANK, Delivery, Outcome, fold
from tracker.domain.status import FAILURES, Status
from tracker.protocol.notification import Notification
from tracker.protocol.postback import parse_postback
from tracker.protocol.transport import Document

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def told(code: str, **changes: str | None) -> Notification:
    found = parse_postback(Document(a_postback(code, **changes).decode(), "raw"), zone=DEFAULT_ZONE)
    return found[0]


def after(*notifications: Notification, start: Status = Status.ACCEPTED) -> Delivery:
    """Fold notifications that arrive a second apart."""
    current = Delivery(status=start)
    for number, notification in enumerate(notifications):
        current = fold(current, notification, START + timedelta(seconds=number)).delivery
    return current


N101 = told("N101")
N102 = told("N102")
E101 = told("E101", TIMESTAMP=None)
REJECTED = told("E102", STATUS="Message Sent/Rejected", STATUSDETAILS="Recipient blocked")
EXPIRED = told("N102", STATUS="Message Sent/Expired", TIMESTAMP="2026-11-20T09:00:00-05:00")


@pytest.mark.parametrize(
    ("notification", "status"),
    [
        (N101, Status.SENT),
        (told("N101", STATUS="Message Failed"), Status.FAILED),
        (N102, Status.DELIVERED),
        (told("N102", STATUS=None), Status.DELIVERED),
        (EXPIRED, Status.EXPIRED),
        (told("N102", STATUS="Message Sent/NotSupported"), Status.UNSUPPORTED),
        (told("N103", STATUS=None), Status.EXPIRED),
        (E101, Status.FAILED),
        (REJECTED, Status.REJECTED),
        (told("E102", STATUS="Message Sent/Delivered"), Status.FAILED),
        (told("N202", SENTAS="SMS", STATUS="Message Sent/Delivered"), Status.DELIVERED),
        (told("E012", STATUS=None), Status.FAILED),
    ],
)
def test_one_postback_sets_its_status(notification: Notification, status: Status) -> None:
    folded = fold(Delivery(status=Status.ACCEPTED), notification, START)
    assert folded.delivery.status is status
    assert folded.outcome is Outcome.APPLIED


@pytest.mark.parametrize("code", ["N501", "N502", "E501", "E502", "N333", "E999", "N013", "N801"])
def test_codes_of_other_kinds_move_no_status(code: str) -> None:
    folded = fold(Delivery(status=Status.SENT), told(code, STATUS=None), START)
    assert folded.delivery.status is Status.SENT
    assert folded.outcome is Outcome.NOTED


def test_a_late_n101_takes_nothing_back_and_fills_in_what_is_missing() -> None:
    folded = fold(after(told("N102", SPID=None)), N101, START + timedelta(hours=1))
    assert folded.outcome is Outcome.OUTRANKED
    assert folded.delivery.status is Status.DELIVERED
    assert folded.delivery.spid == "0001890"
    assert folded.delivery.sent_at == START + timedelta(hours=1)


def test_delivered_after_a_failure_wins() -> None:
    assert after(REJECTED, N102).status is Status.DELIVERED


def test_a_failure_after_delivered_is_outranked_and_says_so() -> None:
    folded = fold(after(N102), REJECTED, START)
    assert folded.delivery.status is Status.DELIVERED
    assert folded.outcome is Outcome.OUTRANKED
    assert "confirmed receipt" in folded.reason


def test_between_failures_the_later_timestamp_holds() -> None:
    assert after(REJECTED, EXPIRED).status is Status.EXPIRED
    assert after(EXPIRED, REJECTED).status is Status.EXPIRED


def test_between_failures_without_timestamps_the_later_arrival_holds() -> None:
    rejected = told("E102", STATUS="Message Sent/Rejected", TIMESTAMP=None)
    assert after(E101, rejected).status is Status.REJECTED
    assert after(rejected, E101).status is Status.FAILED


def test_an_absent_element_blanks_nothing() -> None:
    delivery = after(N102, told("N102", HANDSET=None, SPID=None, TIMESTAMP=None))
    assert (delivery.handset, delivery.spid) == ("motol7c", "0001890")


def test_a_receipt_still_wins_over_no_receipt() -> None:
    assert after(N101, start=Status.NO_RECEIPT).status is Status.NO_RECEIPT
    assert after(N102, start=Status.NO_RECEIPT).status is Status.DELIVERED
    assert after(E101, start=Status.NO_RECEIPT).status is Status.FAILED


def test_a_delivery_of_the_link_is_one_by_sms() -> None:
    assert after(told("N202", SENTAS=None, STATUS="Message Sent/Delivered")).sent_as == "SMS"


def test_discovery_keeps_its_own_word_in_any_order() -> None:
    n501, n502 = told("N501", STATUS="Message Sent"), told("N502", STATUS="Message Sent/Delivered")
    for order in permutations([n501, n502, N101]):
        delivery = after(*order)
        assert (delivery.ddm_status, delivery.status) == ("delivered", Status.SENT)


def test_every_permutation_of_five_postbacks_gives_one_status() -> None:
    postbacks = [told("N501"), told("N502"), N101, REJECTED, N102]
    assert {after(*order).status for order in permutations(postbacks)} == {Status.DELIVERED}
    failing = [told("N501"), N101, REJECTED, EXPIRED, E101]
    assert {after(*order).status for order in permutations(failing)} == {Status.EXPIRED}


phrases = st.sampled_from(
    [None, "Message Sent", "Message Sent/Delivered", "Message Sent/Expired",
     "Message Sent/Rejected", "Message Sent/NotSupported", "Message Failed"]
)  # fmt: skip
codes = st.sampled_from(["N101", "N102", "N103", "E101", "E102", "N501", "N502", "N333", "E999"])
instants = st.integers(0, 5).map(lambda minute: f"2026-11-20T07:{minute:02d}:00-05:00")
postbacks = st.builds(
    lambda code, phrase, at: told(code, STATUS=phrase, TIMESTAMP=at), codes, phrases, instants
)


two_orders = st.lists(postbacks, max_size=6).flatmap(
    lambda some: st.tuples(st.just(some), st.permutations(some))
)


@given(two_orders)
def test_any_order_and_repetition_gives_one_status(
    orders: tuple[list[Notification], list[Notification]],
) -> None:
    given_order, other_order = orders
    assert after(*given_order).status is after(*other_order, *other_order[:2]).status


@given(st.sampled_from(sorted(RANK)), postbacks)
def test_a_status_never_gets_weaker(current: Status, notification: Notification) -> None:
    assert RANK[after(notification, start=current).status] >= RANK[current]


def test_every_failure_has_the_same_rank() -> None:
    assert len({RANK[status] for status in FAILURES}) == 1
