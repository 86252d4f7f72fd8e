"""When to ask the gateway again. Source: PROTOCOL 4.8 and 5."""

from datetime import timedelta
from typing import Final

from tracker.protocol.codes import ErrorClass

# After a refusal that may turn out otherwise later: then it is final.
RETRY_DELAYS: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))
# After a call that never reached the gateway: costs nothing, so it goes on until it is cancelled.
RECONNECT_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 15, 60, 300, 900))
LONGEST_AFTER_THROTTLE: Final = timedelta(minutes=5)
JITTER: Final = 0.1  # of a delay at most: messages that failed together do not come back together
BAD_SENDER: Final = "E111"


def retry_delay(error_class: ErrorClass, failures: int, jitter: float = 0.0) -> timedelta | None:
    """Return how long to wait after the nth refusal, n from 1; None: never again.

    `jitter`, from 0 to 1, makes the wait a little longer.
    """
    if error_class is not ErrorClass.TRANSIENT or failures > len(RETRY_DELAYS):
        return None
    return RETRY_DELAYS[failures - 1] * (1 + JITTER * jitter)


def reconnect_delay(failures: int, jitter: float = 0.0) -> timedelta:
    """Return how long to wait after the nth call found no gateway, n from 1."""
    return RECONNECT_DELAYS[min(failures, len(RECONNECT_DELAYS)) - 1] * (1 + JITTER * jitter)


def throttle_delay(throttled: int, interval: timedelta, jitter: float = 0.0) -> timedelta:
    """Return how long the same message waits after it was throttled for the nth time, n from 1.

    The queue waits for `interval` alone; one message that is throttled whenever it is tried, while
    others are not, comes back more and more seldom.
    """
    growing = min(timedelta(seconds=2 ** min(throttled - 1, 16)), LONGEST_AFTER_THROTTLE)
    return max(interval, growing) * (1 + JITTER * jitter)


def is_of_account(
    error_class: ErrorClass, code: str, sender: str, default_sender: str | None
) -> bool:
    """Say whether a refusal concerns the account, so that every other message would get it too.

    A bad sender does when it is the one that the settings name for everybody (PROTOCOL 5).
    """
    is_bad_default = code == BAD_SENDER and default_sender is not None and sender == default_sender
    return error_class is ErrorClass.PERMANENT_ACCOUNT or is_bad_default
