"""A person with a real browser: logs in, finds a message by its number, reads what happened."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_support import Visit, visiting
from playwright.sync_api import Browser, expect
from running import Up, up

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "event-ticket.xml"


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def visit(browser: Browser, tracker: Up, request: pytest.FixtureRequest) -> Iterator[Visit]:
    with visiting(browser, tracker, has_script=request.param) as visit:
        yield visit


@pytest.fixture(scope="module")
def delivered(tracker: Up) -> str:
    """Send the example to a number and wait until it is delivered; the value is the id."""
    tracker.run("send", "--xml", str(EXAMPLE), "--wait", "60")
    shown = tracker.run("show", "12025550143")
    return shown.split()[0]


def test_log_in_find_the_number_and_read_what_happened(visit: Visit, delivered: str) -> None:
    visit.log_in("/messages")
    page = visit.page
    search = page.get_by_role("search").get_by_role("textbox")
    search.fill("+1 (202) 555-0143")
    search.press("Enter")
    expect(page).to_have_url(f"{visit.tracker.url}/messages/{delivered}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("+1 202-555-0143")
    expect(page.get_by_text("confirmed receipt").first).to_be_visible()
    for word in ("Queued", "Accepted", "N501", "N502", "N101", "N102", "applied"):
        expect(page.get_by_text(word).first).to_be_visible()
    page.locator("summary", has_text="Postback, word for word").last.click()
    expect(page.get_by_text("<CODE>N102</CODE>").first).to_be_visible()


def test_a_message_page_updates_itself_while_postbacks_arrive(
    browser: Browser, tracker: Up
) -> None:
    public_id = tracker.run(
        "send", "12025550177", "--mms-id", "45633", "--from", "11111", "--pass", "BARCODEVALUE=1"
    ).strip()
    with visiting(browser, tracker) as visit:
        visit.log_in(f"/messages/{public_id}")
        expect(visit.page.get_by_text("confirmed receipt").first).to_be_visible(timeout=30_000)
