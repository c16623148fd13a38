"""Notifications of the system in Chromium: once each, and only while a person looks elsewhere."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.modules import serve_modules

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

URL = "http://localhost/"  # browsers notify from loopback only, or with TLS
# Records what is notified, and lets a test hide the page.
BEFORE = """(permission) => {
window.told = [];
window.looks = 0;
window.Notification = class {
  static permission = permission;
  static async requestPermission() { return this.permission = "granted"; }
  constructor(title, { body, tag }) { told.push([title, body, tag]); }
};
let isHidden = false;
Object.defineProperty(document, "hidden", { get: () => isHidden });
window.hide = (next) => { isHidden = next; document.dispatchEvent(new Event("visibilitychange")); };
}"""
MAKE = """async () => {
  const { Notice } = await import("/run_notice.js");
  window.notice = new Notice("p", () => { looks += 1; });
  notice.setWords({ notify: "Notify me here", notify_blocked: "Blocked" });
  document.body.append(notice.root);
}"""
TAKE = """(more) => notice.take({
  name: "run", state: "Running", files: "saves/run", ended: false, problem: "", notices: "a",
  progress: "step 3", ...more })"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that holds nothing but the module; its time stands until a test lets it run."""
    page = browser.new_page()
    serve_modules(page, URL, "<title>notice</title>")
    page.clock.install(time=0)
    page.goto(URL)
    yield page
    page.close()


def make(page: Page, permission: str = "default") -> None:
    """The button of a run that goes on."""
    page.evaluate(BEFORE, permission)
    page.evaluate(MAKE)
    page.evaluate(TAKE, {})


def told(page: Page) -> Any:
    """What was notified since the last look."""
    return page.evaluate("() => told.splice(0)")


def test_the_end_is_told_to_who_has_asked_and_looks_elsewhere(page: Page) -> None:
    make(page)
    button = page.get_by_role("button", name="Notify me here")
    expect(button).to_have_attribute("aria-pressed", "false")
    page.evaluate("() => hide(true)")
    page.clock.run_for(60_000)
    assert page.evaluate("() => looks") == 0, "nobody has asked"
    page.evaluate("() => hide(false)")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.clock.run_for(60_000)
    assert page.evaluate("() => looks") == 0, "a page that is seen has its clock"
    page.evaluate("() => hide(true)")
    page.clock.run_for(60_000)
    assert page.evaluate("() => looks") == 4
    page.evaluate(TAKE, {"notices": "a\nthe disk is full"})
    page.evaluate(TAKE, {"notices": "a\nthe disk is full"})
    assert told(page) == [["run: Running", "the disk is full", "saves/run"]]
    for _ in range(2):
        page.evaluate(TAKE, {"ended": True, "state": "Failed", "problem": "no room"})
    assert told(page) == [["run: Failed", "no room", "saves/run"]]
    expect(button).to_be_hidden()
    page.clock.run_for(60_000)
    assert page.evaluate("() => looks") == 4


def test_nothing_is_told_to_who_sees_the_page_or_takes_it_back(page: Page) -> None:
    make(page)
    button = page.get_by_role("button", name="Notify me here")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.evaluate(TAKE, {"notices": "a\nb"})
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    page.evaluate("() => hide(true)")
    page.evaluate(TAKE, {"ended": True, "state": "Succeeded"})
    assert told(page) == []


def test_another_run_that_is_shown_has_not_just_ended(page: Page) -> None:
    make(page)
    page.get_by_role("button", name="Notify me here").click()
    page.evaluate("() => hide(true)")
    page.evaluate(TAKE, {"ended": True, "files": "saves/other"})
    assert told(page) == []


def test_a_browser_that_forbids_it_says_so(page: Page) -> None:
    make(page, "denied")
    expect(page.get_by_role("button", name="Notify me here")).to_be_disabled()
    expect(page.get_by_role("status")).to_have_text("Blocked")
