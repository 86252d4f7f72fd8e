"""A browser window that notes what should not happen in it, and what every page must be."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request
from running import Up

LOOKS: Final[tuple[tuple[int, Literal["light", "dark"]], ...]] = ((390, "dark"), (1440, "light"))


class Visit:
    """One browser window, and everything in it that should not happen."""

    def __init__(self, page: Page, tracker: Up) -> None:
        self.page = page
        self.tracker = tracker
        self.complaints: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._on_request)

    def log_in(self, path: str = "/") -> None:
        self.page.goto(self.tracker.url + path)
        self.page.get_by_label("User name").fill("admin")
        self.page.get_by_label("Password").fill(self.tracker.password)
        self.page.get_by_role("button", name="Log in").click()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.tracker.url, "data:")):
            self.complaints.append(f"asked another host: {request.url}")


@contextmanager
def visiting(browser: Browser, tracker: Up, *, has_script: bool = True) -> Iterator[Visit]:
    """Open a window; when the block is left, nothing may have happened in it that should not."""
    context = browser.new_context(java_script_enabled=has_script, locale="en-US")
    context.set_default_timeout(20_000)
    visit = Visit(context.new_page(), tracker)
    try:
        yield visit
    finally:
        context.close()
    assert visit.complaints == []


def assert_sound(page: Page) -> None:
    """No sideways scroll bar, and nothing serious that keeps people from using the page."""
    assert_fits(page)
    found = Axe().run(page)
    serious = [v for v in found.response["violations"] if v["impact"] in ("serious", "critical")]
    assert serious == [], (page.url, page.viewport_size)


def assert_fits(page: Page) -> None:
    """No sideways scroll bar."""
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0, (page.url, page.viewport_size)


def assert_sound_in_every_look(page: Page) -> None:
    """Sound on a wide screen and on a phone, in both schemes; and it fits in between.

    One load of the page serves them all: what differs are rules of its styles.
    """
    page.set_viewport_size({"width": 1024, "height": 900})
    assert_fits(page)
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        # Without motion no colour is caught half-way from one scheme to the other.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert_sound(page)
