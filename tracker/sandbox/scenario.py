"""Scenario files: a whole account and its misfortunes in TOML.

docs/examples/each-error-class.toml lists every key, and a test reads it.
Nothing is guessed: an unknown key, a value of the wrong kind or a rule that could never apply is a
`ScenarioError`, which names the key, the value and what would be right.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final, cast, get_args

from tracker.protocol.codes import ErrorClass
from tracker.protocol.passdata import PASS_FIELDS, SLOTS

from . import fixture
from .account import STATES
from .behaviour import Behaviour, Dialect, Fault, Outcome, is_error_code
from .chance import NONE
from .options import Delays, SandboxOptions
from .rules import Rule
from .tables import ScenarioError, Table
from .template import PassKind, Template

__all__ = ["MAX_BYTES", "ScenarioError", "read_scenario"]

MAX_BYTES: Final = 1_000_000
_MOST_RULES: Final = 500
# What a class means when no code is named. Source: PROTOCOL 5.
CODE_OF_CLASS: Final = {
    ErrorClass.PERMANENT_REQUEST: "E629",
    ErrorClass.PERMANENT_ACCOUNT: "E713",
    ErrorClass.TRANSIENT: "E503",
    ErrorClass.THROTTLE: "E106",
    ErrorClass.NUMBER_SPECIFIC: "E628",
}
_TOO_FAST: Final = "Calls follow each other too fast: the minimum interval is {:g} seconds"
_NUMBERS: Final = 'international digits such as "12025550143"'
_ID: Final = r"[0-9]{1,15}"
_NUMBER: Final = r"[1-9][0-9]{6,14}"
_SENDER: Final = r"[0-9]{3,15}"
_SPID: Final = r"[0-9]{7}"
_CODE: Final = r"[NE][0-9]{3}"
_CONDITIONS: Final = (
    "number", "suffix", "mms_id", "call", "every", "attempt", "percent", "times", "times_in_all",
)  # fmt: skip


def read_scenario(text: str) -> SandboxOptions:
    """Read a scenario; what it leaves out is as the fixture has it.

    Raises:
        ScenarioError: it is no TOML, or something in it makes no sense.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError("the file", str(error), "TOML") from error
    top = Table(values)
    options = SandboxOptions(
        title=top.text("title", "Untitled"),
        seed=top.count("seed", 0) or 0,
        behaviours=fixture.BEHAVIOURS if top.flag("numbers_to_try", default=True) else {},
        templates={**fixture.TEMPLATES, **_templates(top.table("templates"))},
        subscriptions=_campaigns(top.table("campaigns")),
        rules=_rules(top),
    )
    for name, read in (
        ("gateway", _gateway),
        ("account", _account),
        ("delays", _delays),
        ("carriers", _carriers),
        ("handsets", _handsets),
    ):
        table = top.table(name)
        options = replace(options, **read(table, options))
        table.done()
    top.done()
    return options


def _gateway(table: Table, usual: SandboxOptions) -> Mapping[str, Any]:
    rate = table.number("calls_per_second", 0, 0, 100_000) if table.has("calls_per_second") else 0
    if table.has("calls_per_second") and rate < 0.001:
        raise table.wrong("calls_per_second", "a number from 0.001 to 100000")
    return {
        "time_factor": table.number("time_factor", usual.time_factor, 0.0001, 100),
        "answer_span": table.span("answer_delay") or NONE,
        "slow_seconds": table.number("slow_seconds", usual.slow_seconds, 0, 3600),
        "retry_seconds": table.number("retry_seconds", usual.retry_seconds, 0, 86_400),
        "retries": int(table.number("retries", usual.retries, 0, 100)),
        "receiver_seconds": table.number("receiver_seconds", usual.receiver_seconds, 0.1, 300),
        "workers": int(table.number("posts_at_a_time", usual.workers, 1, 64)),
        "calls_per_second": rate or None,
        "rate_code": table.one_of("rate_code", usual.rate_code, ("E106", "E113")),
        "allowance": table.count("allowance", 0),
        "report_days": table.number("report_days", usual.report_days, 0.001, 3660),
        "report_seconds": table.number("report_seconds", usual.report_seconds, 0, 86_400),
    }


def _account(table: Table, usual: SandboxOptions) -> Mapping[str, Any]:
    states = table.texts("states", f"one of {', '.join(STATES)}", (), "|".join(STATES))
    return {
        "api_key": table.text("api_key", usual.api_key, longest=64),
        "senders": table.texts("senders", 'digits such as "11111"', usual.senders, _SENDER),
        "default_sender": table.digits("default_sender") or usual.default_sender,
        "country_code": int(table.number("country_code", usual.country_code, 1, 999)),
        "blocked": table.texts("blocked", _NUMBERS, usual.blocked, _NUMBER),
        "campaign_check": table.flag("campaign_check", default=usual.campaign_check),
        "states": states,
    }


def _delays(table: Table, _usual: SandboxOptions) -> Mapping[str, Any]:
    spans = {each.name: table.span(each.name) for each in fields(Delays)}
    return {"delay_spans": {name: span for name, span in spans.items() if span}}


def _carriers(table: Table, usual: SandboxOptions) -> Mapping[str, Any]:
    right = 'seven digits such as "0001890"'
    return {
        "spids": table.ordered("spids", right, usual.spids, _SPID),
        "silent_spids": table.texts("silent", right, usual.silent_spids, _SPID),
    }


def _handsets(table: Table, usual: SandboxOptions) -> Mapping[str, Any]:
    known = table.table("known")
    numbers = known.names(_NUMBER, _NUMBERS)
    return {
        "handsets": table.ordered("names", "names", usual.handsets, r".{1,100}"),
        "known_handsets": {each: known.text(each, "", longest=100) for each in numbers},
    }


def _campaigns(table: Table) -> Mapping[str, frozenset[str]]:
    campaigns = table.names(_ID, "digits, the number of a campaign")
    return {each: table.texts(each, _NUMBERS, (), _NUMBER) for each in campaigns}


def _templates(table: Table) -> Mapping[str, Template]:
    mms_ids = table.names(_ID, "digits, the number of an MMS")
    return {each: _template(table.table(each)) for each in mms_ids}


def _template(table: Table) -> Template:
    fields_right = f"names of pass fields, such as {PASS_FIELDS[4]}"
    slot = "|".join(str(each) for each in SLOTS)
    pattern = "|".join(PASS_FIELDS)
    everything = table.flag("all_dynamic", default=False)
    plain = tuple(name for name in PASS_FIELDS if not name.startswith("REL"))
    slots = tuple(str(each) for each in SLOTS) if everything else ()
    template = Template(
        title=table.text("title", "Untitled"),
        kind=cast("PassKind", table.one_of("kind", "Event Ticket", get_args(PassKind))),
        dynamic=table.texts("dynamic", fields_right, plain if everything else (), pattern),
        fixed=table.texts("fixed", fields_right, (), pattern),
        dynamic_slots=_slots(table.texts("dynamic_slots", 'slots "1" to "10"', slots, slot)),
        fixed_slots=_slots(table.texts("fixed_slots", 'slots "1" to "10"', (), slot)),
        needs_barcode_value=table.flag("needs_barcode_value", default=everything),
        is_encoded=table.flag("encoded", default=True),
        has_pass=table.flag("has_pass", default=True),
        is_pass_gone=table.flag("pass_gone", default=False),
    )
    table.done()
    return template


def _slots(texts: frozenset[str]) -> frozenset[int]:
    return frozenset(int(text) for text in texts)


def _rules(top: Table) -> tuple[Rule, ...]:
    tables = top.tables("rule")
    if len(tables) > _MOST_RULES:
        raise ScenarioError("rule", f"{len(tables)} rules", f"at most {_MOST_RULES} of them")
    return tuple(_rule(table, number) for number, table in enumerate(tables, 1))


def _rule(table: Table, number: int) -> Rule:
    given = [key for key in table.given() if key != "name"]
    percent = table.number("percent", 0, 0, 100) if table.has("percent") else None
    rule = Rule(
        name=table.text("name", f"rule {number}", longest=100),
        behaviour=_behaviour(table),
        number=table.digits("number"),
        suffix=table.digits("suffix"),
        mms_id=table.digits("mms_id"),
        calls=table.counts("call"),
        every=table.count("every"),
        attempts=table.counts("attempt"),
        percent=percent,
        times=table.count("times"),
        times_in_all=table.count("times_in_all"),
        when=table.told(key for key in given if key in _CONDITIONS) or "always",
        what=table.told(key for key in given if key not in _CONDITIONS) or "all goes well",
    )
    table.done()
    if rule.number and rule.suffix and not rule.number.endswith(rule.suffix):
        raise table.wrong("suffix", f"an end of {rule.number}, so the rule could never apply")
    return rule


def _behaviour(table: Table) -> Behaviour:
    answer, info = _answer(table)
    codes = 'codes such as "N102"'
    dialect = cast("Dialect", table.one_of("dialect", "1.3", get_args(Dialect)))
    together = table.flag("together", default=False)
    if together and dialect not in ("legacy", "legacy_bare"):
        raise table.wrong("together", 'of use with dialect "legacy" or "legacy_bare" only')
    spid = table.digits("spid")
    if spid is not None and len(spid) != 7:
        raise table.wrong("spid", 'seven digits such as "0001890"')
    return Behaviour(
        outcome=cast("Outcome", table.one_of("outcome", "delivered", get_args(Outcome))),
        answer=answer,
        error_info=info,
        answer_delay=table.span("answer_delay") or NONE,
        drip_seconds=table.number("drip_seconds", 5.0, 0.1, 600),
        n101_delay=table.span("n101_delay"),
        receipt_delay=table.span("receipt_delay"),
        delay_seconds=table.number("delay", 0, 0, 86_400),
        postback_before_answer=table.flag("postbacks_first", default=False),
        duplicate=table.flag("duplicate", default=False),
        reorder=table.flag("reorder", default=False),
        drop=table.texts("drop", codes, (), _CODE),
        also=table.ordered("also", codes, ("N101",), _CODE) if table.has("also") else (),
        dialect=dialect,
        form_encoded=table.flag("form", default=False),
        together=together,
        spid=spid,
        handset=table.text("handset", "", longest=100) if table.has("handset") else None,
    )


def _answer(table: Table) -> tuple[str, str | None]:
    """Read the fault or the error that the caller gets; both at once contradict each other."""
    fault = table.one_of("answer", "normal", get_args(Fault))
    info = table.text("error_info", "") if table.has("error_info") else None
    seconds = table.number("interval_seconds", 1, 0.001, 86_400)
    if not table.has("error"):
        for key in ("error_info", "interval_seconds"):
            if table.has(key):
                raise table.wrong(key, "of use without error")
        return fault, None
    error = table.text("error", "")
    if table.has("answer"):
        raise table.wrong("answer", "possible together with error; leave one of them out")
    code = CODE_OF_CLASS.get(cast("ErrorClass", error), error)
    if not is_error_code(code):
        classes = ", ".join(CODE_OF_CLASS)
        raise table.wrong("error", f"a code such as E503, or one of {classes}")
    if table.has("interval_seconds"):
        if code not in ("E106", "E113"):
            raise table.wrong("interval_seconds", "of use with E106 or E113 only")
        info = info or _TOO_FAST.format(seconds)
    return code, info
