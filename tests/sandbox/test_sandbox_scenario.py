"""Scenario files: what they set, the two examples, and how a wrong one is refused."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from sandbox_support import PATIENCE, Receiver, a_request, codes_of, receiving, send, until

from tracker.protocol.codes import ErrorClass, error_class
from tracker.protocol.request import to_xml
from tracker.sandbox.behaviour import Dialect, Fault, Outcome
from tracker.sandbox.chance import Span
from tracker.sandbox.rules import Rulebook
from tracker.sandbox.scenario import CODE_OF_CLASS, ScenarioError, read_scenario
from tracker.sandbox.server import running

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
RAINY = (EXAMPLES / "rainy-friday.toml").read_text(encoding="utf-8")
CLASSES = (EXAMPLES / "each-error-class.toml").read_text(encoding="utf-8")
EVERY_KEY = "\n".join(
    line.removeprefix("#:").strip() for line in CLASSES.splitlines() if line.startswith("#:")
)


def test_the_empty_file_is_the_fixture() -> None:
    options = read_scenario("")
    assert "45633" in options.templates
    assert options.behaviour_for("12025559001").outcome == "link"
    assert options.rules == ()


def test_the_list_of_every_key_is_a_scenario_and_names_every_word() -> None:
    options = read_scenario(EVERY_KEY)
    assert options.states == {"billing"}
    assert options.subscriptions == {"4711": {"12025550143"}}
    assert options.known_handsets == {"12025550143": "motol7c"}
    assert options.delay_spans["receipt"] == Span(2, 30)
    assert options.rules[1].behaviour.together
    for word in (*Fault.__args__, *Outcome.__args__, *Dialect.__args__):  # type: ignore[attr-defined]
        assert word in CLASSES


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[rule]\n", "the file: "),
        ("tilte = 'x'", "tilte: 'x' is not known here (did you mean title?)"),
        ("seed = -1", "seed: -1 is not a whole number from 0 to"),
        ("[gateway]\ntime_factor = 0", "gateway.time_factor: 0 is not a number from 0.0001 to 100"),
        ("[gateway]\ntime_factor = true", "gateway.time_factor: True is not a number"),
        ("[gateway]\nanswer_delay = [5, 1]", "gateway.answer_delay: [5, 1] is not a number of sec"),
        ("[gateway]\ncalls_per_second = 0", "gateway.calls_per_second: 0 is not a number from 0.0"),
        ("[gateway]\nrate_code = 'E503'", "gateway.rate_code: 'E503' is not one of E106, E113"),
        ("[account]\nstates = ['broke']", "account.states: 'broke' is not one of api_off, ip, bil"),
        ("[account]\nblocked = ['+1']", "account.blocked: '+1' is not international digits"),
        ("[templates.x]\n", "templates.x: 'x' is not digits, the number of an MMS"),
        ("[templates.7]\nfixed = ['COLOUR']", "templates.7.fixed: 'COLOUR' is not names of pass f"),
        ("[templates.7]\nkind = 'Poster'", "templates.7.kind: 'Poster' is not one of Boarding Pa"),
        ("[carriers]\nspids = []", "carriers.spids: [] is not a list of at least one of seven dig"),
        ("[carriers]\nsilent = ['1']", "carriers.silent: '1' is not seven digits"),
        ("rule = 3", "rule: 3 is not a list of tables, each under [[rule]]"),
        ("gateway = 3", "gateway: 3 is not a table, such as [gateway]"),
        ("[[rule]]\n[[rule]]\npercent = 130", "rule[2].percent: 130 is not a number from 0 to 100"),
        ("[[rule]]\npercent = nan", "rule[1].percent: nan is not a number from 0 to 100"),
        ("[[rule]]\nnumber = 1202", "rule[1].number: 1202 is not digits in quotes"),
        ("[[rule]]\nnumber = '1202'\nsuffix = '3'", "rule[1].suffix: '3' is not an end of 1202"),
        ("[[rule]]\ncall = 0", "rule[1].call: 0 is not a whole number from 1, or a list"),
        ("[[rule]]\nerror = 'E5'", "rule[1].error: 'E5' is not a code such as E503, or one of pe"),
        ("[[rule]]\nerror = 'E503'\nanswer = 'close'", "rule[1].answer: 'close' is not possible"),
        ("[[rule]]\nerror_info = 'x'", "rule[1].error_info: 'x' is not of use without error"),
        ("[[rule]]\nerror = 'E503'\ninterval_seconds = 5", "rule[1].interval_seconds: 5 is not of"),
        ("[[rule]]\noutcome = 'lost'", "rule[1].outcome: 'lost' is not one of delivered, link"),
        ("[[rule]]\ntogether = true", "rule[1].together: True is not of use with dialect"),
        ("[[rule]]\ndrop = ['102']", "rule[1].drop: '102' is not codes such as"),
        ("[[rule]]\nduplicate = 'yes'", "rule[1].duplicate: 'yes' is not true or false"),
        ("[[rule]]\nspid = '157'", "rule[1].spid: '157' is not seven digits"),
        ("[[rule]]\nname = ' '", "rule[1].name: ' ' is not a text of 1 to 100 characters"),
    ],
)
def test_a_wrong_file_is_refused_with_key_value_and_what_would_be_right(
    text: str, complaint: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(text)
    assert str(caught.value).startswith(complaint)


def test_each_class_has_a_code_of_its_class() -> None:
    assert set(CODE_OF_CLASS) == set(ErrorClass)
    assert all(error_class(code) is each for each, code in CODE_OF_CLASS.items())


def test_the_example_of_each_class_refuses_once_and_then_accepts() -> None:
    with running(replace(read_scenario(CLASSES), postback_url=None)) as sandbox:
        for number, each in enumerate(ErrorClass, 1):
            refused, accepted = (
                send(sandbox, a_request(to=f"120255501{number:02}")) for _ in range(2)
            )
            assert error_class(refused.error_code or "") is each
            assert accepted.is_success
            if each is ErrorClass.THROTTLE:
                assert "interval is 5 seconds" in (refused.error_info or "")
        with pytest.raises(requests.ConnectionError):
            send(sandbox, a_request(to="12025550106"))
        assert send(sandbox, a_request(to="12025550106")).is_success
        assert send(sandbox, a_request(to="12025550107")).tracking_id is None
        assert len(sandbox.accepted) == 5 + 2 + 1


def test_the_rainy_evening_brings_the_same_bad_luck_in_every_run() -> None:
    options = read_scenario(RAINY)
    runs = []
    for _ in range(2):
        book = Rulebook(options.rules, options.seed)
        rules = [book.choose(f"1202555{number:04}", "45633")[0] for number in range(2000)]
        runs.append([rule.name if rule else "" for rule in rules])
    assert runs[0] == runs[1]
    counts = Counter(runs[0])
    assert counts["the gateway hiccups"] == 50
    assert 120 < counts["phones without MMS"] < 260
    assert all(counts[rule.name] for rule in options.rules)


def test_the_rainy_evening_can_be_lived_through() -> None:
    options = replace(read_scenario(RAINY), time_factor=0.001, receiver_seconds=PATIENCE)
    with receiving(Receiver()) as receiver, running(options) as sandbox:
        sandbox.post_to(receiver.url)
        for number in range(60):
            body = {"xml": to_xml(a_request(to=f"1202555{number:04}"))}
            with suppress(requests.ConnectionError):
                requests.post(sandbox.gateway_url, data=body, timeout=PATIENCE)
        until(lambda: {posted.state for posted in sandbox.postbacks} == {"accepted"})
        assert len(sandbox.calls) == 60
        assert {"N101", "N102", "N202"} <= set(codes_of(sandbox))
