"""Barcodes of passes: what is drawn can be read back, and nothing that is sent breaks it."""

import contextlib
import re

import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from tracker.domain.templates import Symbology
from tracker.web.presenting.barcodes import Drawing, UndrawableError, draw

SCALE = 4
BAR = re.compile(r"M(\d+) (\d+)h(\d+)v(\d+)h-(\d+)z")
LATIN = st.text(st.characters(max_codepoint=0xFF, exclude_categories=["Cc"]), min_size=1)
ANY = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)


def read_back(
    drawing: Drawing, formats: zxingcpp.BarcodeFormat = zxingcpp.BarcodeFormat.All
) -> list[str]:
    """Paint the drawing as a browser does, enlarged, and read it as a scanner does."""
    width, height = drawing.width * SCALE, drawing.height * SCALE
    pixels = bytearray(b"\xff" * (width * height))
    for bar in BAR.finditer(drawing.path):
        x, y, wide, tall, back = (int(number) * SCALE for number in bar.groups())
        assert wide == back
        for line in range(y, y + tall):
            pixels[line * width + x : line * width + x + wide] = bytes(wide)
    assert BAR.sub("", drawing.path) == ""
    painted = bytes(pixels)  # the view does not keep it alive
    image = zxingcpp.ImageView(painted, width, height, zxingcpp.ImageFormat.Lum)
    return [code.text for code in zxingcpp.read_barcodes(image, zxingcpp.BarcodeFormats(formats))]


@pytest.mark.parametrize("symbology", list(Symbology))
@pytest.mark.parametrize(
    "value", ["1234578961A", "7", "0" * 40, "https://example.com/t?a=1&b=<2>", "M1DOE/JOHN E12"]
)
def test_what_is_drawn_can_be_read_back(symbology: Symbology, value: str) -> None:
    assert read_back(draw(value, symbology)) == [value]


@pytest.mark.parametrize("symbology", [Symbology.QR, Symbology.PDF417, Symbology.AZTEC])
@pytest.mark.parametrize("value", ["Zürich", "東京 ☃", "\U0001f3ab\U0001f3ab", "\u202eevil שלום"])
def test_letters_of_every_script_can_be_read_back(symbology: Symbology, value: str) -> None:
    assert read_back(draw(value, symbology)) == [value]


@given(LATIN)
def test_any_latin_text_that_is_drawn_as_code_128_can_be_read_back(value: str) -> None:
    try:
        drawing = draw(value[:60], Symbology.CODE_128)
    except UndrawableError:
        return  # too wide for a line of bars
    assert read_back(drawing) == [value[:60]]


@given(ANY, st.sampled_from(list(Symbology)))
def test_any_text_is_drawn_or_refused(value: str, symbology: Symbology) -> None:
    with contextlib.suppress(UndrawableError):
        assert draw(value, symbology).path


@pytest.mark.parametrize("symbology", list(Symbology))
@pytest.mark.parametrize("value", ["x" * 10_000, "x" * 1_000_000, "\U0001f3ab" * 2_999, ""])
def test_what_is_too_much_for_it_is_refused(symbology: Symbology, value: str) -> None:
    with pytest.raises(UndrawableError):
        draw(value, symbology)


def test_the_largest_drawing_stays_within_bounds() -> None:
    drawing = draw("aB-1" * 700, Symbology.QR)
    assert len(drawing.path) < 200_000
    assert read_back(drawing) == ["aB-1" * 700]


def test_code_128_says_which_letters_it_lacks() -> None:
    with pytest.raises(UndrawableError, match="Latin"):
        draw("東京", Symbology.CODE_128)
