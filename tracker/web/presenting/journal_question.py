"""The question that the list of postbacks answers: its filters, as address, form and chips."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from flask import url_for
from werkzeug.datastructures import MultiDict

from tracker.domain.fold import Outcome
from tracker.protocol.notification import Kind
from tracker.services.replay import ReplayFilter
from tracker.store.postbacks import PostbackFilter

from .fields import Field, date_fields, period, typed
from .question import Chip, Choice

OUTCOMES: Final = {
    Outcome.APPLIED: "Applied",
    Outcome.OUTRANKED: "Outranked",
    Outcome.UNMATCHED: "Unmatched",
    Outcome.QUARANTINED: "Quarantined",
    Outcome.NOTED: "Noted",
}
KINDS: Final = {
    Kind.MMS: "MMS delivery",
    Kind.SMS: "SMS delivery",
    Kind.DDM: "Discovery message",
    Kind.CONTENT: "Stored MMS",
    Kind.MO_SMS: "SMS from a phone",
    Kind.MO_MMS: "MMS from a phone",
    Kind.SUBSCRIPTION: "Subscription",
    Kind.PASS: "Making of a pass",
    Kind.QUEUE_ERROR: "Error in the gateway's queue",
    Kind.UNKNOWN: "Not known",
}
TEXTS: Final = {"code": "Code", "tracking_id": "Tracking id"}
DATES: Final = {"received_from": "From", "received_to": "To"}
NAMES: Final = ("outcome", "kind", *TEXTS, *DATES)
VIEWS: Final = {"All": None, "Unmatched": Outcome.UNMATCHED, "Quarantined": Outcome.QUARANTINED}
REPLAYABLE: Final = (None, Outcome.UNMATCHED, Outcome.QUARANTINED)


@dataclass(frozen=True, slots=True)
class JournalQuestion:
    """What the list was asked for, as it stands in the address; odd words are passed over."""

    outcome: Outcome | None
    kind: Kind | None
    texts: Mapping[str, str]
    dates: Mapping[str, str]

    @classmethod
    def from_args(cls, args: MultiDict[str, str]) -> Self:
        """Read the query of the address, or a form with the same fields."""
        outcome, kind = args.get("outcome"), args.get("kind")
        return cls(
            outcome=next((one for one in Outcome if one.value == outcome), None),
            kind=next((one for one in Kind if one.value == kind), None),
            texts=typed(args, TEXTS),
            dates=typed(args, DATES),
        )

    @property
    def is_empty(self) -> bool:
        """Nothing was asked: the list has every postback."""
        return not self.asked()

    @property
    def may_replay(self) -> bool:
        """It asks for postbacks that may be judged anew."""
        return self.outcome in REPLAYABLE

    def asked(self) -> dict[str, str]:
        """Return what stands in the address."""
        words = {"outcome": self.outcome, "kind": self.kind}
        chosen = {name: word.value for name, word in words.items() if word}
        return {**chosen, **self.texts, **self.dates}

    def filter(self) -> PostbackFilter:
        """Return the conditions; the last day counts whole."""
        return PostbackFilter(outcome=self.outcome, **self._conditions())

    def replay_filter(self, ids: tuple[int, ...] = (), through: int | None = None) -> ReplayFilter:
        """Return the same conditions for judging anew."""
        return ReplayFilter(ids=ids, outcome=self.outcome, through_id=through, **self._conditions())

    def url(self, endpoint: str = "journal.list_postbacks", **more: str | None) -> str:
        """Return the address of the list, or of another page that answers the same question."""
        asked: dict[str, Any] = {**self.asked(), **more}
        return url_for(endpoint, **asked)

    def views(self) -> list[tuple[str, str, bool]]:
        """Return name, address and whether it is shown of every ready-made view."""
        return [
            (name, replace(self, outcome=outcome).url(), outcome == self.outcome)
            for name, outcome in VIEWS.items()
        ]

    def chips(self) -> list[Chip]:
        """Return the conditions that hold, each with a way out of it."""
        chosen = []
        if self.outcome:
            without = replace(self, outcome=None).url()
            chosen.append(Chip("Outcome", OUTCOMES[self.outcome], without))
        if self.kind:
            chosen.append(Chip("Kind", KINDS[self.kind], replace(self, kind=None).url()))
        typed_ = [(TEXTS[n], text, self._less(n)) for n, text in self.texts.items()]
        typed_ += [(DATES[n], text, self._less(n)) for n, text in self.dates.items()]
        return [*chosen, *(Chip(name, text, less.url()) for name, text, less in typed_)]

    def outcomes(self) -> list[Choice]:
        """Return every outcome to choose from."""
        return [Choice(one.value, label, one is self.outcome) for one, label in OUTCOMES.items()]

    def kinds(self) -> list[Choice]:
        """Return every kind to choose from."""
        return [Choice(one.value, label, one is self.kind) for one, label in KINDS.items()]

    def text_fields(self) -> list[Field]:
        """Return the text fields of the form."""
        return [
            Field(name=name, label=label, text=self.texts.get(name, ""))
            for name, label in TEXTS.items()
        ]

    def date_fields(self) -> list[Field]:
        """Return the days of the form, with what is wrong with them."""
        return date_fields(DATES, self.dates)

    @property
    def has_problem(self) -> bool:
        """A field of the form was filled in wrongly."""
        return any(field.problem for field in self.date_fields())

    def _conditions(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.texts, **period(self.dates, "received")}

    def _less(self, name: str) -> "JournalQuestion":
        texts = {key: text for key, text in self.texts.items() if key != name}
        dates = {key: text for key, text in self.dates.items() if key != name}
        return replace(self, texts=texts, dates=dates)
