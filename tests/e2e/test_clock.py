"""The page's clock in Chromium: one timer for all who follow it, none while nobody looks."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.modules import serve_modules

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

URL = "http://page.test/"
# Counts the timers that are set, and lets a test hide the page.
BEFORE = """() => {
const [start, stop] = [setInterval, clearInterval];
window.timers = new Set();
window.calls = [];
window.setInterval = (...given) => { const id = start(...given); timers.add(id); return id; };
window.clearInterval = (id) => { timers.delete(id); stop(id); };
let state = "visible";
Object.defineProperty(document, "visibilityState", { get: () => state });
window.show = (next) => { state = next; document.dispatchEvent(new Event("visibilitychange")); };
}"""
FOLLOW = """async (name) => {
  const { follow } = await import("/clock.js");
  window[`end_${name}`] = follow(() => calls.push(name));
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that holds nothing but the module; its time stands until a test lets it run."""
    page = browser.new_page()
    serve_modules(page, URL, "<title>clock</title>")
    page.clock.install(time=0)
    page.goto(URL)
    page.evaluate(BEFORE)
    yield page
    page.close()


def calls(page: Page) -> Any:
    """Who was called since the last look."""
    return page.evaluate("() => calls.splice(0)")


def timers(page: Page) -> Any:
    """How many timers go."""
    return page.evaluate("() => timers.size")


def test_all_follow_one_timer(page: Page) -> None:
    """Each is called once a second until it ends; with the last the timer ends, too."""
    page.evaluate(FOLLOW, "a")
    page.evaluate(FOLLOW, "b")
    assert (timers(page), calls(page)) == (1, [])
    page.clock.run_for(2000)
    assert calls(page) == ["a", "b", "a", "b"]
    page.evaluate("() => end_a()")
    page.clock.run_for(1000)
    assert (timers(page), calls(page)) == (1, ["b"])
    page.evaluate("() => end_b()")
    page.clock.run_for(5000)
    assert (timers(page), calls(page)) == (0, [])
    page.evaluate(FOLLOW, "c")
    page.clock.run_for(1000)
    assert (timers(page), calls(page)) == (1, ["c"])


def test_a_hidden_page_has_no_timer(page: Page) -> None:
    """Nothing is called while it is hidden; once it is seen again, all are at once."""
    page.evaluate(FOLLOW, "a")
    page.evaluate("() => show('hidden')")
    page.evaluate(FOLLOW, "b")
    page.clock.run_for(60_000)
    assert (timers(page), calls(page)) == (0, [])
    page.evaluate("() => show('visible')")
    assert (timers(page), calls(page)) == (1, ["a", "b"])
    page.clock.run_for(1000)
    assert calls(page) == ["a", "b"]


def test_a_failure_of_one_is_told_and_leaves_the_others(page: Page) -> None:
    """An error in a timer's function would keep all who come after it from their second."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.evaluate("""async () => {
      const { follow } = await import("/clock.js");
      follow(() => { throw new Error("broken"); });
    }""")
    page.evaluate(FOLLOW, "b")
    page.clock.run_for(2000)
    assert calls(page) == ["b", "b"]
    assert len(errors) == 2
    assert "broken" in errors[0]
