"""The panel of a run in Chromium: followed while it goes on, its texts shown as texts."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from backend.contract.arguments import arguments
from backend.contract.launching import launch
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics
from backend.contract.texts.locales import t
from backend.contract.texts.problems import Problem
from tests.e2e.conftest import ROOT, Server
from tests.e2e.forms import box, chips, choose
from tests.e2e.test_requests import HIDE
from tests.failures.conftest import fake, until, values

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

MARKUP = "{{value}} ${1+1} <img src=x onerror=window.hit=1>"
RANGE = "() => document.querySelector('#train-run-chart').layout.xaxis.range"
POINTS = "() => document.querySelector('#train-run-chart').data?.[0].x.length ?? 0"
FILL = "() => getComputedStyle(document.querySelector('#train-run-chart text')).fill"
QUIET_MS = 3000  # three seconds of the page's clock


class TestTexts:
    """Whatever a run is called, says and measures is shown as text, never run as code."""

    @pytest.fixture
    def home(self, tiny_home: Path) -> Path:
        folder = tiny_home / "saves" / "tiny" / "lora" / MARKUP
        folder.mkdir(parents=True)
        row = {"kind": "train", "arguments": arguments.defaults("train"), "sequence": 9}
        (folder / run_folder.RUN).write_text(json.dumps(row, default=str))
        (folder / run_folder.EXIT).write_text('{"code": 1}')
        problem = Problem(code="dataset_hub_unreachable", params={"name": MARKUP})
        (folder / run_folder.PROBLEM).write_text(json.dumps(problem.to_json()))
        (folder / run_folder.LOG).write_text(f"first\n{MARKUP}\nlast\n")
        for step in range(1, 20):
            more = {MARKUP: step / 3, "<b>bold</b>": 1.0}
            row = Metrics(step=step, loss=1 / step, tokens=step, more=more)
            metrics.append(folder / run_folder.METRICS, row)
        return tiny_home

    def test_texts_are_texts(self, open_page: Callable[..., Page], server: Server) -> None:
        page = open_page()
        expect(page.locator("#train-run-name")).to_have_text(MARKUP)
        expect(page.locator("#train-run-problem")).to_contain_text(MARKUP)
        expect(page.locator("#train-run-log")).to_contain_text(f"first\n{MARKUP}\nlast")
        expect(page.locator("#train-run-files")).to_contain_text(MARKUP)
        figures = page.locator("#train-run-pick button")
        expect(figures).to_have_text(["<b>bold</b>", MARKUP])
        plot = page.locator("#train-run-stage-chart")
        expect(plot).to_contain_text("<b>bold</b>")
        expect(plot).to_contain_text(MARKUP)
        page.locator("#train-run-search").fill(MARKUP.upper())
        expect(page.locator("#train-run-log")).to_have_text(f"{MARKUP}\n")
        page.locator("#train-run-search").fill(f"{MARKUP}absent")
        expect(page.locator("#train-run .run-log .run-empty")).to_contain_text(f"{MARKUP}absent")
        figures.first.click()
        expect(plot).not_to_contain_text("<b>bold</b>")
        assert page.locator("#train-run img").count() == 0
        assert page.evaluate("() => window.hit") is None
        light = page.evaluate(FILL)
        page.evaluate("() => document.body.classList.add('dark')")
        assert page.evaluate(FILL) != light, "curves follow light and dark"
        choose(page, "language", "中文")
        expect(page.locator("#train-run-state")).to_have_text(t("state.FAILED", "zh"))
        expect(page.locator("#train-run-chart")).to_contain_text(t("chart.step", "zh"))
        page.locator("#train-run-chart-kind button").nth(4).click()
        expect(page.locator("#train-run .run-curves .run-empty")).to_be_visible()


class TestGoingOn:
    """A run that goes on, on a machine with two GPUs, then stopped and carried on elsewhere."""

    @pytest.fixture
    def python_path(self) -> tuple[str, ...]:
        return (str(ROOT / "tests" / "fakes"),)

    @pytest.fixture
    def home(self, tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("TUNEBOARD_WORKER", fake("--steps 5000 --sleep 0.2 --last-step-waits"))
        monkeypatch.setenv("TUNEBOARD_HOME", str(tiny_home))
        return tiny_home

    def test_a_phone_shows_it_in_the_bar_with_start(
        self, open_page: Callable[..., Page], server: Server, home: Path
    ) -> None:
        """The fixed bar said nothing of it: progress and Stop were thousands of pixels away."""
        launch.start("train", values(output_dir="saves/t/lora/one"))
        page = open_page(viewport={"width": 390, "height": 844})
        line = page.locator("#train-run-bar")
        expect(line).to_contain_text("Running: training")
        expect(line).to_contain_text(re.compile(r"[1-9]\d* (of|/) 5,000"))
        expect(line).to_be_in_viewport(ratio=1)
        expect(page.locator("#train-run-state")).not_to_be_in_viewport()
        line.get_by_role("button", name=t("panel.stop", "en"), exact=True).click()
        expect(page.locator("#train-run-state")).to_have_text(t("state.STOPPED", "en"))
        expect(line).to_be_hidden()

    def test_it_is_followed(
        self, open_page: Callable[..., Page], server: Server, home: Path
    ) -> None:
        model = "saves/models/tiny"
        run = launch.start("train", values(model_name_or_path=model, output_dir="saves/t/lora/one"))
        (run / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": model}))
        until(lambda: (run / run_folder.METRICS).is_file(), 60)
        page = open_page()
        asked: list[str] = []
        page.on("request", lambda r: asked.append(r.url) if "own/run?" in r.url else None)
        expect(page.locator("#train-run-state")).to_have_text("Running: training")
        expect(page.locator("#train-run-safe")).to_be_visible()
        machine = page.locator("#train-run-machine")
        expect(machine.locator("tbody tr")).to_have_count(2)
        expect(machine).to_contain_text("RTX 4090")
        for figure in ("87 %", "12.0 / 24 GB", "65 °C", "320 W"):
            expect(machine).to_contain_text(figure)
        self.zoom_and_scroll(page)
        self.hide(page, asked)
        page.locator("#train-run-stop").click()
        expect(page.locator("#train-run-state")).to_have_text("Stopped")
        expect(machine).to_be_hidden()
        page.wait_for_timeout(QUIET_MS)
        asked.clear()
        page.wait_for_timeout(QUIET_MS)
        assert asked == [], "what has ended is not asked for"
        self.go_on_elsewhere(page)

    def zoom_and_scroll(self, page: Page) -> None:
        """Both stay while new points and lines come."""
        until(lambda: page.evaluate(POINTS) > 10, 60)
        plot = page.locator("#train-run-chart .nsewdrag").first
        area = plot.bounding_box()
        assert area is not None
        left, middle = area["x"] + area["width"] * 0.2, area["y"] + area["height"] / 2
        page.mouse.move(left, middle)
        page.mouse.down()
        page.mouse.move(left + area["width"] * 0.4, middle + 2, steps=5)
        page.mouse.up()
        log = page.locator("#train-run-log")
        log.evaluate("box => { box.scrollTop = 0; }")
        zoomed, points, text = page.evaluate(RANGE), page.evaluate(POINTS), log.inner_text()
        until(lambda: page.evaluate(POINTS) > points + 10, 60)
        assert page.evaluate(RANGE) == zoomed
        assert len(log.inner_text()) > len(text)
        assert log.evaluate("box => box.scrollTop") == 0

    def hide(self, page: Page, asked: list[str]) -> None:
        """Nothing is asked while nobody looks, and at once when somebody does."""
        page.evaluate(HIDE, True)
        page.wait_for_timeout(QUIET_MS)
        asked.clear()
        page.wait_for_timeout(QUIET_MS)
        assert asked == []
        page.evaluate(HIDE, False)
        until(lambda: asked, 20)

    def go_on_elsewhere(self, page: Page) -> None:
        """Evaluate and Export open filled in with the run."""
        page.locator("#train-run-evaluate").click()
        expect(page.locator("#tab-evaluate-button")).to_have_attribute("aria-selected", "true")
        expect(chips(page, "eval-eval_dataset")).to_contain_text(["identity"])
        chip = chips(page, "adapter_name_or_path")  # its whole path took two lines
        expect(chip).to_have_text(["one"])
        expect(chip).to_have_attribute("title", "saves/t/lora/one")
        page.get_by_role("tab", name="Train", exact=True).click()
        page.locator("#train-run-export").click()
        expect(page.locator("#tab-export-button")).to_have_attribute("aria-selected", "true")
        expect(box(page, "export-export_dir")).to_have_value("saves/models/one")


def test_a_press_that_is_refused_says_why(
    open_page: Callable[..., Page], server: Server, tiny_home: Path
) -> None:
    """In the page's language, beside the button, until something happens to a run."""
    folder = _failed(tiny_home)
    page = open_page(locale="zh-CN")
    expect(page.locator("#train-run-state")).to_have_text(t("state.FAILED", "zh"))
    resume = page.locator("#train-run-resume")
    expect(resume).to_be_enabled()
    (folder / "checkpoint-2" / "state.json").write_text("torn")
    resume.click()
    answer = page.locator("#train-run-answer")
    expect(answer).to_contain_text("checkpoint-2")
    expect(resume).to_be_enabled()
    zh = answer.inner_text()
    choose(page, "language", "English")
    expect(answer).not_to_have_text(zh)
    expect(answer).to_contain_text("checkpoint-2")


def test_the_first_news_is_no_reason_to_take_an_answer_back(
    open_page: Callable[..., Page], server: Server, tiny_home: Path
) -> None:
    """A press before the page has heard of any run: the answer went with the first news."""
    folder = _failed(tiny_home)
    page = open_page().context.new_page()
    held: list[Route] = []
    page.route("**/own/news?*", lambda route: held.append(route))
    page.goto(f"{server.url}?run=saves/tiny/lora/one")
    resume = page.locator("#train-run-resume")
    expect(page.locator("#train-run-state")).to_have_text(t("state.FAILED", "en"))
    (folder / "checkpoint-2" / "state.json").write_text("torn")
    resume.click()
    answer = page.locator("#train-run-answer")
    expect(answer).to_contain_text("checkpoint-2")
    with page.expect_response("**/own/news?*"):
        while held:
            held.pop().continue_()
    page.wait_for_timeout(QUIET_MS)
    expect(answer).to_contain_text("checkpoint-2")


@pytest.mark.parametrize(("width", "columns"), [(720, 4), (366, 2)])
def test_tiles_stand_in_equal_rows(browser: Browser, width: int, columns: int) -> None:
    """On a phone three stood in a row, and the fourth below them."""
    style = (ROOT / "app" / "browser" / "run.css").read_text(encoding="utf-8")
    tiles = "<div><dt>Tokens/s</dt><dd>236</dd><dd class=run-quiet></dd></div>" * 4
    page = browser.new_page()
    page.set_content(
        f"<style>{style}</style><div style='width: {width}px'><div class='run-top'>"
        f"<dl class='run-tiles'>{tiles}</dl></div></div>"
    )
    tops = page.locator(".run-tiles > div").evaluate_all(
        "tiles => tiles.map(tile => tile.getBoundingClientRect().top)"
    )
    assert [tops.count(top) for top in sorted(set(tops))] == [columns] * (4 // columns)
    page.close()


def test_news_leave_the_run_that_is_shown(
    open_page: Callable[..., Page], server: Server, tiny_home: Path
) -> None:
    """News of runs fill an empty panel, and write nothing into one that shows a run.

    Both the news of a start and its answer come as a run's folder is made: a panel that wrote back
    what it had read showed the run before for good, with the new one going on unseen.
    """
    page = open_page()
    shown = page.locator("#train-run-name")
    _failed(tiny_home)
    expect(shown).to_have_text("one")
    asked = f"{server.url}/own/news"
    known = page.request.get(asked).json()["runs"]
    _failed(tiny_home, "two")
    until(lambda: page.request.get(asked).json()["runs"] != known, 60)
    with page.expect_response("**/own/news?*"):
        pass
    page.wait_for_timeout(QUIET_MS)
    expect(shown).to_have_text("one")


def _failed(home: Path, name: str = "one") -> Path:
    """A training that has failed after its first checkpoint."""
    folder = home / "saves" / "tiny" / "lora" / name
    point = folder / "checkpoint-2"
    point.mkdir(parents=True)
    row: dict[str, Any] = {"kind": "train", "arguments": arguments.defaults("train"), "argv": []}
    (folder / run_folder.RUN).write_text(json.dumps(row, default=str))
    (folder / run_folder.EXIT).write_text('{"code": 1}')
    (point / "state.json").write_text('{"step": 2}')
    run_folder.write_manifest(point)
    return folder
