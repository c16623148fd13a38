"""A chain of stages started on the Recipes tab, with a real model."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.texts.locales import t
from tests.e2e.conftest import Server
from tests.e2e.forms import box, fill, row_of
from tests.e2e.test_tabs import open_tab
from tests.failures.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


def test_a_recipe_runs_to_its_end(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """And stands on the page that is opened again, where no word says that there is none."""
    page = open_page()
    fill(page, "model_name_or_path", "saves/models/tiny")
    open_tab(page, "Recipes")
    row_of(page, "recipe", t("recipe.chat_pretrain_domain_sft.title", "en")).click()
    commands = page.locator("#recipe-commands")
    expect(commands).to_contain_text("--stage pt")
    page.locator("#recipe-more textarea").fill("max_steps=1\nmax_samples=4")
    box(page, "recipe-name").fill("mine")
    expect(commands).to_contain_text("saves/models/tiny")
    expect(commands).to_contain_text("--max_steps 1")
    page.locator("#recipe-start").click()
    group = home / "saves" / "recipes" / "chat_pretrain_domain_sft" / "mine"
    until(lambda: run_folder.read(group).state is State.SUCCEEDED, 120)
    table = page.locator("#recipe-stages")
    expect(table).to_contain_text(t("state.SUCCEEDED", "en"))
    expect(table).not_to_contain_text(t("state.RUNNING", "en"))
    page.reload()
    open_tab(page, "Recipes")
    expect(table).to_contain_text(t("state.SUCCEEDED", "en"))
    expect(page.locator("#recipe-run-name")).to_contain_text("mine")
    expect(page.locator("#recipe-run-none")).not_to_be_visible()
    made = [path.parent.name for path in (home / "saves").rglob("adapter_model.safetensors")]
    assert any(name.startswith("mine-2") for name in made)
