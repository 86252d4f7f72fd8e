"""Take the pictures of the README anew, out of an invented week.

Usage: python docs/screenshots/take.py [FOLDER]

Fills a database of its own (`tracker demo`), serves the dashboard on a free port of the loopback
and looks at it with Chromium. FOLDER is where the pictures go: the folder of this file.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

BIN = Path(sys.executable).parent
USER, PASSWORD = "anna", "a-password-for-pictures-alone"
WIDTH, HEIGHT = 1440, 900
START_SECONDS = 30


def main() -> None:
    """Take every picture."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser_path is None:
        raise SystemExit("no Chromium found")
    with (
        tempfile.TemporaryDirectory(prefix="screenshots-") as name,
        served(Path(name)) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        log_in(page, address)
        for picture in (overview, message, messages):
            picture(page, address)
            path = folder / f"{picture.__name__}.png"
            page.screenshot(path=path)
            print(path)
        browser.close()


def overview(page: Page, address: str) -> None:
    """Show how today goes."""
    page.goto(f"{address}/")
    page.wait_for_selector("canvas")
    page.wait_for_load_state("networkidle")


def messages(page: Page, address: str) -> None:
    """Show what was not delivered."""
    page.goto(f"{address}/messages?status=failed&status=expired&status=rejected&status=refused")


def message(page: Page, address: str) -> None:
    """Show a message that was delivered, of which most is known."""
    page.goto(f"{address}/messages?status=delivered&handset=iPhone14%2C5")
    if not page.locator("tbody a").count():
        page.goto(f"{address}/messages?status=delivered")
    page.locator("tbody a").first.click()
    page.wait_for_load_state("networkidle")


def log_in(page: Page, address: str) -> None:
    page.goto(f"{address}/login")
    page.get_by_label("User name").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_load_state("networkidle")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the dashboard of an invented week; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    tracker = [str(BIN / "tracker")]
    options = {
        "cwd": folder,
        "env": {**os.environ, "TRACKER_DATABASE_URL": f"sqlite:///{folder}/demo.db"},
    }
    for command in (
        ["db", "upgrade"],
        ["demo"],
        ["user", "add", USER, "--role", "admin", "--password", PASSWORD],
    ):
        subprocess.run([*tracker, *command], check=True, capture_output=True, **options)
    with (folder / "web.log").open("w") as log:
        web = subprocess.Popen(
            [*tracker, "web", "--port", str(port)], stdout=log, stderr=log, **options
        )
        try:
            wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            web.terminate()
            web.wait(START_SECONDS)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise SystemExit("the dashboard did not start") from None
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main()
