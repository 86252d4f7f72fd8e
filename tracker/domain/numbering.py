"""A quick yes to the question whether a numbering plan has a number.

`phonenumbers` tries some twenty patterns on a number, one by one. Here those of a region are one
pattern, made of the library's own. It says yes only where the library does, and no word on the
others: whoever asks has the library look at them.
"""

import re
from functools import cache
from typing import Final

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberDesc

_CODE_DIGITS: Final = range(1, 4)
_NEVER: Final = "(?!)"
_KINDS: Final = (
    "premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan",
    "voicemail", "fixed_line", "mobile",
)  # fmt: skip

# Of each region: how its numbers begin where several share a code, and what they are.
Regions = tuple[tuple[re.Pattern[str] | None, re.Pattern[str]], ...]


def has_plan(number: str) -> bool:
    """Say whether a number on the wire is sure to be valid; False when it takes a closer look."""
    for digits in _CODE_DIGITS:
        code = int(number[:digits])
        if code in COUNTRY_CODE_TO_REGION_CODE:
            return _is_valid(code, number[digits:])
    return False


def _is_valid(code: int, national: str) -> bool:
    prefix, regions = _plan(code)
    if prefix.match(national):  # the library may take it off, and look at what is left
        return False
    for beginning, numbers in regions:
        if beginning is None:
            if numbers.fullmatch(national):
                return True
        elif beginning.match(national):
            return numbers.fullmatch(national) is not None
    return False


@cache
def _plan(code: int) -> tuple[re.Pattern[str], Regions]:
    """Return what callers at home may dial first, and the regions in the library's order."""
    regions = COUNTRY_CODE_TO_REGION_CODE[code]
    known = [PhoneMetadata.metadata_for_region_or_calling_code(code, name) for name in regions]
    plans = [plan for plan in known if plan is not None]
    prefix = plans[0].national_prefix_for_parsing or _NEVER
    shared = len(plans) > 1
    return re.compile(prefix), tuple(
        (re.compile(plan.leading_digits) if shared and plan.leading_digits else None, _all(plan))
        for plan in plans
    )


def _all(plan: PhoneMetadata) -> re.Pattern[str]:
    kinds = [kind for kind in _KINDS if kind != "mobile" or not _has_one_for_both(plan)]
    patterns = "|".join(_pattern(getattr(plan, kind)) for kind in kinds)
    return re.compile(f"(?={_pattern(plan.general_desc)}$)(?:{patterns})")


def _has_one_for_both(plan: PhoneMetadata) -> bool:
    return bool(plan.same_mobile_and_fixed_line_pattern)


def _pattern(kind: PhoneNumberDesc | None) -> str:
    if kind is None or not kind.national_number_pattern:
        return _NEVER
    lengths = [f".{{{length}}}$" for length in kind.possible_length if length > 0]
    if kind.possible_length and not lengths:
        return _NEVER  # the plan has no such numbers
    return f"(?:(?={'|'.join(lengths)})(?:{kind.national_number_pattern}))"
