"""Hundreds of runs in the list: the upper ones are drawn, and a browser gets what has changed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response, expect

from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics
from backend.contract.system import processes
from backend.contract.system.files import write_atomic
from tests.e2e.conftest import Server
from tests.e2e.forms import box, chosen_in, row_of
from tests.e2e.test_tabs import open_tab

COUNT = 250
DRAWN = 100


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose runs have ended, but for the last one, of which we are the supervisor."""
    for number in range(COUNT):
        make_run(tmp_path, number)
    process = processes.identify(os.getpid()).to_json()
    folder = folder_of(tmp_path, COUNT - 1)
    (folder / run_folder.EXIT).unlink()
    launch = {"boot_id": processes.boot_id(), "supervisor": process}
    write_atomic(folder / run_folder.LAUNCH, json.dumps(launch))
    return tmp_path


def folder_of(home: Path, number: int) -> Path:
    return home / "saves" / "tiny" / "lora" / f"run-{number:03}"


def make_run(home: Path, number: int) -> None:
    folder = folder_of(home, number)
    folder.mkdir(parents=True)
    row = {"kind": "train", "arguments": {}, "argv": [], "sequence": number}
    write_atomic(folder / run_folder.RUN, json.dumps(row))
    write_atomic(folder / run_folder.EXIT, json.dumps({"code": 0}))
    loss = 1 + (number * 7 % COUNT) / 1000
    metrics.append(folder / run_folder.METRICS, Metrics(step=number, loss=loss))


def take_step(home: Path, step: int) -> None:
    status = json.dumps({"step": step, "total": 99_999, "phase": "training"})
    write_atomic(folder_of(home, COUNT - 1) / run_folder.STATUS, status)


def names(page: Page) -> list[str]:
    return page.locator("#runs-table .list-name").all_inner_texts()


def expect_count(page: Page, count: int) -> None:
    """Wait until the list has so many runs, drawn or not."""
    table = page.locator("#runs-table table")
    expect(table).to_have_attribute("aria-rowcount", str(count + 1))


def test_a_long_list(open_page: Callable[..., Page], server: Server, home: Path) -> None:
    page = open_page()
    open_tab(page, "Runs")
    rows = page.locator("#runs-table .list-row")
    expect_count(page, COUNT)
    expect(rows).to_have_count(DRAWN)
    expect(chosen_in(page, "runs-table")).to_have_text(f"run-{COUNT - 1:03}")

    scroll = page.locator("#runs-table .list-scroll")
    scroll.evaluate("list => { list.scrollTop = list.scrollHeight }")
    expect(rows).to_have_count(2 * DRAWN)

    box(page, "runs-filter").fill("RUN-00")
    expect(rows).to_have_count(10)
    assert names(page) == [f"run-00{number}" for number in reversed(range(10))]

    title = page.locator("#runs-table th button", has_text="Loss")
    title.click()
    losses = page.locator("#runs-table .list-row td:nth-child(5)").all_inner_texts()
    assert losses == sorted(losses)
    expect(page.locator("#runs-table th[aria-sort=ascending]")).to_have_text("Loss")
    title.click()
    expect(page.locator("#runs-table th[aria-sort=descending]")).to_have_text("Loss")
    down = page.locator("#runs-table .list-row td:nth-child(5)").all_inner_texts()
    assert down == losses[::-1]
    title.click()
    expect(page.locator("#runs-table th[aria-sort]")).to_have_count(0)
    page.locator("#runs-table th button", has_text="Name").click()
    box(page, "runs-filter").fill("")
    expect(rows).to_have_count(DRAWN)
    assert names(page) == [f"run-{number:03}" for number in range(DRAWN)]

    take_step(home, 4321)
    box(page, "runs-filter").fill("4,321")
    expect(row_of(page, "runs-table", f"run-{COUNT - 1:03}")).to_contain_text("4,321 / 99,999")
    box(page, "runs-filter").fill("")
    shutil.rmtree(folder_of(home, 5))
    folder_of(home, 6).rename(folder_of(home, 6).with_name("renamed"))
    expect_count(page, COUNT - 1)
    expect(row_of(page, "runs-table", "renamed")).to_be_visible()
    assert "run-005" not in names(page)


def test_a_tick_sends_the_row_that_has_changed(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """All rows were sent at each step: 60 kB for these, megabytes for ten thousand."""
    page = open_page()
    open_tab(page, "Runs")
    expect_count(page, COUNT)
    row = row_of(page, "runs-table", f"run-{COUNT - 1:03}")
    answers: list[Response] = []
    page.on("response", lambda response: answers.append(response))
    for step in (11, 12):
        take_step(home, step)
        expect(row).to_contain_text(f"{step} / 99,999")
    lists = [each for each in answers if "component_server" in each.url]
    lists = [each for each in lists if '"cursor"' in each.text()]
    assert len(lists) >= 2
    assert max(len(each.body()) for each in lists) < 2000
    assert {len(each.json()["rows"]) for each in lists} <= {0, 1}
