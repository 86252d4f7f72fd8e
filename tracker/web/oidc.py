"""Login through an OpenID provider: there and back, with PKCE, state and nonce by Authlib."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import FlaskOAuth2App, OAuth
from flask import Blueprint, Flask, session, url_for
from flask.typing import ResponseReturnValue
from joserfc.errors import JoseError
from requests import RequestException

from tracker.config import OpenId
from tracker.services import external_logins
from tracker.services.external_logins import ExternalRefusedError

from . import auth
from .context import extension, now, sessions

T = TypeVar("T")

PROVIDER: Final = "tracker.oidc"
CHOSEN: Final = "tracker.oidc.settings"
TIMEOUT_SECONDS: Final = 10
AWAY: Final = "The login provider cannot be reached. Try again in a minute, or use your password."
NOT_DONE: Final = "The login was not completed. Begin it again here."
_NEXT: Final = "oidc_next"

log = logging.getLogger(__name__)
bp = Blueprint("oidc", __name__, url_prefix="/login/oidc")


def register(app: Flask, chosen: OpenId) -> None:
    """Add the way to the provider and back."""
    app.extensions[CHOSEN] = chosen
    app.extensions[PROVIDER] = OAuth(app).register(
        "provider",
        client_id=chosen.client_id,
        client_secret=chosen.client_secret,
        server_metadata_url=f"{chosen.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid profile email",
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT_SECONDS,
        },
    )
    app.register_blueprint(bp)


@bp.get("")
def go() -> ResponseReturnValue:
    """Send the person to the provider."""
    session[_NEXT] = auth.asked_path()
    back = url_for("oidc.come_back", _external=True)
    try:
        answer: ResponseReturnValue = _asked(lambda: _provider().authorize_redirect(back))
    except _NoAnswerError as error:
        return auth.refusal("", str(error), error.status)
    return answer


@bp.get("/back")
def come_back() -> ResponseReturnValue:
    """Let in whom the provider sends back with its word."""
    next_path = session.get(_NEXT)
    try:
        claims = _claims(_asked(lambda: _provider().authorize_access_token()))
        chosen: OpenId = extension(CHOSEN)
        person = external_logins.person_of(claims, chosen.issuer, chosen.role_claim, chosen.roles)
        user = external_logins.log_in(sessions(), person, now())
    except _NoAnswerError as error:
        return auth.refusal("", str(error), error.status)
    except ExternalRefusedError as error:
        return auth.refusal("", str(error), HTTPStatus.FORBIDDEN)
    return auth.go_on(user, next_path)


class _NoAnswerError(Exception):
    """The provider did not answer for anybody; the text is for the login page."""

    def __init__(self, text: str, status: HTTPStatus) -> None:
        super().__init__(text)
        self.status = status


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except RequestException as error:
        log.warning("OpenID provider away", extra={"reason": type(error).__name__})
        raise _NoAnswerError(AWAY, HTTPStatus.BAD_GATEWAY) from error
    except (AuthlibBaseError, JoseError, RuntimeError, ValueError) as error:
        log.warning("OpenID login not completed", extra={"reason": type(error).__name__})
        raise _NoAnswerError(NOT_DONE, HTTPStatus.BAD_REQUEST) from error


def _claims(token: dict[str, Any]) -> dict[str, Any]:
    """Return the claims of the signed token; Authlib has checked it, if there was one."""
    claims: dict[str, Any] = token.get("userinfo") or {}
    chosen: OpenId = extension(CHOSEN)
    # Authlib compares with what the provider says of itself, we with what the settings say.
    if claims.get("iss") != chosen.issuer:
        raise _NoAnswerError(NOT_DONE, HTTPStatus.BAD_REQUEST)
    return claims


def _provider() -> FlaskOAuth2App:
    return extension(PROVIDER)
