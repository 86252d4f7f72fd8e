"""The gateway's statistics file, as broken as the documents show it. Source: PROTOCOL 8."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.statistics import (
    MOST_STEPS,
    MOST_TEXT,
    NotStatisticsError,
    Sending,
    sendings,
)

SAMPLE = (
    Path(__file__).parents[2].parent / "shared/protocol/samples/report_content_binary.xml"
)  # fmt: skip
LINK = """
<CONTENT id="7" to="+1 (202) 555-0143" delivery="xhtml" contentid="45633" contentname="A & B">
 <MSG_STATUS>
  <INQUE time="2026-11-20T12:00:00.1234Z"/>
  <DLR gw="20" net="1000" time="2026-11-20T12:00:09.1234Z">
  <ACK gw="10" net="0" time="2026-11-20T12:00:05.123456Z">
  <ERROR info="no route & more" time="2026-11-20T12:00:03Z">
 </MSG_STATUS>
 <XHTML_HANDSETID>Mozilla/5.0</XHTML_HANDSETID>
</CONTENT>
"""


def listed(*entries: str, shared: str = "") -> bytes:
    return (
        "<?xml version='1.0'?><RESPONSE><BATCHES><BATCH id='1' name='a & b'/></BATCH>"
        '<BATCH id="2"><CONTENT id="1" to="1" contentid="2"></CONTENT></BATCH></BATCHES>'
        "<AUTORESPONDERS><AUTORESPONDER id='2'/></AUTORESPONDER></AUTORESPONDERS>"
        f"<SENDING_LIST {shared}>{''.join(entries)}</SENDING_LIST></RESPONSE>"
    ).encode()


def read(document: bytes, size: int = 64) -> list[Sending]:
    return list(sendings(document[at : at + size] for at in range(0, len(document), size)))


def test_the_documents_own_entry() -> None:
    (one,) = read(listed(SAMPLE.read_text()))
    assert (one.history_id, one.to, one.mms_id) == ("455076", "11112233444", "40301")
    assert (one.sender, one.handset, one.is_link) == ("60856", "motol7c", False)
    assert [(step.name, step.gw) for step in one.steps] == [
        ("inque", None),
        ("init", "0"),
        ("ack", "9"),
        ("dlr", "20"),
    ]
    assert one.queued_at == datetime(2012, 4, 24, 4, 45, 15, 655766, UTC)


def test_open_steps_out_of_order_and_a_bare_ampersand() -> None:
    (one,) = read(listed(LINK, shared='from="11111" carrier="AT&T"'))
    assert (one.to, one.sender, one.is_link, one.handset) == ("12025550143", "11111", True, None)
    assert [step.name for step in one.steps] == ["inque", "dlr", "ack", "error"]
    assert one.steps[3].info == "no route & more"


def test_what_an_entry_says_itself_comes_before_what_all_share() -> None:
    (one,) = read(listed(SAMPLE.read_text(), shared='from="11111" to="1"'))
    assert (one.sender, one.to) == ("60856", "11112233444")


def test_only_mms_of_the_sending_list_count() -> None:
    sms = '<TEXT id="9" to="12025550143"><INQUE time="2026-11-20T12:00:00Z"/>Hello & bye</TEXT>'
    assert [one.history_id for one in read(listed(sms, LINK, sms))] == ["7"]


def test_an_unknown_handset_is_none() -> None:
    handset = "<MM7_HANDSETID>Default</MM7_HANDSETID>"
    (one,) = read(listed(f'<CONTENT id="7" delivery="binary">{handset}</CONTENT>'))
    assert one.handset is None


def test_an_entry_that_is_never_closed_ends_with_the_next() -> None:
    both = read(listed(LINK.replace("</CONTENT>", ""), LINK.replace('id="7"', 'id="8"')))
    assert [(one.history_id, len(one.steps)) for one in both] == [("7", 4), ("8", 4)]


def test_nobody_makes_it_hold_much() -> None:
    steps = '<ACK gw="9" time="2026-11-20T12:00:00Z"/>' * 10_000
    name = f"<MM7_HANDSETID>{'x' * 10_000}</MM7_HANDSETID>"
    (one,) = read(listed(f'<CONTENT id="7" delivery="binary">{steps}{name}</CONTENT>'), 1000)
    assert len(one.steps) == MOST_STEPS
    assert len(one.handset or "") == MOST_TEXT


def test_no_element_hides_what_follows() -> None:
    assert len(read(listed("<script>", "<title>", LINK))) == 1


@pytest.mark.parametrize("document", [b"", b"<html><body>Not found</body></html>", b"\x00\xff<"])
def test_another_file_is_said_to_be_none(document: bytes) -> None:
    with pytest.raises(NotStatisticsError):
        read(document)


def test_a_tag_that_never_ends_is_given_up() -> None:
    pieces = [b"<SENDING_LIST ", *(b"x" * 100_000 for _ in range(100))]
    with pytest.raises(NotStatisticsError, match="does not end"):
        list(sendings(pieces))


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(1, 50))
def test_a_damaged_file_is_read_as_far_as_it_goes(damage: bytes, at: int, size: int) -> None:
    whole = listed(LINK)
    found: Iterator[Sending] = iter(read(whole[:at] + damage + whole[at:] + listed(LINK), size))
    assert all(one.to.isdigit() or not one.to for one in found)
