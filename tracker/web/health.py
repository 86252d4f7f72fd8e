"""Liveness, readiness and metrics, for load balancers and Prometheus; no login."""

from http import HTTPStatus

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from tracker.store import db, schema
from tracker.store.spool import SpoolError

from . import context, metrics
from .postbacks import the_receiver

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that this process answers."""
    return {"status": "ok"}


@bp.get("/readyz")
def readyz() -> tuple[dict[str, object], HTTPStatus]:
    """Say whether postbacks can be kept: in the database, or in the spool until it is back."""
    report: dict[str, object] = {"status": "ok", "database": "up", **_spool_report()}
    if not db.is_reachable(context.sessions()):
        report["database"] = "down"
        report["status"] = "spooling" if report["spool"] == "up" else "unavailable"
    else:
        state = schema.state(db.engine_of(context.sessions()))
        report |= {"schema": state.current, "schema_expected": state.expected}
        if not state.is_current:
            report["status"] = "unavailable"
    is_ready = report["status"] != "unavailable"
    return report, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE


@bp.get("/metrics")
def prometheus() -> Response:
    """Return the numbers of all processes, and how the spool stands."""
    return Response(metrics.page(the_receiver().spool), content_type=CONTENT_TYPE_LATEST)


def _spool_report() -> dict[str, object]:
    spool = the_receiver().spool
    try:
        spool.check()
        return {"spool": "up", "spooled": spool.state().records}
    except SpoolError:
        return {"spool": "down", "spooled": None}
