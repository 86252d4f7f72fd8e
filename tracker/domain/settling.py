"""Messages whose answer was lost: which postbacks can be the answer, and what was decided."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

SOON: Final = timedelta(minutes=10)  # between a call and its first postback. Source: PROTOCOL 4.8
# The gateway's own, when a discovery message is asked for without one. Source: PROTOCOL 4.5
DISCOVERY: Final = timedelta(minutes=5)
CLOCKS: Final = timedelta(seconds=5)  # sender and receiver may be two hosts


class Settled(StrEnum):
    """How it was decided what became of a message without an answer."""

    SENT = "sent"  # a person says that it went out
    NOT_SENT = "not_sent"  # a person says that it did not
    TAKEN = "taken"  # a postback stands in for the answer
    RESENT = "resent"  # a person had it sent again, whatever became of it


def answer_window(called_at: datetime, ddm: Mapping[str, Any] | None) -> tuple[datetime, datetime]:
    """Return from when until when a first postback may come after a call.

    Where a discovery message was asked for, the gateway waits for its receipt before N101.
    """
    wait = SOON
    if ddm and ddm.get("text"):
        minutes = ddm.get("timeout_minutes")
        wait += DISCOVERY if minutes is None else timedelta(minutes=minutes)
    return called_at - CLOCKS, called_at + wait
