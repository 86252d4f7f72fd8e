"""Status words, reasons, numbers and delays."""

from datetime import UTC, datetime, timedelta

import pytest
from facts import Facts

from tracker.domain import numbers
from tracker.domain.failures import is_of_account, reconnect_delay, retry_delay, throttle_delay
from tracker.domain.reasons import status_reason
from tracker.domain.status import FINAL, LABELS, Status, label
from tracker.protocol.codes import ERROR_CODES, ErrorClass, error_class


def test_a_delivery_by_sms_is_one_of_a_link() -> None:
    assert label(Status.DELIVERED, "MMS") == "Delivered"
    assert label(Status.DELIVERED, "SMS") == "Delivered as link"
    assert label(Status.EXPIRED, "SMS") == "Expired"


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_label_and_one_sentence(status: Status) -> None:
    sentence = status_reason(Facts(status))
    assert LABELS[status]
    assert sentence.endswith(".")
    assert not sentence.endswith("..")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (Facts(Status.DELIVERED, handset="motol7c"), "The handset (motol7c) confirmed receipt."),
        (Facts(Status.DELIVERED, sent_as="SMS"), "link to the pass"),
        (
            Facts(Status.REFUSED, error_code="E713", error_info="There is billing problem"),
            "billing",
        ),
        (Facts(Status.REFUSED, error_code="X1"), "nobody documented"),
        (Facts(Status.REFUSED, error_code="E110"), "The gateway refused it: E110"),
        (
            Facts(Status.REFUSED, error_code="STOP", error_info="Not sent: it answered STOP."),
            "It was not sent: it answered STOP.",
        ),
        (
            Facts(Status.QUEUED, created_at=datetime(2026, 11, 26, 4, 0, tzinfo=UTC)),
            "It waits until 13:00 on 27 November in the recipient's zone (America/New_York)",
        ),
        (
            Facts(Status.QUEUED, attempts=1, error_code="E104"),
            "It was not sent, and goes first when the queue",
        ),
        (Facts(Status.QUEUED, attempts=1, error_code="E106"), "was called too fast"),
        (Facts(Status.REJECTED, status_details="Recipient blocked."), ": Recipient blocked."),
        (Facts(Status.QUEUED, attempts=1), "18:00:00 UTC; the gateway could not be reached"),
        (Facts(Status.QUEUED, send_at=datetime(2026, 11, 27, tzinfo=UTC)), "to be sent at 2026"),
        (Facts(Status.QUEUED, attempts=1, error_code="E503"), "E503"),
        (Facts(Status.UNKNOWN, error_info="no answer in time"), "was sent: no answer in time; it"),
        (Facts(Status.UNKNOWN), "take a postback that fits as its answer, mark it as sent or"),
        (Facts(Status.UNKNOWN, resent_as="x"), "it was sent again as a new message."),
        (Facts(Status.SENT, settled_as="sent"), "before its tracking id is known"),
        (Facts(Status.SENT, settled_as="sent", tracking_id="MMS_1"), "no receipt has come yet"),
        (
            Facts(Status.REFUSED, settled_as="not_sent", error_info="Marked as not sent by X: y."),
            "Marked as not sent by X: y; it can be sent again.",
        ),
    ],
)
def test_the_sentence_names_what_is_known(facts: Facts, said: str) -> None:
    assert said in status_reason(facts)


def test_final_statuses_are_those_nothing_more_is_expected_of() -> None:
    waiting = {Status.QUEUED, Status.SENDING, Status.UNKNOWN, Status.ACCEPTED, Status.SENT,
               Status.NO_RECEIPT}  # fmt: skip
    assert set(Status) - FINAL == waiting


def test_numbers_are_shown_as_people_write_them_and_hidden_in_logs() -> None:
    assert numbers.display("16501234123") == "+1 650-123-4123"
    assert numbers.display("no number") == "no number"
    assert numbers.display("9990000000") == "+9990000000"
    assert numbers.masked("16501234123") == "•••123"


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_only_a_transient_refusal_uses_up_tries(code: str) -> None:
    error_class = ERROR_CODES[code].error_class
    is_retried = error_class is ErrorClass.TRANSIENT
    assert (retry_delay(error_class, 1) == timedelta(minutes=1)) is is_retried
    assert retry_delay(error_class, 5) is None


def test_delays_grow_and_reconnecting_never_ends() -> None:
    delays = [retry_delay(ErrorClass.TRANSIENT, n) for n in range(1, 5)]
    assert delays == [timedelta(minutes=m) for m in (1, 5, 15, 60)]
    assert reconnect_delay(1) == timedelta(seconds=5)
    assert reconnect_delay(1000) == timedelta(minutes=15)


def test_jitter_makes_a_wait_a_little_longer_and_never_shorter() -> None:
    waits = [retry_delay(ErrorClass.TRANSIENT, 2, jitter) for jitter in (0.0, 0.5, 1.0)]
    assert waits == [timedelta(minutes=5), timedelta(minutes=5.25), timedelta(minutes=5.5)]


def test_a_message_that_is_throttled_again_and_again_comes_back_more_seldom() -> None:
    interval = timedelta(seconds=3)
    waits = [throttle_delay(n, interval) for n in (1, 2, 3, 4, 5, 1000)]
    assert waits == [timedelta(seconds=s) for s in (3, 3, 4, 8, 16, 300)]


@pytest.mark.parametrize(
    ("code", "sender", "default", "is_account"),
    [
        ("E104", "11111", None, True),
        ("E713", "11111", "60856", True),
        ("E111", "60856", "60856", True),
        ("E111", "11111", "60856", False),
        ("E111", "11111", None, False),
        ("E110", "60856", "60856", False),
    ],
)
def test_a_bad_sender_concerns_the_account_when_it_is_everybodys(
    code: str, sender: str, default: str | None, is_account: bool
) -> None:
    assert is_of_account(error_class(code), code, sender, default) is is_account
