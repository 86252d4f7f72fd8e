"""The sandbox's own pages: what it received and sent, for people and as JSON."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from .account import STATE_WORDS, STATES
from .fixture import TRIALS
from .gateway import Gateway
from .here import call_of, gateway_here, token_here
from .records import Call, Posted
from .report import report_document
from .reports import ADDRESS

SHOWN: Final = 100
_SHOWN_POSTBACKS: Final = 30
_MOST: Final = 100_000
# What an action has done; a link with words of its own would put them on our page.
_DONE: Final = {
    "on": "Switched on.",
    "off": "Switched off.",
    "allowance": "The allowance is whole again.",
    "handsets": "The handset cache is empty.",
    "paused": "Paused: postbacks wait.",
    "resumed": "Resumed: what waited is posted.",
    "posted": "The postback is on its way.",
    "again": "The same bytes are on their way again.",
    "body": "The body is on its way.",
}

bp = Blueprint("sandbox", __name__)


@dataclass(frozen=True, slots=True)
class Row:
    """One call on a page, with the postbacks about it, oldest first."""

    call: Call
    postbacks: list[Posted]


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Say that it runs."""
    return "ok\n", {"Content-Type": "text/plain"}


@bp.get("/")
def log() -> str:
    """Show everything."""
    gateway = gateway_here()
    number = request.args.get("number", "").strip()[:20]
    digits = "".join(filter(str.isdigit, number))
    url = gateway.postman.url
    options = gateway.options
    return render_template(
        "sandbox.html",
        token=token_here(),
        done=_DONE.get(request.args.get("done", "")),
        options=options,
        receiver=urlsplit(url).netloc.rpartition("@")[2] if url else None,  # the path is secret
        trials=[each for each in TRIALS if options.behaviours.get(each.suffix) == each.behaviour],
        states=[(name, code, STATE_WORDS[name]) for name, code in STATES.items()],
        account=gateway.account,
        postman=gateway.postman,
        handsets=len(gateway.handsets),
        rules=list(zip(options.rules, gateway.rulebook.totals(), strict=True)),
        number=number,
        rows=rows_of(gateway, digits),
        postbacks=[each for each in gateway.postbacks[::-1] if digits in each.number][
            :_SHOWN_POSTBACKS
        ],
        shown=SHOWN,
    )


@bp.get("/calls/<int:call_id>")
def call(call_id: int) -> str:
    """Show one call, its postbacks with their bodies, and the form that sends another one."""
    gateway = gateway_here()
    found = call_of(gateway, call_id)
    postbacks = [each for each in gateway.postbacks if each.tracking_id == found.tracking_id]
    return render_template(
        "call.html",
        token=token_here(),
        done=_DONE.get(request.args.get("done", "")),
        call=found,
        postbacks=postbacks[: -SHOWN - 1 : -1] if found.tracking_id else [],
    )


@bp.get("/_sandbox/calls")
def calls() -> ResponseReturnValue:
    """Give the calls, oldest first: the last `limit` of them, those to `number` alone."""
    number, limit = _asked()
    found = [each for each in gateway_here().calls if number in (each.number or "")]
    return jsonify([_call_json(each) for each in found[-limit:]])


@bp.get("/_sandbox/postbacks")
def postbacks() -> ResponseReturnValue:
    """Give the postbacks, oldest first: the last `limit` of them, those about `number` alone."""
    number, limit = _asked()
    found = [each for each in gateway_here().postbacks if number in each.number]
    return jsonify([_posted_json(each) for each in found[-limit:]])


@bp.get("/_sandbox/state")
def state() -> ResponseReturnValue:
    """Give what can be switched, and the rules in force with how often each applied."""
    gateway = gateway_here()
    rules = zip(gateway.options.rules, gateway.rulebook.totals(), strict=True)
    return jsonify(
        states={name: name in gateway.account.states for name in STATES},
        used=gateway.account.used,
        allowance=gateway.options.allowance,
        is_paused=gateway.postman.is_paused,
        waiting=gateway.postman.waiting,
        handsets=len(gateway.handsets),
        scenario=gateway.options.title,
        rules=[
            {"name": rule.name, "when": rule.when, "what": rule.what, "applied": total}
            for rule, total in rules
        ],
    )


@bp.get(f"{ADDRESS}<name>")
def report(name: str) -> ResponseReturnValue:
    """Give the file that a statistics call has linked to."""
    gateway = gateway_here()
    period = gateway.reports.period(name) or abort(404)
    titles = {mms_id: each.title for mms_id, each in gateway.options.templates.items()}
    factor = gateway.options.time_factor
    body = report_document(gateway.calls, titles, period, factor, datetime.now(UTC))
    return Response(body, mimetype="text/xml")


def rows_of(gateway: Gateway, digits: str) -> list[Row]:
    """Return the newest calls, newest first, with their postbacks."""
    found = [each for each in gateway.calls[::-1] if digits in (each.number or "")][:SHOWN]
    about: dict[str, list[Posted]] = {each.tracking_id: [] for each in found if each.tracking_id}
    for posted in gateway.postbacks:
        if posted.tracking_id in about:
            about[posted.tracking_id].append(posted)
    return [Row(each, about.get(each.tracking_id or "", [])[-20:]) for each in found]


def _asked() -> tuple[str, int]:
    limit = request.args.get("limit", _MOST, type=int)
    return request.args.get("number", ""), max(1, min(limit, _MOST))


def _call_json(call: Call) -> dict[str, object]:
    return {
        "id": call.id,
        "number": call.number,
        "mms_id": call.mms_id,
        "tracking_id": call.tracking_id,
        "error_code": call.error_code,
        "answer": call.answer,
        "rule": call.rule,
        "custom_pass_id": call.request.pass_data.get("CUSTOMPASSID") if call.request else None,
        "received_at": call.received_at.isoformat(),
    }


def _posted_json(posted: Posted) -> dict[str, object]:
    return {
        "id": posted.id,
        "code": posted.code,
        "number": posted.number,
        "tracking_id": posted.tracking_id,
        "state": posted.state,
        "content_type": posted.content_type,
        "by_hand": posted.by_hand,
        "body": posted.body.decode("utf-8", "replace"),
        "attempts": [
            asdict(attempt) | {"started_at": attempt.started_at.isoformat()}
            for attempt in list(posted.attempts)
        ],
    }
