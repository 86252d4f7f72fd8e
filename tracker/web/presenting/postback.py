"""One postback: what became of it, what it says, and the bytes it came in."""

from dataclasses import dataclass
from typing import Final

from tracker.protocol.notification import digits
from tracker.protocol.transport import document_of
from tracker.store.rows import BodyRow, PostbackRow

from .parts import Fact, known
from .sight import WHOLE, Sight
from .texts import document, printable

_OF_PEOPLE: Final = frozenset({"to", "mobile", "reference_value"})


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


def postback_view(row: PostbackRow, body: BodyRow, sight: Sight = WHOLE) -> PostbackView:
    """Return one postback and its body."""
    text, note = _document(body)
    return PostbackView(
        id=row.id,
        title=" ".join(filter(None, (row.code, printable(_text(row.fields.get("status", "")))))),
        outcome=row.outcome,
        outcome_reason=row.outcome_reason,
        facts=_facts(row, body),
        fields=[(name, _field(name, value, sight)) for name, value in row.fields.items()],
        remarks=row.remarks,
        body=sight.document(text, digits(_text(row.fields.get("to", "")))),
        body_note=note,
    )


def _facts(row: PostbackRow, body: BodyRow) -> list[Fact]:
    return known(
        Fact("Received", at=row.received_at),
        Fact("Repeats", f"Received {row.repeats + 1} times" if row.repeats else ""),
        Fact("Last received", at=row.last_received_at if row.repeats else None),
        Fact("Gateway's time", at=row.occurred_at),
        Fact("Kind", row.kind),
        Fact("Content type", body.content_type or "None given"),
        Fact("Size", f"{len(body.body):,} bytes"),
        Fact("Place in the body", str(row.position + 1) if row.position else ""),
    )


def _field(name: str, value: object, sight: Sight) -> str:
    text = printable(_text(value))
    return text if sight.is_whole or name not in _OF_PEOPLE else sight.number(text)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _document(body: BodyRow) -> tuple[str, str | None]:
    found = document_of(body.body, body.content_type)
    notes = []
    if found.via == "form":
        notes.append("It came in a form field; the download is the whole body as it came.")
    if found.is_repaired:
        notes.append("Some bytes were no text and are shown as �; the download has them.")
    return document(found.text), " ".join(notes) or None
