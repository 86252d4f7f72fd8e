"""A pass template as an operator writes it down, in JSON or TOML, and as it is read back.

title           text
pass_type       boarding pass, coupon, event ticket, store card, generic
has_pass        false for a stored MMS without a pass; the rest may be left out then
barcode         allowed, type (fixed, dynamic), value_source (dynamic value, other),
                alternate_text (none, fixed, dynamic), symbology (qr, pdf417, aztec, code 128;
                may be left out: it only says how the dashboard draws the barcode)
dynamic_fields  labels and values that each send may give, such as HEADERVALUE1
fixed_fields    labels and values that the template holds
dynamic_slots   relevance slots, 1 to 10, that each send may give
fixed_slots     relevance slots that the template holds
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from tracker.protocol.characters import first_illegal
from tracker.protocol.passdata import PASS_FIELDS, SLOTS

from .message import Problem
from .near import nearest
from .templates import (
    BARCODE_TEXT,
    BARCODE_VALUE,
    SECOND_PRIMARY,
    SLOT_OF,
    TEXT_FIELDS,
    AlternateText,
    Barcode,
    BarcodeType,
    PassType,
    Symbology,
    Template,
    ValueSource,
)

FIELDS: Final = (
    "title", "pass_type", "has_pass", "barcode",
    "dynamic_fields", "fixed_fields", "dynamic_slots", "fixed_slots",
)  # fmt: skip
BARCODE_FIELDS: Final = ("allowed", "type", "value_source", "alternate_text", "symbology")
MAX_TITLE: Final = 128
MAX_ENTRIES: Final = 100  # of one list; there are 64 fields

Word = TypeVar("Word", bound=StrEnum)


class InvalidTemplateError(ValueError):
    """A template cannot be as described; `problems` names everything that is wrong."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.detail}" for p in problems))
        self.problems = problems


def read(description: Mapping[str, object]) -> Template:
    """Read a template out of its description.

    Raises:
        InvalidTemplateError: with everything that is wrong, not only the first.
    """
    reader = _Reader(description)
    reader.no_others(FIELDS)
    has_pass = reader.flag("has_pass", default=True)
    template = Template(
        title=reader.title("title"),
        has_pass=has_pass,
        pass_type=reader.word("pass_type", PassType, is_needed=has_pass),
        barcode=_barcode(reader),
        dynamic_fields=frozenset(reader.fields("dynamic_fields")),
        fixed_fields=frozenset(reader.fields("fixed_fields")),
        dynamic_slots=frozenset(reader.slots("dynamic_slots")),
        fixed_slots=frozenset(reader.slots("fixed_slots")),
    )
    _contradictions(reader, template)
    if reader.problems:
        raise InvalidTemplateError(tuple(reader.problems))
    return template


def write(template: Template) -> dict[str, object]:
    """Return the description of a template; `read` makes the same template of it."""
    barcode: dict[str, object] = {"allowed": template.barcode.is_allowed}
    if template.barcode.is_allowed:
        barcode["type"] = template.barcode.type.value
        if template.barcode.type is BarcodeType.DYNAMIC:
            barcode["value_source"] = template.barcode.value_source.value
        barcode["alternate_text"] = template.barcode.alternate_text.value
        if template.barcode.symbology:
            barcode["symbology"] = template.barcode.symbology.value
    kind = {"pass_type": template.pass_type.value} if template.pass_type else {}
    return {
        "title": template.title,
        **kind,
        "has_pass": template.has_pass,
        "barcode": barcode,
        "dynamic_fields": [name for name in TEXT_FIELDS if name in template.dynamic_fields],
        "fixed_fields": [name for name in TEXT_FIELDS if name in template.fixed_fields],
        "dynamic_slots": sorted(template.dynamic_slots),
        "fixed_slots": sorted(template.fixed_slots),
    }


class _Reader:
    """One table of a description: takes typed values out and notes what is wrong on the way."""

    def __init__(
        self, source: Mapping[str, object], path: str = "", problems: list[Problem] | None = None
    ) -> None:
        self.source = source
        self.path = path
        self.problems: list[Problem] = [] if problems is None else problems

    def problem(self, name: str, value: object, detail: str) -> None:
        self.problems.append(Problem(self.path + name, value, detail))

    def no_others(self, known: Sequence[str]) -> None:
        for name in self.source:
            if name not in known:
                detail = f"is not a field; known are {', '.join(known)}"
                self.problem(str(name)[:64], None, detail)

    def title(self, name: str) -> str:
        value = self.source.get(name)
        if value is not None and not isinstance(value, str):
            self.problem(name, _short(value), "must be text")
            return ""
        text = (value or "").strip()
        if not text:
            self.problem(name, None, "is missing; give the name people know the pass by")
        elif len(text) > MAX_TITLE:
            self.problem(name, _short(text), f"has {len(text)} characters; at most {MAX_TITLE}")
        elif (odd := first_illegal(text)) is not None:
            self.problem(name, None, f"has the character U+{ord(odd):04X}, which no text carries")
        else:
            return text
        return ""

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.source.get(name, default)
        if not isinstance(value, bool):
            self.problem(name, _short(value), "must be true or false")
            return default
        return value

    def word(self, name: str, words: type[Word], *, is_needed: bool) -> Word | None:
        value = self.source.get(name)
        if value is None or value == "":
            if is_needed:
                self.problem(name, None, f"is missing; one of {', '.join(words)}")
            return None
        plain = value.strip().lower().replace("_", " ") if isinstance(value, str) else value
        if not isinstance(plain, str) or plain not in list(words):
            self.problem(name, _short(value), f"must be one of {', '.join(words)}")
            return None
        return words(plain)

    def fields(self, name: str) -> list[str]:
        found = []
        for place, value in enumerate(self._entries(name)):
            field = value.strip().upper() if isinstance(value, str) else ""
            if wrong := _not_described(field):
                self.problem(f"{name}[{place}]", _short(value), wrong)
            else:
                found.append(field)
        return found

    def slots(self, name: str) -> list[int]:
        found = []
        for place, value in enumerate(self._entries(name)):
            if isinstance(value, bool) or not isinstance(value, int) or value not in SLOTS:
                detail = f"must be a whole number from {SLOTS[0]} to {SLOTS[-1]}"
                self.problem(f"{name}[{place}]", _short(value), detail)
            else:
                found.append(value)
        return found

    def _entries(self, name: str) -> Sequence[object]:
        value = self.source.get(name, [])
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            self.problem(name, _short(value), "must be a list")
            return ()
        if len(value) > MAX_ENTRIES:
            self.problem(name, len(value), f"has {len(value)} entries; at most {MAX_ENTRIES}")
            return ()
        return value


def _barcode(reader: _Reader) -> Barcode:
    source = reader.source.get("barcode", {})
    if not isinstance(source, Mapping):
        reader.problem("barcode", _short(source), f"must hold {', '.join(BARCODE_FIELDS)}")
        return Barcode()
    words = _Reader(source, "barcode.", reader.problems)
    words.no_others(BARCODE_FIELDS)
    is_allowed = words.flag("allowed", default=False)
    kind = words.word("type", BarcodeType, is_needed=is_allowed)
    is_dynamic = is_allowed and kind is BarcodeType.DYNAMIC
    source_of_value = words.word("value_source", ValueSource, is_needed=is_dynamic)
    text = words.word("alternate_text", AlternateText, is_needed=False)
    symbology = words.word("symbology", Symbology, is_needed=False)
    return Barcode(
        is_allowed=is_allowed,
        type=(is_allowed and kind) or BarcodeType.FIXED,
        value_source=(is_dynamic and source_of_value) or ValueSource.OTHER,
        alternate_text=(is_allowed and text) or AlternateText.NONE,
        symbology=symbology if is_allowed else None,
    )


def _contradictions(reader: _Reader, template: Template) -> None:
    both = "is dynamic and fixed at once; one of them"
    for name in TEXT_FIELDS:
        if name in template.dynamic_fields & template.fixed_fields:
            reader.problem("fixed_fields", name, both)
    for slot in sorted(template.dynamic_slots & template.fixed_slots):
        reader.problem("fixed_slots", slot, both)
    kind = template.pass_type
    if kind is None or kind is PassType.BOARDING_PASS:
        return
    for part, names in (("dynamic", template.dynamic_fields), ("fixed", template.fixed_fields)):
        for name in sorted(names & SECOND_PRIMARY):
            detail = f"is only on boarding passes, and this is of type {kind}; leave it out"
            reader.problem(f"{part}_fields", name, detail)


def _not_described(field: str) -> str | None:
    """Say why a name cannot stand among the dynamic or fixed fields."""
    if field in TEXT_FIELDS:
        return None
    if field in (BARCODE_VALUE, BARCODE_TEXT):
        return "belongs to the barcode: describe it under barcode"
    if slot := SLOT_OF.get(field):
        return f"belongs to a place: put {slot} into dynamic_slots or fixed_slots"
    if field in PASS_FIELDS:
        return "is always taken and needs no description"
    return f"is not a label or value of a pass{_nearest(field, TEXT_FIELDS)}"


def _nearest(word: str, known: Collection[str]) -> str:
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else f"; such as {', '.join(list(known)[:2])}"


def _short(value: object) -> object:
    return value if isinstance(value, bool | int | float) or value is None else str(value)[:40]
