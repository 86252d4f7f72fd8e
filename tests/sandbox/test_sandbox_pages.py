"""The sandbox's own pages: what they show, what they do, and whom they turn away."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from sandbox_support import (
    NUMBER,
    PATIENCE,
    Receiver,
    a_request,
    behaving,
    receiving,
    send,
    until,
)

from tracker.sandbox.behaviour import Behaviour
from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.rules import Rule
from tracker.sandbox.server import RunningSandbox, running

ACTIONS = ["/do/state", "/do/allowance", "/do/handsets", "/do/postman", "/do/body", "/do/again/1",
           "/do/post/1"]  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Someone at the pages of a sandbox."""

    sandbox: RunningSandbox
    receiver: Receiver

    def page(self, path: str = "/") -> str:
        answer = requests.get(self.sandbox.url + path, timeout=PATIENCE)
        assert answer.status_code == 200
        return answer.text

    @property
    def token(self) -> str:
        found = re.search(r'name="token" value="([^"]+)"', self.page())
        assert found
        return found[1]

    def press(self, path: str, **fields: str) -> str:
        """Send a form as the page does, and return the page that follows."""
        answer = requests.post(
            self.sandbox.url + path,
            data={"token": self.token, **fields},
            headers={"Origin": self.sandbox.url, "Sec-Fetch-Site": "same-origin"},
            timeout=PATIENCE,
        )
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.fixture
def person() -> Iterator[Person]:
    options = behaving(Behaviour(outcome="no_receipt"), allowance=100)
    with receiving(Receiver()) as receiver, running(options) as sandbox:
        sandbox.post_to(receiver.url)
        yield Person(sandbox, receiver)


def test_a_state_is_switched_on_and_off_by_its_buttons(person: Person) -> None:
    assert "Switched on" in person.press("/do/state", state="billing", on="yes")
    assert send(person.sandbox, a_request()).error_code == "E713"
    person.press("/do/state", state="billing", on="no")
    assert send(person.sandbox, a_request()).is_success


def test_the_postman_is_paused_and_resumed(person: Person) -> None:
    person.press("/do/postman", to="pause")
    send(person.sandbox, a_request())
    until(lambda: person.sandbox.postbacks[0].body)
    assert requests.get(f"{person.sandbox.url}/_sandbox/state", timeout=PATIENCE).json()["waiting"]
    assert person.receiver.arrivals == []
    person.press("/do/postman", to="resume")
    until(lambda: person.receiver.codes == ["N101"])


def test_any_code_is_posted_about_a_message_in_any_dialect(person: Person) -> None:
    tracking_id = send(person.sandbox, a_request()).tracking_id or "?"
    until(lambda: person.receiver.codes == ["N101"])
    (call,) = person.sandbox.calls
    person.press(f"/do/post/{call.id}", code="n102", dialect="xsi", phrase="Message Sent/Expired")
    until(lambda: person.receiver.codes == ["N101", "N102"])
    body = person.receiver.arrivals[1].body.decode()
    assert "xsi:noNamespaceSchemaLocation" in body
    assert "<STATUS>Message Sent/Expired</STATUS>" in body
    person.press(f"/do/post/{call.id}", code="N333", dialect="legacy", form="yes")
    until(lambda: len(person.receiver.arrivals) == 3)
    last = person.receiver.arrivals[2]
    assert last.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert tracking_id.rstrip("=").encode() in last.body
    assert "by hand" in person.page(f"/calls/{call.id}")


def test_a_postback_is_sent_again_byte_for_byte(person: Person) -> None:
    send(person.sandbox, a_request())
    until(lambda: person.receiver.arrivals)
    person.press(f"/do/again/{person.sandbox.postbacks[0].id}")
    until(lambda: len(person.receiver.arrivals) == 2)
    first, second = person.receiver.arrivals
    assert first.body == second.body


def test_a_body_typed_in_is_posted_as_it_is(person: Person) -> None:
    person.press("/do/body", body="<POSTBACK>é & no end", content_type="application/json")
    until(lambda: person.receiver.arrivals)
    (arrival,) = person.receiver.arrivals
    assert arrival.body == "<POSTBACK>é & no end".encode()
    assert arrival.headers["Content-Type"] == "application/json"


def test_the_handset_cache_is_cleared_and_the_allowance_refilled() -> None:
    options = SandboxOptions(known_handsets={NUMBER: "motol7c"}, allowance=1)
    with running(options) as sandbox:
        person = Person(sandbox, Receiver())
        assert send(sandbox, a_request()).is_success
        assert send(sandbox, a_request()).error_code == "E120"
        person.press("/do/allowance")
        assert send(sandbox, a_request()).is_success
        person.press("/do/handsets")
        assert sandbox.gateway.handsets == {}


@pytest.mark.parametrize("path", ACTIONS)
@pytest.mark.parametrize(
    "flaw",
    [
        {"token": "wrong"},
        {"token": None},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_turned_away(
    person: Person, path: str, flaw: dict[str, Any]
) -> None:
    send(person.sandbox, a_request())
    fields = {"state": "billing", "on": "yes", "to": "pause", "body": "x", "code": "N102",
              "content_type": "application/json", "dialect": "1.3"}  # fmt: skip
    headers = {"Origin": person.sandbox.url, "Sec-Fetch-Site": "same-origin"}
    answer = requests.post(
        person.sandbox.url + path,
        data={**fields, "token": flaw.get("token", person.token)},
        headers=headers | {name: value for name, value in flaw.items() if name != "token"},
        allow_redirects=False,
        timeout=PATIENCE,
    )
    assert answer.status_code == 403
    assert not person.sandbox.gateway.account.states
    assert not person.sandbox.gateway.postman.is_paused
    assert len(person.sandbox.postbacks) == 1


@pytest.mark.parametrize("path", ACTIONS)
def test_nothing_is_changed_by_a_get(person: Person, path: str) -> None:
    assert requests.get(person.sandbox.url + path, timeout=PATIENCE).status_code == 405


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::1", ""])
def test_another_name_for_this_machine_is_turned_away(person: Person, host: str) -> None:
    """A site whose name is made to lead here could read everything otherwise."""
    answer = requests.get(person.sandbox.url, headers={"Host": host}, timeout=PATIENCE)
    assert answer.status_code == 403
    assert "token" not in answer.text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/do/state", {"state": "rich", "on": "yes"}),
        ("/do/state", {"state": "billing", "on": "perhaps"}),
        ("/do/postman", {"to": "run"}),
        ("/do/post/1", {"code": "102", "dialect": "1.3"}),
        ("/do/post/1", {"code": "N102", "dialect": "klingon"}),
        ("/do/body", {"body": " ", "content_type": "application/json"}),
        ("/do/body", {"body": "x", "content_type": "x\r\nEvil: 1"}),
        ("/do/body", {"body": "x" * 200_001, "content_type": "application/json"}),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(
    person: Person, path: str, fields: dict[str, str]
) -> None:
    send(person.sandbox, a_request())
    data = {"token": person.token, **fields}
    assert requests.post(person.sandbox.url + path, data=data, timeout=PATIENCE).status_code == 400
    assert len(person.sandbox.postbacks) == 1


def test_a_refused_call_has_no_postbacks_to_send(person: Person) -> None:
    send(person.sandbox, a_request(mms_id="1"))
    assert "It was refused" in person.page("/calls/1")
    data = {"token": person.token, "code": "N102", "dialect": "1.3"}
    answer = requests.post(f"{person.sandbox.url}/do/post/1", data=data, timeout=PATIENCE)
    assert answer.status_code == 400


def test_what_is_unknown_or_forgotten_is_404(person: Person) -> None:
    for path in ("/calls/99", "/reports/x.xml", "/elsewhere"):
        assert requests.get(person.sandbox.url + path, timeout=PATIENCE).status_code == 404


def test_the_page_shows_calls_with_their_tries_and_finds_a_number(person: Person) -> None:
    send(person.sandbox, a_request())
    send(person.sandbox, a_request(to="12025550777", mms_id="1"))
    until(lambda: person.sandbox.postbacks[0].state == "accepted")
    page = person.page()
    assert '<b>N101</b> <span class="try try--good">200</span>' in page
    assert "E241" in page
    assert page.index("12025550777") < page.index(NUMBER)  # newest first
    found = person.page("/?number=%2B1+(202)+555-0777")
    assert "12025550777" in found
    assert NUMBER not in found


def test_what_callers_say_is_escaped_and_a_link_puts_no_words_on_the_page(person: Person) -> None:
    send(person.sandbox, a_request(to="<b>x", mms_id='"><script>'))
    page = person.page("/?done=Your+account+is+closed&number=%22%3E%3Cscript%3E")
    assert "<script" not in page
    assert "<b>x" not in page
    assert "Your account is closed" not in page
    person.press("/do/body", body="</pre><script>1</script>", content_type="application/json")
    assert "<script" not in person.page()


def test_pages_have_a_strict_policy_and_are_not_kept(person: Person) -> None:
    headers = requests.get(person.sandbox.url, timeout=PATIENCE).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert "style=" not in person.page()


def test_the_scenario_in_force_is_shown_with_how_often_each_rule_applied() -> None:
    rule = Rule(name="a & b", behaviour=Behaviour(), when="percent = 100", what="outcome")
    with running(SandboxOptions(title="Night", rules=(rule,))) as sandbox:
        send(sandbox, a_request())
        send(sandbox, a_request())
        page = Person(sandbox, Receiver()).page()
        assert "Night" in page
        assert "a &amp; b" in page
        state = requests.get(f"{sandbox.url}/_sandbox/state", timeout=PATIENCE).json()
        assert state["rules"] == [
            {"name": "a & b", "when": "percent = 100", "what": "outcome", "applied": 2}
        ]
        rows = requests.get(f"{sandbox.url}/_sandbox/calls?limit=1", timeout=PATIENCE).json()
        assert [(row["id"], row["rule"]) for row in rows] == [(2, "a & b")]


def test_lists_on_the_page_are_bounded() -> None:
    with running(SandboxOptions(time_factor=0.001)) as sandbox:
        for number in range(120):
            send(sandbox, a_request(to=f"1202555{number:04}"))
        page = Person(sandbox, Receiver()).page()
        assert page.count('href="/calls/') == 100
        assert page.count("/do/again/") == 30
