"""Values that nobody typed, in fields of which one is about to be typed into (app/browser)."""

import pytest
from playwright.sync_api import Browser

from tests.e2e.modules import serve_modules

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]
URL = "http://proposals.test/"
FOLLOW = """async (focus) => {
  const { Proposals } = await import("./proposals.js");
  const proposals = new Proposals(["rate", "epochs"], "back", () => {});
  const values = { rate: "5e-5", epochs: "3" };
  const followed = { values: { rate: "2e-4", epochs: "5" }, line: "", back: "" };
  const put = proposals.follow(followed, values, { ...values }, (name) => name === focus);
  const late = proposals.isLate;
  const held = { ...values, ...put };
  const rest = proposals.follow(followed, held, { ...values }, () => false);
  return [put, late, rest, proposals.isLate];
}"""


@pytest.mark.parametrize("focus", ["rate", ""])
def test_a_field_with_the_focus_takes_its_value_once_left(browser: Browser, focus: str) -> None:
    """What was typed there at that moment stood within what was put in: 0.00023e-4."""
    page = browser.new_page()
    serve_modules(page, URL, "<title>proposals</title>")
    page.goto(URL)
    all_of_them = {"rate": "2e-4", "epochs": "5"}
    at_once = {name: value for name, value in all_of_them.items() if name != focus}
    later = {name: value for name, value in all_of_them.items() if name == focus}
    assert page.evaluate(FOLLOW, focus) == [at_once, bool(focus), later, False]
    page.close()
