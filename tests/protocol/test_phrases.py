"""From code and phrase to state. Source: PROTOCOL 6.5, every row; legacy: PROTOCOL 6.8."""

import pytest

from tracker.protocol.legacy import attribute_state, full_spid
from tracker.protocol.phrases import State, phrase_letters, phrase_outcome, resolved_state

PHRASES = [
    ("Message Sent", State.SENT),
    ("Message Sent/Delivered", State.DELIVERED),
    ("Message Sent/Expired", State.EXPIRED),
    ("Message Sent/Rejected", State.REJECTED),
    ("Message Sent/NotSupported", State.UNSUPPORTED),
    ("Message Sent/Not Supported", State.UNSUPPORTED),
    ("Message Failed", State.FAILED),
    ("Message Sent/Failed", State.FAILED),
    ("/Unrecognized", State.FAILED),
    ("/Unrecognised", State.FAILED),
    ("Message Sent/Unrecognized", State.FAILED),
    ("Message Sent/Unrecognised", State.FAILED),
    ("/Deferred", State.SENT),
    ("/Forwarded", State.SENT),
    ("/Indeterminate", State.SENT),
    ("Message Sent/Deferred", State.SENT),
    ("Message Sent/Forwarded", State.SENT),
    ("Message Sent/Indeterminate", State.SENT),
    ("Message,Sent/Expired", State.EXPIRED),  # printed so in one list of the successor
    ("message sent / DELIVERED;", State.DELIVERED),
    ("\n Message\tSent/Rejected ", State.REJECTED),
]
DEFAULTS = [
    ("N101", State.SENT),
    ("N102", State.DELIVERED),
    ("N103", State.EXPIRED),
    ("E101", State.FAILED),
    ("E102", State.FAILED),
    ("N201", State.SENT),
    ("N202", State.DELIVERED),
    ("E201", State.FAILED),
    ("E202", State.FAILED),
    ("N501", State.SENT),
    ("N502", State.DELIVERED),
    ("E501", State.FAILED),
    ("E502", State.FAILED),
]


@pytest.mark.parametrize(("phrase", "outcome"), PHRASES)
def test_the_letters_of_a_phrase_give_the_outcome(phrase: str, outcome: State) -> None:
    assert phrase_outcome(phrase) is outcome


@pytest.mark.parametrize(
    "phrase", [None, "", "   ", "1000", "Retrieved", "Message", "Sent message"]
)
def test_other_phrases_mean_nothing(phrase: str | None) -> None:
    assert phrase_outcome(phrase) is None


@pytest.mark.parametrize(("code", "default"), DEFAULTS)
@pytest.mark.parametrize("phrase", [None, "Retrieved", "???"])
def test_without_a_usable_phrase_the_default_of_the_code_holds(
    code: str, default: State, phrase: str | None
) -> None:
    assert resolved_state(code, phrase_outcome(phrase)) is default


@pytest.mark.parametrize("code", ["N101", "N102", "N103", "N201", "N202", "N501", "N502"])
@pytest.mark.parametrize(("phrase", "outcome"), PHRASES)
def test_under_an_n_code_the_phrase_decides(code: str, phrase: str, outcome: State) -> None:
    assert resolved_state(code, phrase_outcome(phrase)) is outcome


@pytest.mark.parametrize("code", ["E101", "E102", "E201", "E202", "E501", "E502"])
@pytest.mark.parametrize(("phrase", "outcome"), PHRASES)
def test_a_success_never_overrides_an_e_code(code: str, phrase: str, outcome: State) -> None:
    is_success = outcome in {State.SENT, State.DELIVERED}
    expected = State.FAILED if is_success else outcome
    assert resolved_state(code, phrase_outcome(phrase)) is expected


@pytest.mark.parametrize("code", ["", "N003", "E002", "N211", "N333", "E999", "E100", "n101"])
def test_codes_about_no_message_have_no_state(code: str) -> None:
    assert resolved_state(code, State.DELIVERED) is None


def test_phrase_letters_compare_spellings() -> None:
    assert phrase_letters("Message Sent/Not Supported") == phrase_letters(
        "MESSAGE SENT/NOTSUPPORTED"
    )
    assert phrase_letters(None) == ""


@pytest.mark.parametrize(
    ("attributes", "state"),
    [
        ({"CELLY": "9"}, State.SENT),
        ({"CELLY": "10", "PROVIDER": "1000"}, State.SENT),
        ({"CELLY": "11"}, State.DELIVERED),
        ({"CELLY": "20", "TEXT": "Retrieved"}, State.DELIVERED),
        ({"CELLY": "30"}, State.EXPIRED),
        ({"CELLY": "35"}, State.REJECTED),
        ({"CELLY": "99"}, None),
        ({}, None),
        ({"PROTOCOLE": "3", "STATUS": "1"}, State.DELIVERED),
        ({"PROTOCOLE": "3", "STATUS": "2"}, State.FAILED),
        ({"PROTOCOL": "3", "STATUS": "16"}, State.REJECTED),
        ({"PROTOCOL": "3", "STATUS": "8"}, State.SENT),
        ({"PROTOCOL": "4", "STATUS": "0"}, None),
        ({"PROTOCOL": "3"}, None),
    ],
)
def test_legacy_attributes_tell_a_state(attributes: dict[str, str], state: State | None) -> None:
    assert attribute_state(attributes) is state


def test_the_attributes_come_before_the_phrase_and_the_phrase_before_the_default() -> None:
    assert resolved_state("N102", State.SENT, State.EXPIRED) is State.SENT
    assert resolved_state("E102", State.DELIVERED, State.EXPIRED) is State.EXPIRED
    assert resolved_state("E102", State.DELIVERED, None) is State.FAILED


@pytest.mark.parametrize(
    ("spid", "full"),
    [
        ("000157", "0001570"),
        ("0001570", "0001570"),
        ("2221470", "2221470"),
        ("31002", "31002"),
        ("ABCDEF", "ABCDEF"),
        ("\u0660" * 6, "\u0660" * 6),
        ("", ""),
    ],
)
def test_six_digits_of_a_legacy_spid_lack_a_zero(spid: str, full: str) -> None:
    assert full_spid(spid) == full
