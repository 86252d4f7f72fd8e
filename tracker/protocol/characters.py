"""Which characters an XML document can carry at all.

Source: XML 1.0, section 2.2, Char.
"""

import re
from typing import Final

_ILLEGAL: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def first_illegal(text: str) -> str | None:
    """Return the first character that XML cannot carry, such as NUL; None when all are fine."""
    found = _ILLEGAL.search(text)
    return found.group() if found else None


def replace_illegal(text: str) -> str:
    """Replace every character that XML cannot carry by U+FFFD."""
    return _ILLEGAL.sub("\ufffd", text)
