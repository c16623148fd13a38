"""What a newcomer sees, without a model or a run: nothing red, and one thing to do."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from backend.contract.texts.locales import t
from tests.e2e.conftest import Server
from tests.e2e.forms import box, expect_stored, fill, settle
from tests.e2e.tabs import TABS, open_tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
# The texts and boxes that are seen and red: much more so than green or blue.
RED = """() => {
  const isRed = (color) => {
    const [red, green, blue, alpha = 1] = (color.match(/[\\d.]+/g) ?? []).map(Number);
    return alpha > 0 && red > 120 && red > 1.5 * Math.max(green, blue);
  };
  const texts = (element) => {
    if (element.value) return element.value;
    return [...element.childNodes].map((node) => (node.nodeType === 3 ? node.data : "")).join("");
  };
  const all = [...document.querySelectorAll("body *")].filter((each) => each.checkVisibility());
  const red = all.filter((element) => {
    const { color, backgroundColor, boxShadow } = getComputedStyle(element);
    if (isRed(backgroundColor) || (boxShadow !== "none" && isRed(boxShadow))) return true;
    return texts(element).trim() && isRed(color);
  });
  return { seen: all.length, red: red.map((each) => `${each.id} ${texts(each)}`) };
}"""


def look(page: Page) -> Any:
    """How many elements are seen, and which are red."""
    return page.evaluate(RED)


def test_nothing_is_red_before_a_touch(open_page: Callable[..., Page], server: Server) -> None:
    """On Recipes stood a red box, as its model had not been downloaded yet. What is missing is
    said, and Start waits for it."""
    page = open_page()
    reds = {}
    for name in TABS:
        open_tab(page, name, "en")
        if name == "recipes":
            expect(page.locator("#recipe-problems textarea")).to_have_value(re.compile("SmolLM2"))
            expect(page.locator("#recipe-start")).to_be_disabled()
        looked = look(page)
        assert looked["seen"] > 50
        reds[name] = looked["red"]
    assert reds == {name: [] for name in TABS}
    page.add_style_tag(content="#runs-table .list-empty p { color: #b91c1c }")
    assert len(look(page)["red"]) == 1, "what is red is found"


def test_without_a_run_there_is_one_thing_to_do(
    open_page: Callable[..., Page], server: Server
) -> None:
    """Beside the empty list stood that a run is to be chosen in it."""
    page = open_page()
    open_tab(page, "runs", "en")
    begin = page.locator("#runs-table .list-begin")
    expect(begin).to_be_visible()
    expect(page.get_by_text(t("runs.pick", "en"))).not_to_be_visible()
    begin.click()
    expect(page.locator("#start")).to_be_visible()


class TestOneModel:
    """The only model on this machine is chosen where nobody has chosen one."""

    @pytest.fixture
    def home(self, tiny_home: Path) -> Path:
        return tiny_home

    def test_it_is_chosen_and_gives_way_to_a_choice(
        self, open_page: Callable[..., Page], server: Server
    ) -> None:
        page = open_page()
        expect(box(page, "model_name_or_path")).to_have_value("saves/models/tiny")
        expect(page.locator("#command")).to_contain_text("--model_name_or_path saves/models/tiny")
        fill(page, "model_name_or_path", "org/another")
        expect_stored(page, "org/another")
        page.reload()
        expect(page.locator("#command")).to_contain_text("--model_name_or_path org/another")
        settle(page)
        expect(box(page, "model_name_or_path")).to_have_value("org/another")

    def test_of_two_none_is_chosen(
        self, open_page: Callable[..., Page], server: Server, home: Path
    ) -> None:
        models = home / "saves" / "models"
        (models / "second").symlink_to((models / "tiny").resolve())
        page = open_page()
        settle(page)
        expect(box(page, "model_name_or_path")).to_have_value("")
        expect(page.locator("#missing")).to_contain_text("Model")
