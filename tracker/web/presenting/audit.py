"""The audit trail: its lines, and the question that its list answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from flask import url_for
from werkzeug.datastructures import MultiDict

from tracker.store.audit import AuditFilter
from tracker.store.rows import AuditRow

from .fields import Field, date_fields, period, typed
from .question import Chip, Choice

ACTIONS: Final = {
    "login": "Logged in",
    "logout": "Logged out",
    "login.locked": "Account locked for a while",
    "number.search": "Searched for a number",
    "handset.search": "Looked up a handset",
    "messages.export": "Took messages as a file",
    "audit.export": "Took the audit as a file",
    "message.send": "Sent a pass by the form",
    "message.cancel": "Cancelled a message",
    "message.resend": "Sent a message again",
    "message.settle": "Settled a lost answer",
    "messages.bulk": "Acted on many messages",
    "reconcile": "Compared messages with the gateway's statistics",
    "messages.bulk_stop": "Stopped acting on many messages",
    "view.save": "Saved a view of the list",
    "view.change": "Changed a view of the list",
    "view.delete": "Deleted a view of the list",
    "batch.create": "Handed in a batch",
    "batch.start": "Started a batch",
    "batch.pause": "Paused a batch",
    "batch.resume": "Resumed a batch",
    "batch.cancel": "Cancelled a batch",
    "postback.replay": "Judged a postback anew",
    "postbacks.replay": "Judged postbacks anew",
    "rebuild": "Recomputed every status",
    "purge": "Let old data leave",
    "person.forget": "Erased a person",
    "gateway.pause": "Paused the gateway",
    "gateway.resume": "Resumed the gateway",
    "alert.close": "Closed an alert",
    "suppression.lift": "Lifted a suppressed number",
    "template.save": "Saved a pass template",
    "template.delete": "Deleted a pass template",
    "user.add": "Added a user",
    "user.role": "Changed a role",
    "user.password": "Gave a new password",
    "user.disable": "Disabled a user",
    "user.enable": "Enabled a user",
    "two_factor.on": "Turned two-factor login on",
    "two_factor.off": "Turned two-factor login off",
    "two_factor.reset": "Reset two-factor login",
    "two_factor.recovery_codes": "Made new recovery codes",
    "token.create": "Made an API token",
    "token.revoke": "Revoked an API token",
    "postback_token.create": "Made a postback address",
    "postback_token.revoke": "Revoked a postback address",
    "carriers.import": "Read in a list of carriers",
    "demo.fill": "Filled in the invented week",
}
DATES: Final = {"at_from": "From", "at_to": "To"}
NAMES: Final = ("actor", "action", *DATES)
_KINDS: Final = {
    "user": "in the dashboard",
    "token": "by the API",
    "cli": "on the command line",
}
_PAGES: Final = {  # by action, or by its first word
    "message": "pages.show_message",
    "batch": "batches.show_batch",
    "messages.bulk": "bulk_actions.show",
    "messages.bulk_stop": "bulk_actions.show",
}


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line: who did what to what, why, and when."""

    id: int
    at: datetime
    who: str
    how: str | None
    who_url: str
    what: str
    about: str | None
    about_url: str | None
    why: str | None


@dataclass(frozen=True, slots=True)
class AuditQuestion:
    """What the list was asked for, as it stands in the address; odd words are passed over."""

    actor: str
    action: str | None
    dates: Mapping[str, str]

    @classmethod
    def from_args(cls, args: MultiDict[str, str]) -> Self:
        """Read the query of the address."""
        action = args.get("action", "")
        return cls(
            actor=typed(args, ["actor"]).get("actor", ""),
            action=action if action in ACTIONS else None,
            dates=typed(args, DATES),
        )

    @property
    def is_empty(self) -> bool:
        """Nothing was asked: the list has every line."""
        return not self.asked()

    def asked(self) -> dict[str, str]:
        """Return what stands in the address."""
        words = {"actor": self.actor, "action": self.action or ""}
        return {**{name: word for name, word in words.items() if word}, **self.dates}

    def filter(self) -> AuditFilter:
        """Return the conditions; the last day counts whole."""
        days: dict[str, Any] = {**period(self.dates, "at")}
        return AuditFilter(actor=_actor(self.actor), action=self.action, **days)

    def url(self, endpoint: str = "audit.show", **more: str | None) -> str:
        """Return the address of the list, or of another page that answers the same question."""
        asked: dict[str, Any] = {**self.asked(), **more}
        return url_for(endpoint, **asked)

    def chips(self) -> list[Chip]:
        """Return the conditions that hold, each with a way out of it."""
        chosen = []
        if self.actor:
            chosen.append(Chip("Who", self.actor, replace(self, actor="").url()))
        if self.action:
            chosen.append(Chip("What", ACTIONS[self.action], replace(self, action=None).url()))
        return [*chosen, *(Chip(DATES[n], text, self._less(n)) for n, text in self.dates.items())]

    def actions(self) -> list[Choice]:
        """Return everything that can be done, to choose from."""
        return [Choice(word, label, word == self.action) for word, label in ACTIONS.items()]

    def text_fields(self) -> list[Field]:
        """Return the text fields of the form."""
        return [Field(name="actor", label="Who", text=self.actor)]

    def date_fields(self) -> list[Field]:
        """Return the days of the form, with what is wrong with them."""
        return date_fields(DATES, self.dates)

    @property
    def has_problem(self) -> bool:
        """A field of the form was filled in wrongly."""
        return any(field.problem for field in self.date_fields())

    def _less(self, name: str) -> str:
        dates = {key: text for key, text in self.dates.items() if key != name}
        return replace(self, dates=dates).url()


def audit_lines(rows: Iterable[AuditRow]) -> list[AuditLine]:
    """Return entries as lines of the list."""
    return [_line(row) for row in rows]


def what(action: str) -> str:
    """Return an action in words."""
    return ACTIONS.get(action) or action.replace("_", " ").replace(".", ": ").capitalize()


def _line(row: AuditRow) -> AuditLine:
    kind, _, name = row.actor.partition(":")
    is_known = bool(name) and kind in _KINDS
    return AuditLine(
        id=row.id,
        at=row.at,
        who=name if is_known else row.actor,
        how=_KINDS[kind] if is_known else None,
        who_url=url_for("audit.show", actor=row.actor),
        what=what(row.action),
        about=row.subject,
        about_url=_about_url(row),
        why=row.detail,
    )


def _about_url(row: AuditRow) -> str | None:
    endpoint = _PAGES.get(row.action) or _PAGES.get(row.action.partition(".")[0])
    if endpoint is None or row.subject is None:
        return None
    try:
        return url_for(endpoint, public_id=UUID(row.subject))
    except ValueError:
        return None


def _actor(text: str) -> str | None:
    """Return an actor as it is written down: a name alone is that of a user."""
    if not text:
        return None
    is_whole = ":" in text or text in ("gateway", "probe", "login", "retention")
    return text if is_whole else f"user:{text}"
