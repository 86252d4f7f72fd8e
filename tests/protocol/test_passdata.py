"""The 64 fields and their codes. Source: PROTOCOL 2.3 and 4.1."""

import pytest

from tracker.protocol.codes import ERROR_CODES
from tracker.protocol.passdata import PASS_FIELDS, fixed_code, latitude_code, longitude_code


def test_the_fields_stand_in_the_seeds_order() -> None:
    head = "CUSTOMPASSID THUMBNAILURL BARCODEVALUE BARCODETEXT HEADERLABEL1 HEADERVALUE1"
    primary = "PRIMARYLABEL1 PRIMARYVALUE1 PRIMARYLABEL2 PRIMARYVALUE2"
    rows = "SECLABEL1 SECVALUE1 SECLABEL2 SECVALUE2 SECLABEL3 SECVALUE3 SECLABEL4 SECVALUE4"
    expected = f"{head} {primary} {rows} {rows.replace('SEC', 'AUX')} {rows.replace('SEC', 'BACK')}"
    slots = "".join(f" RELLATITUDE{n} RELLONGITUDE{n} RELTEXT{n}" for n in range(1, 11))
    assert " ".join(PASS_FIELDS) == expected + slots
    assert len(set(PASS_FIELDS)) == 64


@pytest.mark.parametrize("field", [name for name in PASS_FIELDS if "REL" not in name][4:])
def test_the_fixed_code_of_a_field_names_it(field: str) -> None:
    meaning = ERROR_CODES[fixed_code(field) or ""].meaning
    assert meaning == f"{field.lower()} sent but it is fixed in the template"


@pytest.mark.parametrize("slot", range(1, 11))
def test_the_codes_of_a_slot_name_it(slot: int) -> None:
    codes = {fixed_code(f"REL{part}{slot}") for part in ("LATITUDE", "LONGITUDE", "TEXT")}
    assert codes == {f"E{869 + slot}"}
    assert f"slot {slot} " in ERROR_CODES[f"E{869 + slot}"].meaning
    assert ERROR_CODES[latitude_code(slot)].meaning.startswith(
        f"Latitude of relevance slot {slot} "
    )
    assert ERROR_CODES[longitude_code(slot)].meaning.startswith(
        f"Longitude of relevance slot {slot} "
    )


@pytest.mark.parametrize("field", [*PASS_FIELDS[:4], "SECLABEL5", "RELTEXT11", "", "headerlabel1"])
def test_a_field_that_is_never_refused_has_no_code(field: str) -> None:
    assert fixed_code(field) is None
