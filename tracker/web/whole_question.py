"""The list's question where all that it finds is meant: a word that cannot be read is refused.

The list itself shows more than was asked for then, and says so; an action or a file must not.
"""

from collections.abc import Mapping
from typing import Final

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from .presenting.question import DATES, Question

LABELS: Final = {"status": "Status"} | DATES
_MOST_SHOWN: Final = 60  # characters of a wrong value


class UnreadableError(BadRequest):
    """A filter cannot be read; the description says which, what it held and what would be right."""


def question_of(args: MultiDict[str, str]) -> Question:
    """Return the question of an address or a form.

    Raises:
        UnreadableError: some of it cannot be read.
    """
    question = Question.from_args(args)
    if problems := question.problems():
        said = " ".join(
            f"The filter “{LABELS[p.field]}” holds “{_short(str(p.value))}”; {p.detail}."
            for p in problems
        )
        raise UnreadableError(f"Nothing was done. {said}")
    return question


def question_kept(asked: Mapping[str, list[str]]) -> Question:
    """Return the question that was kept with an action.

    Raises:
        UnreadableError: some of it cannot be read.
    """
    return question_of(MultiDict(asked))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
