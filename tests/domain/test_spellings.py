"""A number is found however it is written, and no other number is."""

import re
import zlib

import pytest

from tracker.domain.spellings import Spellings

NUMBER = "4915123456789"
NATIONAL = "15123456789"  # that is in every spelling of it


@pytest.mark.parametrize(
    "text",
    [
        "+4915123456789", "004915123456789", "4915123456789", "+49 151 23456789",
        "0049-151/23456789", "+49 (151) 2345 6789", "TO=%2B4915123456789",
        "x4915123456789x", '{"to":4915123456789}', "+49\u00a0151\u00a023456789",
    ],
)  # fmt: skip
def test_every_spelling_is_found(text: str) -> None:
    assert Spellings(NUMBER).is_in(text)
    assert Spellings(NUMBER).is_in({"a": [text]})
    assert Spellings(NUMBER).is_in(text.encode())
    assert NATIONAL not in re.sub("[^0-9]", "", Spellings(NUMBER).erased(text))


@pytest.mark.parametrize("text", ["14915123456789", "49151234567890", "15123456789", "4915123"])
def test_other_numbers_are_not(text: str) -> None:
    assert not Spellings(NUMBER).is_in(text)
    assert Spellings(NUMBER).erased({"a": text}) == {"a": text}


@pytest.mark.parametrize(
    "data",
    [
        b"to=%2B49%20151%2023456789", b"<TO>&#52;915123456789</TO>",
        "+4915123456789".encode("utf-16"), b'{"to": "\\u0034915123456789"}',
        zlib.compress(b'[{"to": "4915123456789"}]'),
    ],
)  # fmt: skip
def test_bytes_are_read_as_who_reads_them_would(data: bytes) -> None:
    assert Spellings(NUMBER).is_in(data)
