"""Pages that explain the words of the dashboard."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from tracker.domain import explained
from tracker.domain.status import LABELS

from . import auth
from .presenting.journal_question import OUTCOMES

bp = Blueprint("help_pages", __name__, url_prefix="/help")
auth.guard(bp)


@bp.get("/statuses")
def show_statuses() -> ResponseReturnValue:
    """Explain each status of a message and each outcome of a postback."""
    return render_template(
        "help_statuses.html",
        groups=explained.GROUPS,
        statuses=explained.STATUSES,
        labels=LABELS,
        outcomes=[(one, OUTCOMES[one], meaning) for one, meaning in explained.OUTCOMES.items()],
        duplicate=explained.DUPLICATE,
    )
