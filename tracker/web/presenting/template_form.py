"""The form that describes a pass template: what it sends, and what it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tracker.domain import template_words
from tracker.domain.message import Problem
from tracker.domain.pass_face import PARTS
from tracker.domain.templates import TEXT_FIELDS, PassType, Symbology, Template
from tracker.protocol.passdata import SLOTS

Description = Mapping[str, Any]

EMPTY: Final[Description] = {"title": "", "has_pass": True, "barcode": {}}
# Where the form says what is wrong right beside the field.
BESIDE: Final = (
    "title", "pass_type", "mms_id", "barcode.type", "barcode.value_source", "barcode.symbology",
)  # fmt: skip
ABSENT, FIXED, DYNAMIC = "absent", "fixed", "dynamic"
CHOICES: Final = ((ABSENT, "Absent"), (FIXED, "Fixed"), (DYNAMIC, "Dynamic"))
TYPES: Final = (
    (PassType.BOARDING_PASS.value, "Boarding pass"),
    (PassType.COUPON.value, "Coupon"),
    (PassType.EVENT_TICKET.value, "Event ticket"),
    (PassType.STORE_CARD.value, "Store card"),
    (PassType.GENERIC.value, "Generic"),
)
SYMBOLOGIES: Final = (
    ("", "Not known"),
    (Symbology.QR.value, "QR code"),
    (Symbology.PDF417.value, "PDF417"),
    (Symbology.AZTEC.value, "Aztec code"),
    (Symbology.CODE_128.value, "Code 128"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One field of the form with its choices; `value` is the one that is taken."""

    name: str
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class TextRow:
    """A label and a value of the pass, side by side."""

    title: str
    label: Choice
    value: Choice
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormView:
    """All that the form shows."""

    title: str
    has_pass: bool
    pass_type: str
    barcode: Mapping[str, Any]
    rows: list[TextRow]
    slots: list[Choice]
    problems: Mapping[str, str] = field(default_factory=dict)  # by field of the form
    others: list[str] = field(default_factory=list)  # beside no field of the form
    choices: tuple[tuple[str, str], ...] = CHOICES
    types: tuple[tuple[str, str], ...] = TYPES
    symbologies: tuple[tuple[str, str], ...] = SYMBOLOGIES


def read(form: Mapping[str, str]) -> Description:
    """Return the description that a form sends; what it says is judged elsewhere."""
    return {
        "title": form.get("title", ""),
        "has_pass": form.get("has_pass") == "yes",
        "pass_type": form.get("pass_type", ""),
        "barcode": _barcode(form),
        **{
            f"{kind}_fields": [n for n in TEXT_FIELDS if form.get(f"field-{n}") == kind]
            for kind in (DYNAMIC, FIXED)
        },
        **{
            f"{kind}_slots": [n for n in SLOTS if form.get(f"slot-{n}") == kind]
            for kind in (DYNAMIC, FIXED)
        },
    }


def of(template: Template) -> Description:
    """Return the description of a template, for a form to show."""
    return template_words.write(template)


def view(described: Description, problems: Sequence[Problem] = ()) -> FormView:
    """Return the form filled in, with what is wrong beside the fields."""
    texts = {**dict.fromkeys(described.get("dynamic_fields", ()), DYNAMIC)}
    texts |= dict.fromkeys(described.get("fixed_fields", ()), FIXED)
    slots = {**dict.fromkeys(described.get("dynamic_slots", ()), DYNAMIC)}
    slots |= dict.fromkeys(described.get("fixed_slots", ()), FIXED)
    return FormView(
        title=described.get("title", ""),
        has_pass=described.get("has_pass", True),
        pass_type=described.get("pass_type") or "",
        barcode=described.get("barcode", {}),
        rows=_rows(texts),
        slots=[Choice(f"slot-{n}", f"Place {n}", slots.get(n, ABSENT)) for n in SLOTS],
        problems={p.field: f"This {p.detail}." for p in problems if p.field in BESIDE},
        others=[_sentence(p) for p in problems if p.field not in BESIDE],
    )


def _sentence(problem: Problem) -> str:
    titles = {
        choice.name.removeprefix("field-"): choice.label
        for row in _rows({})
        for choice in (row.label, row.value)
    }
    name = titles.get(str(problem.value), problem.field)
    return f"{name}: {problem.detail}."


def _barcode(form: Mapping[str, str]) -> dict[str, object]:
    if form.get("barcode") != "yes":
        return {"allowed": False}
    return {
        "allowed": True,
        "type": form.get("barcode_type", ""),
        "value_source": form.get("value_source", ""),
        "alternate_text": form.get("alternate_text", ""),
        "symbology": form.get("symbology", ""),
    }


def _rows(texts: Mapping[str, str]) -> list[TextRow]:
    found = []
    for part, title, count in PARTS:
        for number in range(1, count + 1):
            name = title if count == 1 else f"{title} {number}"
            label, value = (f"{part}{half}{number}" for half in ("LABEL", "VALUE"))
            found.append(
                TextRow(
                    name,
                    Choice(f"field-{label}", f"{name}, label", texts.get(label, ABSENT)),
                    Choice(f"field-{value}", f"{name}, value", texts.get(value, ABSENT)),
                    "boarding passes only" if (part, number) == ("PRIMARY", 2) else "",
                )
            )
    return found
