r"""How postbacks lie in a spool file: how far it is done, then record after record.

    file    mark, record, record, ...
    mark    8s magic  Q offset below which all is done  I CRC32 of the above
    record  8s magic  B version  q received_at in microseconds since 1970  I I I lengths
            I CRC32 of all but this header's own checksum  I CRC32 of the header
            content type  headers  body

Numbers are big-endian. The bytes of content type and body lie there as they came, so that a person
can still read them with any pager. A changed format takes another file suffix, not only another
version: older programs leave files alone whose names they do not know. Version 1, which lies in
files `.spool`, has neither headers nor their length, and is read still.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zlib import crc32

# CRC32 is enough: it tells a torn or rotten record from a whole one, each record on its own. It is
# no defence against forgery, and need be none: the folder belongs to us alone.
_CHECKSUM: Final = struct.Struct(">I")

_MARK: Final = struct.Struct(">8sQ")
_MARK_MAGIC: Final = b"\x89UNTIL\r\n"
FIRST_RECORD: Final = _MARK.size + _CHECKSUM.size

# As in PNG: a byte no text begins with, and a line end that a change of line ends would break.
MAGIC: Final = b"\x89SPOOL\r\n"
VERSION: Final = 2
_FIELDS: Final = {1: struct.Struct(">8sBqII"), VERSION: struct.Struct(">8sBqIII")}
_CHECKSUMS: Final = 2 * _CHECKSUM.size
_HEADER_BYTES: Final = _FIELDS[VERSION].size + _CHECKSUMS  # no version has more
_NONE: Final = 0xFFFFFFFF  # for the length of a text that is not there

_SEARCH_BYTES: Final = 64 * 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SpoolRecord:
    """One postback request; `received_at` is aware, `body` the exact bytes.

    `headers` are what `domain.headers` keeps of them.
    """

    received_at: datetime
    content_type: str | None
    body: bytes
    headers: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a file: one record, or bytes that are none.

    `is_torn`: the end of the file, and the record there was never written to its end; who sent it
    has had no answer.
    """

    start: int
    stop: int
    record: SpoolRecord | None
    is_torn: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """How many records begin between `start` and `stop`, and when the oldest of them came."""

    start: int
    stop: int
    records: int = 0
    oldest_at: datetime | None = None


def encode(record: SpoolRecord) -> bytes:
    """Return a record as it lies in the file.

    Raises:
        ValueError: `received_at` has no zone.
    """
    if record.received_at.tzinfo is None:
        raise ValueError(f"a time without a zone cannot be kept: {record.received_at.isoformat()}")
    content_type, headers = _bytes(record.content_type), _bytes(record.headers)
    fields = _FIELDS[VERSION].pack(
        MAGIC,
        VERSION,
        (record.received_at - _EPOCH) // _MICROSECOND,
        _NONE if record.content_type is None else len(content_type),
        _NONE if record.headers is None else len(headers),
        len(record.body),
    )
    fields += _checksum(fields, content_type, headers, record.body)
    return b"".join((fields, _checksum(fields), content_type, headers, record.body))


def _bytes(text: str | None) -> bytes:
    # A header may hold anything, and what came is kept: lone surrogates must not be an error.
    return (text or "").encode("utf-8", "surrogatepass")


def mark(done_until: int) -> bytes:
    """Return the mark that says below which offset all records are done."""
    fields = _MARK.pack(_MARK_MAGIC, done_until)
    return fields + _checksum(fields)


def done_until(file: int) -> int:
    """Return the offset of the first record that is not done; a lost mark means none is."""
    raw = os.pread(file, FIRST_RECORD, 0)
    if len(raw) < FIRST_RECORD or _checksum(raw[: _MARK.size]) != raw[_MARK.size :]:
        return FIRST_RECORD
    magic, until = _MARK.unpack_from(raw)
    return max(FIRST_RECORD, until) if magic == _MARK_MAGIC else FIRST_RECORD


def pieces(file: int, at: int, end: int) -> Iterator[Piece]:
    """Yield all that lies between two offsets, without a gap, whatever the bytes are.

    Raises:
        OSError: the file cannot be read.
    """
    while at < end:
        piece = _record_at(file, at, end) or _gap(file, at, end)
        yield piece
        at = piece.stop


def tally(file: int, known: Tally, end: int) -> Tally:
    """Count on from `known` to `end`, by the headers alone."""
    at, stop, records, oldest = known.stop, known.stop, known.records, known.oldest_at
    while at < end:
        header = _header_at(file, at, end)
        if header is None:
            starts = _magics(file, at + 1, end)
            at = next((start for start in starts if _header_at(file, start, end)), end)
            continue
        at = stop = at + header.size
        records += 1
        oldest = min(oldest or header.received_at, header.received_at)
    return Tally(known.start, stop, records, oldest)


class _Header(NamedTuple):
    received_at: datetime
    text_lengths: list[int | None]  # of content type and headers; None for what is not there
    body_bytes: int
    checksum: bytes
    fields: bytes

    @property
    def payload_at(self) -> int:
        """Where the payload begins, from where the record does."""
        return len(self.fields) + _CHECKSUMS

    @property
    def size(self) -> int:
        """Bytes of the whole record."""
        return self.payload_at + sum(length or 0 for length in self.text_lengths) + self.body_bytes

    def record(self, payload: bytes) -> SpoolRecord:
        """Return what the payload holds; UnicodeDecodeError when a text is none."""
        texts: list[str | None] = []
        for length in self.text_lengths:
            text, payload = payload[: length or 0], payload[length or 0 :]
            texts.append(None if length is None else text.decode("utf-8", "surrogatepass"))
        return SpoolRecord(self.received_at, texts[0], payload, texts[1])


def _header(raw: bytes) -> _Header | None:
    """Read a header; it has a checksum of its own, so that a length can be trusted."""
    layout = _layout(raw)
    if layout is None or len(raw) < layout.size + _CHECKSUMS:
        return None
    checked = layout.size + _CHECKSUM.size
    if _checksum(raw[:checked]) != raw[checked : checked + _CHECKSUM.size]:
        return None
    _, _, microseconds, content_type, *headers, body = layout.unpack_from(raw)
    try:
        received_at = _EPOCH + microseconds * _MICROSECOND
    except OverflowError:  # checksums that fit by chance, or bytes that somebody made up in a body
        return None
    lengths = [None if n == _NONE else n for n in (content_type, *(headers or [_NONE]))]
    return _Header(received_at, lengths, body, raw[layout.size : checked], raw[: layout.size])


def _layout(raw: bytes) -> struct.Struct | None:
    """Return what the version of a record says of its header; None when it is none we know."""
    return _FIELDS.get(raw[len(MAGIC)]) if len(raw) > len(MAGIC) and _is_begun(raw) else None


def _is_begun(raw: bytes) -> bool:
    return MAGIC.startswith(raw[: len(MAGIC)])


def _header_at(file: int, at: int, end: int) -> _Header | None:
    """Read the header of a record that does not reach over the end."""
    header = _header(os.pread(file, _HEADER_BYTES, at))
    return header if header and at + header.size <= end else None


def _record_at(file: int, at: int, end: int) -> Piece | None:
    header = _header_at(file, at, end)
    if header is None:
        return None
    payload = os.pread(file, header.size - header.payload_at, at + header.payload_at)
    if _checksum(header.fields, payload) != header.checksum:
        return None
    try:
        return Piece(at, at + header.size, header.record(payload))
    except UnicodeDecodeError:  # as with the time above
        return None


def _gap(file: int, at: int, end: int) -> Piece:
    """Return the bytes from here to the next whole record.

    Even a header that is sound is not trusted to step over its body: were half a record followed by
    others, they would lie in there.
    """
    starts = _magics(file, at + 1, end)
    stop = next((start for start in starts if _record_at(file, start, end)), end)
    return Piece(at, stop, None, is_torn=stop == end and _is_torn(file, at, end))


def _is_torn(file: int, at: int, end: int) -> bool:
    raw = os.pread(file, _HEADER_BYTES, at)
    header = _header(raw)
    if header is not None:
        return at + header.size > end
    layout = _layout(raw)
    needed = layout.size + _CHECKSUMS if layout else len(MAGIC) + 1
    return len(raw) < needed and _is_begun(raw)


def _magics(file: int, at: int, end: int) -> Iterator[int]:
    """Yield the offsets where a record may begin."""
    while at + len(MAGIC) <= end:
        chunk = os.pread(file, _SEARCH_BYTES, at)
        found = chunk.find(MAGIC)
        while found >= 0:
            yield at + found
            found = chunk.find(MAGIC, found + 1)
        # The last bytes of a chunk may be the first ones of a magic.
        at += max(len(chunk) - len(MAGIC) + 1, 1)


def _checksum(*parts: bytes) -> bytes:
    value = 0
    for part in parts:
        value = crc32(part, value)
    return _CHECKSUM.pack(value)
