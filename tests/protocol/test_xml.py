"""Decoding and the hardened parser. Source: PROTOCOL 6.8, 6.10; all documents are ours."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.xml import (
    DoctypeError,
    NotWellFormedError,
    XmlError,
    XmlLimitError,
    decode,
    normal_name,
    parse_xml,
    text_of,
)

TEXT = "<POSTBACK><TEXT>naïve — 日本</TEXT></POSTBACK>"
LATIN = "<POSTBACK><TEXT>caf\u00e9</TEXT></POSTBACK>"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8-sig"]
)
@pytest.mark.parametrize("charset", [None, "utf-8", "utf-16", "no-such-charset"])
def test_unicode_is_told_by_its_bytes(encoding: str, charset: str | None) -> None:
    assert decode(TEXT.encode(encoding), charset).text == TEXT


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\xff\xfe\x00\x00", "utf-32-le"),
        (b"\x00\x00\xfe\xff", "utf-32-be"),
    ],
)
def test_a_byte_order_mark_beats_header_and_declaration(mark: bytes, encoding: str) -> None:
    text = '<?xml version="1.0" encoding="iso-8859-1"?>' + TEXT
    decoded = decode(mark + text.encode(encoding), "iso-8859-15")
    assert decoded.text == text
    assert not decoded.is_repaired


def test_the_header_beats_the_declaration() -> None:
    body = b'<?xml version="1.0" encoding="utf-8"?>' + LATIN.encode("iso-8859-1")
    assert decode(body, "ISO-8859-1").text.endswith(LATIN)
    assert decode(body, '"latin-1"').text.endswith(LATIN)
    assert decode(body, "windows-1252").text.endswith(LATIN)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_the_declaration_counts_without_a_header(quote: str) -> None:
    declaration = f"<?xml version={quote}1.0{quote} encoding = {quote}ISO-8859-1{quote} ?>"
    body = (declaration + LATIN).encode("iso-8859-1")
    assert decode(body).text.endswith(LATIN)
    assert decode(body, heed_declaration=False).is_repaired


@pytest.mark.parametrize("charset", ["utf-16", "UTF-32", "utf-16le"])
def test_a_wide_charset_over_narrow_bytes_is_passed_over(charset: str) -> None:
    body = f'<?xml version="1.0" encoding="{charset}"?><POSTBACK/>'.encode()
    assert decode(body, charset).text == body.decode()


def test_a_charset_that_does_not_fit_gives_way_to_one_that_does() -> None:
    assert decode(TEXT.encode(), "us-ascii").text == TEXT


@pytest.mark.parametrize(
    "charset",
    ["unicode_escape", "utf-7", "punycode", "rot13", "zlib", "../x", "a\x00b", ""],
)
def test_codecs_that_are_no_character_set_are_ignored(charset: str) -> None:
    assert decode(TEXT.encode(), charset).text == TEXT


def test_bytes_that_fit_nothing_are_replaced_and_that_is_known() -> None:
    decoded = decode(b"<a>\xff</a>")
    assert decoded.text == "<a>\ufffd</a>"
    assert decoded.is_repaired


def test_a_leading_nul_does_not_make_utf_16() -> None:
    assert decode(b"\x00<POSTBACK/>").text == "\x00<POSTBACK/>"


@given(st.binary(), st.none() | st.text())
def test_any_bytes_decode(body: bytes, charset: str | None) -> None:
    decode(body, charset)


def test_values_with_cdata_comments_and_instructions() -> None:
    root = parse_xml("<a> x<!--c-->y<?p q?>z<![CDATA[<&>]]> </a>")
    assert text_of(root) == "xyz<&>"
    assert text_of(parse_xml("<a> \n</a>")) is None


@pytest.mark.parametrize(
    "name", ["trackingid", "TRACKING_ID", "tracking-id", "ns:Tracking-ID", "{urn:x}TrackingId"]
)
def test_all_spellings_have_one_normal_name(name: str) -> None:
    assert normal_name(name) == "TRACKINGID"


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE a><a/>",
        "<!doctype a><a/>",
        f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><a>&l9;</a>',
        f'<!DOCTYPE a [<!ENTITY x "{"x" * 50_000}">]><a>{"&x;" * 50_000}</a>',
        '<?xml version="1.0"?><!-- c --><?p?>\n<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p.dtd"> %p;]><a/>',
    ],
)
def test_a_doctype_is_never_read(text: str) -> None:
    with pytest.raises(DoctypeError):
        parse_xml(text)


def test_no_file_is_ever_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hunter2", encoding="utf-8")
    entity = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><a>&x;</a>'
    with pytest.raises(DoctypeError):
        parse_xml(entity)
    include = (
        '<a xmlns:xi="http://www.w3.org/2001/XInclude">'
        f'<xi:include href="{secret.as_uri()}" parse="text"/></a>'
    )
    assert text_of(parse_xml(include)) is None
    sheet = f'<?xml version="1.0"?><?xml-stylesheet href="{secret.as_uri()}"?><a/>'
    assert text_of(parse_xml(sheet)) is None


def test_limits_of_depth_and_number() -> None:
    assert len(parse_xml("<a>" + "<b/>" * 4999 + "</a>")) == 4999
    parse_xml("<a>" * 32 + "</a>" * 32)
    with pytest.raises(XmlLimitError):
        parse_xml("<a>" + "<b/>" * 5000 + "</a>")
    with pytest.raises(XmlLimitError):
        parse_xml("<a>" * 33 + "</a>" * 33)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>x",
        "<a>&</a>",
        "<a>&nbsp;</a>",
        "<a>&#0;</a>",
        "<a>\x00</a>",
        "<a>\ud800</a>",
        "<p:a/>",
        "<a p:b=''/>",
        "<a b='1' b='2'/>",
        "<a>" * 10_000 + "</a>" * 10_000,
    ],
)
def test_what_is_not_well_formed_is_an_error(text: str) -> None:
    with pytest.raises(NotWellFormedError):
        parse_xml(text)


@given(st.text(alphabet="<>/!?-[]&;#'\"= aA:\n\ufeff"))
def test_no_text_is_another_exception(text: str) -> None:
    try:
        parse_xml(text)
    except XmlError as error:
        assert str(error)  # noqa: PT017 - what is checked is that nothing else is raised


def test_the_fewest_tags_that_are_nested_too_deep_are_counted() -> None:
    assert parse_xml("<a>" * 31 + "<a/>" + "</a>" * 31).tag == "a"
    with pytest.raises(XmlLimitError):
        parse_xml("<a>" * 32 + "<a/>" + "</a>" * 32)


@pytest.mark.parametrize("text", ["", "<a>", "<a>&x;</a>", "<a>\x00</a>", "<a>" * 10_000])
def test_a_document_that_failed_leaves_nothing_to_the_next(text: str) -> None:
    messages = set()
    for _ in range(3):
        with pytest.raises(NotWellFormedError) as caught:
            parse_xml(text)
        messages.add(str(caught.value))
        assert text_of(parse_xml("<a>1</a>")) == "1"
    assert len(messages) == 1


def test_threads_read_at_the_same_time() -> None:
    def read(number: int) -> str | None:
        return text_of(parse_xml(f"<a>{'x' * number}</a>"))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(1, 500))) == ["x" * number for number in range(1, 500)]
