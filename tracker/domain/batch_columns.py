"""The columns of a batch's file: which field of a request each one fills, and rows as requests.

A header is a field of the request to send (`to`, `mms_id`), or one of a part of it with a dot
between: `ddm.text`, `pass.BARCODEVALUE`, `data.FIRST_NAME`, `text.1` for slide 1.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tracker.protocol.passdata import PASS_FIELDS

from .message import InvalidMessageError, Problem
from .near import nearest
from .validation import MAX_SLIDE, check

PLAIN: Final = (
    "to", "mms_id", "from", "campaign_ref", "reference", "custom_subject", "send_at",
)  # fmt: skip
DDM: Final = ("ddm.title", "ddm.text", "ddm.timeout_minutes")
KNOWN: Final = (
    *PLAIN,
    *DDM,
    *(f"text.{slide}" for slide in range(1, MAX_SLIDE + 1)),
    *(f"pass.{name}" for name in PASS_FIELDS),
)
EXAMPLES: Final = "to, mms_id, reference, pass.BARCODEVALUE, data.FIRST_NAME, text.1, ddm.text"
LONGEST_HEADER: Final = 128
MOST_COLUMNS: Final = 400

# Numbers that are names; a spreadsheet takes them for quantities.
_NAMES: Final = frozenset({"to", "mms_id", "from", "campaign_ref", "reference"})
_PARTS: Final = {
    "pass": "pass", "pass_data": "pass", "data": "data", "text": "text", "custom_text": "text",
    "ddm": "ddm",
}  # fmt: skip
_SHORTENED: Final = re.compile(r"[0-9]([.,][0-9]+)?[eE]\+?[0-9]{1,3}")
_WITH_FRACTION: Final = re.compile(r"[0-9]{4,}[.,]0+")
# Excel shows text that it must not take for a formula or a number behind an apostrophe.
_QUOTED: Final = re.compile(r"'[=+\-@0-9\t\r]")
_BLANKS: Final = re.compile(r"[\s_\-\u00a0]+")

Set = Callable[[dict[str, Any], str], None]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its header as it stands in the file, and its field; None when it is ignored."""

    header: str
    field: str | None


class ColumnsError(ValueError):
    """The columns cannot be understood; `problems` names each header and what would be right."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{p.field or 'the file'} {p.detail}" for p in problems))
        self.problems = tuple(problems)


def read(headers: Sequence[str], mapping: Mapping[str, str | None]) -> list[Column]:
    """Return the columns of a header row; `mapping` gives headers another field, or none.

    Raises:
        ColumnsError: with every header that is wrong, not only the first.
    """
    problems: list[Problem] = []
    if len(headers) > MOST_COLUMNS:
        raise ColumnsError(
            [Problem("", len(headers), f"has {len(headers)} columns; at most {MOST_COLUMNS}")]
        )
    given = _by_header(headers, mapping, problems)
    columns = [
        _column(header.strip(), given.get(index, header), problems)
        for index, header in enumerate(headers)
    ]
    _refuse_twice(columns, problems)
    if not problems and not any(column.field == "to" for column in columns):
        detail = "has no column for `to`, the recipient's number"
        problems.append(Problem("", None, detail))
    if problems:
        raise ColumnsError(problems)
    return columns


def guess(headers: Sequence[str]) -> list[str | None]:
    """Return the field that each header names by itself; None for the others."""
    return [field_of(header) for header in headers]


def field_of(header: str) -> str | None:
    """Return the field that a header names, forgiving of case and blanks; None when it is none."""
    part, dot, name = (side.strip() for side in header.partition("."))
    words = _BLANKS.sub("_", part).lower()
    if not dot:
        return words if words in PLAIN else None
    part = _PARTS.get(words, "")
    if part == "data":
        return f"data.{name}" if name else None  # names are free, and their case is theirs
    name = _BLANKS.sub("", name).upper() if part == "pass" else _BLANKS.sub("_", name).lower()
    field = f"{part}.{name}"
    return field if field in KNOWN else None


def near(header: str) -> str | None:
    """Return the field that may have been meant."""
    words = _BLANKS.sub("_", header.strip())
    for prefix in ("pass.", "ddm.", "text."):
        if field := field_of(prefix + words):
            return field
    by_letters = {field.lower(): field for field in KNOWN}
    by_letters |= {field.partition(".")[2].lower(): field for field in KNOWN if "." in field}
    found = nearest(words.lower(), by_letters)
    return by_letters[found] if found else None


def _by_header(
    headers: Sequence[str], mapping: Mapping[str, str | None], problems: list[Problem]
) -> dict[int, str | None]:
    """Return what the caller says of columns, by their place."""
    exact = {header.strip(): index for index, header in enumerate(headers)}
    loose = {_loose(header): index for index, header in enumerate(headers)}
    given: dict[int, str | None] = {}
    for header, field in mapping.items():
        index = exact.get(header.strip(), loose.get(_loose(header)))
        if index is None:
            some = ", ".join(h.strip() for h in headers[:12] if h.strip())
            detail = f"is mapped, and the file has no such column; it has {some}"
            problems.append(Problem(header[:LONGEST_HEADER], field, detail))
        else:
            given[index] = field
    return given


def _loose(header: str) -> str:
    return _BLANKS.sub("", header).lower()


def _column(header: str, meant: str | None, problems: list[Problem]) -> Column:
    if len(header) > LONGEST_HEADER:
        detail = f"is a header of {len(header)} characters; at most {LONGEST_HEADER}"
        problems.append(Problem(header[:40] + "…", None, detail))
        return Column(header[:LONGEST_HEADER], None)
    if meant is None or not meant.strip():
        return Column(header, None)
    field = field_of(meant)
    if field is None:
        problems.append(Problem(header, _value(header, meant), _unknown(meant)))
    return Column(header, field)


def _value(header: str, meant: str) -> str | None:
    return None if meant.strip() == header else meant[:LONGEST_HEADER]


def _unknown(meant: str) -> str:
    if meant.strip().lower().rstrip(".") == "data":
        return "names no merge field; write it as data.NAME"
    hint = f"did you mean {found}?" if (found := near(meant)) else f"known are {EXAMPLES}, ..."
    return f"is not a field; {hint} Map it to a field, or say to ignore it"


def _refuse_twice(columns: Sequence[Column], problems: list[Problem]) -> None:
    first: dict[str, str] = {}
    for column in columns:
        if column.field is None:
            continue
        if column.field in first:
            detail = f"fills {column.field}, as the column {first[column.field]!r} does"
            problems.append(Problem(column.header, column.field, detail))
        first.setdefault(column.field, column.header)


def read_defaults(defaults: Mapping[str, Any], default_from: str | None) -> dict[str, Any]:
    """Return the fields for every row, checked, with names of pass fields in capitals.

    Raises:
        InvalidMessageError: with every field that is wrong; what may come from columns may lack.
    """
    if "to" in defaults:
        raise InvalidMessageError((Problem("to", defaults["to"], "comes from the file's rows"),))
    filled = {"to": "12025550143", "mms_id": "1", "from": "1234", **defaults}
    try:
        check(filled)
    except InvalidMessageError as error:
        # One half of a place on the map may be here, and the other in a column.
        if wrong := [p for p in error.problems if p.detail != "is missing"]:
            raise InvalidMessageError(tuple(wrong)) from error
    kept = {name: value for name, value in defaults.items() if value not in (None, "", {}, [])}
    if "pass_data" in kept:
        kept["pass_data"] = {name.upper(): value for name, value in kept["pass_data"].items()}
    if default_from is not None:
        kept.setdefault("from", default_from)
    return kept


class Rows:
    """Turns the cells of rows into requests to send, and what is wrong into cells again."""

    def __init__(self, columns: Sequence[Column], defaults: Mapping[str, Any]) -> None:
        self._columns = columns
        self._plain = {name: v for name, v in defaults.items() if not isinstance(v, dict | list)}
        self._parts = {
            name: dict(defaults.get(name) or {}) for name in ("ddm", "data", "pass_data")
        }
        self._slides = {str(t["slide"]): t["value"] for t in defaults.get("custom_text") or ()}
        self._used = [(i, *_place(c.field)) for i, c in enumerate(columns) if c.field is not None]

    def request(self, cells: Sequence[str]) -> tuple[dict[str, Any], list[Problem]]:
        """Return the request that a row makes, and what is odd about the row itself."""
        problems: list[Problem] = []
        request = dict(self._plain)
        parts = {name: dict(values) for name, values in self._parts.items()}
        parts["custom_text"] = dict(self._slides)
        count = len(cells)
        for index, part, name in self._used:
            text = cells[index].strip() if index < count else ""
            if not text:
                continue
            if _QUOTED.match(text):
                text = text[1:]
            if part:
                parts[part][name] = text
            else:
                if name in _NAMES and not text.isdecimal() and (said := _artefact(text)):
                    problems.append(Problem(name, text, said))
                request[name] = text
        request |= {name: values for name, values in parts.items() if values}
        if slides := parts["custom_text"]:
            request["custom_text"] = [{"slide": s, "value": v} for s, v in slides.items()]
        if count > len(self._columns):
            problems += self._beyond(cells)
        return request, problems

    def header_of(self, field: str, request: Mapping[str, Any]) -> str | None:
        """Return the column that a field of a request came from; None when a default gave it."""
        slide = re.match(r"custom_text\[([0-9]+)\]", field)
        if slide:
            field = f"text.{request['custom_text'][int(slide[1])]['slide']}"
        field = re.sub(r"^pass_data\.", "pass.", field)
        return next((column.header for column in self._columns if column.field == field), None)

    def _beyond(self, cells: Sequence[str]) -> list[Problem]:
        odd = [cell for cell in cells[len(self._columns) :] if cell.strip()]
        if not odd:
            return []
        detail = (
            f"has {len(cells)} cells, and the header {len(self._columns)};"
            " a value with the separator in it must stand in quotation marks"
        )
        return [Problem("", odd[0], detail)]


def warnings_of(request: Mapping[str, Any]) -> list[Problem]:
    """Return what a spreadsheet may have done to values that only the recipient will see."""
    return [
        Problem(f"pass_data.{name}", text, "may be a long number that a spreadsheet has shortened")
        for name, text in request.get("pass_data", {}).items()
        if isinstance(text, str) and _SHORTENED.fullmatch(text)
    ]


def _place(field: str | None) -> tuple[str, str]:
    """Return part and name of a field in the request; no part for the plain ones."""
    part, dot, name = (field or "").partition(".")
    if not dot:
        return "", part
    return {"pass": "pass_data", "text": "custom_text"}.get(part, part), name


def _artefact(text: str) -> str | None:
    if _SHORTENED.fullmatch(text):
        return (
            "is how a spreadsheet shortens a long number, and its digits are lost; make the column"
            " text, fill it in anew and export again"
        )
    if _WITH_FRACTION.fullmatch(text):
        return "ends like a calculated number; make the column text and export again"
    return None
