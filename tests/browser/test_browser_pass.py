"""The pass on a message's page, in a real browser: drawn, scanned, sound at every size."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pytest
import zxingcpp
from browser_support import Visit, assert_sound_in_every_look
from playwright.sync_api import Browser, expect
from running import Up, up

from tracker.protocol.passdata import PASS_FIELDS

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
HOSTILE: Final = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202eevil \U0001f3ab "
FORMATS: Final = {
    "qr": zxingcpp.BarcodeFormat.QRCode,
    "pdf417": zxingcpp.BarcodeFormat.PDF417,
    "aztec": zxingcpp.BarcodeFormat.Aztec,
    "code 128": zxingcpp.BarcodeFormat.Code128,
}


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("browser-pass")) as started:
        yield started


def sent(tracker: Up, mms_id: str, **pass_data: str) -> str:
    """Queue a pass and return the address of its page."""
    fields = [f"--pass={name}={value}" for name, value in pass_data.items()]
    arguments = ("send", "12025550143", "--mms-id", mms_id, "--from", "11111", *fields)
    return f"/messages/{tracker.run(*arguments).strip()}"


def gray(png: bytes) -> zxingcpp.ImageView:
    """Read a screenshot: 8 bits a channel, three or four channels, not interlaced."""
    width, height = (int.from_bytes(png[at : at + 4]) for at in (16, 20))
    size = {2: 3, 6: 4}[png[25]]
    packed, at = b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            packed += png[at + 8 : at + 8 + length]
        at += length + 12
    raw, line = zlib.decompress(packed), bytearray(width * size)
    pixels = bytearray()
    for y in range(height):
        start = y * (width * size + 1)
        line = unfiltered(raw[start], raw[start + 1 : start + 1 + width * size], line, size)
        pixels += line[::size]
    kept.append(bytes(pixels))  # the view does not keep them alive
    return zxingcpp.ImageView(kept[-1], width, height, zxingcpp.ImageFormat.Lum)


kept: list[bytes] = []


def unfiltered(kind: int, line: bytes, above: bytearray, size: int) -> bytearray:
    found = bytearray(len(line))
    for x, value in enumerate(line):
        left = found[x - size] if x >= size else 0
        corner = above[x - size] if x >= size else 0
        guess = (0, left, above[x], (left + above[x]) // 2, paeth(left, above[x], corner))[kind]
        found[x] = (value + guess) & 0xFF
    return found


def paeth(left: int, up_: int, corner: int) -> int:
    guess = left + up_ - corner
    return min((left, up_, corner), key=lambda one: abs(guess - one))


@pytest.mark.parametrize("symbology", list(FORMATS))
def test_a_scanner_reads_the_barcode_off_the_screen(
    browser: Browser, tracker: Up, symbology: str
) -> None:
    path = sent(tracker, "40300", BARCODEVALUE="1234578961A")
    seen: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 1440), ("dark", 390))
    for scheme, width in seen:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-US"
        )
        visit = Visit(context.new_page(), tracker)
        visit.log_in(f"{path}?barcode={symbology}")
        drawing = visit.page.locator(".pass__barcode")
        expect(drawing).to_be_visible()
        read = zxingcpp.read_barcodes(gray(drawing.screenshot()))
        assert [(code.text, code.format) for code in read] == [("1234578961A", FORMATS[symbology])]
        context.close()
        assert visit.complaints == []


@pytest.fixture(scope="module")
def paths(tracker: Up) -> list[str]:
    """Pages of passes of every kind: described, not described, empty, hostile."""
    tracker.run("templates", "import", str(EXAMPLES / "templates.toml"))
    full = {name: HOSTILE + "W" * 300 for name in PASS_FIELDS if not name.startswith("REL")}
    place = {"RELLATITUDE1": "45.4", "RELLONGITUDE1": "10.9", "RELTEXT1": HOSTILE}
    full.pop("CUSTOMPASSID")
    return [
        sent(tracker, "45633", BARCODEVALUE="A-17", PRIMARYVALUE1="The Seagull", **place),
        sent(tracker, "40300"),
        sent(tracker, "40300", **full, **place),
        sent(tracker, "40300", BARCODEVALUE="aB-1" * 600),
        "/help/statuses",
        "/templates/45633",
    ]


def test_every_pass_fits_and_is_accessible(browser: Browser, tracker: Up, paths: list[str]) -> None:
    context = browser.new_context(locale="en-US")
    visit = Visit(context.new_page(), tracker)
    visit.log_in(paths[0])
    for path in [*paths, f"{paths[0]}/others"]:
        visit.page.goto(tracker.url + path)
        assert_sound_in_every_look(visit.page)
    context.close()
    assert visit.complaints == []


def test_all_of_it_works_without_script(browser: Browser, tracker: Up, paths: list[str]) -> None:
    context = browser.new_context(java_script_enabled=False, locale="en-US")
    visit = Visit(context.new_page(), tracker)
    visit.log_in(paths[3])
    page = visit.page
    page.get_by_role("link", name="PDF417").click()
    expect(page.get_by_role("img", name="PDF417")).to_be_hidden()
    expect(page.get_by_text("PDF417 cannot hold this value")).to_be_visible()
    page.get_by_role("link", name="Aztec code").click()
    expect(page.get_by_role("link", name="Aztec code")).to_have_attribute("aria-current", "true")
    page.get_by_text("The request to the gateway, as XML").click()
    expect(page.get_by_text("<ACTION>sendPassInMMS</ACTION>")).to_be_visible()
    page.get_by_role("link", name="What this means").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What the statuses mean")
    context.close()
    assert visit.complaints == []
