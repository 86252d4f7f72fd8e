"""The exact bytes of a postback, so that looking at them is harmless and nothing hides in them."""

from dataclasses import dataclass
from typing import Final

from werkzeug.http import parse_options_header

from tracker.protocol.xml import decode
from tracker.store.rows import BodyRow

from .texts import printable, visible

MOST_SHOWN: Final = 65_536  # bytes
_WIDTH: Final = 16


@dataclass(frozen=True, slots=True)
class BytesView:
    """Bytes as text or as a hex dump; `shown` of `size` bytes are there.

    A piece of text is true when it names what nobody could see.
    """

    is_hex: bool
    pieces: list[tuple[str, bool]]
    size: int
    shown: int
    is_decodable: bool
    content_type: str

    @property
    def is_cut(self) -> bool:
        """There is more than a page shows."""
        return self.shown < self.size


def bytes_view(body: BodyRow, wanted: str | None) -> BytesView:
    """Return bytes as `wanted`, text or hex; when it says neither, as text if they are some."""
    some = body.body[:MOST_SHOWN]
    charset = parse_options_header(body.content_type)[1].get("charset")
    decoded = decode(body.body, charset)
    is_hex = wanted == "hex" or (wanted != "text" and decoded.is_repaired)
    return BytesView(
        is_hex=is_hex,
        pieces=[(hex_dump(some), False)] if is_hex else visible(decode(some, charset).text),
        size=len(body.body),
        shown=len(some),
        is_decodable=not decoded.is_repaired,
        content_type=printable(body.content_type or "none given"),
    )


def hex_dump(data: bytes) -> str:
    """Return lines of place, sixteen bytes, and what they are in ASCII."""
    return "\n".join(
        _line(place, data[place : place + _WIDTH]) for place in range(0, len(data), _WIDTH)
    )


def _line(place: int, some: bytes) -> str:
    halves = (some[: _WIDTH // 2].hex(" "), some[_WIDTH // 2 :].hex(" "))
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in some)
    return f"{place:08x}  {halves[0]:<23}  {halves[1]:<23}  {text}"
