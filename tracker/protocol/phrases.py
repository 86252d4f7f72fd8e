"""From code and STATUS phrase to state: the code gives the default, the phrase the outcome.

Source: PROTOCOL 6.5.
"""

import re
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """What one postback says of the message (or of the discovery message) it is about."""

    SENT = "sent"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"


_SUCCESSES: Final = frozenset({State.SENT, State.DELIVERED})

DEFAULTS: Final = {
    "N101": State.SENT,
    "N102": State.DELIVERED,
    "N103": State.EXPIRED,
    "E101": State.FAILED,
    "E102": State.FAILED,
    "N201": State.SENT,
    "N202": State.DELIVERED,
    "E201": State.FAILED,
    "E202": State.FAILED,
    "N501": State.SENT,
    "N502": State.DELIVERED,
    "E501": State.FAILED,
    "E502": State.FAILED,
}

_OUTCOMES: Final = {  # letters only; all but the first two also follow "Message Sent"
    "messagesent": State.SENT,
    "messagefailed": State.FAILED,
    "sent": State.SENT,
    "delivered": State.DELIVERED,
    "expired": State.EXPIRED,
    "rejected": State.REJECTED,
    "notsupported": State.UNSUPPORTED,  # also spelled "Not Supported"
    "failed": State.FAILED,
    "unrecognized": State.FAILED,
    "unrecognised": State.FAILED,
    "deferred": State.SENT,
    "forwarded": State.SENT,
    "indeterminate": State.SENT,
}
_NO_LETTERS: Final = re.compile("[^a-z]+")


def phrase_letters(phrase: str | None) -> str:
    """Return what phrases are compared by: their letters, in lower case."""
    return _NO_LETTERS.sub("", (phrase or "").lower())


def phrase_outcome(phrase: str | None) -> State | None:
    """Return what a STATUS phrase says, None when it is absent or means nothing to us.

    "Message Sent/Rejected", "message,sent/rejected" and "/Rejected" are one phrase.
    """
    letters = phrase_letters(phrase)
    return _OUTCOMES.get(letters) or _OUTCOMES.get(letters.removeprefix("messagesent"))


def resolved_state(code: str, *outcomes: State | None) -> State | None:
    """Return the state for a code and what the postback says besides it, strongest word first.

    A success never overrides an E code; without a usable word the code's default holds. None for
    a code that is about no message.
    """
    default = DEFAULTS.get(code)
    if default is None:
        return None
    for outcome in outcomes:
        if outcome and not (outcome in _SUCCESSES and code.startswith("E")):
            return outcome
    return default
