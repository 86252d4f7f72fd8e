"""The form that sends one pass: what was filled in, as a request, and what is wrong beside it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from tracker.domain.message import Problem
from tracker.domain.pass_face import PARTS
from tracker.domain.templates import BARCODE_TEXT, BARCODE_VALUE, Template
from tracker.domain.validation import MAX_SLIDE
from tracker.protocol.passdata import PASS_FIELDS, SLOTS, slot_fields

TEXTS: Final = {
    "to": "Number",
    "mms_id": "MMS id",
    "from": "Sender",
    "campaign_ref": "Campaign",
    "reference": "Reference",
    "custom_subject": "Subject",
    "ddm.title": "Discovery, title",
    "ddm.text": "Discovery, text",
    "ddm.timeout_minutes": "Discovery, minutes",
    "send_at": "Not before",
}
PASS, DATA, SLIDE = "pass", "data", "slide"
SPARE: Final = {PASS: 3, DATA: 1, SLIDE: 1}
MORE: Final = {PASS: 5, DATA: 5, SLIDE: 2}
MOST: Final = {PASS: len(PASS_FIELDS), DATA: 200, SLIDE: MAX_SLIDE}
_LOCAL_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
_PATHS: Final = {PASS: "pass_data", DATA: "data", SLIDE: "custom_text"}


def _pass_labels() -> dict[str, dict[str, str]]:
    """Return name and label of every field of a pass, by group."""
    groups: dict[str, dict[str, str]] = {
        "Barcode and ids": {
            BARCODE_VALUE: "Barcode value",
            BARCODE_TEXT: "Text below the barcode",
            "THUMBNAILURL": "Thumbnail's address",
            "CUSTOMPASSID": "Pass id of your own",
        }
    }
    for part, title, count in PARTS:
        groups[title] = {
            f"{part}{half}{number}": f"{title}{f' {number}' if count > 1 else ''}, {half.lower()}"
            for number in range(1, count + 1)
            for half in ("LABEL", "VALUE")
        }
    groups["Places"] = {
        name: f"Place {slot}, {what}"
        for slot in SLOTS
        for name, what in zip(slot_fields(slot), ("latitude", "longitude", "text"), strict=True)
    }
    return groups


PASS_GROUPS: Final = _pass_labels()
PASS_LABELS: Final = {
    name: label for group in PASS_GROUPS.values() for name, label in group.items()
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a list in the form; `problem` is what is wrong with it."""

    name: str
    value: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """What was filled in."""

    texts: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)  # those that say
    spare: Mapping[str, int] = field(default_factory=lambda: SPARE)

    def request(self) -> dict[str, Any]:
        """Return it as the API is asked to send."""
        texts = {name: text for name, text in self.texts.items() if text}
        if _LOCAL_TIME.fullmatch(texts.get("send_at", "")):
            texts["send_at"] += "+00:00"  # the form says that it is UTC
        ddm = {n.removeprefix("ddm."): texts.pop(n) for n in TEXTS if "." in n and n in texts}
        slides = [{"slide": slide, "value": text} for slide, text in self.rows.get(SLIDE, ())]
        named = {kind: {n: v for n, v in self.rows.get(kind, ()) if n} for kind in (PASS, DATA)}
        whole = {
            **texts, "ddm": ddm, "custom_text": slides,
            "pass_data": named[PASS], "data": named[DATA],
        }  # fmt: skip
        return {name: value for name, value in whole.items() if value}

    def unclear(self) -> tuple[Problem, ...]:
        """Return what no request can say: a name that stands in two rows, a text without one."""
        found = []
        for kind in (PASS, DATA):
            names = [name for name, _ in self.rows.get(kind, ())]
            if "" in names:
                found.append(_problem(kind, "", "has a text without a name; choose its field"))
            twice = sorted({name for name in names if name and names.count(name) > 1})
            found += [_problem(kind, name, "stands in two rows; give it once") for name in twice]
        return tuple(found)

    def with_fields_of(self, template: Template) -> "Filled":
        """Return it with a row for each text that the template takes from a send."""
        there = {name for name, _ in self.rows.get(PASS, ())}
        rows = [*self.rows.get(PASS, ())]
        rows += [(name, "") for name in taken_by(template) if name not in there]
        return Filled(self.texts, {**self.rows, PASS: rows}, {**self.spare, PASS: 1})


def read(form: MultiDict[str, str]) -> Filled:
    """Read the form; rows without a word are spare ones."""
    texts = {name: form.get(name, "").strip() for name in TEXTS}
    texts["to"] = form.get("use", "") or texts["to"]
    asked = form.get("do", "")
    return Filled(
        {name: _lines(text) for name, text in texts.items()},
        {kind: _rows(form, kind) for kind in SPARE},
        {kind: MORE[kind] if asked == f"more-{kind}" else spare for kind, spare in SPARE.items()},
    )


def taken_by(template: Template) -> list[str]:
    """Return the fields of a pass that a template takes from each send."""
    taken = set(template.dynamic_fields)
    taken |= {name for slot in template.dynamic_slots for name in slot_fields(slot)}
    taken |= {BARCODE_VALUE} if template.barcode.takes_value else set()
    taken |= {BARCODE_TEXT} if template.barcode.takes_text else set()
    return [name for name in PASS_FIELDS if name in taken]


def rows_view(filled: Filled, problems: Sequence[Problem]) -> dict[str, list[Row]]:
    """Return the rows of each list with what is wrong in them, and some spare ones."""
    return {kind: list(_with_spare(filled, kind, problems)) for kind in SPARE}


def beside(problems: Sequence[Problem]) -> dict[str, str]:
    """Return what is wrong by field of the form."""
    return {p.field: f"It {p.detail}." for p in reversed(problems) if p.field in TEXTS}


def sentences(problems: Iterable[Problem], filled: Filled) -> list[str]:
    """Return problems or warnings as sentences that name their field."""
    return list(dict.fromkeys(f"{_label(p.field, filled)} {p.detail}." for p in problems))


def label_of(problem: Problem, filled: Filled) -> str:
    """Return how the form names the field of a problem."""
    return _label(problem.field, filled)


def _label(path: str, filled: Filled) -> str:
    if path in TEXTS:
        return TEXTS[path]
    kind, _, name = path.partition(".")
    if kind == _PATHS[PASS]:
        return PASS_LABELS.get(name, name or "The pass")
    if kind == _PATHS[DATA]:
        return f"Data {name}".strip()
    if found := re.match(r"custom_text\[([0-9]+)\]", path):
        slides = filled.rows.get(SLIDE, ())
        index = int(found[1])
        return f"Slide {slides[index][0]}" if index < len(slides) else "A slide"
    return path


def _problem(kind: str, name: str, detail: str) -> Problem:
    return Problem(f"{_PATHS[kind]}.{name}", None, detail)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _rows(form: MultiDict[str, str], kind: str) -> list[tuple[str, str]]:
    names, values = form.getlist(f"{kind}-name"), form.getlist(f"{kind}-value")
    pairs = zip(names, values, strict=False)
    rows = [(name.strip(), _lines(value.strip())) for name, value in pairs]
    # A name alone is a field of the template that was left empty; the request goes without it.
    return [(name, value) for name, value in rows if name or value][: MOST[kind] + 1]


def _with_spare(filled: Filled, kind: str, problems: Sequence[Problem]) -> Iterable[Row]:
    rows = filled.rows.get(kind, ())
    for index, (name, value) in enumerate(rows):
        paths = (f"{_PATHS[kind]}.{name}", f"{_PATHS[kind]}[{index}]")
        found = [p.detail for p in problems if p.field.startswith(paths[1]) or p.field == paths[0]]
        yield Row(name, value, f"It {found[0]}." if found else None)
    yield from [Row("", "")] * min(filled.spare[kind], MOST[kind] - len(rows))
