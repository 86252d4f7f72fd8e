"""The gateway: whether it is called, how fast, what waits; pause and resume."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import g

from tracker.domain.message import Problem
from tracker.services import gateway
from tracker.services.gateway import NoReasonError, NotPausedError
from tracker.store.db import Sessions

from .. import context
from ..problems import ApiError
from . import bp, reading


@bp.get("/gateway")
def get_gateway() -> dict[str, Any]:
    """Return the state of the gateway and of the queue before it."""
    with context.sessions()() as session:
        found = gateway.view(session, context.settings().send_rate, context.now())
    return gateway.describe(found)


@bp.post("/gateway/pause")
def pause_gateway() -> dict[str, Any]:
    """Let nobody send anything until somebody resumes."""
    return _done(gateway.pause)


@bp.post("/gateway/resume")
def resume_gateway() -> dict[str, Any]:
    """Let messages be sent again."""
    return _done(gateway.resume)


def _done(action: Callable[[Sessions, str, str, datetime], None]) -> dict[str, Any]:
    asked = reading.json_object()
    if unknown := set(asked) - {"reason"}:
        field = min(unknown)
        problem = Problem(field, asked[field], "is not known here; give `reason` alone")
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "Nothing was changed.", [problem])
    reason = asked.get("reason")
    try:
        action(context.sessions(), g.actor, reason, context.now())  # type: ignore[arg-type]
    except NoReasonError as error:
        problem = Problem("reason", reason, str(error))
        detail = "Nothing was changed."
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, [problem]) from error
    except NotPausedError as error:
        raise ApiError(HTTPStatus.CONFLICT, "The queue is not paused.") from error
    return get_gateway()
