"""The stages that trl's trainers carry, by mouse: their own fields, and runs that end well."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.contract.runs import metrics, run_folder
from backend.contract.runs.run_folder import State
from backend.contract.texts.locales import t
from tests.backend.conftest import make_teacher
from tests.e2e.conftest import Server
from tests.e2e.forms import (
    box,
    chips,
    choose,
    command_of,
    expect_ready,
    expect_unready,
    fill,
    show_all,
)
from tests.e2e.test_run_life import in_state, runs_of
from tests.e2e.test_stage_forms import drawn
from tests.failures.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
STEPS = 3
FEW = f"max_steps={STEPS}\nlogging_steps=1\nmax_new_tokens=8\ngradient_accumulation_steps=1"
OWN = {
    "distillation": {"teacher_model", "teacher_server", "distillation_beta", "lmbda"},
    "rloo": {"reward_functions", "num_generations", "rloo_beta"},
    "online_dpo": {"reward_functions", "online_dpo_loss", "pref_beta"},
}
POINTS = """() => document.querySelector("#train-run-chart").calcdata
  .map(line => line.filter(point => Number.isFinite(point.y)).length)"""


@pytest.fixture
def home(tiny_home: Path) -> Path:
    models = tiny_home / "saves" / "models"
    make_teacher(models / "tiny", models / "teacher")
    return tiny_home


def test_each_shows_its_own_fields_and_trains(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """One page goes from stage to stage, as a person does who compares them."""
    page = open_page()
    fill(page, "model_name_or_path", "saves/models/tiny")
    choose(page, "dataset", "identity")
    show_all(page)
    box(page, "extra_args").fill(FEW)
    stage(page, "distillation")
    expect(page.locator("#missing")).to_have_text(
        f"{t('field.teacher_model.label', 'en')}: {t('problem.teacher_required', 'en')}"
    )
    expect_unready(page)
    choose(page, "teacher_model", "teacher")
    expect(page.locator("#command")).to_contain_text("--teacher_model saves/models/teacher")
    first = start(page, home)
    for name in ("online_dpo", "rloo"):
        stage(page, name)
        if name == "online_dpo":  # the other keeps it
            choose(page, "reward_functions", "length")
            chips(page, "reward_functions").first.get_by_role("button").click()
        expect(page.locator("#command")).to_contain_text("--reward_functions length")
        expect(page.locator("#command")).not_to_contain_text("teacher")
        expect_ready(page)
    assert start(page, home, first) != first


def stage(page: Page, name: str) -> None:
    """Choose a stage: its fields are there, and none that only the other two have."""
    choose(page, "stage", t(f"choice.stage.{name}", "en"))
    expect(page.locator("#command")).to_contain_text(f"--stage {name}")
    others = set().union(*OWN.values()) - OWN[name]
    until(lambda: drawn(page) & (OWN[name] | others) == OWN[name], 30)


def start(page: Page, home: Path, *before: Path) -> Path:
    """Press Start; returns the folder of the run, which has ended well, with the command shown
    and every step on its loss curve."""
    expect_ready(page)
    shown = command_of(page)
    page.locator("#start").click()
    until(lambda: len(runs_of(home)) > len(before), 60)
    (run,) = set(runs_of(home)) - set(before)
    expect(page.locator("#train-run-name")).to_contain_text(run.name)
    in_state(page, State.SUCCEEDED, timeout=150_000)
    assert json.loads((run / run_folder.RUN).read_text())["argv"] == shown
    rows, _ = metrics.read(run / run_folder.METRICS)
    assert [row.step for row in rows if row.loss is not None] == list(range(1, STEPS + 1))
    until(lambda: STEPS in page.evaluate(POINTS), 40)
    return run
