"""The page with a form alone, and where its controls, options and chips stand."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.form_page import FormPage

DATASETS = [["identity", "identity"], ["alpaca_en", "alpaca_en"], ["alpaca_zh", "alpaca_zh"]]
MODELS = [
    {"title": "This machine", "options": [["saves/models/small", "small"]]},
    {"title": "Catalog", "options": [["org/medium", "medium"], ["org/large", "large"]]},
]
Open = Callable[..., Page]


@pytest.fixture
def form() -> FormPage:
    return FormPage(offers={"dataset": [{"title": "", "options": DATASETS}], "model": MODELS})


@pytest.fixture
def open_form(browser: Browser, form: FormPage) -> Iterator[Open]:
    """Open the page in a new visitor's context, once it is judged for the first time; no script
    may fail."""
    contexts, errors = [], []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 1000}, **options})
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        return load(page, form)

    with form.serve():
        yield open_page
        for context in contexts:
            context.close()
    assert errors == []


def load(page: Page, form: FormPage) -> Page:
    page.goto(form.url)
    expect(page.locator("#t-command")).to_be_visible()
    return page


def box(page: Page, name: str) -> Locator:
    return page.locator(f"#t-{name}-control")


def options(page: Page) -> Locator:
    """The names of the options that are seen; those of a <select> are none."""
    return page.locator('[role="option"]:visible > span')


def chips(page: Page, name: str) -> list[str]:
    return page.locator(f"#t-{name} .form-chip > span").all_inner_texts()


def last_values(form: FormPage) -> dict[str, Any]:
    return dict(form.asked[-1]["values"])
