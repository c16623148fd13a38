"""A Start that was refused, as another run goes on, offers the queue, or that run's stop."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.texts.locales import t
from tests.e2e.conftest import Server
from tests.e2e.forms import box, fill, row_of
from tests.e2e.test_run_life import fill_form, in_state, only_run, runs_of
from tests.e2e.test_tabs import open_tab
from tests.failures.conftest import fake, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def home(tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_WORKER", fake("--steps 5000 --sleep 0.04"))
    return tiny_home


def refuse(page: Page, home: Path) -> Path:
    """Start a run and then a second one, which is refused; returns the first."""
    fill_form(page)
    page.locator("#start").click()
    in_state(page, State.RUNNING)
    first = only_run(home)
    page.locator("#start").click()
    expect(page.locator("#answer")).to_contain_text(first.name)
    return first


def other_run(home: Path, first: Path) -> Path:
    """The run beside the first, once it is there."""
    until(lambda: len(runs_of(home)) == 2, 30)
    return next(run for run in runs_of(home) if run != first)


def test_a_refused_start_joins_the_queue_and_is_cancelled(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """The run is there at once, says for which it waits, and outlives the page's server; in Runs
    it can be cancelled, and the other goes on."""
    page = open_page()
    first = refuse(page, home)
    page.locator("#queue").click()
    in_state(page, State.QUEUED)
    second = other_run(home, first)
    expect(page.locator("#train-run-name")).to_contain_text(second.name)
    expect(page.locator("#train-run-notices")).to_contain_text(first.name)
    expect(page.locator("#train-run-stop")).to_have_text(t("panel.cancel", "en"))
    expect(page.locator("#train-run-chart")).not_to_be_visible()
    expect(page.locator("#answer")).not_to_be_visible()
    expect(page.locator("#queue")).not_to_be_visible()
    server.kill()
    server.start()
    assert run_folder.read(second).state is State.QUEUED
    page.reload()
    open_tab(page, "Runs")
    row = row_of(page, "runs-table", second.name)
    expect(row).to_contain_text(t("state.QUEUED", "en"))
    row.get_by_role("button", name=t("panel.cancel", "en")).click()
    expect(row).to_contain_text(t("state.STOPPED", "en"))
    assert run_folder.read(first).state is State.RUNNING


def test_a_refused_start_takes_the_place_of_the_other(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """That run is asked to save and end, and this one starts once it has."""
    page = open_page()
    first = refuse(page, home)
    page.locator("#instead").click()
    second = other_run(home, first)
    expect(page.locator("#train-run-name")).to_contain_text(second.name)
    in_state(page, State.RUNNING)
    assert run_folder.read(first).state is State.STOPPED


@pytest.mark.parametrize("how", ["queue", "instead"])
def test_a_refused_new_start_is_offered_the_same(
    open_page: Callable[..., Page], server: Server, home: Path, how: str
) -> None:
    """A training that ran out of memory is started again from its panel, with what helps, while
    another goes on."""
    page = open_page()
    fill_form(page)
    page.locator("#start").click()
    in_state(page, State.RUNNING)
    first = only_run(home)
    row = json.loads((first / run_folder.RUN).read_text())
    failed = first.with_name("failed")
    failed.mkdir()
    arguments = {**row["arguments"], "output_dir": str(failed.relative_to(home))}
    (failed / run_folder.RUN).write_text(json.dumps({**row, "arguments": arguments}))
    (failed / run_folder.EXIT).write_text(json.dumps({"code": 5, "seconds": 1}))
    page.goto(f"{server.url}/?tab=train&run={failed.relative_to(home)}")
    in_state(page, State.OUT_OF_MEMORY)
    page.locator("#train-run-restart").click()
    expect(page.locator("#train-run-answer")).to_contain_text(first.name)
    page.locator(f"#train-run-{how}").click()
    in_state(page, State.QUEUED if how == "queue" else State.RUNNING)
    expect(page.locator("#train-run-name")).to_contain_text("failed")
    expect(page.locator("#train-run-answer")).not_to_be_visible()
    expect(page.locator(f"#train-run-{how}")).not_to_be_visible()
    state = run_folder.read(first).state
    assert state is (State.RUNNING if how == "queue" else State.STOPPED)


def test_a_refused_recipe_joins_the_queue(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """On the Recipes tab as beside Start."""
    page = open_page()
    fill_form(page)
    page.locator("#start").click()
    in_state(page, State.RUNNING)
    fill(page, "model_name_or_path", "saves/models/tiny")
    open_tab(page, "Recipes")
    box(page, "recipe-name").fill("mine")
    expect(page.locator("#recipe-commands")).to_contain_text("mine")
    page.locator("#recipe-start").click()
    expect(page.locator("#recipe-answer textarea")).to_be_visible()
    page.locator("#recipe-answer-queue").click()
    expect(page.locator("#recipe-run-name")).to_contain_text("mine")
    expect(page.locator("#recipe-run-state")).to_contain_text(t("state.QUEUED", "en"))
    expect(page.locator("#recipe-answer-queue")).not_to_be_visible()
