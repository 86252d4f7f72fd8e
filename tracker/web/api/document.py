"""The OpenAPI document: every route of the API, with what its view says of itself.

It is made of the application's own routes, so an address is in it because it is served. The
library keeps names apart and sets references; what is said stands beside the views.

Source: OpenAPI 3.1.0.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from http import HTTPStatus
from typing import Any, Final

from apispec import APISpec
from flask import Flask
from werkzeug.routing import Rule

from tracker.store.models import Scope

from .describing import COMPONENTS, Json, Operation, operation_of
from .schemas import PROBLEM

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")  # HEAD goes with GET
_VERSION: Final = "1"  # of the API, as in its addresses; the product's own is nobody's business
_SCOPES: Final = {
    Scope.SEND: "send, cancel, send again, settle",
    Scope.READ: "look at messages, postbacks and everything else that GET gives",
    Scope.ADMIN: "what concerns everybody: pause the gateway, change templates, judge anew",
}
_ABOUT: Final = """\
Send wallet passes by MMS and ask what became of them.

**Who asks** is told by `Authorization: Bearer <token>`. A token is made by
`tracker token create NAME`; it has all scopes unless it is made with `--scope`, and no limit unless
it is made with `--rate-per-minute`. Each operation names the scope it needs.

**Errors** are problem documents (RFC 9457) of type `application/problem+json`; `errors` names every
wrong field at once. Unknown query parameters of a list are errors too, lest a typo list everything.

**Repeats**: a request to send with the same `Idempotency-Key`, or the same `reference`, and the
same body gives the same message.

**Lists** are in pages, newest first; templates in the order of their ids. `next_cursor`, and the
header `Link` with `rel="next"`, lead to the next one. `Link` repeats the query as it was asked, a
number in `to` included: keep such addresses out of logs.

**Numbers** are digits as on the wire in answers (`12025550143`); requests take what people type.
**Times** are in UTC. Whatever takes GET takes HEAD. Fields may be added to answers at any time.
"""
_ERRORS: Final = {
    400: ("A parameter, a header or the JSON itself is wrong.", "limit must be a whole number"),
    401: ("No active token.", "Give an active API token in the header: ..."),
    403: ("The token lacks the scope of this operation.", "This needs the scope send; ..."),
    404: ("There is no such thing.", "There is no message with this id."),
    409: ("It cannot be done in its present state.", "Only a queued message can be cancelled; ..."),
    410: ("It was kept, and is no more.", "The bytes of this postback are kept no more."),
    413: ("The body is too large.", "The data value transmitted exceeds the capacity limit."),
    415: ("The body is of another type.", "The body must be JSON; its Content-Type is text/xml."),
    422: ("Fields are wrong; nothing was done.", "2 field(s) are wrong; nothing was queued."),
    429: ("The limit of the token is used up.", "This token may make 60 requests a minute."),
    500: ("A fault of ours; it is logged.", "Something went wrong here; it is logged."),
    503: ("The database is away; try again.", "The database cannot be used right now."),
}
_FIELDS: Final[dict[int, list[Json]]] = {
    400: [{"field": "limit", "value": "0", "detail": "must be a whole number from 1 to 200"}],
    422: [
        {"field": "to", "value": "x", "detail": "is not a phone number; 7 to 15 digits ..."},
        {"field": "colour", "value": None, "detail": "is not a field; known are to, mms_id, ..."},
    ],
}
_HEADERS: Final[dict[int, dict[str, tuple[str, Json]]]] = {
    401: {"WWW-Authenticate": ("Bearer", {"type": "string"})},
    429: {
        "Retry-After": ("Seconds until the next minute.", {"type": "integer", "minimum": 1}),
        "RateLimit-Policy": ('Such as `"minute";q=60;w=60`.', {"type": "string"}),
        "RateLimit": ("What is left, and for how many seconds.", {"type": "string"}),
    },
}


def build(app: Flask) -> Json:
    """Return the document of an application."""
    spec = APISpec(
        "Pass Delivery Tracker",
        _VERSION,
        "3.1.0",
        info={"description": _ABOUT},
        servers=[{"url": "/", "description": "This server"}],
        security=[{"bearer": []}],
    )
    scopes = "; ".join(f"`{scope}`: {what}" for scope, what in _SCOPES.items())
    spec.components.security_scheme(
        "bearer",
        {"type": "http", "scheme": "bearer", "description": f"An API token. Scopes: {scopes}."},
    )
    for name, schema in COMPONENTS.items():
        spec.components.schema(name, deepcopy(schema))
    for status in _ERRORS:
        spec.components.response(_name_of(status), _problem(status), lazy=True)
    described = list(_routes(app))
    for section in sorted({operation.section for _, _, operation in described}, key=_order):
        spec.tag({"name": section})
    for rule, method, operation in described:
        spec.path(address_of(rule), operations={method.lower(): _said(operation)})
    return spec.to_dict()


def _order(section: str) -> tuple[bool, str]:
    """Whoever reads the document comes to send messages."""
    return section != "Messages", section


def address_of(rule: Rule) -> str:
    """Return a route's address as OpenAPI writes it: `<a:id>` becomes `{id}`."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Yield every route of the API with each method that it takes."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        if rule.rule.startswith("/api/v1/"):
            yield from ((rule, method) for method in METHODS if method in (rule.methods or ()))


def _routes(app: Flask) -> Iterator[tuple[Rule, str, Operation]]:
    for rule, method in routes(app):
        operation = operation_of(app.view_functions[rule.endpoint])
        if operation is not None:
            yield rule, method, operation


def _said(operation: Operation) -> Json:
    said: Json = {
        "operationId": operation.name,
        "tags": [operation.section],
        "summary": operation.summary,
        "description": f"{operation.description}\n\nNeeds the scope `{operation.scope}`.",
        "parameters": list(operation.parameters),
        "responses": {
            **{str(status): dict(found) for status, found in operation.answers.items()},
            **{str(status): _name_of(status) for status in operation.errors},
        },
        "security": [{"bearer": [operation.scope.value]}],
    }
    if operation.body is not None:
        said["requestBody"] = operation.body
    return deepcopy(said)  # the library writes references into what it is given


def _problem(status: int) -> dict[str, Any]:
    description, detail = _ERRORS[status]
    example = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if status in _FIELDS:
        example["errors"] = _FIELDS[status]
    found: Json = {
        "description": description,
        "content": {"application/problem+json": {"schema": PROBLEM, "example": example}},
    }
    if status in _HEADERS:
        found["headers"] = {
            name: {"description": what, "schema": schema}
            for name, (what, schema) in _HEADERS[status].items()
        }
    return found


def _name_of(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")
