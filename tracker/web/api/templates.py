"""Pass templates: list, look at, describe, forget."""

from http import HTTPStatus
from typing import Any, Final

from flask import g, request, url_for

from tracker.domain.template_words import InvalidTemplateError
from tracker.services import templates
from tracker.store import templates as store
from tracker.store.models import Scope
from tracker.store.templates import TemplateRow

from .. import context
from ..problems import ApiError, bad_request
from . import bp, reading
from .describing import answer, described, in_path, json_body, listed
from .template_schemas import (
    COUPON_EXAMPLE,
    DESCRIPTION,
    MMS_ID,
    NO_PASS_EXAMPLE,
    TEMPLATE,
    TEMPLATE_EXAMPLE,
    TICKET_EXAMPLE,
)

_PATH: Final = in_path("mms_id", MMS_ID, "The id of a stored MMS.")
_LOCATION: Final = {
    "Location": {"description": "The address of the template.", "schema": {"type": "string"}}
}
# What an answer says beside the description: a program may send back what it was given.
_OURS: Final = ("mms_id", "updated_at", "updated_by")


@bp.get("/templates")
@described(
    "List templates",
    scope=Scope.READ,
    cursor=MMS_ID,
    answers={
        200: answer(
            "One page.", listed(TEMPLATE), {"items": [TEMPLATE_EXAMPLE], "next_cursor": None}
        )
    },
)
def list_templates() -> tuple[dict[str, Any], dict[str, str]]:
    """Return one page of templates, in the order of their MMS ids."""
    reading.filters({})
    after = request.args.get("cursor")
    if after is not None and not templates.is_mms_id(after):
        raise reading.bad_cursor()
    with context.sessions()() as session:
        page = templates.page(session, limit=reading.limit(), after=after)
    items = [templates.template_answer(row) for row in page.items]
    found = {"items": items, "next_cursor": page.next_cursor}
    return found, reading.next_link(page.next_cursor)


@bp.get("/templates/<mms_id>")
@described(
    "Look at a template",
    scope=Scope.READ,
    parameters=_PATH,
    answers={200: answer("The template.", TEMPLATE, TEMPLATE_EXAMPLE)},
    errors=(404,),
)
def get_template(mms_id: str) -> dict[str, Any]:
    """Return the template of one stored MMS."""
    return templates.template_answer(_template(mms_id))


@bp.put("/templates/<mms_id>")
@described(
    "Describe a template",
    scope=Scope.ADMIN,
    parameters=_PATH,
    body=json_body(
        "What each send may give, and what the template holds.",
        DESCRIPTION,
        {"A ticket": TICKET_EXAMPLE, "A coupon": COUPON_EXAMPLE, "No pass": NO_PASS_EXAMPLE},
    ),
    answers={
        200: answer("The template, changed.", TEMPLATE, TEMPLATE_EXAMPLE, headers=_LOCATION),
        201: answer("The template, new.", TEMPLATE, TEMPLATE_EXAMPLE, headers=_LOCATION),
    },
    errors=(400, 413, 415, 422),
)
def put_template(mms_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Describe a template, in place of what was said of it before."""
    given = dict(reading.json_object())
    if given.get("mms_id", mms_id) != mms_id:
        raise bad_request("mms_id", str(given["mms_id"])[:40], f"must be {mms_id} or left out")
    description = {name: value for name, value in given.items() if name not in _OURS}
    try:
        saved = templates.save(
            context.sessions(), {mms_id: description}, actor=g.actor, now=context.now()
        )
    except InvalidTemplateError as error:
        detail = f"{len(error.problems)} field(s) are wrong; nothing was kept."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.problems) from error
    status = HTTPStatus.CREATED if saved[mms_id] else HTTPStatus.OK
    address = url_for("api.get_template", mms_id=mms_id)
    return templates.template_answer(_template(mms_id)), status, {"Location": address}


@bp.delete("/templates/<mms_id>")
@described(
    "Forget a template",
    scope=Scope.ADMIN,
    parameters=_PATH,
    answers={204: {"description": "It is forgotten."}},
    errors=(404,),
)
def delete_template(mms_id: str) -> tuple[str, int]:
    """Forget a template; nothing is checked by it any more."""
    known = templates.is_mms_id(mms_id)
    if not (known and templates.remove(context.sessions(), mms_id, g.actor, context.now())):
        raise _no_template()
    return "", HTTPStatus.NO_CONTENT


def _template(mms_id: str) -> TemplateRow:
    row = None
    if templates.is_mms_id(mms_id):
        with context.sessions()() as session:
            row = store.by_id(session, mms_id)
    if row is None:
        raise _no_template()
    return row


def _no_template() -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, "Nobody has described the template of this MMS id.")
