"""A mistake of ours, made to happen behind the real page: it is said, and can be reported."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from backend.contract.texts.locales import t
from tests.e2e.conftest import ROOT, Server
from tests.e2e.forms import box, choose, choose_set, fill, open_step, ready_form, unfold
from tests.e2e.test_tabs import open_tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
NUMBER = re.compile(r"\b[0-9a-f]{8}\b")


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


@pytest.fixture
def python_path() -> tuple[str, ...]:
    return (str(ROOT / "tests" / "fakes" / "broken"),)


def test_a_mistake_is_told_with_its_number(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """An answer HTTP 500 left no word on the page. Of an event and of a stream alike: the message
    stays, in the page's language; the server's output has the traceback under its number."""
    page = open_page()
    ready_form(page)
    unfold(page, "arguments")
    box(page, "arguments_name").fill("mine")
    page.locator("#arguments_save").click()
    first = told(page, "en", "KeyError")
    expect(page.get_by_test_id("toast-body").last).to_contain_text(t("page.error_title", "en"))
    page.get_by_test_id("toast-close").last.click()
    box(page, "learning_rate").fill("3e-4")
    expect(page.locator("#command")).to_contain_text("--learning_rate 0.0003")
    choose(page, "language", "中文")
    expect(page.locator("#start")).to_have_text("开始训练")
    open_tab(page, t("tab.data", "zh"))
    choose_set(page, "identity")
    open_step(page, "check")
    page.locator("#check-start").click()
    second = told(page, "zh", "app/tabs/data/data_steps.py")
    output = (home / "web.log").read_text()
    assert first != second
    for number in (first, second):
        assert re.search(rf"error {number} .*\nTraceback .*", output)
    page.close()  # what failed goes on saying so, and no page may at the end of a test


def test_a_mistake_in_a_list_is_told_in_it(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """A form asks past Gradio's events, and an error there is no answer at all: the list would say
    forever that it is loading. What is typed into the box is taken all the same."""
    page = open_page()
    box(page, "model_name_or_path").click()
    note = page.locator("#model_name_or_path .form-note")
    number = number_in(note, "en", "KeyError")
    assert re.search(rf"error {number} .*\nTraceback .*", (home / "web.log").read_text())
    fill(page, "model_name_or_path", "saves/models/tiny")
    expect(page.locator("#command")).to_contain_text("--model_name_or_path saves/models/tiny")


def told(page: Page, lang: str, words: str) -> str:
    """The number in the message that the page shows."""
    return number_in(page.locator("[data-testid=toast-body]").last, lang, words)


def number_in(message: Locator, lang: str, words: str) -> str:
    """The number in the words about a mistake."""
    whole = t("page.error", lang, number="NUMBER", kind="", place="")
    before = whole.partition("NUMBER")[0].strip()
    expect(message).to_contain_text(before)
    expect(message).to_contain_text(words)
    text = message.inner_text()
    assert "CANARY" not in text
    match = NUMBER.search(text)
    assert match is not None, text
    return match[0]
