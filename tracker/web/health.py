"""Liveness and readiness, for load balancers and service managers; no login."""

from http import HTTPStatus

from flask import Blueprint

from tracker.store import db, schema

from . import context

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that this process answers."""
    return {"status": "ok"}


@bp.get("/readyz")
def readyz() -> tuple[dict[str, str | None], HTTPStatus]:
    """Say whether postbacks can be kept: the database answers and has the code's revision."""
    if not db.is_reachable(context.sessions()):
        return {"status": "unavailable", "database": "down"}, HTTPStatus.SERVICE_UNAVAILABLE
    state = schema.state(db.engine_of(context.sessions()))
    report = {
        "database": "up",
        "schema": state.current,
        "schema_expected": state.expected,
        "status": "ok" if state.is_current else "unavailable",
    }
    return report, HTTPStatus.OK if state.is_current else HTTPStatus.SERVICE_UNAVAILABLE
