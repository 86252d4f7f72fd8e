"""Pass templates as lines of their list."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tracker.domain.templates import Template
from tracker.services.templates import template_of
from tracker.store.templates import ContentStateRow, TemplateRow

from .sight import WHOLE, Sight


@dataclass(frozen=True, slots=True)
class TemplateLine:
    """One template; `trouble` is what the gateway said against its MMS."""

    mms_id: str
    title: str
    pass_type: str
    barcode: str
    content: str
    trouble: str | None
    updated_at: datetime
    updated_by: str


def lines(
    rows: Iterable[TemplateRow], states: Mapping[str, ContentStateRow], sight: Sight = WHOLE
) -> list[TemplateLine]:
    """Return templates as lines of their list."""
    return [
        _line(replace(row, title=sight.free(row.title)), template_of(row), states.get(row.mms_id))
        for row in rows
    ]


def _line(row: TemplateRow, template: Template, state: ContentStateRow | None) -> TemplateLine:
    return TemplateLine(
        mms_id=row.mms_id,
        title=row.title,
        pass_type=(template.pass_type or "No pass").capitalize()
        if template.has_pass
        else "No pass",
        barcode=_barcode(template),
        content=_content(template),
        trouble=state.code if state and not state.is_usable else None,
        updated_at=row.updated_at,
        updated_by=row.updated_by.removeprefix("user:"),
    )


def _barcode(template: Template) -> str:
    if not template.has_pass:
        return ""
    if not template.barcode.is_allowed:
        return "No barcode"
    return "Value with each send" if template.barcode.takes_value else "Needs no value"


def _content(template: Template) -> str:
    if not template.has_pass:
        return ""
    dynamic = len(template.dynamic_fields) + len(template.dynamic_slots)
    fixed = len(template.fixed_fields) + len(template.fixed_slots)
    return f"{dynamic} dynamic, {fixed} fixed"
