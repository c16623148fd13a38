"""A run as the page shows it: started, stopped, resumed, failed; the page may die in between."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from backend.contract.folders.home import prepare
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.run_folder import State
from backend.contract.texts.locales import t
from tests.backend.conftest import write_dataset
from tests.e2e.conftest import ROOT, Server
from tests.e2e.forms import box, choose, command_of, expect_ready, fill, show_all, unfold
from tests.e2e.test_requests import Asked
from tests.failures.conftest import fake, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
TUNEBOARD = [sys.executable, "-m", "backend"]


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


def fill_form(page: Page, dataset: str = "identity") -> list[str]:
    """Choose the tiny model and a data set; returns the command that the page shows then."""
    fill(page, "model_name_or_path", "saves/models/tiny")
    choose(page, "dataset", dataset)
    expect(page.locator("#command")).to_contain_text(f"--dataset {dataset}")
    expect_ready(page)
    return command_of(page)


def in_state(page: Page, state: State, lang: str = "en", **options: Any) -> None:
    words = t(f"state.{state.value}", lang)
    expect(page.locator("#train-run-state")).to_contain_text(words, ignore_case=True, **options)


def runs_of(home: Path) -> list[Path]:
    return sorted(file.parent for file in (home / "saves").glob("*/*/*/run.json"))


def only_run(home: Path) -> Path:
    until(lambda: runs_of(home), 60)
    (run,) = runs_of(home)
    return run


def steps(run: Path) -> list[int]:
    """The steps of the rows with a training loss, in the order of the file."""
    rows, _ = metrics.read(run / run_folder.METRICS)
    return [row.step for row in rows if row.loss is not None]


class TestFakeTrainer:
    """Where the moments matter and the learning does not."""

    @pytest.fixture
    def home(self, tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("TUNEBOARD_WORKER", fake("--steps 500 --sleep 0.04 --last-step-waits"))
        return tiny_home

    def test_the_page_is_killed_and_comes_back(
        self, open_page: Callable[..., Page], server: Server, home: Path
    ) -> None:
        """R-01, A-04: the run is the one previewed, and a new page shows it as it goes on."""
        page = open_page()
        shown = fill_form(page)
        page.locator("#start").click()
        in_state(page, State.RUNNING)
        run = only_run(home)
        assert json.loads((run / run_folder.RUN).read_text())["argv"] == shown
        page.close()  # one that is still loading complains of the page's death
        server.kill()
        before = steps(run)
        server.start()
        page = open_page()
        in_state(page, State.RUNNING)
        expect(page.locator("#train-run-name")).to_contain_text(run.name)
        assert len(steps(run)) > len(before)
        (run / "go").touch()
        in_state(page, State.SUCCEEDED, timeout=60_000)
        assert steps(run) == list(range(1, 501))
        assert runs_of(home) == [run]

    def test_a_second_start_says_what_is_in_the_way(
        self, open_page: Callable[..., Page], server: Server, home: Path
    ) -> None:
        """The answer was wiped by the next refresh within a second: it stays, in the page's
        language, until that run has ended."""
        page = open_page()
        fill_form(page)
        page.locator("#start").click()
        in_state(page, State.RUNNING)
        run = only_run(home)
        page.locator("#start").click()
        answer, reason = page.locator("#answer"), str(run.relative_to(home))
        expect(answer).to_contain_text(reason)
        assert runs_of(home) == [run]
        expect(page.locator("#train-run-name")).to_contain_text(run.name)
        asked = Asked(page)
        asked.besides_the_news()
        expect(answer).to_contain_text(reason)
        choose(page, "language", "中文")
        wanted = t("problem.run_in_way", "zh", run=str(run.relative_to(home)))
        expect(answer).to_have_text(wanted)
        page.locator("#train-run-stop").click()
        in_state(page, State.STOPPED, "zh")
        expect(answer).not_to_be_visible()

    def test_a_press_of_start_is_heard_at_once(
        self, open_page: Callable[..., Page], server: Server, home: Path
    ) -> None:
        """Before the server has said anything; and a change of the form takes the answer away."""
        page = open_page()
        fill_form(page)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        try:
            page.locator("#start").click()
            expect(page.locator("#start")).to_have_text(t("start.heard", "en"))
            expect(page.locator("#start")).to_be_disabled()
        finally:
            server.process.send_signal(signal.SIGCONT)
        in_state(page, State.RUNNING)
        expect(page.locator("#answer")).not_to_be_visible()
        page.locator("#start").click()
        expect(page.locator("#answer")).to_be_visible()
        expect(page.locator("#start")).to_be_enabled()
        box(page, "learning_rate").fill("2e-4")
        expect(page.locator("#answer")).not_to_be_visible()

    def test_a_press_is_for_what_stood_there(
        self, open_page: Callable[..., Page], server: Server, home: Path
    ) -> None:
        """Whoever pressed Start too early and then typed what was missing had a run of its first
        letters: a press waits for the answer to the last change, not for that to the next."""
        page = open_page()
        fill_form(page)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        try:
            box(page, "learning_rate").fill("2e-4")
            page.locator("#start").click()
            box(page, "learning_rate").fill("3e-4")
        finally:
            server.process.send_signal(signal.SIGCONT)
        expect(page.locator("#command")).to_contain_text("--learning_rate 0.0003")
        Asked(page).besides_the_news()
        assert runs_of(home) == []
        page.locator("#start").click()
        in_state(page, State.RUNNING)


def test_stop_and_resume(open_page: Callable[..., Page], server: Server, home: Path) -> None:
    """Stop keeps a checkpoint, Resume goes on from it; no step is lost or counted twice."""
    page = open_page()
    fill_form(page)
    show_all(page)
    unfold(page, "group-output")
    box(page, "logging_steps").fill("1")
    unfold(page, "group-training")
    box(page, "max_steps").fill("160")
    box(page, "gradient_accumulation_steps").fill("1")  # short steps
    expect(page.locator("#command")).to_contain_text("--max_steps 160")
    expect(page.locator("#command")).to_contain_text("--logging_steps 1")
    expect(page.locator("#command")).to_contain_text("--gradient_accumulation_steps 1")
    page.locator("#start").click()
    run = only_run(home)
    until(lambda: len(steps(run)) > 3, 60)
    page.locator("#train-run-stop").click()
    in_state(page, State.STOPPED, timeout=60_000)
    (point,) = run_folder.checkpoints(run)
    assert 3 < point.step < 160
    points = page.locator("#train-run-checkpoints")
    expect(points).to_contain_text("1")
    page.locator("#train-run-resume").click()
    in_state(page, State.SUCCEEDED, timeout=200_000)
    assert steps(run) == list(range(1, 161))
    assert runs_of(home) == [run]
    expect(page.locator("#train-run-resume")).not_to_be_visible()
    resume_with_more_steps(page)
    in_state(page, State.SUCCEEDED, timeout=200_000)
    assert steps(run) == list(range(1, 171))


def resume_with_more_steps(page: Page) -> None:
    """A finished run goes on by ten steps: the box holds the run's arguments once it is opened,
    what changes stands in the table before the press."""
    unfold(page, "train-run-resume-with")
    more = box(page, "train-resume-max_steps")
    expect(more).to_have_value("160")
    more.fill("170")
    changes = page.locator("#train-run-changes tbody tr")
    expect(changes).to_have_count(1)
    expect(changes).to_contain_text("Max steps")
    expect(changes).to_contain_text("160")
    expect(changes).to_contain_text("170")
    start = page.locator("#train-run-resume-so")
    expect(start).to_be_enabled()
    start.click()
    in_state(page, State.RUNNING)


def test_a_run_from_a_terminal_appears(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """An open page lists it and shows it without a reload."""
    page = open_page()
    page.get_by_role("tab", name="Runs", exact=True).click()
    expect(page.locator("#runs-none")).to_be_visible()
    words = "--model_name_or_path saves/models/tiny --dataset identity --max_steps 3 "
    words += "--output_dir saves/tiny/lora/from-terminal"
    with subprocess.Popen(
        [*TUNEBOARD, "train", *words.split()],
        cwd=home,
        env={**os.environ, "TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as terminal:
        cell = page.locator("#runs-table").get_by_text("from-terminal").locator("visible=true")
        cell.first.click(timeout=60_000)
        expect(page.locator("#runs-run-name")).to_contain_text("from-terminal")
        done = re.compile(t("state.SUCCEEDED", "en"), re.IGNORECASE)
        expect(page.locator("#runs-run-state")).to_contain_text(done, timeout=60_000)
        expect(page.locator("#runs-table")).to_contain_text(done)
        assert terminal.wait(20) == 0


def contrast(box: Locator) -> float:
    """The ratio of a box's text to its own ground, as WCAG 2.2 defines it."""
    colours = box.evaluate(
        "box => [getComputedStyle(box).color, getComputedStyle(box).backgroundColor]"
    )
    lights = sorted(_luminance(colour) for colour in colours)
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


class TestFailed:
    """Data that cannot be learned from: the page says so in the visitor's language."""

    @pytest.fixture
    def home(self, tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("TUNEBOARD_HOME", str(tiny_home))
        prepare()
        rows = [{"instruction": "a", "input": "", "output": "b"}] * 3
        broken = write_dataset(tiny_home, "broken", rows, file_name="broken.jsonl")
        lines = [json.dumps(row) for row in rows]
        lines[1] = lines[1][:-4]
        broken.with_suffix(".jsonl").write_text("\n".join(lines) + "\n")
        write_dataset(tiny_home, "silent", [{"instruction": "a", "input": "", "output": ""}] * 3)
        return tiny_home

    def test_broken_json_is_named_with_its_line(
        self, open_page: Callable[..., Page], server: Server, home: Path
    ) -> None:
        page = open_page()
        fill_form(page, "broken")
        page.locator("#start").click()
        in_state(page, State.FAILED, timeout=60_000)
        problem = page.locator("#train-run-problem")
        for dark in (False, True):
            page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
            assert contrast(problem) >= 4.5  # WCAG 2.2, 1.4.3
        expect(problem).to_contain_text(re.compile(r"broken\.jsonl.*\b2\b", re.DOTALL))

    def test_a_failed_run_is_started_again_without_the_set_that_failed(
        self, open_page: Callable[..., Page], server: Server, home: Path
    ) -> None:
        """A tutorial's step: of two sets one lies on a hub that cannot be reached. Its whole reason
        is read, in the form's word for the set; one press starts again without it, under the same
        name, although that press of Start had taken the name."""
        registry = home / "data" / "dataset_info.json"
        known = json.loads(registry.read_text())
        registry.write_text(json.dumps({**known, "far_zh": {"hf_hub_url": "org/far-filtered"}}))
        page = open_page()
        fill_form(page)
        box(page, "run_name").fill("demo1")
        choose(page, "dataset", "far_zh")
        show_all(page)
        page.locator("#extra_args textarea").fill("max_steps=2")
        expect(page.locator("#command")).to_contain_text("--max_steps 2")
        expect(page.locator("#command")).to_contain_text("/demo1")
        page.locator("#start").click()
        in_state(page, State.FAILED, timeout=120_000)
        problem = page.locator("#train-run-problem")
        name = "far_zh (org/far-filtered)"
        expect(problem).to_contain_text(t("problem.dataset_hub_unreachable", "en", name=name))
        assert problem.evaluate("box => box.scrollHeight - box.clientHeight") <= 2
        expect(page.locator("#train-run-resume")).not_to_be_visible()
        first = page.locator("#train-run .run-buttons button:visible").first
        expect(first).to_have_text(t("panel.restart_without", "en", names="far_zh"))
        expect(first).to_have_class(re.compile("primary"))
        first.click()
        in_state(page, State.SUCCEEDED, timeout=150_000)
        (run,) = runs_of(home)
        assert run.name == "demo1"
        assert json.loads((run / run_folder.RUN).read_text())["arguments"]["dataset"] == "identity"
        place = str(home / "saves" / ".trash" / "demo1-1")
        notices = page.locator("#train-run-notices")
        expect(notices).to_contain_text(place)

    def test_refused_rows_in_the_visitors_language(
        self, open_page: Callable[..., Page], server: Server, home: Path
    ) -> None:
        page = open_page(locale="zh-CN")
        expect(page.locator("#start")).to_have_text("开始训练")
        fill_form(page, "silent")
        page.locator("#start").click()
        in_state(page, State.FAILED, "zh", timeout=60_000)
        reason = t("problem.dataset_without_rows", "zh", name="silent")
        problem = page.locator("#train-run-problem")
        expect(problem).to_contain_text(reason)
