"""What the page keeps in a browser, and that it leaves the browser's own objects alone."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
NATIVE = """() => [fetch, setInterval, clearInterval, Object.entries, Object.keys, XMLHttpRequest]
  .filter((each) => !/\\[native code\\]/.test(Function.prototype.toString.call(each)))
  .map((each) => each.name)"""


def test_the_browser_s_own_objects_are_as_they_were(
    open_page: Callable[..., Page], server: Server
) -> None:
    """setInterval, Object.entries and fetch were replaced for the whole page, and two names of ours
    stood among those of the browser."""
    page = open_page()
    assert page.evaluate(NATIVE) == []
    assert page.evaluate("['tuneboard', 'unsaved'].filter((name) => name in window)") == []


def test_light_and_dark_are_kept(open_page: Callable[..., Page], server: Server) -> None:
    """As the system has it, until a person chooses."""
    page = open_page(color_scheme="dark")
    dark = "document.body.classList.contains('dark')"
    assert page.evaluate(dark)
    page.locator("#theme").click()
    page.wait_for_function(f"!{dark}")
    page.reload()
    expect(page.locator("#command")).to_contain_text("--output_dir")
    assert not page.evaluate(dark)
    page.locator("#theme").click()
    page.wait_for_function(dark)
