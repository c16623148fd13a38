"""Scripts of components alone in a browser: what they draw of a value, without Gradio."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from app.services.data import row_tree
from backend.contract.texts.locales import languages, t
from tests.e2e.conftest import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
ADDRESS = "http://page.test/"
TYPES = {".js": "text/javascript", ".css": "text/css"}
PAGE = f"""<!doctype html><meta name="languages" content="{" ".join(languages())}">
<div id="place"><div class="list"></div></div>"""
# Mount a script into the place, as Gradio does; `send` is then what gives it another value.
MOUNT = """async ([script, data, value]) => {
  const { mount } = await import(`/own/browser/${script}.js`);
  const element = document.querySelector("#place");
  const watchers = [];
  const props = { value };
  const watch = (_, act) => watchers.push(act);
  await mount({ element, props, data, watch, server: {}, trigger: () => {}, events: ["train"] });
  window.send = (next) => {
    props.value = next;
    for (const act of watchers) act();
  };
}"""
SPEAK = "async (lang) => (await import('/own/browser/language.js')).speak(lang)"
KEEP = "([name, value]) => localStorage.setItem(name, JSON.stringify(value))"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page beside the scripts."""

    def answer(route: Route) -> None:
        path = Path(route.request.url.removeprefix(f"{ADDRESS}own/browser/"))
        if path.suffix not in TYPES:
            route.fulfill(body=PAGE, content_type="text/html")
            return
        body = (ROOT / "app" / "browser" / path).read_text(encoding="utf-8")
        route.fulfill(body=body, content_type=TYPES[path.suffix])

    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.route("**/*", answer)
    page.goto(ADDRESS)
    yield page
    context.close()


def mount(page: Page, script: str, words: tuple[str, ...], value: Any, **data: Any) -> None:
    """Mount a script whose words are the keys of texts."""
    said = {lang: {word: f"{word} {lang}" for word in words} for lang in languages()}
    page.evaluate(MOUNT, [script, {"words": said, "prefix": "x-", **data}, value])


def send(page: Page, value: Any) -> None:
    """Give the script another value, as an event of Gradio does."""
    page.evaluate(f"send({json.dumps(value)})")


def test_what_a_measurement_says_follows_the_language(page: Page) -> None:
    """It stood there in the language in which it was asked for."""
    mount(page, "lengths", ("lengths", "exact", "chart"), {})
    said = {lang: {"said": [row_tree.note(t("sets.choose", lang))]} for lang in languages()}
    send(page, {"busy": False, "words": said})
    expect(page.locator("#x-words")).to_contain_text(t("sets.choose", "en"))
    page.evaluate(SPEAK, "zh")
    expect(page.locator("#x-words")).to_contain_text(t("sets.choose", "zh"))


def test_what_a_work_says_follows_the_language(page: Page) -> None:
    """How far it is, and what came of it."""
    mount(page, "work", ("start", "stop"), {"state": "idle"})
    words = {lang: t("clean.stopped", lang) for lang in languages()}
    for value in (
        {"state": "busy", "share": 0.5, "words": words},
        {"state": "ended", "report": {lang: {"lines": [words[lang]]} for lang in languages()}},
    ):
        send(page, value)
        for lang in ("zh", "en"):
            page.evaluate(SPEAK, lang)
            expect(page.locator("#place")).to_contain_text(words[lang])


@pytest.mark.parametrize("begun", [False, True])
def test_a_set_that_comes_back_late_leaves_what_is_begun(page: Page, begun: bool) -> None:
    """On a slow machine the set of the last visit came seconds after the page, and closed the step
    in which a file was being brought in. A set that is made or chosen is looked at all the same."""
    page.evaluate(KEEP, ["tuneboard-data", {"dataset": "old", "dataset_dir": "data"}])
    steps = ["bring", "look", "train"]
    words = (*steps, "label", "chosen", "none")
    mount(page, "steps", words, "", steps=steps, kept=["data", "dataset"])
    place = page.locator("#place")
    expect(place).to_have_attribute("data-step", "bring")
    if begun:
        place.dispatch_event("pointerdown")
    send(page, "old")
    expect(place).to_have_attribute("data-step", "bring" if begun else "look")
    expect(place).to_contain_text("old")
    send(page, "mine")
    expect(place).to_have_attribute("data-step", "look")
