"""Reading a file of rows as spreadsheets write them, from any row on.

A file is read line by line, and each line knows how many bytes it took: after every row it is known
where the next one begins, so that another process can go on there.

`csv.Sniffer` is not used: it finds no separator in a file of one column and is led astray by commas
in text. The header row tells more: under the right separator its cells are fields of a request.
The encoding needs no guess among dozens either: what is valid UTF-8 and is not meant as such does
not occur, and the one single-byte encoding of spreadsheets is Windows-1252.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tracker.domain import batch_columns
from tracker.domain.message import Problem

SAMPLE_BYTES: Final = 262_144  # the header row must be within
MOST_LINE: Final = 1_048_576  # characters of one line
ENCODINGS: Final = ("utf-8", "utf-16-le", "utf-16-be", "windows-1252", "iso-8859-15")
SEPARATORS: Final = {"comma": ",", "semicolon": ";", "tab": "\t"}

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_SEPARATOR_LINE: Final = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # written by some for Excel
_BROKEN: Final = re.compile(r"[\ud800-\udfff]")


class FileError(ValueError):
    """The file cannot be read as rows; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a file is written, and at which byte its first row begins."""

    encoding: str
    separator: str
    has_bom: bool
    headers: tuple[str, ...]
    begin: int


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number below the header, from 1, its cells, and the byte after its end."""

    number: int
    cells: list[str]
    end: int

    @property
    def is_blank(self) -> bool:
        """There is nothing in any cell."""
        return not any(map(str.strip, self.cells))


def detect(
    sample: bytes,
    *,
    is_utf8: bool,
    encoding: str | None = None,
    separator: str | None = None,
) -> Format:
    """Find out how a file is written, from its first bytes; what is given is not guessed.

    Raises:
        FileError: there is no header row, or it cannot be read.
    """
    found, begin = _encoding(sample, is_utf8=is_utf8)
    if encoding is not None and encoding != found:
        if begin and encoding.startswith("utf-16") != found.startswith("utf-16"):
            raise FileError(f"the file says of itself that it is {found}, not {encoding}")
        found = encoding
    text = codecs.getincrementaldecoder(found)(_errors(found)).decode(sample[begin:])
    if separator is None and (given := _SEPARATOR_LINE.match(text)):
        separator = given[1]
        begin += len(given[0].encode(found, _errors(found)))
    separator = separator or _separator(text)
    for row in rows(io.BytesIO(sample).read, found, separator, begin=0, skip=begin):
        if not row.is_blank:
            headers = tuple(cell.strip() for cell in row.cells)
            return Format(found, separator, sample[:2] in _starts(), headers, row.end)
    raise FileError("the file is empty; its first row must name the columns")


def rows(
    read: Callable[[int], bytes],
    encoding: str,
    separator: str,
    *,
    begin: int,
    number: int = 0,
    skip: int = 0,
) -> Iterator[Row]:
    """Yield the rows of what `read` gives, which begins at byte `begin` after row `number`.

    Raises:
        FileError: a row cannot be told from the next.
    """
    if skip:
        read(skip)
    lines = _Lines(read, encoding, begin + skip)
    reader = csv.reader(lines, delimiter=separator)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileError(f"row {number + 1} cannot be read: {_why(error)}") from error
        except UnicodeDecodeError as error:
            raise FileError("it ends in the middle of a character") from error
        number += 1
        yield Row(number, cells, lines.position)


def broken_cell(cells: Sequence[str], encoding: str) -> Problem | None:
    """Return what is wrong with a row that has bytes which its encoding has not."""
    for cell in cells:
        if not cell.isascii() and _BROKEN.search(cell):
            shown = _BROKEN.sub("\ufffd", cell)
            return Problem("", shown, f"has bytes that {encoding} has not; is the encoding right?")
    return None


class _Lines:
    """The lines of a file with their ends, as they are; counts the bytes of those it gave."""

    def __init__(self, read: Callable[[int], bytes], encoding: str, position: int) -> None:
        self._encoding, self._errors = encoding, _errors(encoding)
        raw = io.BufferedReader(_Raw(read), 65_536)  # type: ignore[type-var]  # it has all it needs
        self._text = io.TextIOWrapper(raw, encoding, self._errors, newline="")
        self.position = position

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MOST_LINE)
        if not line:
            raise StopIteration
        if len(line) == MOST_LINE:
            raise csv.Error("longer than 1 MiB without a line end")
        self.position += len(line.encode(self._encoding, self._errors))
        return line


class _Raw(io.RawIOBase):
    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _errors(encoding: str) -> str:
    """Return how bytes that are no text survive decoding, and come back as they were."""
    return "surrogatepass" if encoding.startswith("utf-16") else "surrogateescape"


def _encoding(sample: bytes, *, is_utf8: bool) -> tuple[str, int]:
    for bom, name in _BOMS:
        if sample.startswith(bom):
            return name, len(bom)
    if sample[:200].count(0) > len(sample[:200]) // 4:
        raise FileError(
            "the file looks like UTF-16 without its mark; say so with the encoding utf-16-le,"
            " or export it as UTF-8"
        )
    return ("utf-8" if is_utf8 else "windows-1252"), 0


def _starts() -> set[bytes]:
    return {bom[:2] for bom, _ in _BOMS}


def _separator(text: str) -> str:
    """Return the separator under which the first row names the most fields, or has most cells."""

    def worth(separator: str) -> tuple[int, int]:
        lines = io.StringIO(text, newline="")
        try:
            cells = next((c for c in csv.reader(lines, delimiter=separator) if any(c)), [])
        except csv.Error:
            return 0, 0
        return sum(field is not None for field in batch_columns.guess(cells)), len(cells)

    return max(SEPARATORS.values(), key=worth)


def _why(error: csv.Error) -> str:
    if "field larger" in str(error):
        return "a cell has more than 131,072 characters; a quotation mark may lack its second"
    return str(error)
