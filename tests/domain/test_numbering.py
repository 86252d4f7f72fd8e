"""The quick yes to a number is never another one than the library's."""

import random

import phonenumbers
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneNumberType

from tracker.domain import numbering, numbers

CODES = sorted(COUNTRY_CODE_TO_REGION_CODE)
TYPES = [
    getattr(PhoneNumberType, name) for name in vars(PhoneNumberType) if name.isupper()
]  # fmt: skip


def is_valid(number: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(f"+{number}"))


def examples(code: int) -> list[str]:
    found = [
        phonenumbers.example_number_for_type(region, kind)
        for region in COUNTRY_CODE_TO_REGION_CODE[code]
        for kind in TYPES
    ]
    texts = [phonenumbers.format_number(n, phonenumbers.PhoneNumberFormat.E164) for n in found if n]
    return [text.removeprefix("+") for text in texts if text.startswith(f"+{code}")]


def near(number: str, chance: random.Random) -> str:
    """Return a number that differs in some digits, and sometimes in length."""
    digits = list(number)
    for _ in range(chance.randint(1, 4)):
        digits[chance.randrange(1, len(digits))] = chance.choice("0123456789")
    return "".join(digits) + chance.choice(["", "", "", "1"])


@pytest.mark.parametrize("code", CODES)
def test_no_number_is_taken_that_the_library_refuses(code: int) -> None:
    chance = random.Random(code)
    for example in examples(code):
        tried = [example, *(near(example, chance) for _ in range(6))]
        for number in filter(numbers.WIRE.fullmatch, tried):
            if numbering.has_plan(number):
                assert is_valid(number), number


@pytest.mark.parametrize("code", [1, 33, 34, 44, 49, 52, 81])
def test_numbers_of_large_plans_need_no_closer_look(code: int) -> None:
    found = examples(code)
    assert found
    assert all(numbering.has_plan(number) for number in found if is_valid(number))


def test_a_number_without_a_country_has_none() -> None:
    assert not numbering.has_plan("9991234567")
    assert numbers.doubt("9991234567")
