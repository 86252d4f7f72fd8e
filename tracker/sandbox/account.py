"""The state of the account at the gateway, which can change while the sandbox runs.

Source: PROTOCOL 5 (E109, E112, E713: the account; E106, E113, E120: the rate).
"""

import threading
from collections import deque
from typing import Final

# What a person can switch on, and the code that every call then gets, the first one first.
STATES: Final = {"api_off": "E109", "ip": "E112", "billing": "E713"}
STATE_WORDS: Final = {
    "api_off": "the API is switched off",
    "ip": "our address is not on the allow list",
    "billing": "billing problem",
}


class Account:
    """Counts calls against the limits, and knows which states are on. Any thread may ask."""

    def __init__(
        self,
        states: frozenset[str],
        *,
        calls_per_second: float | None,
        rate_code: str,
        allowance: int | None,
    ) -> None:
        self._lock = threading.Lock()
        self._states = set(states)
        self._calls_per_second = calls_per_second
        self._rate_code = rate_code
        self._allowance = allowance
        self._recent: deque[float] = deque()
        self._used = 0

    @property
    def states(self) -> frozenset[str]:
        """The states that are on."""
        with self._lock:
            return frozenset(self._states)

    @property
    def used(self) -> int:
        """How many calls were counted against the allowance."""
        with self._lock:
            return self._used

    def switch(self, state: str, *, on: bool) -> None:
        """Switch a state of `STATES` on or off."""
        with self._lock:
            if on:
                self._states.add(state)
            else:
                self._states.discard(state)

    def refill(self) -> None:
        """Begin with the whole allowance again."""
        with self._lock:
            self._used = 0

    def code(self, moment: float) -> str | None:
        """Count a call at a moment, in seconds of any clock; return the code it gets, if any."""
        with self._lock:
            for state in ("api_off", "ip"):
                if state in self._states:
                    return STATES[state]
            if self._is_too_fast(moment):
                return self._rate_code
            if self._allowance is not None and self._used >= self._allowance:
                return "E120"
            self._used += 1
            return STATES["billing"] if "billing" in self._states else None

    def _is_too_fast(self, moment: float) -> bool:
        """Say whether a call comes too soon; such a one does not count for the next."""
        limit = self._calls_per_second
        if limit is None:
            return False
        # Below one a second it is the interval that counts; above, the calls within a second.
        window, most = (1 / limit, 1) if limit < 1 else (1.0, int(limit))
        while self._recent and self._recent[0] <= moment - window:
            self._recent.popleft()
        if len(self._recent) >= most:
            return True
        self._recent.append(moment)
        return False
