"""Few rows, on the real page: values that follow from their number, and what they never replace."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from backend.contract.arguments import arguments
from backend.contract.runs import run_folder
from backend.contract.texts.locales import t
from tests.e2e.conftest import Server
from tests.e2e.forms import (
    add,
    box,
    choose,
    choose_set,
    command_of,
    empty,
    expect_ready,
    fill,
    line,
    show_all,
    unfold,
)
from tests.e2e.test_run_life import only_run
from tests.e2e.test_tabs import open_tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

OF_40 = {"learning_rate": 2e-4, "num_train_epochs": 5.0, "gradient_accumulation_steps": 2}
OF_500 = {"learning_rate": 2e-4, "gradient_accumulation_steps": 4}


@pytest.fixture
def home(tiny_home: Path) -> Path:
    """A working folder with the tiny model, sets of 40, 500 and 1000 rows, and saved arguments."""
    (tiny_home / "data").mkdir()
    entries = {}
    for count in (40, 500, 1000):
        row = json.dumps({"instruction": "Who are you?", "output": "Tuneboard Assistant"})
        (tiny_home / "data" / f"of{count}.jsonl").write_text(f"{row}\n" * count)
        entries[f"of{count}"] = {"file_name": f"of{count}.jsonl"}
    (tiny_home / "data" / "dataset_info.json").write_text(json.dumps(entries))
    (tiny_home / "saves" / "arguments").mkdir(parents=True)
    (tiny_home / "saves" / "arguments" / "mine.yaml").write_text(
        "model_name_or_path: saves/models/tiny\ndataset: of40\nlearning_rate: 7.0e-4\n"
    )
    return tiny_home


def choose_only(page: Page, name: str) -> None:
    """This data set in place of those that are chosen."""
    empty(page, "dataset")
    add(page, "dataset", name)
    expect(page.locator("#command")).to_contain_text(f"--dataset {name}")


def set_by(page: Page) -> dict[str, object]:
    """What the command that is shown sets of the arguments that may follow from the rows."""
    values, problems = arguments.from_argv(command_of(page)[2:], "train")
    assert not problems
    changed = arguments.drop_defaults(values, "train")
    return {str(name): value for name, value in changed.items() if name in OF_40}


def note(page: Page) -> Locator:
    return page.locator("#train-form .form-follow")


def test_a_small_set_sets_what_nobody_has_set(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """The run is what the command says, the press of Start does not wait to be told twice."""
    page = open_page()
    fill(page, "model_name_or_path", "saves/models/tiny")
    choose_only(page, "of1000")
    assert set_by(page) == {}
    expect(note(page)).to_be_hidden()
    choose_only(page, "of500")
    assert set_by(page) == OF_500
    choose_only(page, "of40")
    assert set_by(page) == OF_40
    expect(box(page, "learning_rate")).to_have_value("0.0002")
    expect(box(page, "num_train_epochs")).to_have_value("5")
    expect(line(page, "learning_rate")).to_have_text(t("row_values.field", rows=40))
    expect(page.locator("#learning_rate .form-dot")).to_be_visible()
    expect(note(page)).to_contain_text("8 → 2")
    expect(page.locator("#course .course-lines")).to_contain_text(
        t("forecast.steps", steps=50, epochs=5, rows=40, batch=4)
    )
    expect_ready(page)
    shown = command_of(page)
    page.locator("#start").click()
    run = json.loads((only_run(home) / run_folder.RUN).read_text())
    assert run["argv"] == shown
    assert {name: run["arguments"][name] for name in OF_40} == OF_40


def test_what_a_person_has_set_stays_and_one_click_takes_the_rest_back(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    page = open_page()
    fill(page, "model_name_or_path", "saves/models/tiny")
    fill(page, "learning_rate", "1e-3")
    choose_only(page, "of40")
    assert set_by(page) == {**OF_40, "learning_rate": 1e-3}
    choose_only(page, "of500")
    assert set_by(page) == {**OF_500, "learning_rate": 1e-3}
    choose_only(page, "of40")
    note(page).get_by_role("button", name=t("row_values.back")).click()
    expect(page.locator("#command")).not_to_contain_text("--num_train_epochs")
    assert set_by(page) == {"learning_rate": 1e-3}
    expect(note(page)).to_be_hidden()
    choose_only(page, "of500")
    assert set_by(page) == {"learning_rate": 1e-3}


def test_other_stages_and_no_data_bring_the_defaults(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    page = open_page()
    fill(page, "model_name_or_path", "saves/models/tiny")
    choose_only(page, "of40")
    assert set_by(page) == OF_40
    choose(page, "stage", t("choice.stage.pt"))
    expect(page.locator("#command")).to_contain_text("--stage pt")
    assert set_by(page) == {}
    choose(page, "stage", t("choice.stage.sft"))
    expect(page.locator("#command")).to_contain_text("--num_train_epochs 5")
    fill(page, "model_name_or_path", "org/Qwen3-8B")
    expect(page.locator("#command")).to_contain_text("--learning_rate 0.0001")
    empty(page, "dataset")
    expect(page.locator("#command")).not_to_contain_text("--num_train_epochs")
    expect(box(page, "learning_rate")).to_have_value("5e-05")


def test_a_purpose_takes_their_place_and_gives_it_back(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """What follows from the rows is nobody's own; what a purpose sets stays on another set."""
    page = open_page()
    fill(page, "model_name_or_path", "saves/models/tiny")
    choose_only(page, "of40")
    choose(page, "purpose", t("purpose.name.facts"))
    expect(page.locator("#command")).to_contain_text("--lora_rank 32")
    expect(page.locator("#purpose [data-name=learning_rate] button")).to_have_count(0)
    advised = set_by(page)
    assert advised != OF_40
    choose_only(page, "of500")
    assert set_by(page) == advised
    choose_only(page, "of40")
    page.locator(".purpose-back").click()
    expect(page.locator("#command")).not_to_contain_text("--lora_rank")
    expect(box(page, "learning_rate")).to_have_value("0.0002")
    assert set_by(page) == OF_40
    choose_only(page, "of500")
    assert set_by(page) == OF_500


def test_arguments_that_are_loaded_stay_as_they_were_saved(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """The defaults, too: a run of a file is the run that the file says."""
    page = open_page()
    show_all(page)
    unfold(page, "arguments")
    choose(page, "arguments_choice", "mine")
    page.locator("#arguments_load").click()
    expect(page.locator("#command")).to_contain_text("--learning_rate 0.0007")
    assert set_by(page) == {"learning_rate": 7e-4}
    choose_only(page, "of500")
    assert set_by(page) == {"learning_rate": 7e-4}
    page.locator("#defaults").click()
    fill(page, "model_name_or_path", "saves/models/tiny")
    choose_only(page, "of40")
    assert set_by(page) == OF_40


def test_a_set_of_another_tab(open_page: Callable[..., Page], server: Server, home: Path) -> None:
    """A set that the Data tab puts into the form is one of few rows like any other."""
    page = open_page()
    fill(page, "model_name_or_path", "saves/models/tiny")
    open_tab(page, "Data")
    choose_set(page, "of40")
    page.locator("#data-steps button[data-step=train]").click()
    expect(page.locator("#command")).to_contain_text("--dataset of40")
    expect(page.locator("#command")).to_contain_text("--num_train_epochs 5")
    assert set_by(page) == OF_40
