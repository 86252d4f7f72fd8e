"""Settle a message whose answer was lost: it was sent, it was not, or it is sent again."""

from http import HTTPStatus
from typing import Any, Final

from flask import g

from tracker.domain.message import InvalidMessageError
from tracker.protocol.tracking import MAX_KEY
from tracker.services import manage, settle
from tracker.services.settle import MAX_ID, MAX_REASON, Verdict
from tracker.store.models import Scope

from .. import context
from ..problems import ApiError
from . import bp, reading, schemas
from .describing import answer, component, described, json_body
from .messages import LOCATION, PATH, address, no_message, one, public_id_of
from .shapes import Json, closed, said

_BY_REPORT: Final[Json] = {"outcome": "not_sent", "reason": "The gateway's report has not got it."}
_BY_POSTBACK: Final[Json] = {
    "outcome": "sent",
    "postback_id": 1042,
    "reason": "It came seconds after the call.",
}
_AGAIN: Final[Json] = {"outcome": "resend", "reason": "The customer asks for it."}
SETTLEMENT: Final = component(
    "Settlement",
    {
        **closed(
            {
                "outcome": said(
                    {"type": "string", "enum": [verdict.value for verdict in Verdict]},
                    "`sent` and `not_sent` can be corrected until a tracking id is known; `resend`"
                    " queues the pass as a new message, whatever became of this one.",
                ),
                "reason": said(
                    {"type": "string", "maxLength": MAX_REASON, "pattern": r"\S"},
                    "Why, in printable characters; kept with who decided it.",
                ),
                "tracking_id": said(
                    {
                        "type": ["string", "null"],
                        "maxLength": MAX_KEY,
                        "pattern": r"^\s*$|[^\s=]",
                    },
                    "As the gateway writes it, where it is known. Only for `sent`.",
                ),
                "postback_id": said(
                    {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_ID},
                    "A postback on the shelf that is the answer, such as one of the message's"
                    " `candidates`. Only for `sent`.",
                ),
            },
            ["outcome", "reason"],
        ),
        "anyOf": [
            {"properties": {"outcome": {"const": Verdict.SENT.value}}},
            {
                "properties": {
                    "tracking_id": {"type": ["string", "null"], "pattern": r"^\s*$"},
                    "postback_id": {"type": "null"},
                }
            },
        ],
    },
    _BY_REPORT,
)


@bp.post("/messages/<message_id>/settle")
@described(
    "Settle a lost answer",
    scope=Scope.SEND,
    parameters=PATH,
    body=json_body(
        "What became of it, and why.",
        SETTLEMENT,
        {"It was not sent": _BY_REPORT, "It was sent": _BY_POSTBACK, "Send it again": _AGAIN},
    ),
    answers={
        200: answer("The message, settled.", schemas.MESSAGE),
        202: answer(
            "After `resend` the new message.",
            schemas.MESSAGE,
            schemas.QUEUED_EXAMPLE,
            headers=LOCATION,
        ),
    },
    errors=(400, 404, 409, 413, 415, 422),
)
def settle_message(message_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Say what became of a message, and why; the answer is the message, or the new one."""
    public_id = public_id_of(message_id)
    try:
        decision = settle.decision_from(reading.json_object())
        settled = settle.decide(
            context.sessions(),
            public_id,
            decision,
            actor=g.actor,
            zone=context.settings().gateway_zone,
            now=context.now(),
        )
    except manage.NoSuchMessageError:
        raise no_message() from None
    except manage.NotPossibleError as error:
        raise ApiError(HTTPStatus.CONFLICT, str(error)) from error
    except InvalidMessageError as error:
        detail = f"{len(error.problems)} field(s) are wrong; nothing was changed."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, error.problems) from error
    is_new = decision.verdict is Verdict.RESEND
    status = HTTPStatus.ACCEPTED if is_new else HTTPStatus.OK
    return one(settled), status, {"Location": address(settled)} if is_new else {}
