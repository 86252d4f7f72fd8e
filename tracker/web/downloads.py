"""Files that are written while they are sent."""

from collections.abc import Iterator

from flask import Response


def csv_answer(lines: Iterator[str], name: str) -> Response:
    """Return a CSV file; when it fails on the way, the answer breaks off and has no end."""
    answer = Response((line.encode() for line in lines), content_type="text/csv; charset=utf-8")
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
