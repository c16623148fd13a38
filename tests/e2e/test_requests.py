"""What an open page asks of its server: what is new, and what a change calls for."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from backend.contract.texts.locales import t
from tests.e2e.conftest import Server
from tests.e2e.forms import choose
from tests.e2e.test_tabs import open_tab
from tests.failures.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
TABS = ("data", "recipes", "evaluate", "chat", "export", "runs", "train")
NEWS = "/own/news"
PERIOD_S = 2
TICKS = 3  # so often it asks what is new while nothing is done
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
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        question = question_of(request)
        if question is not None:
            self.questions.append(question)

    def besides_the_news(self) -> list[int | str]:
        """What is asked besides what is new, while that is asked TICKS times."""
        self.questions.clear()
        for _ in range(LONGEST_S):
            self.page.wait_for_timeout(1000)
            if self.questions.count(NEWS) >= TICKS:
                break
        else:
            raise AssertionError("what is new is not asked")
        return [question for question in self.questions if question != NEWS]


def question_of(request: Request) -> int | str | None:
    """What a request asks: NEWS, an event, a function of a form, or what a form draws; else
    None."""
    if NEWS in request.url:
        return NEWS
    if "/own/form/" in request.url:
        return request.url
    if request.method != "POST" or "/gradio_api/" not in request.url:
        return None
    row = json.loads(request.post_data or "{}")
    return str(row["fn_name"]) if "fn_name" in row else int(row["fn_index"])


def settled(asked: Asked) -> None:
    """Nothing but what is new is asked, once what the last change called for has been."""
    until(lambda: asked.besides_the_news() == [], 60)


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
    page.wait_for_timeout(1000)  # the question that was under way
    asked.questions.clear()
    page.wait_for_timeout(2500 * PERIOD_S)
    assert asked.questions == []
    with page.expect_request(lambda request: question_of(request) == NEWS):
        page.evaluate(HIDE, False)


def test_what_is_new_is_asked_every_two_seconds(
    open_page: Callable[..., Page], server: Server
) -> None:
    """At most once in two seconds, from every tab, and at once where a tab is opened."""
    page = open_page()
    asked = Asked(page)
    settled(asked)
    asked.questions.clear()
    page.wait_for_timeout(1000 * PERIOD_S * TICKS)
    assert TICKS - 1 <= len(asked.questions) <= TICKS
    with page.expect_request(lambda request: f"{NEWS}?tab=runs" in request.url, timeout=900):
        page.get_by_role("tab", name=t("tab.runs", "en"), exact=True).click()


def test_a_change_on_the_machine_reaches_the_page(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """Only what hears of it asks: a new data set is offered without a reload, and nothing is asked
    about runs."""
    page = open_page()
    open_tab(page, t("tab.data", "en"))
    asked = Asked(page)
    settled(asked)
    folder = home / "data"
    folder.mkdir(exist_ok=True)
    (folder / "new.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    registry = folder / "dataset_info.json"
    entries = json.loads(registry.read_text()) if registry.is_file() else {}
    registry.write_text(json.dumps({**entries, "brand_new": {"file_name": "new.jsonl"}}))
    expect(page.locator("#sets-list")).to_contain_text("brand_new")
    names = {row["id"]: row["api_name"] for row in page.evaluate("gradio_config.dependencies")}
    heard = {names.get(question, question) for question in asked.questions} - {NEWS}
    assert heard
    assert not [name for name in heard if "run" in str(name)]
