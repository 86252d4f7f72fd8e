"""What people write down beside a decision: who reads it later sees what was typed."""

import unicodedata
from typing import Final

# Emoji of several people, and the letters of some scripts, are put together with these.
_JOINERS: Final = frozenset("\u200c\u200d")


def fault_of(text: str, most: int) -> str | None:
    """Return what must be otherwise about a remark of 1 to `most` characters; None when it is fine.

    Blanks and line ends are to be made one blank before.
    """
    if not 1 <= len(text) <= most:
        return f"must say why, in 1 to {most} characters"
    for character in text:
        if not character.isprintable() and character not in _JOINERS:
            name = unicodedata.name(character, "a character without a name")
            return f"must not hold U+{ord(character):04X} ({name}), which nobody can see"
    return None
