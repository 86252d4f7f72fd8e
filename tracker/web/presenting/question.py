"""The question that the list of messages answers: its filters, as address, form and chips."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from flask import url_for
from werkzeug.datastructures import MultiDict

from tracker.domain.message import Problem
from tracker.domain.status import FAILURES, LABELS, Status
from tracker.store.messages import MessageFilter

from .fields import LONGEST, Field, date_fields, day, period, typed
from .texts import printable

# Asked in the form; the others come from links of other pages.
FORM_TEXTS: Final = {"mms_id": "MMS id", "campaign_ref": "Campaign", "reference": "Reference"}
LINK_TEXTS: Final = {
    "handset": "Handset",
    "sent_as": "Sent as",
    "spid": "Carrier (SPID)",
    "code": "Code",
    "batch_id": "Batch",
}
TEXTS: Final = FORM_TEXTS | LINK_TEXTS
DATES: Final = {"created_from": "From", "created_to": "To"}
NAMES: Final = ("status", *TEXTS, *DATES)
VIEWS: Final[dict[str, tuple[Status, ...]]] = {
    "All": (),
    "In progress": (Status.QUEUED, Status.SENDING, Status.ACCEPTED, Status.SENT),
    "Delivered": (Status.DELIVERED,),
    "Not delivered": (Status.REFUSED, *sorted(FAILURES)),
    "Unconfirmed": (Status.UNKNOWN, Status.NO_RECEIPT),
}
_MOST_ODD: Final = 5  # statuses that there are not, of one address


@dataclass(frozen=True, slots=True)
class Chip:
    """One condition that holds, and the address of the list without it."""

    name: str
    text: str
    without_url: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to choose from."""

    value: str
    label: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What the list was asked for, as it stands in the address.

    The list passes over what it cannot read, and shows it; whoever acts on all that the list finds
    asks for the `problems` first.
    """

    statuses: tuple[Status, ...]
    texts: Mapping[str, str]
    dates: Mapping[str, str]
    odd: tuple[str, ...] = ()  # statuses that there are not

    @classmethod
    def from_args(cls, args: MultiDict[str, str]) -> Self:
        """Read the query of the address."""
        asked = dict.fromkeys(args.getlist("status"))
        odd = [printable(text[:LONGEST]) for text in asked if text and text not in list(Status)]
        return cls(
            statuses=tuple(status for status in Status if status in asked),
            texts=typed(args, TEXTS),
            dates=typed(args, DATES),
            odd=tuple(odd[:_MOST_ODD]),
        )

    @classmethod
    def from_asked(cls, asked: Mapping[str, list[str]]) -> Self:
        """Return the question that was kept with `asked`."""
        return cls.from_args(MultiDict(asked))

    def asked(self) -> dict[str, list[str]]:
        """Return the question to keep it; it has no numbers, as no address has them."""
        words = self._status_words()
        statuses = {"status": words} if words else {}
        return statuses | {name: [text] for name, text in {**self.texts, **self.dates}.items()}

    def pairs(self) -> list[tuple[str, str]]:
        """Return the question as the hidden fields of a form."""
        return [(name, text) for name, texts in self.asked().items() for text in texts]

    def said(self) -> str:
        """Return the question in words."""
        return "; ".join(f"{chip.name}: {chip.text}" for chip in self.chips()) or "all messages"

    @property
    def is_empty(self) -> bool:
        """Nothing was asked: the list has every message."""
        return not self.asked()

    def problems(self) -> list[Problem]:
        """Return what could not be read: the field, what it held, and what would be right."""
        known = ", ".join(status.value for status in Status)
        odd = [Problem("status", text, f"use one of {known}") for text in self.odd]
        days = [
            Problem(name, text, "write a day as 2026-11-22")
            for name, text in self.dates.items()
            if day(text) is None
        ]
        return odd + days

    def filter(self) -> MessageFilter:
        """Return the conditions; the last day counts whole."""
        asked: dict[str, Any] = {**self.texts, **period(self.dates, "created")}
        return MessageFilter(status=self.statuses, **asked)

    def url(self, endpoint: str = "pages.list_messages", **more: str | None) -> str:
        """Return the address of the list, or of another page that answers the same question."""
        asked: dict[str, Any] = {**self.texts, **self.dates, **more}
        return url_for(endpoint, status=self._status_words(), **asked)

    def views(self) -> list[tuple[str, str, bool]]:
        """Return name, address and whether it is shown of every ready-made view."""
        return [
            (
                name,
                self._with(statuses).url(),
                set(statuses) == set(self.statuses) and not self.odd,
            )
            for name, statuses in VIEWS.items()
        ]

    def chips(self) -> list[Chip]:
        """Return the conditions that hold, each with a way out of it."""
        rest = {status: tuple(s for s in self.statuses if s is not status) for status in Status}
        readable = self._with(self.statuses).url()
        return [
            *(
                Chip("Status", LABELS[s], self._with(rest[s], self.odd).url())
                for s in self.statuses
            ),
            *(Chip("Not a status", text, readable) for text in self.odd),
            *(Chip(TEXTS[name], text, self._less(name).url()) for name, text in self.texts.items()),
            *(Chip(DATES[name], text, self._less(name).url()) for name, text in self.dates.items()),
        ]

    def choices(self) -> list[Choice]:
        """Return every status to choose from."""
        return [Choice(s.value, LABELS[s], s in self.statuses) for s in Status]

    def text_fields(self) -> list[Field]:
        """Return the text fields of the form."""
        return [
            Field(name=name, label=label, text=self.texts.get(name, ""))
            for name, label in FORM_TEXTS.items()
        ]

    def date_fields(self) -> list[Field]:
        """Return the days of the form, with what is wrong with them."""
        return date_fields(DATES, self.dates)

    def hidden(self) -> list[tuple[str, str]]:
        """Return the conditions that the form keeps but does not ask for."""
        return [(name, self.texts[name]) for name in LINK_TEXTS if name in self.texts]

    @property
    def has_problem(self) -> bool:
        """A field of the form was filled in wrongly."""
        return any(field.problem for field in self.date_fields())

    def _status_words(self) -> list[str]:
        return [*(status.value for status in self.statuses), *self.odd]

    def _with(self, statuses: tuple[Status, ...], odd: tuple[str, ...] = ()) -> "Question":
        return Question(statuses, self.texts, self.dates, odd)

    def _less(self, name: str) -> "Question":
        texts = {key: text for key, text in self.texts.items() if key != name}
        dates = {key: text for key, text in self.dates.items() if key != name}
        return Question(self.statuses, texts, dates, self.odd)
