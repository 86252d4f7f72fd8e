"""Every page there is, found by its links, over hostile texts: it fits, is accessible and quiet."""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import urlsplit

import pytest
import requests
from browser_support import Visit, assert_sound_in_every_look
from builders import NUMBER
from conftest import migrated
from hostile import PRINTABLE, SCRIPT, TEXT, add_person, fill
from playwright.sync_api import Browser, FilePayload, Page
from running import Up, up

from tracker.store import db

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
REFUSED = "Failed to load resource"  # what the browser says of an answer that is not 200
GOOD = f"0001891,{'W' * 60},{PRINTABLE[-70:].strip()}"
OF_EACH = 2  # pages that differ in their ids alone
MUST_BE_THERE = {
    "/", "/messages", "/messages/ID", "/messages/ID/others", "/messages/ID/postbacks/N",
    "/messages/ID/settle?", "/journal", "/journal/N", "/journal/N/bytes", "/journal/replay?",
    "/batches", "/batches/new", "/batches/ID", "/alerts", "/suppressed", "/gateway", "/handsets",
    "/carriers", "/carriers/import", "/templates", "/templates/45633", "/help/statuses",
    "/settings/postback-address", "/settings/data",
}  # fmt: skip


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("pages")
    file = folder / "instance" / "tracker.db"
    file.parent.mkdir()
    file.touch()
    sessions = db.connect(migrated(f"sqlite:///{file}"))
    fill(sessions)
    with up(folder) as started:
        add_person(sessions)
        db.engine_of(sessions).dispose()
        yield started


@pytest.fixture(scope="module")
def paths(tracker: Up) -> list[str]:
    """Follow the links of an administrator to every kind of page."""
    client = requests.Session()
    form = {"username": "admin", "password": tracker.password, "csrf_token": ""}
    login = client.get(f"{tracker.url}/login", timeout=20).text
    form["csrf_token"] = re.findall(r'name="csrf_token" value="([^"]+)"', login)[0]
    assert client.post(f"{tracker.url}/login", data=form, timeout=20).ok
    waiting, found = ["/"], dict[str, list[str]]()
    while waiting:
        path = waiting.pop(0)
        answer = client.get(tracker.url + path, timeout=20)
        if "text/html" not in answer.headers["Content-Type"]:
            continue
        assert answer.status_code == 200, path
        found.setdefault(kind_of(path), []).append(path)
        for link in re.findall(r'<a [^>]*href="(/[^"]*)"', answer.text):
            url = unescape(link).partition("#")[0]
            known = [*found.get(kind_of(url), ()), *(w for w in waiting if alike(w, url))]
            if url not in known and len(known) < OF_EACH:
                waiting.append(url)
    assert set(found) >= MUST_BE_THERE, MUST_BE_THERE - set(found)
    return [path for some in found.values() for path in some]


def alike(one: str, other: str) -> bool:
    return kind_of(one) == kind_of(other)


def kind_of(address: str) -> str:
    """Return an address without what differs between pages of one kind."""
    url = urlsplit(address)
    path = re.sub(r"/[0-9a-f]{8}-[0-9a-f-]{27}(?=/|$)", "/ID", url.path)
    path = re.sub(r"/(?!45633)[0-9]+(?=/|$)", "/N", path)
    return f"{path}?" if url.query else path


def test_every_page_fits_and_is_accessible(browser: Browser, tracker: Up, paths: list[str]) -> None:
    context = browser.new_context(locale="en-US")
    visit = Visit(context.new_page(), tracker)
    visit.page.on("dialog", lambda dialog: visit.complaints.append(f"ran: {dialog.message}"))
    for path in ("/login", "/api/docs"):  # nobody is logged in yet
        visit.page.goto(tracker.url + path)
        assert_sound_in_every_look(visit.page)
    visit.log_in("/help/statuses")
    for path in paths:
        visit.page.goto(tracker.url + path)
        assert_sound_in_every_look(visit.page)
        assert visit.complaints == [], path
    context.close()


def test_what_a_page_answers_fits_and_is_accessible(browser: Browser, tracker: Up) -> None:
    context = browser.new_context(locale="en-US")
    visit = Visit(context.new_page(), tracker)
    visit.page.on("dialog", lambda dialog: visit.complaints.append(f"ran: {dialog.message}"))
    visit.log_in("/messages")
    for page in answers(visit.page, tracker.url):
        assert_sound_in_every_look(page)
    assert [one for one in visit.complaints if not one.startswith(REFUSED)] == []
    context.close()


def answers(page: Page, url: str) -> Iterator[Page]:
    """Yield the page as it answers: forms filled in with hostile text, and a wrong address."""
    page.goto(f"{url}/messages")
    page.locator("#q").fill(TEXT[:250])
    page.locator("#q").press("Enter")
    page.get_by_text("Nothing found").wait_for()
    yield page
    page.goto(f"{url}/handsets")
    for number, says in ((PRINTABLE[:60], "This is not a phone number"), (NUMBER, "+1 202-555")):
        page.get_by_role("textbox", name="Number").fill(number)
        page.get_by_role("button", name="Look up").click()
        page.get_by_text(says).first.wait_for()
        yield page
    for rows, says in ((f'"{SCRIPT[:20]}",A,B', "rows of the file are wrong"), (GOOD, "Gone")):
        page.goto(f"{url}/carriers/import")
        file = f"spid,country,carrier\n{rows}\n".encode()
        chosen = FilePayload(name=f"{SCRIPT[:20]}.csv", mimeType="text/csv", buffer=file)
        page.get_by_label("CSV file").set_input_files(chosen)
        page.get_by_role("button", name="Show what would change").click()
        page.get_by_text(says).first.wait_for()
        yield page
    page.goto(f"{url}/nowhere")
    yield page
