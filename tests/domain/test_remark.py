"""Remarks: what is taken, and what is said of what is not."""

import pytest

from tracker.domain.remark import fault_of


@pytest.mark.parametrize("text", ["x", "x" * 500, "Gerät tot 👩‍👩‍👧", "می‌خواهم"])
def test_what_can_be_read_is_taken(text: str) -> None:
    assert fault_of(text, 500) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must say why, in 1 to 500 characters"),
        ("x" * 501, "must say why, in 1 to 500 characters"),
        ("all\u202egood", "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("a\0b", "U+0000 (a character without a name)"),
        ("a\u200bb", "U+200B (ZERO WIDTH SPACE)"),
        ("a\ud800b", "U+D800"),
    ],
)
def test_what_nobody_sees_is_named(text: str, said: str) -> None:
    assert said in str(fault_of(text, 500))
