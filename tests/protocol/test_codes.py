"""The code tables against the dossier's, where it is at hand. Source: PROTOCOL 5 and 6.4."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from tracker.protocol.codes import (
    ERROR_CODES,
    POSTBACK_CODES,
    ErrorClass,
    error_class,
    error_meaning,
    postback_meaning,
)

DOSSIER = Path(__file__).parents[2].parent / "shared" / "protocol"
needs_dossier = pytest.mark.skipif(not DOSSIER.exists(), reason="the dossier is not at hand")


def dossier_rows(name: str) -> list[dict[str, str]]:
    with (DOSSIER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_there_are_161_error_codes_and_75_are_of_the_seeds_list() -> None:
    assert len(ERROR_CODES) == 161
    assert Counter(code.scope for code in ERROR_CODES.values())["seed list"] == 75


@needs_dossier
def test_the_error_codes_are_the_dossiers() -> None:
    ours = [[c.code, c.meaning, c.error_class.value, c.scope] for c in ERROR_CODES.values()]
    assert ours == [list(row.values()) for row in dossier_rows("error_codes.csv")]


@needs_dossier
def test_the_postback_codes_are_the_dossiers() -> None:
    ours = [
        [c.code, c.origin, c.meaning, c.resulting_status, c.source] for c in POSTBACK_CODES.values()
    ]
    assert ours == [list(row.values()) for row in dossier_rows("postback_codes.csv")]


# The table of PROTOCOL 5, row by row.
CLASSES = {
    ErrorClass.PERMANENT_ACCOUNT: "E104 E102 E103 E105 E107 E109 E112 E713",
    ErrorClass.THROTTLE: "E106 E113 E120",
    ErrorClass.NUMBER_SPECIFIC: "E110 E114 E628 E715 E619",
    ErrorClass.TRANSIENT: "E503 E626 E806 E618",
    ErrorClass.PERMANENT_REQUEST: "E100 E101 E108 E111 E241 E620 E621 E629 E714 E802 E803 E822",
}


@pytest.mark.parametrize(
    ("code", "expected"), [(c, kind) for kind, codes in CLASSES.items() for c in codes.split()]
)
def test_a_code_has_the_class_of_the_table(code: str, expected: ErrorClass) -> None:
    assert error_class(code) is expected


@pytest.mark.parametrize("code", [f"E{n}" for n in (*range(840, 900), *range(950, 1000))])
def test_every_field_code_is_permanent(code: str) -> None:
    assert error_class(code) is ErrorClass.PERMANENT_REQUEST
    assert error_meaning(code)


@pytest.mark.parametrize("code", ["E777", "", "N101", "E1010"])
def test_an_unknown_code_is_permanent_and_has_no_meaning(code: str) -> None:
    assert error_class(code) is ErrorClass.PERMANENT_REQUEST
    assert error_meaning(code) is None


def test_one_spelling_means_two_things_in_the_two_tables() -> None:
    for code in ("E101", "E102", "E201", "E999"):
        assert error_meaning(code) != postback_meaning(code, None)


def test_a_postback_code_is_read_under_its_origin() -> None:
    link = postback_meaning("N202", "MMS_MT")
    assert link is not None
    assert "link" in link
    assert postback_meaning("N202", "SMS_MT") != link
    assert postback_meaning("N333", "MMS_MT") is None
