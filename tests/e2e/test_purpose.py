"""The choice of a purpose fills the form, leaves what a person has set, and goes back."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from backend.contract.advice.model_kind import ModelKind
from backend.contract.advice.purposes import PURPOSES, advise
from backend.contract.texts.locales import t
from tests.e2e.conftest import Server
from tests.e2e.forms import box, choose, fill, show_all
from tests.e2e.test_tabs import open_tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
VALUES = {
    each.argument: each.value for each in advise(PURPOSES["facts"], ModelKind(), "sft", "lora")
}
RATE, RANK = f"{VALUES['learning_rate']:g}", str(VALUES["lora_rank"])


def test_a_purpose_fills_the_form_and_goes_back(
    open_page: Callable[..., Page], server: Server
) -> None:
    page = open_page()
    show_all(page)
    fill(page, "num_train_epochs", "9")
    choose(page, "purpose", t("purpose.name.facts"))
    expect(page.locator("#learning_rate input")).not_to_have_value("5e-05")
    command = page.locator("#command")
    expect(command).to_contain_text(f"--lora_rank {RANK}")
    expect(box(page, "num_train_epochs")).to_have_value("9")
    row = page.locator("#purpose [data-name=lora_rank]")
    expect(row).to_contain_text(t("purpose.why.room"))
    own = page.locator("#purpose [data-name=num_train_epochs]")
    expect(own).to_contain_text("9")
    own.get_by_role("button", name=t("purpose.take")).click()
    expect(box(page, "num_train_epochs")).to_have_value(f"{VALUES['num_train_epochs']:g}")
    expect(own.get_by_role("button")).to_have_count(0)
    page.get_by_role("button", name=t("memory.undo")).click()
    expect(box(page, "num_train_epochs")).to_have_value("9")
    expect(command).not_to_contain_text("--lora_rank")
    expect(page.locator("#purpose dl")).not_to_be_visible()


def test_a_purpose_takes_the_place_of_another_after_a_reload(
    open_page: Callable[..., Page], server: Server
) -> None:
    """What the first has put there is nobody's own, and goes; what a person then typed stays."""
    page = open_page()
    choose(page, "purpose", t("purpose.name.facts"))
    command = page.locator("#command")
    expect(command).to_contain_text(f"--lora_rank {RANK}")
    fill(page, "learning_rate", "3e-4")
    page.reload()
    expect(command).to_contain_text(f"--lora_rank {RANK}")
    choose(page, "purpose", t("purpose.name.recommended"))
    expect(command).to_contain_text("--lora_rank 16")
    expect(command).not_to_contain_text("--num_train_epochs")
    expect(box(page, "learning_rate")).to_have_value("3e-4")
    choose(page, "purpose", t("purpose.none"))
    expect(command).not_to_contain_text("--lora_rank")
    expect(box(page, "learning_rate")).to_have_value("3e-4")


def test_four_questions_choose_a_recipe(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page()
    open_tab(page, "Recipes")
    guide = page.locator("#guide")
    guide.get_by_text(t("guide.title")).click()
    for answer in ("field_far", "texts_many", "start_base", "general_stays"):
        guide.get_by_text(t(f"guide.{answer}"), exact=True).click()
    title = t("recipe.base_pretrain_domain_general_sft.title")
    expect(guide).to_contain_text(title)
    guide.get_by_text(t("guide.general_free"), exact=True).click()
    expect(guide).to_contain_text(t("recipe.base_pretrain_domain_sft.title"))
    guide.get_by_role("button", name=t("guide.take")).click()
    commands = page.locator("#recipe-commands")
    expect(commands).to_contain_text("base_pretrain_domain_sft")
    expect(page.locator("#recipe [aria-current=true]")).to_contain_text(
        t("recipe.base_pretrain_domain_sft.title")
    )
