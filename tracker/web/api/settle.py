"""Settle a message whose answer was lost: it was sent, it was not, or it is sent again."""

from http import HTTPStatus
from typing import Any

from flask import g

from tracker.domain.message import InvalidMessageError
from tracker.services import manage, settle
from tracker.services.settle import Verdict

from .. import context
from ..problems import ApiError
from . import bp, reading
from .messages import address, no_message, one, public_id_of


@bp.post("/messages/<message_id>/settle")
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
