"""The memory that a training needs, beside Start; and the child that says so."""

import json
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect

from backend.contract.arguments import arguments
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.system.files import read_json
from backend.contract.system.warm_child import WarmChild
from backend.contract.texts.locales import t
from tests.backend.conftest import write_dataset
from tests.e2e.conftest import Server
from tests.e2e.forms import box, choose, command_of, expect_ready, fill, show_all
from tests.e2e.test_run_life import fill_form, in_state, only_run, runs_of
from tests.failures.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]
MODULE = "backend.estimate.answers"
LARGE, LONG = 64, 640  # rows of a batch, and letters of a row, each about a token


def children_of(server: Server) -> list[psutil.Process]:
    """The processes that estimate for the page's server."""
    assert server.process is not None
    page = psutil.Process(server.process.pid)
    children = []
    for each in page.children(recursive=True):
        with suppress(psutil.Error):  # it has ended just now
            if MODULE in each.cmdline():
                children.append(each)
    return children


def needed(home: Path, **values: Any) -> int:
    """What the page's child says of a training in this folder, in bytes."""
    child = WarmChild(MODULE, TUNEBOARD_HOME=str(home))
    try:
        *_, last = child.ask({"do": "estimate", "values": values}, 120)
    finally:
        child.end()
    return int(last["answer"]["total"])


def with_long_rows(home: Path) -> None:
    (home / "data").mkdir(exist_ok=True)
    rows = [{"instruction": "qzxj" * 8, "output": "kwyv" * (LONG // 4)}] * LARGE
    write_dataset(home, "long", rows)


@pytest.fixture
def values(tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A training for which the server's machine has too little: halfway between a batch of 64 rows
    and one of a row."""
    with_long_rows(tiny_home)
    values = {
        "model_name_or_path": "saves/models/tiny",
        "dataset": "long",
        "dataset_dir": str(tiny_home / "data"),
    }
    large, small = (  # with gradient checkpointing, which is on by itself where memory is short
        needed(
            tiny_home,
            per_device_train_batch_size=size,
            disable_gradient_checkpointing=False,
            **values,
        )
        for size in (LARGE, 1)
    )
    limit = (large + small / 0.9) / 2
    assert small < 0.85 * limit < limit < 0.95 * large
    monkeypatch.setenv("TUNEBOARD_MEMORY_GB", str(limit / 1e9))
    return {**values, "limit": limit}


@pytest.fixture
def home(tiny_home: Path, values: dict[str, Any]) -> Path:
    return tiny_home


def test_a_form_that_would_not_fit_is_made_to_fit_by_one_click(
    open_page: Callable[..., Page], server: Server, home: Path, values: dict[str, Any]
) -> None:
    """And back by another; the run then ends well, with its peak under what was said."""
    page = open_page()
    fill_form(page, "long")
    show_all(page)
    fill(page, "extra_args", json.dumps({"max_steps": 2}))
    fill(page, "per_device_train_batch_size", str(LARGE))
    memory, button = page.locator("#memory"), page.locator("#memory > button")
    expect(memory).to_have_attribute("data-state", "exceeds")
    expect(memory.get_by_role("img")).to_have_attribute("aria-label", re.compile("Will not fit"))
    expect(button).to_have_text(t("memory.fix", "en"))
    before = command_of(page)
    expect(memory).to_contain_text(f"{LARGE} →")
    assert command_of(page) == before, "nothing is changed before the click"
    button.click()
    expect(memory).to_have_attribute("data-state", "fits")
    expect(button).to_have_text(t("memory.undo", "en"))
    button.click()
    expect(box(page, "per_device_train_batch_size")).to_have_value(str(LARGE))
    expect(memory).to_have_attribute("data-state", "exceeds")
    expect(button).to_have_text(t("memory.fix", "en"))
    button.click()
    expect(memory).to_have_attribute("data-state", "fits")
    expect_ready(page)
    found, problems = arguments.from_argv(command_of(page)[2:], "train")
    assert not problems
    size, steps = found["per_device_train_batch_size"], found["gradient_accumulation_steps"]
    assert (int(size or 0) < LARGE, int(size or 0) * int(steps or 0)) == (True, LARGE * 8)
    page.locator("#start").click()
    in_state(page, State.SUCCEEDED, timeout=180_000)
    peak = read_json(only_run(home) / run_folder.EXIT)["max_rss"]
    assert 0 < peak < values["limit"]


def test_the_time_is_measured_by_a_click(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """By another it is given up. Nothing is left of it but the pace; the form stays as it is."""
    page = open_page()
    fill_form(page, "long")
    show_all(page)
    fill(page, "per_device_train_batch_size", "1")
    lines = page.locator("#course .course-lines")
    button = page.locator("#course").get_by_role("button", name=t("course.measure", "en"))
    # Of a child that has just begun to import; half a minute on two slow cores.
    expect(lines).to_contain_text("not known yet", timeout=120_000)
    before = command_of(page)
    button.click()
    expect(page.locator("#course .course-elapsed")).to_have_text(re.compile(r"^0:0[1-9]$"))
    page.locator("#course").get_by_role("button", name=t("panel.cancel", "en")).click()
    expect(button).to_be_visible()
    expect(lines).to_contain_text("not known yet")
    button.click()
    expect(lines).to_contain_text(t("forecast.time.measured", "en"), timeout=120_000)
    expect(button).to_be_hidden()
    assert command_of(page) == before
    assert not list(home.glob("saves/**/measure-*"))
    assert not runs_of(home)


def test_the_child_that_estimates_lives_with_the_page(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """It begins with the first look at a model, comes back after a crash, and leaves no orphan."""
    models = home / "saves" / "models"
    (models / "other").symlink_to(models / "tiny")  # of two none is chosen beforehand
    page = open_page()
    expect(page.locator("#start")).to_be_visible()
    assert not children_of(server)
    fill(page, "model_name_or_path", "saves/models/tiny")
    expect(page.locator("#memory .memory-bar")).to_be_visible()
    (first,) = children_of(server)
    first.kill()
    show_all(page)
    fill(page, "cutoff_len", "100")
    until(lambda: [each for each in children_of(server) if each != first], 40)
    (second,) = children_of(server)
    choose(page, "stage", "RLOO")
    expect(page.locator("#memory")).to_have_text(re.compile("cannot be estimated with stage rloo"))
    assert children_of(server) == [second]
    server.kill(signal.SIGKILL)
    until(lambda: not second.is_running() or second.status() == psutil.STATUS_ZOMBIE, 40)
