"""Finding the document in a body. Source: PROTOCOL 2.1, 6.1 and 6.10; all bodies are ours."""

from typing import Literal
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.transport import Document, document_of, form_of

XML = "<POSTBACK><TEXT>a+b & 100% = é</TEXT></POSTBACK>"
FORM = "application/x-www-form-urlencoded"
MULTIPART = 'multipart/form-data; boundary="x-y"'


def a_multipart(name: str | None = "xml", content: bytes = XML.encode(), more: str = "") -> bytes:
    disposition = "form-data" + (f'; name="{name}"' if name is not None else "") + more
    head = f"--x-y\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
    return head + content + b"\r\n--x-y--\r\n"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/xml",
        "text/xml; charset=utf-8",
        "application/json",
        FORM,
        MULTIPART,
        ";;;",
        "x",
    ],
)
@pytest.mark.parametrize("before", ["", "\n ", "\ufeff", "<?xml version='1.0'?>\n"])
def test_a_body_that_begins_with_a_tag_is_the_document(
    content_type: str | None, before: str
) -> None:
    found = document_of((before + XML).encode(), content_type)
    assert found.text.endswith(XML)
    assert found.via == "raw"


@pytest.mark.parametrize("name", ["xml", "XML", "Xml"])
@pytest.mark.parametrize(
    "content_type", [FORM, f"{FORM}; charset=utf-8", FORM.upper(), None, "x/y"]
)
def test_a_form_field_in_any_case(name: str, content_type: str | None) -> None:
    body = urlencode({name: XML}).encode()
    assert document_of(body, content_type) == Document(XML, "form")


@pytest.mark.parametrize("content_type", [FORM, None])
def test_a_form_field_behind_others(content_type: str | None) -> None:
    body = urlencode([("action", "x"), ("xml", ""), ("XML", XML)]).encode()
    assert document_of(body, content_type) == Document(XML, "form")


def test_an_empty_field_leaves_the_body_itself() -> None:
    assert document_of(b"xml=&a=b", FORM) == Document("xml=&a=b", "raw")


def test_the_declaration_inside_a_field_says_nothing_about_its_bytes() -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><POSTBACK>é</POSTBACK>'
    assert document_of(f"xml={quote_plus(text)}".encode(), FORM).text == text
    latin = f"xml={quote_plus(text, encoding='latin-1')}".encode()
    assert document_of(latin, FORM + "; charset=iso-8859-1").text == text
    assert document_of(latin, FORM).is_repaired


@pytest.mark.parametrize("more", ["", '; filename="postback.xml"'])
@pytest.mark.parametrize("name", ["xml", "XML"])
@pytest.mark.parametrize("content_type", [MULTIPART, None])
def test_a_part_of_a_multipart_body(content_type: str | None, name: str, more: str) -> None:
    assert document_of(a_multipart(name, more=more), content_type) == Document(XML, "form")


def test_the_bytes_of_a_part_keep_their_own_encoding() -> None:
    wide = a_multipart(content=b"\xff\xfe" + XML.encode("utf-16-le"))
    assert document_of(wide, MULTIPART) == Document(XML, "form")
    latin = a_multipart(content="<POSTBACK>é</POSTBACK>".encode("latin-1"))
    assert document_of(latin, MULTIPART).is_repaired


@pytest.mark.parametrize(
    "body",
    [
        a_multipart(None),
        a_multipart("other"),
        a_multipart()[:-20],
        b"--x-y\r\n\r\n\r\n--x-y--",
        b"--x-y--",
        b"--x-y\r\nContent-Disposition: form-data; name=\xff\r\n\r\na\r\n--x-y--",
        a_multipart("a") * 300,
        b"",
    ],
)
@pytest.mark.parametrize("content_type", [MULTIPART, "multipart/form-data", None])
def test_a_multipart_body_without_our_field_stays_the_body(
    body: bytes, content_type: str | None
) -> None:
    assert document_of(body, content_type).via == "raw"


def test_too_many_fields_are_no_form() -> None:
    assert form_of(b"&".join([b"a=1"] * 201), FORM) == []
    assert len(form_of(b"&".join([b"a=1"] * 200), FORM)) == 200


def test_fields_come_in_their_order() -> None:
    assert form_of(b"a=1&b=%E9&a=+2", FORM) == [("a", "1"), ("b", "\ufffd"), ("a", " 2")]


def test_utf_16_without_a_mark_is_the_document() -> None:
    assert document_of(XML.encode("utf-16-le"), FORM) == Document(XML, "raw")


@given(st.binary(), st.none() | st.text(max_size=80) | st.sampled_from([FORM, MULTIPART]))
def test_any_body_and_content_type_give_a_document(body: bytes, content_type: str | None) -> None:
    via: Literal["raw", "form"] = document_of(body, content_type).via
    assert via in {"raw", "form"}
    form_of(body, content_type)
