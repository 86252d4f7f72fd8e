"""Which behaviour a call meets: the rules of a scenario, in their order, and what they remember.

A rule applies when all of its conditions hold and it has not been used up. The first that applies
decides; when none does, the numbers to try decide, and then all goes well.
"""

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final, TypeVar

from .behaviour import Behaviour
from .chance import fraction

_Key = TypeVar("_Key")
_NUMBERS: Final = 100_000  # remembered; the one that was called longest ago is forgotten first


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A behaviour and its conditions; None or empty where a condition is not set."""

    name: str
    behaviour: Behaviour
    when: str = "always"  # the conditions and the behaviour, for people
    what: str = ""
    number: str | None = None
    suffix: str | None = None
    mms_id: str | None = None
    calls: frozenset[int] = frozenset()  # of all calls, counted from 1
    every: int | None = None  # every nth of all calls
    attempts: frozenset[int] = frozenset()  # of the calls to one number, counted from 1
    percent: float | None = None  # of all numbers
    times: int | None = None  # to one number
    times_in_all: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """One call, and where it stands among the others; both counts are from 1."""

    number: str
    mms_id: str | None
    call: int
    attempt: int


class Rulebook:
    """The rules in force, with how often each was applied. Any thread may ask."""

    def __init__(self, rules: tuple[Rule, ...], seed: int) -> None:
        self.rules = rules
        self._seed = seed
        self._lock = threading.Lock()
        self._calls = 0
        self._attempts: OrderedDict[str, int] = OrderedDict()
        self._given: OrderedDict[tuple[int, str], int] = OrderedDict()  # by rule and number
        self._totals: Counter[int] = Counter()

    def totals(self) -> list[int]:
        """Return how often each rule was applied, in their order."""
        with self._lock:
            return [self._totals[index] for index in range(len(self.rules))]

    def choose(self, number: str, mms_id: str | None) -> tuple[Rule | None, Circumstances]:
        """Count one call, and return the rule for it; None when no rule applies."""
        with self._lock:
            self._calls += 1
            attempt = _counted(self._attempts, number)
            call = Circumstances(number=number, mms_id=mms_id, call=self._calls, attempt=attempt)
            for index, rule in enumerate(self.rules):
                if self._is_met(index, rule, call) and not self._is_used_up(index, rule, number):
                    self._totals[index] += 1
                    if rule.times is not None:
                        _counted(self._given, (index, number))
                    return rule, call
            return None, call

    def _is_met(self, index: int, rule: Rule, call: Circumstances) -> bool:
        return (
            rule.number in (None, call.number)
            and (rule.suffix is None or call.number.endswith(rule.suffix))
            and rule.mms_id in (None, call.mms_id)
            and (not rule.calls or call.call in rule.calls)
            and (rule.every is None or call.call % rule.every == 0)
            and (not rule.attempts or call.attempt in rule.attempts)
            and (rule.percent is None or self._draws(index, call.number) < rule.percent)
        )

    def _draws(self, index: int, number: str) -> float:
        return 100 * fraction(self._seed, "rule", index, number)

    def _is_used_up(self, index: int, rule: Rule, number: str) -> bool:
        if rule.times_in_all is not None and self._totals[index] >= rule.times_in_all:
            return True
        return rule.times is not None and self._given.get((index, number), 0) >= rule.times


def _counted(counts: OrderedDict[_Key, int], key: _Key) -> int:
    count = counts[key] = counts.get(key, 0) + 1
    counts.move_to_end(key)
    if len(counts) > _NUMBERS:
        counts.popitem(last=False)
    return count
