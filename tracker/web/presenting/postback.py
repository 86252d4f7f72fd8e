"""One postback: what became of it, what it says, and the bytes it came in."""

from dataclasses import dataclass
from typing import Final

from tracker.domain import numbers
from tracker.domain.headers import pairs
from tracker.protocol.notification import Kind
from tracker.protocol.transport import document_of
from tracker.store.rows import BodyRow, PostbackRow

from .parts import Fact, known
from .sight import WHOLE, Sight
from .texts import document, printable

_OF_PEOPLE: Final = frozenset({"to", "mobile", "reference_value"})
_FROM_PHONES: Final = frozenset({Kind.MO_SMS, Kind.MO_MMS})


@dataclass(frozen=True, slots=True)
class PostbackView:
    """One postback in full."""

    id: int
    title: str
    outcome: str
    outcome_reason: str
    facts: list[Fact]
    fields: list[tuple[str, str]]
    remarks: list[str]
    body: str
    body_note: str | None
    headers: list[tuple[str, str]] | None  # None: they were not kept
    is_gone: bool  # its bytes have left by retention


def postback_view(row: PostbackRow, body: BodyRow, sight: Sight = WHOLE) -> PostbackView:
    """Return one postback and its body."""
    text, note = _document(body)
    people = people_in(row)
    title = " ".join(filter(None, (row.code, printable(_text(row.fields.get("status", ""))))))
    return PostbackView(
        id=row.id,
        title=sight.any_text(title),
        outcome=row.outcome,
        outcome_reason=sight.any_text(row.outcome_reason),
        facts=_facts(row, body),
        fields=[(name, _field(row, name, sight)) for name in row.fields],
        remarks=[sight.any_text(remark) for remark in row.remarks],
        body=sight.document(text, *people),
        body_note=note,
        headers=_headers(body, sight, people),
        is_gone=body.is_gone,
    )


def people_in(row: PostbackRow) -> list[str]:
    """Return the numbers that a postback is about; none where a phone wrote, and may name more."""
    if row.kind in _FROM_PHONES:
        return []
    found = (numbers.clean(_text(row.fields.get(name, ""))) for name in sorted(_OF_PEOPLE))
    return [number for number in found if number]


def _facts(row: PostbackRow, body: BodyRow) -> list[Fact]:
    return known(
        Fact("Received", at=row.received_at),
        Fact("Repeats", f"Received {row.repeats + 1} times" if row.repeats else ""),
        Fact("Last received", at=row.last_received_at if row.repeats else None),
        Fact("Gateway's time", at=row.occurred_at),
        Fact("Kind", row.kind),
        Fact("Content type", "" if body.is_gone else body.content_type or "None given"),
        Fact("Size", "" if body.is_gone else f"{len(body.body):,} bytes"),
        Fact("Place in the body", str(row.position + 1) if row.position else ""),
    )


def _field(row: PostbackRow, name: str, sight: Sight) -> str:
    text = printable(_text(row.fields[name]))
    if name in _OF_PEOPLE or name == "from":
        return sight.cell(text)
    people = people_in(row)
    return sight.text(text, *people) if people else sight.any_text(text)


def _headers(body: BodyRow, sight: Sight, people: list[str]) -> list[tuple[str, str]] | None:
    if body.headers is None:
        return None
    return [
        (printable(sight.any_text(name)), printable(sight.reason(value, *people)))
        for name, value in pairs(body.headers)
    ]


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _document(body: BodyRow) -> tuple[str, str | None]:
    if body.is_gone:
        return "", None
    found = document_of(body.body, body.content_type)
    notes = []
    if found.via == "form":
        notes.append("It came in a form field; the download is the whole body as it came.")
    if found.is_repaired:
        notes.append("Some bytes were no text and are shown as �; the download has them.")
    return document(found.text), " ".join(notes) or None
