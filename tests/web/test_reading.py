"""The bound on everything of a request that is not its body, however its bytes come."""

import pytest

from tracker.web.connection import PIECE_BYTES
from tracker.web.reading import OVERHEAD_BYTES, Limits, Reader, Request

FIRST = b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
LIMITS = Limits(8190, 64, 8190, 100, 4, 5.0)


@pytest.mark.parametrize("piece", [1000, PIECE_BYTES - 1, PIECE_BYTES])
@pytest.mark.parametrize("ahead", [0, 1, 400])
def test_an_endless_extension_is_too_large_wherever_its_request_begins(
    piece: int, ahead: int
) -> None:
    came: list[Request] = []
    reader = Reader(LIMITS, None, "192.0.2.1", came.append)
    data = FIRST * ahead + CHUNKED + b"x" * (OVERHEAD_BYTES + PIECE_BYTES) + NEXT
    pieces = (data[start : start + piece] for start in range(0, len(data), piece))
    answers = (reader.feed(some) for some in pieces)
    refusal = next(answer for answer in answers if answer is not None)
    assert refusal.status == 431
    assert len(came) == ahead


def test_many_requests_after_each_other_are_not_too_large() -> None:
    came: list[Request] = []
    reader = Reader(LIMITS, None, "192.0.2.1", came.append)
    data = FIRST * 8000
    pieces = (data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES))
    assert [answer for some in pieces if (answer := reader.feed(some))] == []
    assert len(came) == 8000
