"""An administrator with a real browser: people, tokens and their rotation, codes, the audit."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import requests
from browser_support import Visit, assert_sound_in_every_look, visiting
from playwright.sync_api import Browser, Page, expect
from running import Up, up

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Up]:
    with up(tmp_path_factory.mktemp("browser-settings")) as started:
        yield started


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def visit(browser: Browser, tracker: Up, request: pytest.FixtureRequest) -> Iterator[Visit]:
    with visiting(browser, tracker, has_script=request.param) as visit:
        yield visit
        visit.complaints = [one for one in visit.complaints if "401" not in one]  # wrong codes


def log_in(page: Page, tracker: Up, username: str, password: str) -> None:
    page.goto(f"{tracker.url}/login")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def shown_once(page: Page) -> str:
    expect(page.get_by_text("It is shown only this once")).to_be_visible()
    return page.locator("#made").input_value()


def name_of(kind: str, page: Page) -> str:
    """Return a name of its own for each test, with script and without."""
    return f"{kind}-{id(page)}"


def added(visit: Visit, username: str, role: str) -> str:
    """Add a user by the page and return the password that was made."""
    visit.log_in("/settings")
    page = visit.page
    page.get_by_role("main").get_by_role("link", name="Users").click()
    page.get_by_label("User name").fill(username)
    page.get_by_label(role).check()
    page.get_by_role("button", name="Add the user").click()
    return shown_once(page)


def test_add_a_user_change_the_role_and_keep_her_out(visit: Visit, browser: Browser) -> None:
    page, username = visit.page, name_of("olga", visit.page)
    password = added(visit, username, "Viewer")
    context = browser.new_context(locale="en-US")
    hers = context.new_page()
    log_in(hers, visit.tracker, username, password)
    expect(hers.get_by_role("heading", name="Overview")).to_be_visible()
    page.get_by_role("link", name=username).click()
    page.get_by_label("Operator").check()
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_text(f"{username} is an operator now.")).to_be_visible()
    hers.reload()
    expect(hers.get_by_text("operator")).to_be_visible()
    page.locator("summary", has_text="Disable").click()
    page.get_by_role("button", name="Disable now").click()
    expect(page.get_by_role("heading", name="Let in again")).to_be_visible()
    hers.goto(f"{visit.tracker.url}/messages")
    expect(hers.get_by_role("heading", name="Log in")).to_be_visible()
    context.close()


def test_the_only_administrator_cannot_be_kept_out(visit: Visit) -> None:
    visit.log_in("/settings/users")
    page = visit.page
    page.get_by_role("link", name="admin", exact=True).click()
    page.get_by_label("Viewer").check()
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_role("alert")).to_contain_text("admin is the only administrator")
    visit.complaints = [one for one in visit.complaints if "409" not in one]


def status_with(tracker: Up, token: str) -> int:
    bearer = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{tracker.url}/api/v1/messages", headers=bearer, timeout=10).status_code


def made_token(page: Page, name: str) -> str:
    page.get_by_label("Name").fill(name)
    page.get_by_label("admin").uncheck()
    page.get_by_label("Requests a minute at most").fill("600")
    page.get_by_role("button", name="Make the token").click()
    return shown_once(page)


def test_a_token_is_made_and_rotated_without_a_gap(visit: Visit) -> None:
    page, name = visit.page, name_of("shop", visit.page)
    visit.log_in("/settings/tokens")
    old = made_token(page, name)
    assert status_with(visit.tracker, old) == 200
    page.goto(f"{visit.tracker.url}/settings/tokens")
    assert old not in page.content()
    new = made_token(page, f"{name}-new")
    assert {status_with(visit.tracker, token) for token in (old, new)} == {200}
    page.get_by_role("link", name=f"Revoke {name}", exact=True).click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text(f"Revoked: {name}.")).to_be_visible()
    assert status_with(visit.tracker, old) == 401
    assert status_with(visit.tracker, new) == 200


def turned_on(page: Page, password: str) -> tuple[pyotp.TOTP, list[str]]:
    page.get_by_role("link", name="Settings").first.click()
    page.get_by_role("link", name="Two-factor login").click()
    page.get_by_label("Your password").fill(password)
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    phone = pyotp.TOTP(page.locator(".factor__secret").inner_text().replace(" ", ""))
    page.get_by_label("Six digits").fill(phone.now())
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Two-factor login is on")
    return phone, page.locator(".recovery code").all_inner_texts()


def give_code(page: Page, code: str) -> None:
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Log in").click()


def test_a_login_with_the_phone_then_with_a_recovery_code(visit: Visit) -> None:
    page, username = visit.page, name_of("petr", visit.page)
    password = added(visit, username, "Operator")
    page.get_by_role("button", name="Log out").click()
    log_in(page, visit.tracker, username, password)
    phone, recovery = turned_on(page, password)
    page.get_by_role("link", name="I have them").click()
    expect(page.get_by_text("10 of 10 left")).to_be_visible()
    page.get_by_role("button", name="Log out").click()

    log_in(page, visit.tracker, username, password)
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    give_code(page, "000000x")
    expect(page.get_by_role("alert")).to_contain_text("Wrong code.")
    give_code(page, phone.at(datetime.now(UTC) + timedelta(seconds=30)))  # that of now was used
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.get_by_role("button", name="Log out").click()

    log_in(page, visit.tracker, username, password)
    give_code(page, recovery[0])
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.goto(f"{visit.tracker.url}/settings/two-factor")
    expect(page.get_by_text("9 of 10 left")).to_be_visible()


def test_the_audit_tells_what_was_done_and_who_searched(visit: Visit) -> None:
    visit.log_in("/messages")
    page = visit.page
    search = page.get_by_role("search").get_by_role("textbox")
    search.fill("+1 (202) 555-0143")
    search.press("Enter")
    page.get_by_role("link", name="Settings").first.click()
    page.get_by_role("link", name="Audit").click()
    newest = page.locator(".audit-table tbody tr").first
    expect(newest).to_contain_text("Searched for a number")
    expect(newest).to_contain_text("•••143")
    page.locator("summary", has_text="Filters").click()
    page.get_by_label("What").select_option(label="Logged in")
    page.get_by_label("Who").fill("admin")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("link", name=re.compile("^Who admin"))).to_be_visible()
    for row in page.locator(".audit-table tbody tr").all():
        expect(row).to_contain_text("Logged in")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    lines = download.value.path().read_text("utf-8").splitlines()
    assert lines[0] == "id,at,actor,action,subject,detail"
    assert all(",user:admin,login," in line for line in lines[1:])


@pytest.fixture(scope="module")
def paths(tracker: Up) -> list[str]:
    """Pages with things in them, long and hostile names among them."""
    hostile = "<script>alert(1)</script>\"'><img src=x>"
    tracker.run("user", "add", hostile, "--password", "a long enough one")
    tracker.run("user", "add", "W" * 64, "--role", "operator", "--password", "a long enough one")
    made = json.loads(tracker.run("token", "create", "M" * 64, "--json"))
    tracker.run("token", "create", hostile, "--scope", "send", "--rate-per-minute", "60")
    tracker.run("token", "revoke", hostile)
    return [
        "/settings", "/settings/users", "/settings/users/1", "/settings/users/3",
        "/settings/tokens", f"/settings/tokens/{made['id']}/revoke", "/settings/two-factor",
        "/settings/password", "/audit", "/audit?actor=nobody", "/audit?at_from=2026-01-01",
        "/settings/postback-address",
    ]  # fmt: skip


def test_every_page_fits_and_is_accessible(browser: Browser, tracker: Up, paths: list[str]) -> None:
    context = browser.new_context(locale="en-US")
    visit = Visit(context.new_page(), tracker)
    visit.log_in(paths[0])
    for path in paths:
        visit.page.goto(tracker.url + path)
        assert_sound_in_every_look(visit.page)
    visit.page.goto(f"{tracker.url}/settings/two-factor")
    visit.page.get_by_label("Your password").fill(tracker.password)
    visit.page.get_by_role("button", name="Turn it on").click()
    expect(visit.page.get_by_role("img", name="QR code")).to_be_visible()
    assert_sound_in_every_look(visit.page)
    context.close()
    assert visit.complaints == []


def test_forget_a_person_and_take_the_certificate(visit: Visit) -> None:
    page, number = visit.page, f"1202{id(visit) % 10_000_000:07d}"
    visit.tracker.run(
        "send", number, "--mms-id", "45633", "--from", "11111", "--pass", "BARCODEVALUE=1",
        "--wait", "60",
    )  # fmt: skip
    visit.log_in("/settings")
    page.get_by_role("main").get_by_role("link", name="Data").click()
    expect(page.get_by_text("Everything is kept for ever")).to_be_visible()
    page.get_by_label("Number").fill(f"00 {number}")
    page.get_by_role("button", name="See what there is").click()
    expect(page.get_by_role("heading", name="Forget +1 202")).to_be_visible()
    assert number not in page.url
    page.get_by_role("button", name="Erase for ever").click()
    expect(page.get_by_role("heading", name="Certificate")).to_be_visible()
    with page.expect_download() as taken:
        page.get_by_role("button", name="Download the certificate").click()
    said = json.loads(taken.value.path().read_text())
    assert said["erased"]["messages"] == 1


def test_the_pages_of_forgetting_are_sound(browser: Browser, tracker: Up) -> None:
    context = browser.new_context(locale="en-US")
    visit = Visit(context.new_page(), tracker)
    page = visit.page
    visit.log_in("/settings/data")
    assert_sound_in_every_look(page)
    page.get_by_label("Number").fill("+1 202 555 0188")
    page.get_by_role("button", name="See what there is").click()
    expect(page.get_by_role("heading", name="Forget +1 202-555-0188?")).to_be_visible()
    assert_sound_in_every_look(page)
    page.get_by_role("button", name="Erase for ever").click()
    expect(page.get_by_role("heading", name="Certificate")).to_be_visible()
    assert_sound_in_every_look(page)
    context.close()
    assert visit.complaints == []
