"""The page of how long data is kept, and the form by which a person is forgotten. Admins only.

No address has a number: each form carries it in its body. A walk through a large database takes
longer than a request may: a run works for a while, and a press of a button goes on with it.
"""

import json
import time
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, abort, make_response, render_template, request
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeSerializer

from tracker.domain import numbers
from tracker.services.forget import BeingSentError, Certificate, Forget, Means, preview
from tracker.store.models import Role

from . import auth
from .context import now, secret_key, sessions, settings
from .pages import actor
from .postbacks import the_receiver
from .presenting import texts
from .presenting.retention import kept_in_words, table_in_words

SECONDS_AT_ONCE: Final = 8.0

bp = Blueprint("data", __name__, url_prefix="/settings/data")
auth.guard(bp)


@bp.get("")
@auth.requires_role(Role.ADMIN)
def show() -> ResponseReturnValue:
    """Say how long data is kept, and offer to forget a person."""
    return _page()


@bp.post("/forget")
@auth.requires_role(Role.ADMIN)
def forget() -> ResponseReturnValue:
    """Say what would be erased of whom; once that is confirmed, erase it."""
    text = texts.printable(request.form.get("number", "").strip()[:64])
    number = numbers.clean(text)
    if number is None:
        problem = f"This is not a phone number; it needs {numbers.EXPECTED}."
        return make_response(_page(text=text, problem=problem), HTTPStatus.BAD_REQUEST)
    if request.form.get("confirm") == "1":
        return _erase(number)
    return _ask(number)


@bp.post("/certificate")
@auth.requires_role(Role.ADMIN)
def download() -> ResponseReturnValue:
    """Give a certificate, which this site has signed into the form, as a file."""
    try:
        certificate = _signer().loads(request.form.get("certificate", ""))
    except BadSignature:
        abort(HTTPStatus.BAD_REQUEST)
    response = Response(json.dumps(certificate, indent=2) + "\n", mimetype="application/json")
    name = f"erased-{certificate['certificate']}.json"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


def _page(**more: object) -> str:
    return render_template("data.html", kept=kept_in_words(settings()), **more)


def _ask(number: str) -> str:
    seen = preview(_means(), number)
    rows = [(table_in_words(table), count) for table, count in seen.own.items()]
    return render_template(
        "data_forget.html",
        number=number,
        shown=numbers.display(number),
        rows=rows,
        in_the_way=seen.in_the_way,
        is_suppressed=seen.is_suppressed,
    )


def _erase(number: str) -> ResponseReturnValue:
    """Work for a while; say how far it is, or what was erased."""
    with_suppression = request.form.get("suppression") == "1"
    work = Forget(_means(), number, actor=actor(), with_suppression=with_suppression)
    until = time.monotonic() + SECONDS_AT_ONCE
    try:
        for progress in work.steps():
            if time.monotonic() > until:
                return render_template(
                    "data_forgetting.html",
                    number=number,
                    shown=numbers.display(number),
                    progress=progress,
                    with_suppression=with_suppression,
                )
    except BeingSentError:
        return make_response(_ask(number), HTTPStatus.CONFLICT)
    return _done(work.end())


def _done(certificate: Certificate) -> str:
    return render_template(
        "data_forgotten.html",
        certificate=certificate,
        rows=[(table_in_words(table), count) for table, count in certificate.erased.items()],
        signed=_signer().dumps(certificate.as_json()),
    )


def _means() -> Means:
    return Means(
        sessions=sessions(),
        spool=the_receiver().spool,
        zone=settings().gateway_zone,
        secret_key=secret_key(),
        clock=now,
    )


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(secret_key(), salt="certificate of erasure")
