"""Pass templates as a TOML file: one `[[template]]` for each stored MMS."""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Final

import tomli_w

from tracker.domain.message import Problem
from tracker.domain.template_words import InvalidTemplateError
from tracker.store.templates import TemplateRow

from .templates import MAX_IMPORT, template_object

TABLE: Final = "template"
MAX_FILE_BYTES: Final = 8 * 1024 * 1024


class UnreadableFileError(ValueError):
    """The text is no TOML; the message says where."""


def to_toml(rows: Iterable[TemplateRow]) -> str:
    """Write templates down; `from_toml` reads the same descriptions out of it."""
    return tomli_w.dumps({TABLE: [template_object(row) for row in rows]})


def from_toml(text: str) -> dict[str, Mapping[str, object]]:
    """Read descriptions by MMS id; what they say is judged when they are kept.

    Raises:
        UnreadableFileError: it is no TOML.
        InvalidTemplateError: it is not a file of templates.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise UnreadableFileError(str(error) or type(error).__name__) from error
    tables = document.pop(TABLE, None)
    problems = [
        Problem(str(name)[:64], None, f"is not known here; the file has [[{TABLE}]] tables alone")
        for name in document
    ]
    if not isinstance(tables, list) or not tables:
        problems.append(Problem(TABLE, None, f"is missing: begin each one with [[{TABLE}]]"))
        tables = []
    if len(tables) > MAX_IMPORT:
        problems.append(Problem(TABLE, len(tables), f"has more than {MAX_IMPORT:,} entries"))
        tables = []
    found = _by_mms_id(tables, problems)
    if problems:
        raise InvalidTemplateError(tuple(problems))
    return found


def _by_mms_id(tables: list[object], problems: list[Problem]) -> dict[str, Mapping[str, object]]:
    found: dict[str, Mapping[str, object]] = {}
    for place, table in enumerate(tables, 1):
        path = f"{TABLE} {place}: mms_id"
        if not isinstance(table, dict):
            problems.append(Problem(f"{TABLE} {place}", None, "must be a table"))
            continue
        mms_id = table.pop("mms_id", None)
        if isinstance(mms_id, int) and not isinstance(mms_id, bool):
            mms_id = str(mms_id)
        if not isinstance(mms_id, str) or not mms_id:
            problems.append(Problem(path, None, 'is missing; the id of a stored MMS, as "45633"'))
        elif mms_id in found:
            problems.append(Problem(path, mms_id[:40], "is described twice in this file"))
        else:
            found[mms_id] = table
    return found
