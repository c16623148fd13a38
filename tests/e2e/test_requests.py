"""What an open page asks of its server: the clock's question, and what a change calls for."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from app.tabs.shared.clock import PERIOD_S
from backend.contract.base.texts import t
from tests.e2e.conftest import Server
from tests.e2e.forms import choose
from tests.e2e.test_tabs import open_tab
from tests.failures.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
TABS = ("data", "recipes", "evaluate", "chat", "export", "runs", "train")
TICKS = 3  # so often the clock asks while nothing is done
LONGEST_S = 60  # that TICKS may take on a busy machine
HIDE = """(hidden) => {
    const state = { hidden, visibilityState: hidden ? "hidden" : "visible" };
    for (const [name, value] of Object.entries(state))
        Object.defineProperty(document, name, { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


class Asked:
    """What a page asks: its events by their numbers in Gradio's config, and what its forms ask by
    the name of the function or the path."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.questions: list[int | str] = []
        rows = page.evaluate("window.gradio_config.dependencies.map(row => [row.id, row.api_name])")
        (self.clock,) = (number for number, name in rows if name == "tell_news")
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        question = question_of(request)
        if question is not None:
            self.questions.append(question)

    def besides_the_clock(self) -> list[int | str]:
        """What is asked besides the clock's question while that comes TICKS times."""
        self.questions.clear()
        for _ in range(LONGEST_S):
            self.page.wait_for_timeout(1000)
            if self.questions.count(self.clock) >= TICKS:
                break
        else:
            raise AssertionError("the clock stands still")
        return [question for question in self.questions if question != self.clock]


def question_of(request: Request) -> int | str | None:
    """What a request asks: an event, a function of a form, or what a form draws; else None."""
    if "/own/form/" in request.url:
        return request.url
    if request.method != "POST" or "/gradio_api/" not in request.url:
        return None
    row = json.loads(request.post_data or "{}")
    return str(row["fn_name"]) if "fn_name" in row else int(row["fn_index"])


def settled(asked: Asked) -> None:
    """Nothing but the clock's question is asked, once what the last change called for has been."""
    until(lambda: asked.besides_the_clock() == [], 60)


def test_nothing_is_asked_without_a_change(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """Gradio 6.31 deferred an event with three listeners (Train, Evaluate, Export) again and again
    once a model was chosen: 21 whole forms were sent in 12 seconds with nothing touched."""
    page = open_page()
    for tab in TABS:  # what lies in a tab begins to work once that is opened
        open_tab(page, t(f"tab.{tab}", "en"))
        expect(page.locator(f"#tab-{tab}")).to_be_visible()
    asked = Asked(page)
    settled(asked)
    choose(page, "model_name_or_path", "tiny")
    choose(page, "finetuning_type", "Freeze")
    expect(page.locator("#command")).to_contain_text("saves/tiny/freeze/")
    for tab in ("data", "evaluate", "export"):
        open_tab(page, t(f"tab.{tab}", "en"))
    choose(page, "language", "中文")
    expect(page.locator("#start")).to_have_text("开始训练")
    settled(asked)


def test_a_page_that_is_not_seen_asks_for_nothing(
    open_page: Callable[..., Page], server: Server
) -> None:
    page = open_page()
    asked = Asked(page)
    settled(asked)  # a slow machine still draws the page
    page.evaluate(HIDE, True)
    page.wait_for_timeout(1000)  # the clock's question that was under way
    asked.questions.clear()
    page.wait_for_timeout(2500 * PERIOD_S)
    assert asked.questions == []
    with page.expect_request(lambda request: question_of(request) == asked.clock):
        page.evaluate(HIDE, False)
