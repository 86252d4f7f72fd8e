"""The page of saved views, and saving the list's question as one."""

from http import HTTPStatus

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from tracker.services import saved_views
from tracker.services.saved_views import NoSuchViewError, Person, ViewError
from tracker.store.models import Role

from . import auth
from .context import now, sessions
from .presenting.saved_views import view_links
from .whole_question import question_of

bp = Blueprint("saved_views", __name__, url_prefix="/messages/views")
auth.guard(bp)


@bp.get("")
def list_views() -> ResponseReturnValue:
    """Show one's own views with what can be done with them, and those that others share."""
    person = _person()
    with sessions()() as session:
        views = saved_views.seen_by(session, person.id)
        links = view_links(views, None, person.id, auth.sight())
    return render_template(
        "saved_views.html",
        own=[link for link in links if link.owner is None],
        others=[link for link in links if link.owner is not None],
        may_share=person.may_share,
        may_remove_all=person.role is Role.ADMIN,
        longest_name=saved_views.MAX_NAME,
    )


@bp.post("")
def save() -> ResponseReturnValue:
    """Keep the list's question under a name, and show the list again."""
    question, form = question_of(request.form), request.form
    try:
        name = saved_views.save(
            sessions(), _person(), form.get("name", ""), question.asked(),
            is_shared="is_shared" in form, now=now(),
        )  # fmt: skip
    except ViewError as error:
        flash(f"The view was not saved. {error}", "bad")
    else:
        flash(f"Saved as the view “{name}”.", "good")
    return redirect(question.url(), HTTPStatus.SEE_OTHER)


@bp.post("/<int(max=9223372036854775807):view_id>")
def change(view_id: int) -> ResponseReturnValue:
    """Rename, share or delete a view."""
    form = request.form
    try:
        if form.get("do") == "delete":
            name = saved_views.remove(sessions(), _person(), view_id, now())
            flash(f"Deleted the view “{name}”.", "good")
        else:
            saved_views.change(
                sessions(), _person(), view_id, form.get("name", ""),
                is_shared="is_shared" in form, now=now(),
            )  # fmt: skip
            flash("Saved.", "good")
    except NoSuchViewError:
        abort(HTTPStatus.NOT_FOUND)
    except ViewError as error:
        flash(f"Nothing was changed. {error}", "bad")
    return redirect(url_for("saved_views.list_views"), HTTPStatus.SEE_OTHER)


def _person() -> Person:
    viewer = auth.viewer() or abort(HTTPStatus.FORBIDDEN)
    return Person(viewer.user.id, viewer.role, auth.actor())
