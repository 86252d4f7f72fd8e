"""The page of the audit trail: who did what, about what, why and when. Admins only."""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue

from tracker.services import csv_files
from tracker.store import accounts, audit
from tracker.store.cursors import BadCursorError
from tracker.store.models import Role

from . import auth
from .context import now, sessions
from .downloads import csv_answer
from .pages import actor
from .presenting.audit import AuditQuestion, audit_lines
from .query import refuse_strange

PAGE_SIZE: Final = 50

bp = Blueprint("audit", __name__)
auth.guard(bp)


@bp.get("/audit")
@auth.requires_role(Role.ADMIN)
def show() -> ResponseReturnValue:
    """Show one page, newest first."""
    question, cursor = AuditQuestion.from_args(request.args), request.args.get("cursor")
    with sessions()() as session:
        try:
            page = audit.search(session, question.filter(), limit=PAGE_SIZE, cursor=cursor)
        except BadCursorError:
            abort(HTTPStatus.BAD_REQUEST)
    return render_template(
        "audit.html",
        question=question,
        lines=audit_lines(page.items),
        older_url=question.url(cursor=page.next_cursor) if page.next_cursor else None,
        newest_url=question.url() if cursor else None,
        csv_url=question.url("audit.download"),
    )


@bp.get("/audit.csv")
@auth.requires_role(Role.ADMIN)
def download() -> ResponseReturnValue:
    """Give all that the question finds as a file; one that breaks off was not all of it."""
    refuse_strange()
    question, at = AuditQuestion.from_args(request.args), now()
    said = "; ".join(f"{chip.name}: {chip.text}" for chip in question.chips()) or "all of it"
    with sessions().begin() as session:
        accounts.audit(session, actor(), "audit.export", detail=said[:1000], now=at)
    lines = csv_files.audit_csv(sessions(), question.filter(), at)
    return csv_answer(lines, f"audit-{at:%Y-%m-%d-%H%M}.csv")
