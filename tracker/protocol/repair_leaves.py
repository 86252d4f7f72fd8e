"""Closing what was left open: leaves that a second opening tag, or nothing, closes.

Source: PROTOCOL 6.10 and 7 (irregularities 1 and 2).
"""

from collections import Counter
from typing import Final

from .postback_fields import CONTAINERS, LEAVES
from .repair_tokens import Token

_KNOWN: Final = LEAVES | CONTAINERS


class Remarks:
    """What was done, each sentence once, in order."""

    def __init__(self) -> None:
        self._sentences: dict[str, None] = {}

    def add(self, sentence: str) -> None:
        """Note what was done."""
        self._sentences[sentence] = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that was noted."""
        return tuple(self._sentences)


def with_leaves_closed(tokens: list[Token], remarks: Remarks) -> list[Token]:
    """Close the leaves that a second opening tag should have closed, or that nothing closes.

    Only names with more openings than closings are touched, and only before what cannot be inside
    a leaf: a known element, or the end of one around it.
    """
    return _LeafCloser(tokens, remarks).closed()


def with_closings_respelled(tokens: list[Token], remarks: Remarks) -> list[Token]:
    """Give every closing tag the spelling of its opening tag: XML tells `Code` from `CODE`."""
    stack: list[Token] = []
    output: list[Token] = []
    for token in tokens:
        if token.kind == "open":
            stack.append(token)
        if token.kind == "close" and stack and stack[-1].normal == token.normal:
            closing = _closing(stack.pop())
            if closing.name != token.local:
                remarks.add(f"The closing tag of {token.normal} was spelled otherwise.")
                output.append(closing)
                continue
        output.append(token)
    return output


class _LeafCloser:
    """Walks the tokens once, remembering the leaf that is open, if it is one of the unclosed."""

    def __init__(self, tokens: list[Token], remarks: Remarks) -> None:
        self._tokens = tokens
        self._remarks = remarks
        self._unclosed = _unclosed_leaves(tokens)
        self._leaf: Token | None = None
        self._output: list[Token] = []

    def closed(self) -> list[Token]:
        for index, token in enumerate(self._tokens):
            if self._leaf is None or token.normal not in _KNOWN:
                self._take(token)
            elif token.normal == self._leaf.normal and self._closes(index):
                self._close()
            else:
                self._close()
                self._remarks.add(f"{self._output[-1].normal} was closed where it had to end.")
                self._take(token)
        return self._output

    def _take(self, token: Token) -> None:
        self._output.append(token)
        if token.kind == "open" and token.normal in self._unclosed:
            self._leaf = token

    def _close(self) -> None:
        if self._leaf:
            self._output.append(_closing(self._leaf))
        self._leaf = None

    def _closes(self, index: int) -> bool:
        token = self._tokens[index]
        if token.kind == "open" and self._is_blank_after(index):
            self._remarks.add(f"{token.normal} was closed by a second opening tag.")
            return True
        return token.kind == "close"

    def _is_blank_after(self, index: int) -> bool:
        """Nothing but blanks follows, up to a tag that does not close this very element."""
        following = self._tokens[index + 1 : index + 3]
        if following and following[0].kind == "text" and not following[0].text.strip():
            following = following[1:]
        if not following or following[0].kind in {"text", "cdata"}:
            return not following
        is_own_end = following[0].kind == "close"
        return not (is_own_end and following[0].normal == self._tokens[index].normal)


def _unclosed_leaves(tokens: list[Token]) -> set[str]:
    balance: Counter[str] = Counter()
    for token in tokens:
        if token.normal in LEAVES:
            balance[token.normal] += {"open": 1, "close": -1}.get(token.kind, 0)
    return {name for name, surplus in balance.items() if surplus > 0}


def _closing(opened: Token) -> Token:
    return Token("close", f"</{opened.local}>", opened.local)
