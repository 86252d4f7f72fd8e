"""The overview in a real browser: charts, tables without script, and when it asks again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from browser_support import Visit, assert_sound
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Request,
    Route,
    expect,
)
from running import Up, up

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
LAST = "Carriers"  # the heading that comes last


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Up]:
    """A tracker with everything running, and a week of invented traffic in it."""
    with up(tmp_path_factory.mktemp("overview")) as started:
        started.run("demo", "--messages", "600")
        yield started


def opened(context: BrowserContext, tracker: Up) -> Visit:
    """Log in and wait until the last part is there."""
    context.set_default_timeout(20_000)
    visit = Visit(context.new_page(), tracker)
    visit.log_in()
    expect(visit.page.get_by_role("heading", name=LAST)).to_be_visible()
    return visit


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_it_fits_and_is_accessible(
    browser: Browser, tracker: Up, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-US"
    )
    visit = opened(context, tracker)
    assert_sound(visit.page)
    charts = visit.page.locator(".uplot")
    expect(charts).to_have_count(2)
    for place in range(2):
        box = charts.nth(place).bounding_box()
        assert box is not None
        assert box["width"] > 0.6 * min(width, 1150) - 60
    visit.page.get_by_text("As a table").first.click()
    expect(visit.page.get_by_role("table", name="Messages per hour by status")).to_be_visible()
    assert_sound(visit.page)
    context.close()
    assert visit.complaints == []


def test_a_chart_says_what_the_hour_under_the_pointer_was(browser: Browser, tracker: Up) -> None:
    context = browser.new_context(locale="en-US")
    visit = opened(context, tracker)
    chart = visit.page.locator(".u-over").first
    chart.scroll_into_view_if_needed()
    chart.hover()
    expect(visit.page.locator(".chart__reading").first).to_contain_text("Delivered as link ")
    context.close()
    assert visit.complaints == []


def test_without_script_the_tables_say_the_same(browser: Browser, tracker: Up) -> None:
    context = browser.new_context(java_script_enabled=False, locale="en-US")
    visit = opened(context, tracker)
    expect(visit.page).to_have_url(f"{tracker.url}/?numbers=now")
    expect(visit.page.get_by_role("table", name="Messages per hour by status")).to_be_visible()
    expect(visit.page.locator(".uplot")).to_have_count(0)
    visit.page.get_by_role("link", name="Failed").first.click()
    expect(visit.page.get_by_role("heading", name="Messages", level=1)).to_be_visible()
    context.close()
    assert visit.complaints == []


def asked_for(page: Page, path: str) -> list[str]:
    """Return a list that grows with each request for a path."""
    found: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith(path):
            found.append(request.url)

    page.on("request", note)
    return found


def passed(page: Page, seconds: int) -> None:
    """Let the page's own clock run on, and what it asked for come."""
    page.clock.run_for(1000 * seconds)
    page.wait_for_timeout(1500)


def passed_until_asked(page: Page, asked: list[str]) -> None:
    """Let the page's clock run on until it has asked once more, however slow this machine is."""
    before = len(asked)
    for _ in range(30):
        passed(page, 8)
        if len(asked) > before:
            return
    pytest.fail("it never asked again")


def test_nothing_is_asked_for_in_a_hidden_tab(browser: Browser, tracker: Up) -> None:
    context = browser.new_context(locale="en-US")
    context.clock.install()
    visit = opened(context, tracker)
    asked = asked_for(visit.page, "/overview/health")
    passed_until_asked(visit.page, asked)
    hide = "Object.defineProperty(document, 'hidden', {{value: {}, configurable: true}})"
    visit.page.evaluate(hide.format("true"))
    before = len(asked)
    passed(visit.page, 60)
    assert len(asked) == before
    visit.page.evaluate(hide.format("false"))
    visit.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    visit.page.wait_for_timeout(1000)
    assert len(asked) == before + 1
    context.close()
    assert visit.complaints == []


def test_a_slow_server_is_asked_less_often(browser: Browser, tracker: Up) -> None:
    context = browser.new_context(locale="en-US")
    context.clock.install()
    visit = opened(context, tracker)
    page, held = visit.page, list[Route]()
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=1))  # only `run_for` moves it on
    page.wait_for_timeout(1500)
    page.route("**/overview/health", lambda route: held.append(route))  # noqa: PLW0108  # no builtin
    asked = asked_for(page, "/overview/health")
    for _ in range(200):
        if held:
            break
        page.clock.run_for(1000)
        page.wait_for_timeout(50)
    assert len(asked) == len(held) == 1
    passed(page, 4)  # as long as the answer takes
    with page.expect_response("**/overview/health"):
        held[0].continue_()
    page.wait_for_timeout(500)  # it is swapped in
    passed(page, 33)  # the usual rest is ten seconds; nine times four to five are 36 to 45
    assert len(asked) == 1
    passed(page, 14)
    assert len(asked) == 2
    context.close()
    assert visit.complaints == []


def test_a_part_that_renews_itself_keeps_chart_table_and_focus(
    browser: Browser, tracker: Up
) -> None:
    context = browser.new_context(locale="en-US")
    visit = opened(context, tracker)
    page = visit.page
    page.get_by_text("As a table").first.click()
    page.get_by_role("link", name="Failed").first.focus()
    page.evaluate("document.getElementById('overview-today').dataset.isOld = 'yes'")
    page.evaluate("htmx.trigger(document.getElementById('overview-today'), 'look')")
    expect(page.locator("#overview-today:not([data-is-old])")).to_be_visible()
    expect(page.locator("#overview-today .uplot")).to_have_count(1)
    expect(page.get_by_role("table", name="Messages per hour by status")).to_be_visible()
    expect(page.get_by_role("link", name="Failed").first).to_be_focused()
    page.set_viewport_size({"width": 420, "height": 800})
    page.wait_for_timeout(500)
    box = page.locator("#overview-today .uplot").bounding_box()
    assert box is not None
    assert 250 < box["width"] < 420
    assert_sound(page)
    context.close()
    assert visit.complaints == []
