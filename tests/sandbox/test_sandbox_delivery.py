"""Which postbacks follow a message and when. Source: PROTOCOL 4.5, 4.6, 4.7."""

from typing import Any

import pytest
from sandbox_support import NUMBER, a_request

from tracker.protocol.codes import POSTBACK_CODES
from tracker.sandbox.behaviour import Behaviour, Dialect, Outcome
from tracker.sandbox.delivery import Discovery, Step, plan
from tracker.sandbox.fixture import TRIALS
from tracker.sandbox.gateway import discovery_of
from tracker.sandbox.message import Message
from tracker.sandbox.options import Delays

DELAYS = Delays(
    discovery=1, discovery_receipt=10, sending=2, receipt=20, longest_discovery=1_000_000
)
ASKED = Discovery(is_asked_for=True)


def a_message(**behaviour: Any) -> Message:
    return Message(
        to=NUMBER,
        mms_id="45633",
        sender="11111",
        tracking_number=12345,
        history_number=900,
        spid="0001890",
        handset="motol7c",
        aggregator_id="11529-64807-97508-73852-97658",
        custom_pass_id=None,
        behaviour=Behaviour(**behaviour),
        has_plain_ids=behaviour.get("dialect") == "legacy",
    )


def told(steps: tuple[Step, ...]) -> list[tuple[float, str]]:
    return [(step.at, step.event.code) for step in steps if not step.is_dropped]


# PROTOCOL 4.5, row by row: asked for, forced, in the cache.
@pytest.mark.parametrize(
    ("discovery", "knows_handset", "expected"),
    [
        (ASKED, True, [(2, "N101"), (22, "N102")]),
        (Discovery(), True, [(2, "N101"), (22, "N102")]),
        (Discovery(), False, [(2, "N101"), (22, "N102")]),
        (ASKED, False, [(1, "N501"), (11, "N502"), (13, "N101"), (33, "N102")]),
        (
            Discovery(is_forced=True),
            True,
            [(1, "N501"), (11, "N502"), (13, "N101"), (33, "N102")],
        ),
    ],
)
def test_the_discovery_message_is_sent_as_the_table_says(
    discovery: Discovery, knows_handset: bool, expected: list[tuple[float, str]]
) -> None:
    assert told(plan(a_message(), discovery, DELAYS, knows_handset=knows_handset)) == expected


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("ddm_timeout", [(1, "N501"), (303, "N101"), (323, "N102")]),
        ("ddm_failed", [(1, "E501"), (3, "N101"), (23, "N102")]),
        ("ddm_undelivered", [(1, "N501"), (11, "E502"), (13, "N101"), (33, "N102")]),
    ],
)
def test_a_discovery_that_fails_ends_in_default_settings(
    outcome: Outcome, expected: list[tuple[float, str]]
) -> None:
    assert told(plan(a_message(outcome=outcome), ASKED, DELAYS)) == expected


def test_a_receipt_after_the_timeout_triggers_no_second_message() -> None:
    impatient = Discovery(is_asked_for=True, timeout_seconds=5)
    steps = plan(a_message(), impatient, DELAYS)
    assert sorted(told(steps)) == [(1, "N501"), (8, "N101"), (11, "N502"), (28, "N102")]


def test_a_timeout_of_zero_does_not_wait() -> None:
    steps = plan(a_message(), Discovery(is_asked_for=True, timeout_seconds=0), DELAYS)
    assert sorted(told(steps))[:2] == [(1, "N501"), (3, "N101")]


@pytest.mark.parametrize(
    ("text", "timeout", "expected"),
    [
        ("hello", None, Discovery(is_asked_for=True, timeout_seconds=300)),
        ("hello", "10", Discovery(is_asked_for=True, timeout_seconds=600)),
        ("hello", "0", Discovery(is_asked_for=True, timeout_seconds=0)),
        ("hello", "soon", Discovery(is_asked_for=True, timeout_seconds=300)),
        ("hello", "-1", Discovery(is_asked_for=True, timeout_seconds=300)),
        ("hello", "²", Discovery(is_asked_for=True, timeout_seconds=300)),
        (None, "10", Discovery(timeout_seconds=600)),
    ],
)
def test_a_discovery_is_asked_for_by_its_text_and_waits_for_minutes(
    text: str | None, timeout: str | None, expected: Discovery
) -> None:
    assert discovery_of(a_request(ddm_text=text, ddm_timeout=timeout)) == expected


def test_a_title_alone_asks_for_nothing_and_ddmforce_forces() -> None:
    assert not discovery_of(a_request(ddm_title="hello")).is_asked_for
    assert discovery_of(a_request(others={"DDMFORCE": "True"})).is_forced
    assert not discovery_of(a_request(others={"DDMFORCE": "false"})).is_forced


@pytest.mark.parametrize(
    ("outcome", "dialect", "expected"),
    [
        ("delivered", "1.3", "N101 Message Sent, N102 Message Sent/Delivered"),
        ("link", "1.3", "N101 Message Sent, N202 Message Sent/Delivered"),
        ("link", "sinch", "N101 Message Sent, N102 Message Sent/Delivered"),
        ("link", "legacy", "N101 Message Sent, N102 Message Sent, N202 Message Sent/Delivered"),
        ("link_failed", "1.3", "N101 Message Sent, E202 Message Sent/Failed"),
        ("no_receipt", "1.3", "N101 Message Sent"),
        ("expired", "xsi", "N101 Message Sent, N102 Message Sent/Expired"),
        ("expired", "sinch", "N101 Message Sent, N103 Message Sent/Expired"),
        ("rejected", "1.3", "N101 Message Sent, N102 Message Sent/Rejected"),
        ("unsupported", "1.3", "N101 Message Sent, N102 Message Sent/NotSupported"),
        ("unsupported", "sinch", "N101 Message Sent, N102 Message Sent/Not Supported"),
        ("failed", "1.3", "E101 Message Failed"),
        ("failed_late", "1.3", "N101 Message Sent, E102 Message Sent/Failed"),
    ],
)
def test_each_outcome_has_its_codes_and_phrases(
    outcome: Outcome, dialect: Dialect, expected: str
) -> None:
    steps = plan(a_message(outcome=outcome, dialect=dialect), Discovery(), DELAYS)
    said = [f"{step.event.code} {step.event.fields['STATUS']}" for step in steps]
    assert ", ".join(said) == expected


# PROTOCOL 6.3, column by column; FROM is "maybe" and always there.
ALWAYS = {"STATUS", "FROM", "TO", "TRACKINGID", "SPID"}


@pytest.mark.parametrize(
    ("outcome", "number", "elements"),
    [
        ("delivered", 0, {"SENTAS", "MMSID", "TIMESTAMP"}),
        ("delivered", 1, {"SENTAS", "MMSID", "TIMESTAMP", "HANDSET", "AGGREGATORID"}),
        ("link", 0, {"SENTAS", "MMSID", "TIMESTAMP", "STATUSDETAILS"}),
        ("link", 1, {"SENTAS", "TIMESTAMP", "AGGREGATORID"}),
        ("failed", 0, {"MMSID", "STATUSDETAILS"}),
        ("failed_late", 1, {"MMSID", "TIMESTAMP", "AGGREGATORID", "STATUSDETAILS"}),
    ],
)
def test_each_postback_has_the_elements_of_the_table(
    outcome: Outcome, number: int, elements: set[str]
) -> None:
    event = plan(a_message(outcome=outcome), Discovery(), DELAYS)[number].event
    timed = {"TIMESTAMP"} if event.is_timed else set()
    assert (event.fields.keys() | timed) - {"HISTORYID"} == ALWAYS | elements


def test_a_link_says_sms_and_why() -> None:
    sent, delivered = plan(a_message(outcome="link"), Discovery(), DELAYS)
    assert sent.event.fields["SENTAS"] == delivered.event.fields["SENTAS"] == "SMS"
    assert sent.event.fields["STATUSDETAILS"] == "Handset setting: mms with pass via xHTML"
    assert delivered.event.origin == "MMS_MT"
    assert delivered.event.fields["TRACKINGID"] == sent.event.fields["TRACKINGID"]


def test_a_legacy_link_is_receipted_under_the_id_of_its_sms() -> None:
    steps = plan(a_message(outcome="link", dialect="legacy"), Discovery(), DELAYS)
    left, receipt = steps[1].event, steps[2].event
    assert left.fields["TRACKINGID"] == "MMS_12345"
    assert left.fields["SMSID"] == receipt.fields["TRACKINGID"] == "SMS_12345"
    assert receipt.origin == "SMS_MT"
    assert receipt.fields["HISTORYID"] == "901"


def test_a_silent_carrier_gives_no_receipt() -> None:
    assert told(plan(a_message(), Discovery(), DELAYS, gives_receipts=False)) == [(2, "N101")]


def test_the_receipt_may_come_first() -> None:
    assert told(plan(a_message(reorder=True), Discovery(), DELAYS)) == [(2, "N102"), (22, "N101")]


def test_codes_can_be_dropped_added_and_delayed() -> None:
    message = a_message(drop=frozenset({"N101"}), also=("E999",), delay_seconds=100.0)
    assert told(plan(message, Discovery(), DELAYS)) == [(122, "N102"), (122.1, "E999")]


@pytest.mark.parametrize("code", sorted({code for code, _ in POSTBACK_CODES} | {"N333"}))
def test_every_code_can_be_posted_on_demand(code: str) -> None:
    last = plan(a_message(also=(code,)), Discovery(), DELAYS)[-1].event
    assert last.code == code
    assert (code, last.origin) in POSTBACK_CODES or last.origin in ("MMS_MT", "wallet")


def test_by_default_n101_comes_within_ten_seconds_whatever_the_trial() -> None:
    for trial in TRIALS:
        for minutes in (0, 1, 5, 600):
            discovery = Discovery(is_asked_for=True, timeout_seconds=60 * minutes)
            message = a_message(outcome=trial.behaviour.outcome, reorder=trial.behaviour.reorder)
            told_at = [
                step.at
                for step in plan(message, discovery, Delays())
                if step.event.code in ("N101", "E101")
            ]
            assert max(told_at) < 8


def test_only_receipts_of_a_handset_teach_the_cache() -> None:
    steps = plan(a_message(), ASKED, DELAYS)
    assert [step.event.names_handset for step in steps] == [None, "motol7c", None, "motol7c"]
    expired = plan(a_message(outcome="expired"), Discovery(), DELAYS)
    assert [step.event.names_handset for step in expired] == [None, None]


def test_a_behaviour_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="teleported"):
        a_message(outcome="teleported")
    with pytest.raises(ValueError, match="klingon"):
        a_message(dialect="klingon")
    with pytest.raises(ValueError, match="E5033"):
        a_message(answer="E5033")
