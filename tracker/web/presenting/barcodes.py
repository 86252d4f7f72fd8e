"""Barcodes as drawings: one SVG path of all dark modules, on a grid of whole numbers."""

from dataclasses import dataclass
from itertools import groupby
from typing import Final

import zxingcpp

from tracker.domain.templates import Symbology

NAMES: Final = {
    Symbology.QR: "QR code",
    Symbology.PDF417: "PDF417",
    Symbology.AZTEC: "Aztec code",
    Symbology.CODE_128: "Code 128",
}
LONGEST: Final = 3000  # characters; the largest of the four takes 2953 bytes or 7089 digits
_FORMATS: Final = {
    Symbology.QR: zxingcpp.BarcodeFormat.QRCode,
    Symbology.PDF417: zxingcpp.BarcodeFormat.PDF417,
    Symbology.AZTEC: zxingcpp.BarcodeFormat.AztecCode,
    Symbology.CODE_128: zxingcpp.BarcodeFormat.Code128,
}
_DARK: Final = 0
_MARGIN: Final = {Symbology.CODE_128: 10}  # modules on each side that scanners need
_USUAL_MARGIN: Final = 4


class UndrawableError(ValueError):
    """A value that this symbology cannot carry; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A barcode in modules, quiet zone included; `path` is what is dark."""

    width: int
    height: int
    path: str


def draw(value: str, symbology: Symbology) -> Drawing:
    """Return the drawing of a value.

    Raises:
        UndrawableError: it is empty, too long, or has characters the symbology does not know.
    """
    if not value:
        raise UndrawableError("There is no value to draw.")
    if len(value) > LONGEST:
        raise _too_long(value, symbology)
    if symbology is Symbology.CODE_128 and not _is_latin(value):
        raise UndrawableError("Code 128 carries Latin letters, digits and signs only.")
    try:
        image = zxingcpp.create_barcode(value, _FORMATS[symbology]).to_image(add_quiet_zones=False)
    except (ValueError, RuntimeError) as error:
        raise _too_long(value, symbology) from error
    height, width = image.shape
    margin = _MARGIN.get(symbology, _USUAL_MARGIN)
    return Drawing(
        width=width + 2 * margin,
        height=height + 2 * margin,
        path=_path(bytes(memoryview(image)), width, height, margin),  # type: ignore[arg-type]
    )


def _too_long(value: str, symbology: Symbology) -> UndrawableError:
    return UndrawableError(
        f"{NAMES[symbology]} cannot hold this value of {len(value):,} characters."
    )


def _is_latin(value: str) -> bool:
    return all(ord(character) < 256 for character in value)


def _path(pixels: bytes, width: int, height: int, margin: int) -> str:
    """Return one bar for each run of dark modules; lines that are alike become one tall bar."""
    lines = [pixels[y * width : (y + 1) * width] for y in range(height)]
    bars = []
    y = margin
    for line, alike in groupby(lines):
        tall = sum(1 for _ in alike)
        x = margin
        for pixel, run in groupby(line):
            wide = sum(1 for _ in run)
            if pixel == _DARK:
                bars.append(f"M{x} {y}h{wide}v{tall}h-{wide}z")
            x += wide
        y += tall
    return "".join(bars)
