"""Which headers of a postback's request are kept beside its bytes: what helps, and nothing secret.

They are kept as text, a line for each; equal names keep their lines, in the order they came in.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

MOST: Final = 32  # headers
MOST_CHARACTERS: Final = 4096  # of all of them
LEFT_OUT: Final = "…"  # stands for the headers beyond those; no header has this name

# Whatever a client or a proxy may carry a secret in: Authorization, Cookie, X-Api-Key, ...
_SECRET: Final = re.compile(
    rb"auth|cookie|token|secret|passw|credential|session|key|jwt|oidc", re.IGNORECASE
)
_ADDRESS: Final = "/postbacks/"  # before the token, where a proxy tells of the address asked for
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_UNFIT: Final = bytes({*range(32), 127} - set(b"\n\t"))  # beside the ends of lines

Fields = Sequence[tuple[bytes, bytes]]


def kept(fields: Fields, token: str) -> str:
    """Return what is kept of the fields of a request's head, in which `token` is nowhere."""
    lines = [name + b": " + value for name, value in fields if not _is_secret(name)]
    data = b"\n".join(lines)
    text = data.decode("latin-1")
    is_plain = (
        len(lines) <= MOST
        and len(text) <= MOST_CHARACTERS
        and "%" not in text  # the token may hide behind it
        and not _tells_token(text, token)
        and text.count("\n") < max(len(lines), 1)
        and len(data.translate(None, _UNFIT)) == len(data)
    )
    return text if is_plain else _with_care(lines, token)


def pairs(text: str) -> list[tuple[str, str]]:
    """Return names and values out of what was kept."""
    parts = (line.partition(": ") for line in text.split("\n") if line)
    return [(name, value) for name, _, value in parts]


@lru_cache(128)
def _is_secret(name: bytes) -> bool:
    return _SECRET.search(name) is not None


def _tells_token(text: str, token: str) -> bool:
    return token in text or _ADDRESS in text


def _with_care(lines: Sequence[bytes], token: str) -> str:
    """Return lines without those that tell the token, few enough, and cut where they are long."""
    texts = [_CONTROL.sub("\ufffd", line.decode("latin-1")) for line in lines]
    texts = [text for text in texts if not _tells_token(text + unquote(text), token)]
    left_out = len(texts) - MOST
    texts = _cut(texts[:MOST])
    if left_out > 0:
        texts.append(f"{LEFT_OUT}: {left_out} more came and were not kept")
    return "\n".join(texts)


def _cut(texts: Sequence[str]) -> list[str]:
    """Return lines that have room together; the longest ones are cut, and say so."""
    left = MOST_CHARACTERS - len(texts)  # for the ends of the lines
    longest = left
    for number, size in enumerate(sorted(map(len, texts))):
        share = left // (len(texts) - number)
        if size > share:
            longest = share
            break
        left -= size
    return [text if len(text) <= longest else _shortened(text, longest) for text in texts]


def _shortened(text: str, size: int) -> str:
    room = size - len(f"… ({len(text):,} characters)")
    return f"{text[:room]}… ({len(text):,} characters)"
