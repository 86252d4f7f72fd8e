"""Each status and outcome is explained once, and every message says what to do next."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from facts import Facts

from tracker.domain.explained import GROUPS, OUTCOMES, STATUSES, next_step
from tracker.domain.fold import Outcome
from tracker.domain.settling import Settled
from tracker.domain.status import Status
from tracker.protocol.codes import ERROR_CODES

NOW = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)


def test_every_word_is_explained_and_every_status_stands_in_one_group() -> None:
    assert set(STATUSES) == set(Status)
    assert set(OUTCOMES) == set(Outcome)
    grouped = [status for group in GROUPS for status in group.statuses]
    assert sorted(grouped) == sorted(Status)
    for meaning in (*STATUSES.values(), *OUTCOMES.values()):
        assert meaning.says.endswith(".")
        assert meaning.next.endswith(".")


@pytest.mark.parametrize("status", list(Status))
def test_every_message_says_what_to_do_next(status: Status) -> None:
    assert next_step(Facts(status)).endswith(".")
    assert next_step(Facts(status, resent_as="x")).startswith("It was sent again")


@pytest.mark.parametrize("code", [*ERROR_CODES, "X1"])
def test_every_refusal_says_what_to_do_next(code: str) -> None:
    assert next_step(Facts(Status.REFUSED, error_code=code)).endswith(".")


@pytest.mark.parametrize(
    ("facts", "offers", "said"),
    [
        (Facts(Status.UNKNOWN), 1, "Look at what may be its answer"),
        (Facts(Status.UNKNOWN), 0, "gateway's report"),
        (Facts(Status.QUEUED, due_at=None), 0, "Resume its batch"),
        (Facts(Status.QUEUED, error_code="E104"), 0, "resume the queue"),
        (Facts(Status.REFUSED, error_code="E803"), 0, "objects to"),
        (Facts(Status.REFUSED, error_code="E503"), 0, "later"),
        (Facts(Status.REFUSED, error_code="E114"), 0, "this number"),
        (Facts(Status.REFUSED, error_info="Not sent: STOP"), 0, "when the reason no longer holds"),
        (Facts(Status.REFUSED, settled_as=Settled.NOT_SENT), 0, "still to get it"),
        (Facts(Status.SENT, settled_as=Settled.SENT), 0, "tracking id"),
        (Facts(Status.DELIVERED, sent_as="SMS"), 0, "open the link"),
    ],
)
def test_the_next_step_follows_from_what_happened(facts: Facts, offers: int, said: str) -> None:
    assert said in next_step(facts, offers)


def test_a_marked_message_with_its_tracking_id_waits_like_any_other() -> None:
    marked = Facts(Status.SENT, settled_as=Settled.SENT, tracking_id="TU1T")
    assert next_step(marked) == next_step(replace(marked, settled_as=None))
