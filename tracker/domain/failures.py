"""When to ask the gateway again. Source: PROTOCOL 4.8 and 5."""

from datetime import timedelta
from typing import Final

from tracker.protocol.codes import ErrorClass

# After a refusal that may turn out otherwise later: then it is final.
RETRY_DELAYS: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))
# After a call that never reached the gateway: costs nothing, so it goes on until it is cancelled.
RECONNECT_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 15, 60, 300, 900))
_RETRIED: Final = frozenset({ErrorClass.TRANSIENT, ErrorClass.THROTTLE})


def retry_delay(error_class: ErrorClass, attempts: int) -> timedelta | None:
    """Return how long to wait after the nth call was refused, n from 1; None: never again."""
    if error_class not in _RETRIED or attempts > len(RETRY_DELAYS):
        return None
    return RETRY_DELAYS[attempts - 1]


def reconnect_delay(attempts: int) -> timedelta:
    """Return how long to wait after the nth call found no gateway, n from 1."""
    return RECONNECT_DELAYS[min(attempts, len(RECONNECT_DELAYS)) - 1]
