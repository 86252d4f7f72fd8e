"""The list of messages in a real browser: many at once, views, columns; and the form that sends."""

import json
import re
from collections.abc import Iterator
from typing import Final

import pytest
from browser_support import (
    Visit,
    assert_fits,
    assert_sound,
    assert_sound_in_every_look,
    visiting,
)
from playwright.sync_api import Browser, Page, ViewportSize, expect
from running import Up, up

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
HOSTILE: Final = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202eevil"
PAPER: Final[ViewportSize] = {"width": 718, "height": 1000}  # A4 within usual margins
COLOURS: Final = """() => {
  const of = getComputedStyle(document.body);
  return [of.backgroundColor, of.color];
}"""
DISPLAY: Final = "table => getComputedStyle(table).display"
MESSAGE: Final = re.compile(r"/messages/[0-9a-f-]{36}$")


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("browser-list")) as started:
        yield started


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def visit(browser: Browser, tracker: Up, request: pytest.FixtureRequest) -> Iterator[Visit]:
    with visiting(browser, tracker, has_script=request.param) as visit:
        yield visit


@pytest.fixture
def scripted(browser: Browser, tracker: Up) -> Iterator[Visit]:
    with visiting(browser, tracker) as visit:
        yield visit


def sent(tracker: Up, *more: str) -> str:
    """Send a pass and return its message's id."""
    command = ("send", "12025550143", "--mms-id", "45633", "--from", "11111", "--json")
    told = json.loads(tracker.run(*command, "--pass", "BARCODEVALUE=1", *more))
    return str(told["id"])


def fill(page: Page, number: str, *, text: str = "A-17") -> None:
    page.get_by_label("Number", exact=True).fill(number)
    page.get_by_label("MMS id", exact=True).fill("45633")
    page.get_by_label("Sender", exact=True).fill("11111")
    page.get_by_label("Field 1", exact=True).select_option("BARCODEVALUE")
    page.get_by_label("Text of field 1", exact=True).fill(text)


def test_ticked_messages_are_counted_confirmed_and_sent_again_once(
    visit: Visit, tracker: Up
) -> None:
    ids = [sent(tracker, "--wait", "60"), sent(tracker, "--wait", "60")]
    visit.log_in("/messages?status=delivered")
    page = visit.page
    page.locator("#bulk > summary").click()
    for one in ids:
        page.locator(f"#tick-{one}").check()
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("heading", name="2 messages will be sent again")).to_be_visible()
    expect(page.get_by_text("2 recipients have the first message already")).to_be_visible()
    confirmation = page.url
    page.get_by_role("button", name="Send them again").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    page.goto(confirmation)  # the same address tells what came of it, and offers nothing
    expect(page.get_by_text("2 queued again.")).to_be_visible()
    expect(page.get_by_role("button", name="Send them again")).to_have_count(0)
    for one in ids:
        page.goto(f"{tracker.url}/messages/{one}")
        expect(page.get_by_role("link", name="Sent again as a new message")).to_be_visible()


def test_on_paper_tables_are_whole_and_nothing_is_dark_or_to_press(
    scripted: Visit, tracker: Up
) -> None:
    one = sent(tracker, "--wait", "60")
    scripted.log_in("/messages")
    page = scripted.page
    page.set_viewport_size(PAPER)
    page.emulate_media(media="print", color_scheme="dark")
    for path in ("/", f"/messages/{one}", "/messages"):
        page.goto(tracker.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert page.evaluate(COLOURS) == ["rgb(255, 255, 255)", "rgb(23, 28, 38)"]
        assert page.locator(":is(.site-nav, .btn, input, details:not([open])):visible").count() == 0
        assert_fits(page)
    assert page.locator(".message-table").evaluate(DISPLAY) == "table"
    head = page.locator(".message-table thead :is(th, td):visible").count()
    row = page.locator(".message-table tbody tr").first.locator(":is(th, td):visible")
    assert (head, row.count()) == (6, 6)


def test_a_tick_holds_the_list_until_it_is_taken_off(scripted: Visit, tracker: Up) -> None:
    sent(tracker)
    scripted.log_in("/messages")
    page = scripted.page
    box = page.locator("[data-tick]").first
    box.check()
    expect(page.get_by_text("Waits for your ticks")).to_be_visible()
    new = sent(tracker)
    page.wait_for_timeout(6_000)  # one look of the live list and more
    expect(box).to_be_checked()
    expect(page.locator(f"#tick-{new}")).to_have_count(0)
    box.uncheck()
    expect(page.locator(f"#tick-{new}")).to_be_visible()


def test_a_view_is_saved_opened_renamed_and_deleted(visit: Visit, tracker: Up) -> None:
    visit.log_in("/messages?status=failed")
    page = visit.page
    page.locator("#save-view > summary").click()
    page.get_by_label("Name", exact=True).fill(HOSTILE.replace("\u202e", ""))
    page.get_by_label("Show it to everybody").check()
    page.get_by_role("button", name="Save the view").click()
    views = page.get_by_role("navigation", name="Saved views")
    current = views.locator("[aria-current]")
    expect(current).to_contain_text("<script>alert(1)</script>")
    page.goto(f"{tracker.url}/messages")
    views.get_by_role("link").first.click()
    expect(page).to_have_url(f"{tracker.url}/messages?status=failed")
    views.get_by_role("link", name="Edit views").click()
    page.get_by_label("Name", exact=True).fill("Failures")
    page.get_by_role("button", name="Save <").click()
    expect(page.get_by_role("link", name="Failures")).to_be_visible()
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("None yet.")).to_be_visible()


@pytest.mark.parametrize("width", [1440, 390])
def test_views_can_be_edited_however_many_there_are(
    browser: Browser, tracker: Up, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, locale="en-US")
    visit = Visit(context.new_page(), tracker)
    visit.log_in("/messages?status=failed")
    page = visit.page
    for number in range(12):
        page.locator("#save-view > summary").click()
        page.get_by_label("Name", exact=True).fill(f"{'W' * 30} {width} {number}")
        page.get_by_role("button", name="Save the view").click()
        expect(page.get_by_text("Saved as the view")).to_be_visible()
    edit = page.get_by_role("link", name="Edit views")
    box = edit.bounding_box()
    assert box
    assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    assert_sound(page)
    edit.click()
    expect(page).to_have_url(f"{tracker.url}/messages/views")
    assert visit.complaints == []
    context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_tool_stays_where_it_was_opened(browser: Browser, tracker: Up, width: int) -> None:
    sent(tracker)
    context = browser.new_context(viewport={"width": width, "height": 900}, locale="en-US")
    visit = Visit(context.new_page(), tracker)
    visit.log_in("/messages?mms_id=45633")
    for tool in ("bulk", "columns", "save-view"):
        summary = visit.page.locator(f"#{tool} > summary")
        before = summary.bounding_box()
        summary.click()
        assert summary.bounding_box() == before
        summary.click()
    visit.page.locator("#bulk > summary").click()
    expect(visit.page.get_by_role("button", name="Cancel messages", exact=True)).to_be_visible()
    context.close()


def test_columns_are_chosen(visit: Visit, tracker: Up) -> None:
    sent(tracker)
    visit.log_in("/messages")
    page = visit.page
    page.locator("#columns > summary").click()
    page.get_by_label("Pass id", exact=True).check()
    page.get_by_label("Handset, carrier").uncheck()
    page.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("columnheader", name="Pass id")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Handset, carrier")).to_have_count(0)
    page.locator("#columns > summary").click()
    page.get_by_role("button", name="The usual ones").click()
    expect(page.get_by_role("columnheader", name="Handset, carrier")).to_be_visible()


def test_the_form_checks_and_previews_while_somebody_types(scripted: Visit) -> None:
    scripted.log_in("/send")
    page = scripted.page
    check = page.locator("#send-preview")
    expect(check.get_by_text("Still needed")).to_be_visible()
    fill(page, "12")
    expect(check.get_by_text("Number is not a phone number")).to_be_visible()
    page.get_by_label("Number", exact=True).fill("+1 202-555-0143")
    expect(check.get_by_text("It can be sent.")).to_be_visible()
    expect(check.get_by_role("img", name="QR code with the barcode's value")).to_be_visible()
    page.get_by_label("Text of field 1", exact=True).fill(HOSTILE)
    expect(check.locator(".pass-value")).to_contain_text("<script>alert(1)</script>")


def test_a_pass_is_sent_once_and_its_page_follows_it(scripted: Visit) -> None:
    scripted.log_in("/send")
    page = scripted.page
    page.locator("#trials > summary").click()
    page.get_by_role("button", name="12025559001").click()
    expect(page.get_by_label("Number", exact=True)).to_have_value("12025559001")
    fill(page, "12025559001")
    key = page.locator("input[name=key]").input_value()
    page.get_by_role("button", name="Send", exact=True).dblclick()
    expect(page).to_have_url(MESSAGE)
    assert page.url.endswith(key)
    expect(page.get_by_text("Delivered as link").first).to_be_visible(timeout=30_000)
    page.reload()
    expect(page.get_by_role("heading", name="Other messages to this number")).to_be_visible()
    expect(page.locator(".others li")).to_have_count(0)


def test_without_script_the_form_previews_by_a_button_and_enter_sends_nothing(
    visit: Visit,
) -> None:
    visit.log_in("/send")
    page = visit.page
    fill(page, "12025559003")
    page.get_by_label("Number", exact=True).press("Enter")
    expect(page.get_by_text("It can be sent as it is. Nothing was sent yet.")).to_be_visible()
    page.get_by_role("button", name="More rows").click()
    expect(page.get_by_label("Text of field 5", exact=True)).to_be_visible()
    expect(page.get_by_label("Text of field 1", exact=True)).to_have_value("A-17")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page).to_have_url(MESSAGE)


def test_every_page_of_the_list_fits_and_is_accessible(browser: Browser, tracker: Up) -> None:
    sent(tracker, "--reference", "W" * 120)
    context = browser.new_context(locale="en-US")
    visit = Visit(context.new_page(), tracker)
    visit.log_in("/messages?mms_id=45633")
    page = visit.page
    for tool in ("bulk", "columns", "save-view"):
        page.locator(f"#{tool} > summary").click()
        assert_sound_in_every_look(page)
        if tool == "columns":
            page.locator(f"#{tool} > summary").click()
    page.get_by_label("Name", exact=True).fill(f"{'W' * 40}")
    page.get_by_role("button", name="Save the view").click()
    assert_sound_in_every_look(page)
    page.goto(f"{tracker.url}/messages/views")
    assert_sound_in_every_look(page)
    for action in ("Mark as not sent", "Send again"):
        page.goto(f"{tracker.url}/messages")
        page.locator("#bulk > summary").click()
        page.get_by_role("button", name=action, exact=True).click()
        assert_sound_in_every_look(page)
    for path in ("/send", "/send?mms_id=45633"):
        page.goto(tracker.url + path)
        assert_sound_in_every_look(page)
    page.locator("#trials > summary").click()
    page.locator("#rest > summary").click()
    fill(page, "12", text="W" * 300)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Nothing was sent.")).to_be_visible()
    assert_sound_in_every_look(page)
    context.close()
    assert [one for one in visit.complaints if "status of 422" not in one] == []
