"""The index of what can be set in the dashboard: what concerns everybody, and one's own login."""

from dataclasses import dataclass
from typing import Final

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from tracker.store.models import Role

from . import auth


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of the index, for those who have the role."""

    title: str
    endpoint: str
    symbol: str
    sentence: str
    role: Role = Role.ADMIN


ENTRIES: Final = (
    Entry(
        "Two-factor login", "two_factor.show", "lock",
        "Protect your own login with a code from your phone, besides the password.", Role.VIEWER,
    ),
    Entry(
        "Your password", "own_password.show", "key",
        "Give yourself a new one, and end your sessions elsewhere.", Role.VIEWER,
    ),
    Entry("Users", "users.show", "people", "Who may log in to the dashboard, and who may do what."),
    Entry(
        "API tokens", "tokens.show", "code",
        "What other programs send and read with: what each token may do, how often, and its end.",
    ),
    Entry(
        "Postback address", "postback_address.show", "postbacks",
        "The secrets of the address that the gateway posts to, and from where they may be used.",
    ),
    Entry(
        "Data", "data.show", "expired",
        "How long what is kept, and the form by which a person is forgotten.",
    ),
    Entry(
        "Audit", "audit.show", "list",
        "Who did what, about what, why and when: every change, login, search by number, file.",
    ),
)  # fmt: skip

bp = Blueprint("settings", __name__, url_prefix="/settings")
auth.guard(bp)


@bp.get("")
def show() -> ResponseReturnValue:
    """Show the index."""
    person = auth.viewer()
    entries = [entry for entry in ENTRIES if person and person.may(entry.role)]
    return render_template("settings.html", entries=entries)
