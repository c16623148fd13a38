"""No text of the page is cut off: every tab, six languages, a desk's screen and a phone's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server
from tests.e2e.forms import row_of, show_all
from tests.e2e.tabs import TABS, open_tab, speak
from tests.e2e.test_stage_forms import unfold_all

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
# The texts that are seen, and those of them that something cuts off: a box too small that does not
# scroll, a line clamp, an ellipsis, the edge of the page; of a control, any of its choices or its
# hint.
CLIPPED = """() => {
  const pen = document.createElement("canvas").getContext("2d");
  const width = (text, style) => {
    pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    return pen.measureText(text).width;
  };
  const room = (box, style) =>
    box.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const isCut = (part, box) => {
    const range = document.createRange();
    range.selectNodeContents(part);
    const text = range.getBoundingClientRect();
    if (text.left < -1 || text.right > innerWidth + 1) return !scrolls(part);
    for (let each = box; each && each !== document.body; each = each.parentElement) {
      const style = getComputedStyle(each);
      if (/auto|scroll/.test(style.overflowX + style.overflowY)) return false;
      if (!/hidden|clip/.test(style.overflowX + style.overflowY)) continue;
      const edge = each.getBoundingClientRect();
      if (text.left < edge.left - 2 || text.right > edge.right + 2) return true;
      if (text.bottom > edge.bottom + 4) return true;
    }
    return false;
  };
  const scrolls = (part) => {
    for (let each = part; each; each = each.parentElement)
      if (/auto|scroll/.test(getComputedStyle(each).overflowX)) return true;
    return false;
  };
  let seen = 0;
  const cut = [];
  for (const element of document.querySelectorAll("body *")) {
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const [box, style] = [element.getBoundingClientRect(), getComputedStyle(element)];
    if (box.width < 3 || box.height < 3 || parseFloat(style.fontSize) === 0) continue;
    if (element.closest(".sr-only, svg, option, noscript, style, script")) continue;
    let text = "", isTooWide = false;
    if (element instanceof HTMLSelectElement) {
      const texts = [...element.options].map((option) => option.text);
      text = texts.sort((one, other) => width(other, style) - width(one, style))[0] ?? "";
    }
    else if (element instanceof HTMLInputElement && !element.value) text = element.placeholder;
    if (text) isTooWide = width(text, style) > room(element, style) + 1;
    else {
      text = [...element.childNodes].map((node) => (node.nodeType === 3 ? node.data : "")).join("");
      if (text.trim()) isTooWide = isCut(element, element);
    }
    if (!text.trim()) continue;
    seen += 1;
    if (isTooWide) cut.push(`${element.closest("[id]")?.id}: ${text.trim().slice(0, 60)}`);
  }
  return { seen, cut };
}"""


def look(page: Page) -> Any:
    """How many texts are seen, and which are cut off."""
    return page.evaluate(CLIPPED)


# Texts of each kind: the shortest, wide letters, long words, other letters, the other direction.
LANGUAGES = ("en", "zh", "ja", "de", "ru", "ar")


@pytest.mark.parametrize("width", [1440, 390])
def test_no_text_is_cut_off(open_page: Callable[..., Page], server: Server, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 1000})
    looks: dict[tuple[str, str], Any] = {}
    for lang in LANGUAGES:
        speak(page, lang)
        looks[lang, "simple"] = look(page)
    show_all(page)
    unfold_all(page)
    for tab in TABS:
        open_tab(page, tab, lang)
        for lang in LANGUAGES:
            speak(page, lang)
            looks[lang, tab] = look(page)
    assert {place: each["cut"] for place, each in looks.items() if each["cut"]} == {}
    assert len(looks) == len(LANGUAGES) * (len(TABS) + 1)
    assert min(looks[lang, "train"]["seen"] for lang in LANGUAGES) > 150
    assert min(each["seen"] for each in looks.values()) > 5


def test_a_text_that_is_cut_off_is_found(open_page: Callable[..., Page], server: Server) -> None:
    """The twin: with a label too narrow, a choice too long, and a clamp."""
    page = open_page()
    for rule in (
        "#learning_rate label { width: 30px; overflow: hidden; white-space: nowrap }",
        "#stage select { width: 60px }",
        "#missing { height: 8px; overflow: hidden }",
    ):
        page.add_style_tag(content=rule)
    cut = [each.split(":")[0] for each in look(page)["cut"]]
    assert {"learning_rate-label", "stage-control", "missing"} <= set(cut)


@pytest.mark.parametrize("width", [1440, 390])
def test_a_row_has_room_for_its_actions(
    open_page: Callable[..., Page], server: Server, home: Path, width: int
) -> None:
    """A time that could not break pushed the buttons of a run out of the list; its name may be of
    any length. The time is written as the visitor's language does."""
    arguments = {"model_name_or_path": "saves/models/SmolLM2-135M-Instruct"}
    for number, name in enumerate(("short", "of-many-parts-" * 9, "x" * 120)):
        folder = home / "saves" / "SmolLM2-135M-Instruct" / "lora" / name
        folder.mkdir(parents=True)
        record = {"kind": "train", "arguments": arguments, "sequence": number, "token": "x"}
        record |= {"created": "2020-11-22T10:00:00+00:00", "argv": []}
        (folder / "run.json").write_text(json.dumps(record))
        (folder / "exit.json").write_text(json.dumps({"code": 1, "seconds": 1}))
    page = open_page(viewport={"width": width, "height": 1000}, timezone_id="Asia/Tokyo")
    open_tab(page, "runs")
    expect(page.locator("#runs-table .list-row")).to_have_count(3)
    expect(row_of(page, "runs-table", "short")).to_contain_text("Nov 22, 2020, 7:00 PM")
    inside = page.locator("#runs-table .list-scroll").evaluate(
        """list => [...list.querySelectorAll(".list-actions button, .list-detail, .list-pill")].map(
        each => each.getBoundingClientRect().right <= list.getBoundingClientRect().right)"""
    )
    assert len(inside) >= 9
    assert all(inside)
