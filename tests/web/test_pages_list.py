"""The list of messages: search, filters, pages, live."""

import re
from uuid import UUID

import pytest
from builders import NUMBER, accepted, queued, reloaded
from flask import Flask
from pages_support import SPELLED, page_of, press, visitor, words

from tracker.domain.status import LABELS, Status
from tracker.store.db import Sessions
from tracker.store.models import Role
from tracker.web.message_list import PAGE_SIZE

SHOWN = "+1 202-555-0143"


def listed(text: str) -> list[str]:
    return re.findall(r'<a id="m-([0-9a-f-]{36})"', text)


def test_the_list_shows_each_message_newest_first(app: Flask, session_factory: Sessions) -> None:
    older = accepted(session_factory, reference="order-1")
    newer = queued(session_factory, to="4915112345678")
    page = visitor(app).get("/messages")
    assert listed(page.text) == [str(newer), str(older)]
    text = words(page)
    for part in (SHOWN, "+49 1511 2345678", "Accepted", "Queued", "order-1", "TU1TXzEyMzQ2"):
        assert part in text


def test_an_empty_list_says_how_to_send_the_first_pass(app: Flask) -> None:
    page = words(visitor(app).get("/messages"))
    assert "No message yet" in page
    assert ".venv/bin/tracker send --xml docs/examples/event-ticket.xml --wait 60" in page


@pytest.mark.parametrize(
    "text",
    [
        NUMBER,
        "+1 (202) 555-0143",
        "001 202.555.0143",
        " TU1TXzEyMzQ2 ",
        "TU1TXzEyMzQ2==",
        "order-77",
        "PASS77",
        "{id}",
    ],
)
def test_a_search_by_any_key_leads_to_the_one_message(
    app: Flask, session_factory: Sessions, text: str
) -> None:
    queued(session_factory, to="12025550199")
    public_id = accepted(
        session_factory, reference="order-77", pass_data={"CUSTOMPASSID": "PASS77"}
    )
    answer = press(visitor(app), "/messages/search", q=text.format(id=public_id))
    assert (answer.status_code, answer.location) == (303, page_of(public_id))


def test_a_search_that_fits_several_shows_them_and_keeps_the_number_out_of_the_addresses(
    app: Flask, session_factory: Sessions
) -> None:
    found = [str(queued(session_factory)) for _ in range(2)]
    page = press(visitor(app), "/messages/search", q=SHOWN)
    assert page.status_code == 200
    assert listed(page.text) == found[::-1]
    assert "2 messages for •••143" in words(page)
    addresses = re.findall(r'(?:href|action|hx-get)="([^"]*)"', page.text)
    assert not [a for a in addresses if SPELLED.search(a)]


def test_a_search_that_finds_nothing_says_what_can_be_searched(app: Flask) -> None:
    page = press(visitor(app), "/messages/search", q="+1 202 555 0777")
    assert page.status_code == 200
    assert "Nothing found for •••777" in words(page)
    assert "a recipient's number with its country code" in words(page)


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_search_leads_back_to_the_list(app: Flask, text: str) -> None:
    assert press(visitor(app), "/messages/search", q=text).location == "/messages"


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a\0b", "x" * 9000, "%", "\u202e"])
def test_odd_searches_find_nothing_and_do_no_harm(app: Flask, text: str) -> None:
    page = press(visitor(app), "/messages/search", q=text)
    assert page.status_code == 200
    assert "Nothing found" in words(page)
    assert "<script>alert" not in page.text


def test_an_address_of_a_search_opens_the_list(app: Flask) -> None:
    assert visitor(app).get("/messages/search").location == "/messages"


def test_filters_hold_together_and_each_has_a_way_out(
    app: Flask, session_factory: Sessions
) -> None:
    accepted(session_factory, mms_id="35674", campaign_ref="812", reference="r-1")
    wanted = queued(session_factory, mms_id="35674", campaign_ref="812", reference="r-1")
    queued(session_factory, mms_id="35674", reference="r-1")
    page = visitor(app).get(
        "/messages?status=queued&status=failed&mms_id=35674&campaign_ref=812&reference=r-1"
    )
    assert listed(page.text) == [str(wanted)]
    chips = dict(
        re.findall(r'<a class="chip" href="([^"]+)"><span class="muted">([^<]+)', page.text)
    )
    assert sorted(chips.values()) == ["Campaign", "MMS id", "Reference", "Status", "Status"]
    without_campaign = next(url for url, name in chips.items() if name == "Campaign")
    assert "campaign_ref" not in without_campaign
    assert "status=queued&amp;status=failed" in without_campaign


def test_days_are_whole_and_in_utc(app: Flask, session_factory: Sessions) -> None:
    public_id = queued(session_factory)
    day = reloaded(session_factory, public_id).created_at.date().isoformat()
    client = visitor(app)
    assert listed(client.get(f"/messages?created_from={day}&created_to={day}").text)
    assert not listed(client.get("/messages?created_to=2020-01-01").text)
    assert not listed(client.get("/messages?created_from=2099-01-01").text)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("/messages?staus=failed", "was passed over. Did you mean “status”?"),
        ("/journal?Outcom=unmatched&zzz=1", "Did you mean “outcome”?"),
        ("/journal?Outcom=unmatched&zzz=1", "“zzz” is not a filter of this list and was passed"),
        ("/audit?action=login&user=olga", "“user” is not a filter of this list"),
        ("/carriers?name=x", "“name” is not a filter of this list"),
        ("/batches?status=x", "“status” is not a filter of this list"),
    ],
)  # fmt: skip
def test_a_filter_that_is_none_is_said(app: Flask, address: str, says: str) -> None:
    client = visitor(app, Role.ADMIN)
    assert says in words(client.get(address))
    assert "was passed over" not in client.get(address.partition("?")[0]).text


@pytest.mark.parametrize(
    "address",
    ["/messages.csv?staus=failed", "/audit.csv?actr=olga", "/journal/replay?outcme=unmatched"],
)
def test_a_file_or_an_action_is_refused_for_a_filter_that_is_none(app: Flask, address: str) -> None:
    client = visitor(app, Role.ADMIN)
    refused = client.get(address)
    assert refused.status_code == 400
    assert "is not a filter; did you mean" in words(refused)
    assert client.get(address.partition("?")[0]).status_code == 200


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "9999-12-31", "<b>"])
def test_an_unreadable_day_is_said_at_its_field(app: Flask, text: str) -> None:
    page = visitor(app).get("/messages", query_string={"created_to": text})
    assert page.status_code == 200
    assert "Not a day; write it as 2026-11-22." in page.text
    assert "<b>" not in page.text


def test_no_match_differs_from_no_message(app: Flask, session_factory: Sessions) -> None:
    queued(session_factory)
    page = words(visitor(app).get("/messages?mms_id=1"))
    assert "No message fits" in page
    assert "No message yet" not in page


def test_every_status_can_be_chosen(app: Flask) -> None:
    page = visitor(app).get("/messages?status=no_receipt&status=nonsense")
    for status in Status:
        assert f'value="{status.value}"' in page.text
        assert LABELS[status] in page.text
    assert 'value="no_receipt" id="status-no_receipt" checked' in page.text


def test_a_filter_from_a_link_is_kept_by_the_form(app: Flask) -> None:
    page = visitor(app).get("/messages?handset=motol7c&code=N102")
    assert '<input type="hidden" name="handset" value="motol7c">' in page.text
    assert '<input type="hidden" name="code" value="N102">' in page.text


def test_older_pages_follow_one_another_and_lead_back(
    app: Flask, session_factory: Sessions
) -> None:
    made = [str(queued(session_factory)) for _ in range(2 * PAGE_SIZE + 1)]
    client = visitor(app)
    url, seen, live = "/messages?mms_id=45633", [], []
    while url:
        page = client.get(url)
        seen.append(listed(page.text))
        live.append("data-live-seconds" in page.text)
        older = re.search(r'href="([^"]+)" rel="next"', page.text)
        url = older[1].replace("&amp;", "&") if older else ""
    newest = made[::-1]
    assert seen == [newest[:PAGE_SIZE], newest[PAGE_SIZE : 2 * PAGE_SIZE], newest[-1:]]
    assert live == [True, False, False]
    assert 'href="/messages?mms_id=45633"' in page.text  # newest


@pytest.mark.parametrize("cursor", ["nonsense", "MjAyNg", "", "\0", "é", "MjAyNi0xMS0yMiAx" * 50])
def test_a_damaged_cursor_is_said_to_be_one(app: Flask, cursor: str) -> None:
    page = visitor(app).get("/messages", query_string={"cursor": cursor})
    assert page.status_code == 400
    assert "This cannot be read" in words(page)


def test_the_live_list_answers_only_what_is_new(app: Flask, session_factory: Sessions) -> None:
    client = visitor(app)
    page = client.get("/messages?status=queued")
    found = re.search(r'hx-get="([^"]+)"', page.text)
    assert found
    live = found[1].replace("&amp;", "&")
    assert client.get(live).status_code == 204
    public_id: UUID = queued(session_factory)
    news = client.get(live)
    assert listed(news.text) == [str(public_id)]
    assert "<html" not in news.text
