"""The pages of pass templates: the list, and a form that describes one."""

from dataclasses import replace
from http import HTTPStatus
from typing import Final

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from tracker.domain.message import Problem
from tracker.domain.template_words import InvalidTemplateError
from tracker.services import templates
from tracker.store import templates as store
from tracker.store.models import Role
from tracker.store.templates import TemplateRow

from . import auth
from .context import now, sessions
from .pages import actor
from .presenting import template_form
from .presenting.templates import lines

PAGE_SIZE: Final = 50

bp = Blueprint("pass_templates", __name__, url_prefix="/templates")
auth.guard(bp)


@bp.get("")
def list_templates() -> ResponseReturnValue:
    """Show one page of templates."""
    after = request.args.get("cursor")
    if after is not None and not templates.is_mms_id(after):
        abort(HTTPStatus.BAD_REQUEST)
    with sessions()() as session:
        page = templates.page(session, limit=PAGE_SIZE, after=after)
        states = store.content_states(session, [row.mms_id for row in page.items])
    next_ = page.next_cursor
    return render_template(
        "templates.html",
        lines=lines(page.items, states, auth.sight()),
        next_url=url_for("pass_templates.list_templates", cursor=next_) if next_ else None,
        is_first=after is None,
    )


@bp.get("/new")
@auth.requires_role(Role.OPERATOR)
def new_template() -> ResponseReturnValue:
    """Show an empty form."""
    mms_id = request.args.get("mms_id", "")
    return _form(mms_id if templates.is_mms_id(mms_id) else "", template_form.EMPTY)


@bp.post("/new")
@auth.requires_role(Role.OPERATOR)
def create_template() -> ResponseReturnValue:
    """Keep a new template; one that is there already is not replaced unseen."""
    mms_id = request.form.get("mms_id", "").strip()[:40]
    if templates.is_mms_id(mms_id) and _row(mms_id):
        problem = Problem("mms_id", mms_id, "has its description already; change that one")
        return _form(mms_id, _described(), (problem,)), HTTPStatus.CONFLICT
    return _save(mms_id, is_new=True)


@bp.get("/<mms_id>")
def show_template(mms_id: str) -> ResponseReturnValue:
    """Show the form of one template; who may not change it cannot press anything."""
    row = _row(mms_id) or abort(HTTPStatus.NOT_FOUND)
    return _form(mms_id, template_form.of(templates.template_of(row)), row=row)


@bp.post("/<mms_id>")
@auth.requires_role(Role.OPERATOR)
def save_template(mms_id: str) -> ResponseReturnValue:
    """Keep what was changed."""
    if not _row(mms_id):
        abort(HTTPStatus.NOT_FOUND)
    return _save(mms_id, is_new=False)


@bp.post("/<mms_id>/delete")
@auth.requires_role(Role.OPERATOR)
def delete_template(mms_id: str) -> ResponseReturnValue:
    """Forget a template."""
    is_known = templates.is_mms_id(mms_id)
    if not (is_known and templates.remove(sessions(), mms_id, actor(), now())):
        abort(HTTPStatus.NOT_FOUND)
    flash(f"Deleted. Sends with MMS id {mms_id} are not checked any more.", "good")
    return redirect(url_for("pass_templates.list_templates"), HTTPStatus.SEE_OTHER)


def _save(mms_id: str, *, is_new: bool) -> ResponseReturnValue:
    described = _described()
    try:
        templates.save(sessions(), {mms_id: described}, actor(), now())
    except InvalidTemplateError as error:
        row = None if is_new else _row(mms_id)
        page = _form(mms_id, described, error.problems, row=row)
        return page, HTTPStatus.UNPROCESSABLE_ENTITY
    flash("Saved. From now on every send is checked by it.", "good")
    address = url_for("pass_templates.show_template", mms_id=mms_id)
    return redirect(address, HTTPStatus.SEE_OTHER)


def _described() -> template_form.Description:
    return template_form.read(request.form)


def _form(
    mms_id: str,
    described: template_form.Description,
    problems: tuple[Problem, ...] = (),
    row: TemplateRow | None = None,
) -> str:
    person, sight = auth.viewer(), auth.sight()
    title = sight.free(described.get("title", ""))
    return render_template(
        "template.html",
        mms_id=mms_id,
        row=row and replace(row, title=sight.free(row.title)),
        form=template_form.view({**described, "title": title}, problems),
        may_edit=person is not None and person.may_act,
        warning=_unusable(mms_id),
    )


def _row(mms_id: str) -> TemplateRow | None:
    if not templates.is_mms_id(mms_id):
        return None
    with sessions()() as session:
        return store.by_id(session, mms_id)


def _unusable(mms_id: str) -> str | None:
    """Return what the gateway said of a stored MMS that cannot be used."""
    if not templates.is_mms_id(mms_id):
        return None
    with sessions()() as session:
        state = store.content_states(session, [mms_id]).get(mms_id)
    if state is None or state.is_usable:
        return None
    said = " ".join(filter(None, (f"{state.code}:", state.detail or "no reason given")))
    return auth.sight().any_text(said)
