"""Every spelling of one number, to find it wherever somebody wrote it down.

`+12025550143`, `0012025550143`, `12025550143`, `+1 (202) 555-0143`, in a form, in XML or in JSON.
Without its country code it is not looked for: those digits are the number of somebody else.
"""

import html
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote_plus

from .numbers import ERASED

_BETWEEN: Final = r"[\s().\-/_:\u00a0\u2010-\u2015\u202a-\u202e\u2066-\u2069]{0,3}"


class Spellings:
    """One number in all its spellings; digits as on the wire."""

    def __init__(self, number: str) -> None:
        digits = _BETWEEN.join(number)
        self._digits = re.compile(digits)  # much the quicker, for what hardly ever has it
        self._written = re.compile(rf"(?<![0-9])(?:\+?00|\+)?{_BETWEEN}{digits}(?![0-9])")

    def is_in(self, value: Any) -> bool:  # noqa: ANN401  # whatever a column can hold
        """Say whether the number is in a text, in bytes, or anywhere within JSON."""
        if isinstance(value, bytes):
            return any(map(self._is_in, _texts(value)))
        if isinstance(value, dict | list):
            text = json.dumps(value, ensure_ascii=False)
            return self._is_in(text.replace("\\n", " ").replace("\\t", " "))
        return value is not None and self._is_in(str(value))

    def _is_in(self, text: str) -> bool:
        return bool(self._digits.search(text) and self._written.search(text))

    def erased(self, value: Any) -> Any:  # noqa: ANN401
        """Return a text or JSON with a word in the place of the number; it never grows longer."""
        if isinstance(value, dict):
            return {self.erased(name): self.erased(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.erased(inner) for inner in value]
        if isinstance(value, str) or self.is_in(value):
            return self._written.sub(ERASED, str(value))
        return value


def _texts(data: bytes) -> Iterator[str]:
    """Yield what bytes may say to who reads them: as they are, and out of what they are put in."""
    text = data.decode("utf-8", "replace")
    yield text
    if "%" in text:
        yield unquote_plus(text)
    if "&#" in text:
        yield html.unescape(text)
        yield html.unescape(unquote_plus(text))
    if "\\u00" in text:
        yield re.sub(r"\\u00([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
    if b"\0" in data:  # UTF-16
        yield data.replace(b"\0", b"").decode("latin-1")
    if data.startswith(b"\x78"):  # as `batch_kept` packs its rows
        try:
            yield zlib.decompress(data).decode("utf-8", "replace")
        except zlib.error:
            return
