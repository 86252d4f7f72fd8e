"""A small OpenID provider over loopback HTTP: it checks what a real one checks and signs tokens."""

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from flask import Flask, redirect, request
from flask.typing import ResponseReturnValue
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

CLIENT_ID = "tracker"
CLIENT_SECRET = "a-secret-of-the-client"


class Provider:
    """What the provider says of the person who is logged in there, and how it can go wrong."""

    def __init__(self) -> None:
        self.issuer = ""
        self.claims: dict[str, Any] = {
            "sub": "u-1", "preferred_username": "olga", "roles": ["operator"],
        }  # fmt: skip
        self.overrides: dict[str, Any] = {}  # of the token's own words, such as nonce
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.signs_with = self.key
        self.asked: list[dict[str, str]] = []
        self.has_token = True
        self._codes: dict[str, dict[str, str]] = {}

    def app(self) -> Flask:
        app = Flask("provider")
        app.add_url_rule("/.well-known/openid-configuration", view_func=self.metadata)
        app.add_url_rule("/authorize", view_func=self.authorize)
        app.add_url_rule("/token", view_func=self.token, methods=["POST"])
        app.add_url_rule("/jwks", view_func=self.jwks)
        return app

    def metadata(self) -> ResponseReturnValue:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def authorize(self) -> ResponseReturnValue:
        asked = request.args.to_dict()
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        self.asked.append(asked)
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        answer = urlencode({"code": code, "state": asked["state"]})
        return redirect(f"{asked['redirect_uri']}?{answer}")

    def token(self) -> ResponseReturnValue:
        asked = self._codes.pop(request.form["code"], None)
        digest = hashlib.sha256(request.form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        login = request.authorization
        is_client = login and login.username == CLIENT_ID and login.password == CLIENT_SECRET
        if not is_client or asked is None or asked["code_challenge"] != challenge:
            return {"error": "invalid_grant"}, 400
        if asked["redirect_uri"] != request.form["redirect_uri"]:
            return {"error": "invalid_grant"}, 400
        answer = {"access_token": secrets.token_urlsafe(), "token_type": "Bearer"}
        return {**answer, "id_token": self._signed(asked)} if self.has_token else answer

    def jwks(self) -> ResponseReturnValue:
        return KeySet([self.key]).as_dict(private=False)

    def _signed(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        words = {
            "iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300,
            "nonce": asked["nonce"], **self.claims, **self.overrides,
        }  # fmt: skip
        return jwt.encode({"alg": "RS256", "kid": str(self.signs_with.kid)}, words, self.signs_with)


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Serve a provider on a free port of this machine while the block runs."""
    provider = Provider()
    server = make_server("127.0.0.1", 0, provider.app(), threaded=True)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
