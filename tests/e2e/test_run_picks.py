"""Runs that are ticked in the list: compared, renamed, deleted."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics
from tests.e2e.conftest import Server
from tests.e2e.forms import chosen_in, row_of
from tests.e2e.tabs import open_tab
from tests.unit.test_run_changes import write_run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for number, name in enumerate(("first", "second", "third"), 1):
        folder = write_run(tmp_path / "saves", name, learning_rate=number / 1000)
        for step in range(1, 6):
            metrics.append(folder / run_folder.METRICS, Metrics(step=step, loss=number / step))
        (folder / run_folder.RESULTS).write_text(f'{{"eval_loss": {number}.25}}')
    return tmp_path


def tick(page: Page, *names: str) -> None:
    for name in names:
        row_of(page, "runs-table", name).get_by_role("checkbox").click()


def test_runs_are_compared(open_page: Callable[..., Page], server: Server) -> None:
    """Their curves lie in one picture; a table has what differs, another the scores."""
    page = open_page()
    open_tab(page, "runs")
    picked, compare = page.locator("#runs-picked"), page.locator("#runs-compare")
    expect(picked).to_be_hidden()
    tick(page, "first")
    expect(compare).to_be_disabled()
    tick(page, "third")
    expect(picked).to_contain_text("Selected: 2")
    compare.click()
    expect(picked.locator(".run-chart .scatterlayer .trace")).to_have_count(2)
    expect(picked.locator(".run-chart .legend")).to_contain_text("first")
    differing, scores = picked.locator("table").first, picked.locator("table").last
    expect(differing.locator("tr")).to_have_text(["firstthird", "Learning rate0.0010.003"])
    expect(scores.locator("tr")).to_have_text(["firstthird", "Loss1.253.25"])
    tick(page, "third")
    expect(picked.locator("table")).to_have_count(0)


def test_a_run_is_renamed(open_page: Callable[..., Page], server: Server, home: Path) -> None:
    """A name that is taken is refused in words; a free one moves the folder, and stays chosen."""
    page = open_page()
    open_tab(page, "runs")
    tick(page, "second")
    page.locator("#runs-rename").click()
    name = page.locator("#runs-picked .list-ask input")
    expect(name).to_have_value("second")
    name.fill("third")
    name.press("Enter")
    expect(page.locator("#runs-note")).to_contain_text("Choose another name")
    name.fill("best")
    name.press("Enter")
    expect(chosen_in(page, "runs-table")).to_have_text("best")
    expect(page.locator("#runs-run-name")).to_have_text("best")
    expect(row_of(page, "runs-table", "second")).to_have_count(0)
    assert (home / "saves/tiny/lora/best/run.json").is_file()


def test_a_run_is_deleted_after_one_question(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """It says how much disk that frees; "Keep it" keeps it."""
    page = open_page()
    open_tab(page, "runs")
    tick(page, "first", "second")
    page.locator("#runs-delete").click()
    question = page.locator("#runs-picked .list-ask")
    expect(question).to_contain_text("Delete 2 runs")
    expect(question).to_contain_text("kB of disk")
    question.get_by_role("button", name="Keep it").click()
    assert (home / "saves/tiny/lora/first").is_dir()
    page.locator("#runs-delete").click()
    question.get_by_role("button", name="Delete").click()
    expect(page.locator("#runs-note")).to_contain_text("free again")
    expect(page.locator("#runs-table .list-name")).to_have_text(["third"])
    expect(page.locator("#runs-picked")).to_be_hidden()
    assert not (home / "saves/tiny/lora/first").exists()
