"""The Flask application: postback receiver, JSON API and dashboard."""

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from tracker import logs
from tracker.config import Settings, kept_secret
from tracker.services.dropin import DropIn, gateway_of
from tracker.services.habits import Habits
from tracker.services.take import Policy
from tracker.store import db

from . import (
    api,
    api_docs,
    audit,
    batches,
    bulk_actions,
    carriers,
    context,
    data_page,
    dropin,
    gateway_page,
    handsets,
    health,
    help_pages,
    journal,
    overview,
    own_password,
    pages,
    pass_templates,
    postback_address,
    postbacks,
    problems,
    saved_views,
    send_form,
    settings_page,
    settle,
    tokens,
    trouble,
    two_factor,
    users,
    watch,
)
from .receiver import RECEIVER, Receiver


def create_app(settings: Settings) -> Flask:
    """Return the application; nothing is connected or migrated yet."""
    app = Flask(__name__)
    app.secret_key = settings.secret_key or kept_secret(settings.state_dir / "secret_key")
    app.config["MAX_CONTENT_LENGTH"] = api.MAX_JSON_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions[context.SETTINGS] = settings
    app.extensions[context.SESSIONS] = db.connect(settings.database_url)
    app.extensions[context.HABITS] = Habits()
    app.extensions[dropin.DROP_IN] = _drop_in(settings, app.extensions[context.SESSIONS])
    app.extensions[RECEIVER] = Receiver(settings, postback_tokens(settings))
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.register_blueprint(postbacks.bp)
    app.register_blueprint(api.bp)
    app.register_blueprint(api_docs.bp)
    app.register_blueprint(dropin.bp)
    app.register_blueprint(health.bp)
    pages.register(app)
    app.register_blueprint(overview.bp)
    app.register_blueprint(journal.bp)
    app.register_blueprint(settle.bp)
    app.register_blueprint(help_pages.bp)
    app.register_blueprint(watch.bp)
    app.register_blueprint(trouble.bp)
    app.register_blueprint(pass_templates.bp)
    app.register_blueprint(handsets.bp)
    app.register_blueprint(carriers.bp)
    app.register_blueprint(gateway_page.bp)
    app.register_blueprint(batches.bp)
    app.register_blueprint(settings_page.bp)
    app.register_blueprint(two_factor.bp)
    app.register_blueprint(own_password.bp)
    app.register_blueprint(users.bp)
    app.register_blueprint(tokens.bp)
    app.register_blueprint(postback_address.bp)
    app.register_blueprint(bulk_actions.bp)
    app.register_blueprint(saved_views.bp)
    app.register_blueprint(send_form.bp)
    app.register_blueprint(audit.bp)
    app.register_blueprint(data_page.bp)
    if settings.open_id:
        # Imported by those who use it alone: its libraries take as long as half of the start.
        from . import oidc  # noqa: PLC0415

        oidc.register(app, settings.open_id)
    app.register_error_handler(HTTPException, _error)
    return app


def from_environ() -> Flask:
    """Return the application for gunicorn, set up by the environment."""
    logs.configure()
    return create_app(Settings.from_environ())


def _error(error: HTTPException) -> Response:
    """Answer an error in the language of whoever asked: programs here, people there."""
    if request.path.startswith(("/api/", "/postbacks/", "/gateway/")):
        return problems.from_http_error(error)
    return pages.error_page(error)


def _drop_in(settings: Settings, sessions: db.Sessions) -> DropIn:
    gateway = gateway_of(
        settings.gateway_url, settings.gateway_api_key, settings.gateway_timeout_seconds
    )
    policy = Policy(rate=settings.send_rate, default_from=settings.default_from)
    return DropIn(sessions, gateway, zone=settings.gateway_zone, clock=context.now, policy=policy)


def postback_tokens(settings: Settings) -> tuple[str, ...]:
    """Return the tokens of the receiver's URL; the first start makes one and keeps it."""
    return settings.postback_tokens or (kept_secret(settings.postback_token_file),)
