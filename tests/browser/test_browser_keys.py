"""The frame of every page in a real browser: keys, times, the tab, and the list that follows."""

import re
from collections.abc import Iterator

import pytest
import requests
from browser_support import Visit, assert_sound
from builders import a_postback
from playwright.sync_api import Browser, BrowserContext, Page, expect
from running import Up, up

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
FOCUSED_ROW = "[...document.querySelectorAll('main tbody th a')].indexOf(document.activeElement)"


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("keys")) as started:
        started.run("demo", "--messages", "120")
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="en-US", timezone_id="Asia/Kolkata")
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext, tracker: Up) -> Iterator[Visit]:
    visit = Visit(context.new_page(), tracker)
    visit.log_in("/messages")
    expect(visit.page.get_by_role("heading", name="Messages")).to_be_visible()
    yield visit
    assert visit.complaints == []


def post(tracker: Up, body: bytes) -> None:
    """Post what the gateway might."""
    token = (tracker.folder / "instance" / "postback_token").read_text().strip()
    answer = requests.post(f"{tracker.url}/postbacks/{token}", data=body, timeout=10)
    assert answer.status_code == 200


def test_arrows_go_through_the_rows_and_enter_opens_one(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUSED_ROW) == 0
    for key, row in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1)):
        page.keyboard.press(key)
        assert page.evaluate(FOCUSED_ROW) == row
    href = page.locator("main tbody th a").nth(1).get_attribute("href")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{visit.tracker.url}{href}")


def test_a_slash_goes_to_the_search_also_from_elsewhere(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("a/b?c")
    expect(page.locator("#q")).to_have_value("a/b?c")  # nothing is taken from a field
    page.keyboard.press("ArrowDown")
    expect(page.locator("#q")).to_be_focused()
    page.goto(f"{visit.tracker.url}/alerts")
    page.keyboard.press("/")
    expect(page).to_have_url(f"{visit.tracker.url}/messages#q")
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#q")).to_have_value("")


def test_a_question_mark_shows_the_keys_and_they_can_be_switched_off(visit: Visit) -> None:
    page = visit.page
    dialog = page.get_by_role("dialog", name="Keys")
    page.keyboard.press("?")
    expect(dialog).to_be_visible()
    assert_sound(page)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Keys").click()
    dialog.get_by_label("Use them in this browser").uncheck()
    dialog.get_by_role("button", name="Close").click()
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.id") != "q"
    assert page.evaluate(FOCUSED_ROW) == -1
    page.reload()
    page.keyboard.press("?")
    expect(dialog).to_be_hidden()


def test_keys_of_other_things_stay_theirs(visit: Visit) -> None:
    page = visit.page
    page.locator("summary", has_text="Filters").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("summary", has_text="Filters")).to_be_focused()
    page.locator("summary", has_text="Filters").click()
    choice = page.locator("main select").first
    if choice.count():
        choice.focus()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_hidden()
    page.locator("main tbody th a").first.focus()
    page.keyboard.press("Control+ArrowDown")
    assert page.evaluate(FOCUSED_ROW) == 0


def test_times_are_the_readers_with_utc_at_hand(visit: Visit, browser: Browser) -> None:
    first = visit.page.locator("main tbody time").first
    expect(visit.page.locator("thead [data-zone]").first).to_have_text("GMT+5:30")
    at = str(first.get_attribute("datetime"))
    shown, utc = first.inner_text(), str(first.get_attribute("title"))
    assert utc.endswith(" UTC")
    minute = (int(at[14:16]) + 30) % 60
    hour = (int(at[11:13]) + 5 + (int(at[14:16]) + 30) // 60) % 24
    assert f"{hour:02d}:{minute:02d}:{at[17:19]}" in shown
    assert at[11:19] in utc
    plain = browser.new_context(java_script_enabled=False, timezone_id="Asia/Kolkata")
    without = Visit(plain.new_page(), visit.tracker)
    without.log_in("/messages")
    same = without.page.locator(f"main tbody time[datetime='{at}']").first
    assert at[11:19] in same.inner_text()
    expect(without.page.locator("thead [data-zone]").first).to_have_text("UTC")
    plain.close()


def quiet_again(count: int) -> str:
    return (
        f"({count}) Messages · Pass Delivery Tracker"
        if count
        else "Messages · Pass Delivery Tracker"
    )


def icon_of(page: Page) -> str:
    return str(page.locator("link[rel=icon]").get_attribute("href"))


def test_the_tab_follows_trouble_and_its_end(context: BrowserContext, tracker: Up) -> None:
    context.clock.install()
    visit = Visit(context.new_page(), tracker)
    visit.log_in("/messages")
    page = visit.page
    quiet = re.compile(r"^(\(\d+\) )?Messages · ")
    expect(page).to_have_title(quiet)
    before = int(page.locator("#trouble").get_attribute("data-count") or 0)
    tracker.run("gateway", "pause", "to see it in the tab")
    page.clock.run_for(61_000)
    expect(page).to_have_title(f"({before + 1}) Messages · Pass Delivery Tracker")
    assert "favicon-trouble" in icon_of(page)
    page.route("**/trouble*", lambda route: route.abort())
    page.clock.run_for(61_000)
    expect(page).to_have_title("(!) Messages · Pass Delivery Tracker")
    page.unroute("**/trouble*")
    page.clock.run_for(61_000)
    expect(page).to_have_title(f"({before + 1}) Messages · Pass Delivery Tracker")
    tracker.run("gateway", "resume", "seen")
    page.clock.run_for(61_000)
    expect(page).to_have_title(quiet_again(before))
    of_the_cut = ("htmx:", "Failed to load resource")
    assert [one for one in visit.complaints if not one.startswith(of_the_cut)] == []


def test_postbacks_appear_at_the_top_and_a_pause_holds_them(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.tracker.url}/journal")
    page.locator("main tbody th a").nth(1).focus()
    focused = page.evaluate("document.activeElement.id")
    post(visit.tracker, a_postback("N101", TRACKINGID="LIVE1"))
    first = page.locator("main tbody tr").first
    expect(first).to_contain_text("LIVE1")
    expect(page.locator("[data-live-news]")).to_contain_text("New postback ")
    expect(page.locator("main tbody tr.journal-table__new")).to_have_count(1)
    assert page.evaluate("document.activeElement.id") == focused
    assert_sound(page)
    page.get_by_role("button", name="Pause").click()
    post(visit.tracker, a_postback("N102", TRACKINGID="LIVE2"))
    page.wait_for_timeout(4000)
    expect(first).to_contain_text("LIVE1")
    page.get_by_role("button", name="Resume").click()
    expect(first).to_contain_text("LIVE2")
