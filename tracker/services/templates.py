"""Pass templates: kept, changed, and asked before a message is queued.

`rules` reads what is known of some stored MMS with two queries, for one message or for many that
are queued at once; `Rules.check` then decides without the database. A stored MMS that nobody
described blocks nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from tracker.domain import template_words
from tracker.domain import templates as domain
from tracker.domain.message import Checked, InvalidMessageError, PassMessage, Problem
from tracker.domain.template_words import InvalidTemplateError
from tracker.domain.templates import Judgement, Template
from tracker.store import accounts, templates
from tracker.store.db import Sessions
from tracker.store.rows import Page
from tracker.store.templates import ContentStateRow, TemplateRow

from .describe import iso

MAX_MMS_ID: Final = 18
MAX_IMPORT: Final = 10_000
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Rules:
    """What is known of some stored MMS, by MMS id."""

    templates: Mapping[str, Template]
    unusable: Mapping[str, ContentStateRow]

    def judge(self, message: PassMessage) -> Judgement:
        """Return what speaks against a message, without refusing it."""
        template = self.templates.get(message.mms_id)
        found = (
            domain.judge(template, message.mms_id, message.pass_data) if template else Judgement()
        )
        return replace(found, warnings=(*self.doubts(message.mms_id), *found.warnings))

    def doubts(self, mms_id: str) -> tuple[Problem, ...]:
        """Return what the gateway has said against a stored MMS."""
        state = self.unusable.get(mms_id)
        return (_doubt(state),) if state else ()

    def check(self, checked: Checked) -> Checked:
        """Return the message with what is worth a warning beside the rest.

        Raises:
            InvalidMessageError: the gateway would refuse it; with every field that is wrong.
        """
        found = self.judge(checked.message)
        if found.refusals:
            raise InvalidMessageError(tuple(refusal.problem for refusal in found.refusals))
        return replace(checked, warnings=checked.warnings + found.warnings)


def rules(session: Session, mms_ids: Collection[str]) -> Rules:
    """Read what is known of these stored MMS."""
    found = templates.by_ids(session, mms_ids)
    states = templates.content_states(session, mms_ids)
    return Rules(
        {mms_id: template_of(row) for mms_id, row in found.items()},
        {mms_id: state for mms_id, state in states.items() if not state.is_usable},
    )


def template_of(row: TemplateRow) -> Template:
    """Return the template that a row describes."""
    return template_words.read(row.description)


def template_object(row: TemplateRow) -> dict[str, Any]:
    """Return a template as a file has it: without who changed it and when."""
    return {"mms_id": row.mms_id, **template_words.write(template_of(row))}


def template_answer(row: TemplateRow) -> dict[str, Any]:
    """Return a template in the form of the API."""
    changed = {"updated_at": iso(row.updated_at), "updated_by": row.updated_by}
    return {**template_object(row), **changed}


def page(session: Session, *, limit: int, after: str | None = None) -> Page[TemplateRow]:
    """Return one page of templates, in the order of their MMS ids."""
    return templates.page(session, limit=limit, after=after)


def everything(session: Session) -> list[TemplateRow]:
    """Return all templates."""
    found: list[TemplateRow] = []
    cursor: str | None = None
    while True:
        one = templates.page(session, limit=_PAGE, after=cursor)
        found += one.items
        cursor = one.next_cursor
        if cursor is None:
            return found


def save(
    sessions: Sessions, described: Mapping[str, Mapping[str, object]], actor: str, now: datetime
) -> dict[str, bool]:
    """Keep descriptions by MMS id, all or none; the values say which of them are new.

    Raises:
        InvalidTemplateError: with everything that is wrong in any of them; nothing is kept.
    """
    read = _read(described)
    rows = [
        TemplateRow(
            mms_id=mms_id, title=template.title, description=template_words.write(template),
            updated_at=now, updated_by=actor,
        )
        for mms_id, template in read.items()
    ]  # fmt: skip
    with sessions.begin() as session:
        before = templates.by_ids(session, list(read))
        templates.put(session, rows)
        for row in rows:
            detail = _changes(before.get(row.mms_id), row)
            accounts.audit(
                session, actor, "template.save", subject=row.mms_id, detail=detail, now=now
            )
    return {mms_id: mms_id not in before for mms_id in read}


def remove(sessions: Sessions, mms_id: str, actor: str, now: datetime) -> bool:
    """Forget a description: from now on nothing is checked by it; False when there was none."""
    with sessions.begin() as session:
        is_removed = templates.remove(session, mms_id)
        if is_removed:
            accounts.audit(session, actor, "template.delete", subject=mms_id, now=now)
    return is_removed


def is_mms_id(text: str) -> bool:
    """Say whether a text can be the id of a stored MMS."""
    return text.isascii() and text.isdecimal() and len(text) <= MAX_MMS_ID


def _read(described: Mapping[str, Mapping[str, object]]) -> dict[str, Template]:
    problems: list[Problem] = []
    read: dict[str, Template] = {}
    for mms_id, description in described.items():
        # One description speaks of its own fields; of many, each problem names its MMS too.
        path = f"{mms_id[:40]}." if len(described) > 1 else ""
        if not is_mms_id(mms_id):
            detail = f"is not the id of a stored MMS: 1 to {MAX_MMS_ID} digits"
            problems.append(Problem("mms_id", mms_id[:40], detail))
        try:
            read[mms_id] = template_words.read(description)
        except InvalidTemplateError as error:
            problems += [replace(problem, field=path + problem.field) for problem in error.problems]
    if problems:
        raise InvalidTemplateError(tuple(problems))
    return read


def _changes(before: TemplateRow | None, after: TemplateRow) -> str:
    if before is None:
        return "new"
    old, new = before.description, after.description
    changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return f"changed: {', '.join(changed)}" if changed else "nothing changed"


def _doubt(state: ContentStateRow) -> Problem:
    said = f"{state.code}: {state.detail}" if state.detail else state.code
    detail = (
        f"was said to be unusable by the gateway on {state.seen_at:%Y-%m-%d} ({said});"
        " it may refuse the message"
    )
    return Problem("mms_id", state.mms_id, detail)
