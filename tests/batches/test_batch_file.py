"""Files as spreadsheets write them are read as they were meant, from any row on."""

import csv
import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.domain.batch_columns import ColumnsError, Rows, field_of, read
from tracker.services import batch_file
from tracker.services.batch_file import FileError, detect
from tracker.services.csv_files import safe

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "windows-1252"]
CELL = st.text(
    st.characters(codec="cp1252", exclude_categories=["Cc"]) | st.sampled_from(" \n\r,;\t\"'"),
    max_size=12,
)
ROWS = st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=8)


def is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def written(rows: list[list[str]], encoding: str, separator: str, end: str, quoting: int) -> bytes:
    text = io.StringIO(newline="")
    if {"\r", "\n"} & {character for row in rows for cell in row for character in cell}:
        quoting = csv.QUOTE_ALL  # the writer knows no line end but its own
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["to", "mms_id", "data.X"])
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


@settings(deadline=None, max_examples=150)
@given(
    rows=ROWS,
    encoding=st.sampled_from(ENCODINGS),
    separator=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    cut=st.integers(0, 7),
)
def test_any_way_of_writing_comes_back_whole_from_any_row(
    rows: list[list[str]], encoding: str, separator: str, end: str, quoting: int, cut: int
) -> None:
    content = written(rows, encoding, separator, end, quoting)
    found = detect(content, is_utf8=is_utf8(content))
    assert found.separator == separator
    assert list(found.headers) == ["to", "mms_id", "data.X"]
    read_rows = list(
        batch_file.rows(
            io.BytesIO(content[found.begin :]).read, found.encoding, separator, begin=found.begin
        )
    )
    assert [row.cells for row in read_rows] == rows
    assert [row.number for row in read_rows] == list(range(1, len(rows) + 1))
    assert read_rows[-1].end == len(content)
    middle = read_rows[min(cut, len(rows) - 1)]
    rest = batch_file.rows(
        io.BytesIO(content[middle.end :]).read, found.encoding, separator,
        begin=middle.end, number=middle.number,
    )  # fmt: skip
    assert [(row.number, row.cells, row.end) for row in rest] == [
        (row.number, row.cells, row.end) for row in read_rows[middle.number :]
    ]


@settings(deadline=None, max_examples=200)
@given(content=st.binary(max_size=300), guess=st.booleans())
def test_any_bytes_are_rows_or_explained(content: bytes, guess: bool) -> None:
    try:
        found = detect(content, is_utf8=guess)
        list(
            batch_file.rows(
                io.BytesIO(content[found.begin :]).read, found.encoding, found.separator, begin=0
            )
        )
    except FileError as error:
        why = str(error)
    else:
        why = "it was read"
    assert why


@pytest.mark.parametrize(
    ("content", "encoding", "separator"),
    [
        (b"to\n1\n", "utf-8", ","), (b"sep=;\r\nto;mms_id\r\n", "utf-8", ";"),
        (b"to;name, first;x\n", "utf-8", ";"), ("to\tÜ\n".encode("cp1252"), "windows-1252", "\t"),
        (b"\xef\xbb\xbfto,mms_id\n", "utf-8", ","),
    ],
)  # fmt: skip
def test_encoding_and_separator_are_found(content: bytes, encoding: str, separator: str) -> None:
    found = detect(content, is_utf8=is_utf8(content))
    assert (found.encoding, found.separator) == (encoding, separator)


def test_what_is_said_is_not_guessed() -> None:
    content = b"to;a,b\n"
    assert detect(content, is_utf8=True, separator=",").headers == ("to;a", "b")
    assert detect(content, is_utf8=True, encoding="iso-8859-15").encoding == "iso-8859-15"
    with pytest.raises(FileError, match="says of itself"):
        detect("to\n".encode("utf-16"), is_utf8=False, encoding="utf-8")


def test_a_quotation_mark_without_its_second_is_named_and_not_read_for_ever() -> None:
    content = b'to,mms_id\n1,"2\n' + b"3,4\n" * 200_000
    tracemalloc.start()
    with pytest.raises(FileError, match="row 1 cannot be read: a cell has more than"):
        list(batch_file.rows(io.BytesIO(content[10:]).read, "utf-8", ",", begin=10))
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(FileError, match="1 MiB without a line end"):
        list(batch_file.rows(io.BytesIO(b"1" * 3_000_000).read, "utf-8", ",", begin=0))


def test_half_a_character_at_the_end_is_said() -> None:
    content = "to,mms_id\n1,2".encode("utf-16") + b"\x00"
    found = detect(content, is_utf8=False)
    with pytest.raises(FileError, match="middle of a character"):
        list(
            batch_file.rows(
                io.BytesIO(content[found.begin :]).read, found.encoding, ",", begin=found.begin
            )
        )


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("To", "to"), (" MMS Id ", "mms_id"), ("mms-id", "mms_id"),
        ("PASS.barcodevalue", "pass.BARCODEVALUE"),
        ("pass_data.BarcodeText", "pass.BARCODETEXT"), ("data.First_Name", "data.First_Name"),
        ("Text. 3", "text.3"), ("DDM.Timeout Minutes", "ddm.timeout_minutes"), ("text.9", None),
        ("phone", None), ("data.", None), ("", None), ("pass.NOPE", None),
    ],
)  # fmt: skip
def test_headers_are_forgiving(header: str, field: str | None) -> None:
    assert field_of(header) == field


def test_every_wrong_header_is_named_at_once() -> None:
    with pytest.raises(ColumnsError) as caught:
        read(["to", "barcodevalue", "xyz", "To"], {"gone": None})
    found = {problem.field: problem.detail for problem in caught.value.problems}
    assert "did you mean pass.BARCODEVALUE" in found["barcodevalue"]
    assert "known are to, mms_id" in found["xyz"]
    assert "fills to, as the column 'to' does" in found["To"]
    assert "has no such column; it has to, barcodevalue" in found["gone"]


def test_a_file_without_recipients_is_refused() -> None:
    with pytest.raises(ColumnsError, match="no column for `to`"):
        read(["mms_id"], {})


def a_request(**cells: str) -> tuple[dict[str, object], list[str]]:
    columns = read(list(cells), {})
    request, problems = Rows(columns, {}).request(list(cells.values()))
    return request, [problem.detail for problem in problems]


@pytest.mark.parametrize("text", ["1.65012E+10", "1,65012E+10", "1E+10", "1.2e10"])
def test_a_number_that_a_spreadsheet_shortened_is_explained(text: str) -> None:
    _, said = a_request(to=text)
    assert "its digits are lost" in said[0]


def test_a_calculated_number_does_not_become_another_number() -> None:
    _, said = a_request(to="16501234123.0")
    assert "calculated number" in said[0]


def test_a_leading_apostrophe_is_a_spreadsheets_mark() -> None:
    request, _ = a_request(
        to="'+16501234123", **{"data.X": "'tis", "data.Y": "'=A1", "data.Z": "It's '69"}
    )
    assert request["to"] == "+16501234123"
    assert request["data"] == {"X": "'tis", "Y": "=A1", "Z": "It's '69"}


def test_cells_beyond_the_header_are_wrong_unless_blank() -> None:
    columns = read(["to", "mms_id"], {})
    _, problems = Rows(columns, {}).request(["1", "2", " "])
    assert problems == []
    _, problems = Rows(columns, {}).request(["1", "2", "3"])
    assert "has 3 cells, and the header 2" in problems[0].detail


@given(st.text(max_size=6))
def test_no_cell_that_is_written_begins_a_formula(text: str) -> None:
    assert not str(safe(text)).startswith(("=", "+", "-", "@", "\t", "\r"))
