"""The gateway: whether it is called, how fast, what waits; pause and resume."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from flask import g, request

from tracker.domain.message import Problem
from tracker.services import gateway
from tracker.services.gateway import MOST_REASON, NoReasonError, NotPausedError
from tracker.store.db import Sessions
from tracker.store.models import Scope

from .. import context
from ..problems import ApiError
from . import bp, reading
from .describing import answer, component, described, json_body
from .shapes import COUNT, MAYBE, MAYBE_TIME, TEXT, Json, answered, closed, nullable, said

_RUNNING: Final[Json] = {
    "state": "running",
    "paused": None,
    "rate_per_second": 50.0,
    "slowed": None,
    "queue": {"due": 12, "later": 3, "sending": 8, "oldest_due_at": "2026-11-27T17:00:22Z"},
}
_PAUSED: Final[Json] = {
    **_RUNNING,
    "state": "paused",
    "paused": {
        "since": "2026-11-27T17:00:22Z",
        "by": "token:shop",
        "reason": "The gateway is being moved.",
        "code": None,
        "next_probe_at": None,
    },
}
GATEWAY: Final = component(
    "Gateway",
    answered(
        {
            "state": said({"enum": ["running", "slowed", "paused"]}, "Whether messages are sent."),
            "paused": nullable(
                answered(
                    {
                        "since": MAYBE_TIME,
                        "by": said(MAYBE, "Who paused it; `gateway` when its refusal did."),
                        "reason": MAYBE,
                        "code": said(MAYBE, "The code of the refusal."),
                        "next_probe_at": said(
                            MAYBE_TIME, "When one message tries whether the account works again."
                        ),
                    }
                )
            ),
            "rate_per_second": said(
                {"type": ["number", "null"]}, "The rate that was set, over all senders."
            ),
            "slowed": said(
                nullable(
                    answered(
                        {
                            "interval_seconds": {"type": "number", "minimum": 0},
                            "since": MAYBE_TIME,
                            "until": MAYBE_TIME,
                            "code": MAYBE,
                        }
                    )
                ),
                "The pace that the gateway asked for.",
            ),
            "queue": answered(
                {
                    "due": COUNT,
                    "later": COUNT,
                    "sending": COUNT,
                    "oldest_due_at": MAYBE_TIME,
                }
            ),
        }
    ),
    _RUNNING,
)
REASON: Final = component(
    "Reason",
    closed(
        {
            "reason": said(
                {**TEXT, "pattern": r"\S", "maxLength": MOST_REASON},
                "Why, in printable characters; kept with who did it.",
            )
        }
    ),
    {"reason": "The gateway is being moved."},
)
NO_REASON: Final = "No reason was given."
_BODY: Final = {
    **json_body("Why.", REASON, {"Why": {"reason": "The gateway is being moved."}}),
    "required": False,  # in an emergency the bare call is enough
}
_ERRORS: Final = (400, 413, 415, 422)


@bp.get("/gateway")
@described(
    "Look at the gateway",
    scope=Scope.READ,
    answers={200: answer("The gateway and the queue before it.", GATEWAY, _RUNNING)},
)
def get_gateway() -> dict[str, Any]:
    """Return the state of the gateway and of the queue before it."""
    with context.sessions()() as session:
        found = gateway.view(session, context.settings().send_rate, context.now())
    return gateway.describe(found)


@bp.post("/gateway/pause")
@described(
    "Pause sending",
    scope=Scope.ADMIN,
    body=_BODY,
    answers={200: answer("The gateway, paused.", GATEWAY, _PAUSED)},
    errors=_ERRORS,
)
def pause_gateway() -> dict[str, Any]:
    """Let nobody send anything until somebody resumes."""
    return _done(gateway.pause)


@bp.post("/gateway/resume")
@described(
    "Resume sending",
    scope=Scope.ADMIN,
    body=_BODY,
    answers={200: answer("The gateway, called again.", GATEWAY, _RUNNING)},
    errors=(*_ERRORS, 409),
)
def resume_gateway() -> dict[str, Any]:
    """Let messages be sent again."""
    return _done(gateway.resume)


def _done(action: Callable[[Sessions, str, str, datetime], None]) -> dict[str, Any]:
    asked = reading.json_object() if request.get_data() else {}
    if unknown := set(asked) - {"reason"}:
        field = min(unknown)
        problem = Problem(field, asked[field], "is not known here; give `reason` alone")
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "Nothing was changed.", [problem])
    reason = asked.get("reason", NO_REASON)
    try:
        action(context.sessions(), g.actor, reason, context.now())  # type: ignore[arg-type]
    except NoReasonError as error:
        problem = Problem("reason", reason, str(error))
        detail = "Nothing was changed."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, [problem]) from error
    except NotPausedError as error:
        raise ApiError(HTTPStatus.CONFLICT, "The queue is not paused.") from error
    return get_gateway()
