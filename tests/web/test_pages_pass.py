"""The pass on the page of its message: front and back, barcode, places; and how sure that is."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import zxingcpp
from builders import queued
from flask import Flask
from flask.testing import FlaskClient
from pages_support import page_of, visitor, words
from sqlalchemy import update
from test_barcodes import read_back
from test_pages_headers import INLINE

from tracker.domain.templates import SECOND_PRIMARY, TEXT_FIELDS, PassType
from tracker.services import templates
from tracker.store.db import Sessions
from tracker.store.models import Message, Role
from tracker.web.presenting.barcodes import Drawing

BARCODE = {"allowed": True, "type": "dynamic", "value_source": "dynamic value"}
TICKET: dict[str, object] = {
    "title": "City Theatre",
    "pass_type": "event ticket",
    "barcode": {**BARCODE, "symbology": "qr"},
    "dynamic_fields": ["HEADERVALUE1", "SECLABEL2", "SECVALUE2", "BACKVALUE1"],
    "fixed_fields": ["HEADERLABEL1", "PRIMARYVALUE1"],
    "dynamic_slots": [2],
    "fixed_slots": [3],
}
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202eevil \U0001f3ab " + "W" * 400
)


def describe(sessions: Sessions, **changes: object) -> None:
    """Describe the template of the builders' messages."""
    templates.save(sessions, {"45633": {**TICKET, **changes}}, "user:olga", datetime.now(UTC))


def drawn(page: str) -> Drawing:
    """Take the barcode out of a page."""
    found = re.search(r'viewBox="0 0 (\d+) (\d+)" shape-rendering[^>]*><path fill="#000" d="', page)
    assert found
    path = page[found.end() : page.index('"', found.end())]
    return Drawing(int(found[1]), int(found[2]), path)


def section(client: FlaskClient, path: str) -> str:
    """Return the words of the pass alone."""
    page = client.get(path)
    assert page.status_code == 200
    inner = page.text.split('id="pass"', 1)[1].split("</section>", 1)[0]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", "<" + inner)).split())


def test_a_described_pass_is_laid_out_as_its_type(app: Flask, session_factory: Sessions) -> None:
    describe(session_factory)
    public_id = queued(
        session_factory,
        pass_data={
            "HEADERVALUE1": "19:00",
            "SECLABEL2": "SEAT",
            "SECVALUE2": "F 12",
            "BACKVALUE1": "No bags.",
            "BARCODEVALUE": "A-17",
            "RELLATITUDE2": "45.4",
            "RELLONGITUDE2": "10.9",
            "RELTEXT2": "Near",
            "AUXVALUE1": "lost",
        },
    )
    text = section(visitor(app), page_of(public_id))
    for part in (
        "Front Event ticket City Theatre Header: set by the template 19:00",
        "Primary 1: set by the template",
        "Secondary 2: SEAT F 12",
        "Back Back 1: No bags.",
        "Type and fields follow the description of MMS 45633",
        "Drawn as QR code, as the description says.",
        "45.4, 10.9: Near",
        "set by the template",
        "AUXVALUE1 is ignored by the gateway: the template has no such field",
    ):
        assert part in text
    assert "lost" not in text


def test_a_pass_nobody_described_is_said_to_be_assumed(
    app: Flask, session_factory: Sessions
) -> None:
    public_id = queued(session_factory, pass_data={"PRIMARYVALUE1": "Open", "RELTEXT4": "Here"})
    client = visitor(app)
    text = section(client, page_of(public_id))
    for part in (
        "Front Generic pass, assumed",
        "Nobody has described the pass behind MMS 45633",
        "decides the rest",
        "No barcode was sent",
        "dropped by the gateway: it needs both coordinates",
        "Describe this template",
    ):
        assert part in text
    assert 'href="/templates/new?mms_id=45633"' in client.get(page_of(public_id)).text
    assert "Describe this template" not in section(visitor(app, Role.VIEWER), page_of(public_id))


@pytest.mark.parametrize(
    ("asked", "format_"),
    [
        ("", zxingcpp.BarcodeFormat.QRCode),
        ("?barcode=pdf417", zxingcpp.BarcodeFormat.PDF417),
        ("?barcode=aztec", zxingcpp.BarcodeFormat.AztecCode),
        ("?barcode=code+128", zxingcpp.BarcodeFormat.Code128),
        ("?barcode=nonsense", zxingcpp.BarcodeFormat.QRCode),
    ],
)
def test_the_barcode_on_the_page_can_be_scanned(
    app: Flask, session_factory: Sessions, asked: str, format_: zxingcpp.BarcodeFormat
) -> None:
    public_id = queued(session_factory, pass_data={"BARCODEVALUE": "1234578961A"})
    page = visitor(app).get(page_of(public_id) + asked)
    assert read_back(drawn(page.text), format_) == ["1234578961A"]
    assert "is only assumed" in words(page)


def test_a_described_symbology_leaves_no_choice(app: Flask, session_factory: Sessions) -> None:
    describe(session_factory, barcode={**BARCODE, "symbology": "aztec"})
    public_id = queued(session_factory, pass_data={"BARCODEVALUE": "17"})
    page = visitor(app).get(page_of(public_id) + "?barcode=qr")
    assert read_back(drawn(page.text), zxingcpp.BarcodeFormat.AztecCode) == ["17"]
    assert "barcode=pdf417" not in page.text


@pytest.mark.parametrize(
    ("barcode", "said"),
    [
        ({"allowed": False}, "The template has no barcode."),
        ({"allowed": True, "type": "fixed"}, "The template holds one barcode for every pass"),
        ({**BARCODE, "value_source": "other"}, "The gateway makes the barcode of each pass"),
    ],
)
def test_a_barcode_that_is_not_sent_is_told_in_words(
    app: Flask, session_factory: Sessions, barcode: dict[str, object], said: str
) -> None:
    describe(session_factory, barcode=barcode)
    public_id = queued(session_factory, pass_data={"BARCODEVALUE": "17"})
    client = visitor(app)
    assert said in section(client, page_of(public_id))
    assert 'fill="#000"' not in client.get(page_of(public_id)).text


@pytest.mark.parametrize(
    ("value", "said"),
    [("x" * 5000, "cannot hold this value of 5,000 characters"), ("\U0001f3ab" * 900, "cannot")],
)
def test_a_barcode_that_is_too_long_is_told_in_words(
    app: Flask, session_factory: Sessions, value: str, said: str
) -> None:
    public_id = queued(session_factory, pass_data={"BARCODEVALUE": value})
    assert said in section(visitor(app), page_of(public_id))


@pytest.mark.parametrize("pass_type", list(PassType))
def test_hostile_text_stays_text_on_every_type_of_pass(
    app: Flask, session_factory: Sessions, pass_type: PassType
) -> None:
    left_out = () if pass_type is PassType.BOARDING_PASS else SECOND_PRIMARY
    fields = [field for field in TEXT_FIELDS if field not in left_out]
    public_id = queued(
        session_factory,
        pass_data={
            **dict.fromkeys(fields, HOSTILE),
            "BARCODEVALUE": HOSTILE,
            "BARCODETEXT": HOSTILE,
            "RELTEXT2": HOSTILE,
        },
    )
    describe(
        session_factory,
        title=HOSTILE[:128],
        pass_type=pass_type.value,
        dynamic_fields=fields,
        fixed_fields=[],
        barcode={**BARCODE, "alternate_text": "dynamic"},
    )
    page = visitor(app).get(page_of(public_id))
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "<img" not in page.text
    assert not INLINE.search(re.sub(r"&[#\w]+;", "", page.text.replace("onerror=alert(2)", "")))


def test_a_stored_mms_without_a_pass_has_no_face(app: Flask, session_factory: Sessions) -> None:
    public_id = queued(session_factory)
    templates.save(
        session_factory,
        {"45633": {"title": "Flowers", "has_pass": False}},
        "user:olga",
        datetime.now(UTC),
    )
    text = section(visitor(app), page_of(public_id))
    assert "carries no pass" in text
    assert "Front" not in text


def test_a_description_that_was_changed_since_is_said_to_be(
    app: Flask, session_factory: Sessions
) -> None:
    describe(session_factory)
    public_id = queued(session_factory)
    client = visitor(app)
    assert "changed after this message" not in section(client, page_of(public_id))
    with session_factory.begin() as session:
        old = datetime.now(UTC) - timedelta(days=1)
        session.execute(update(Message).values(created_at=old))
    assert "changed after this message was queued" in section(client, page_of(public_id))
