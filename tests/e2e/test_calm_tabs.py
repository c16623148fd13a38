"""What a newcomer sees on Data, Recipes, Chat and Evaluate before anything is done there."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.contract.arguments.fields import FIELDS
from backend.contract.texts.locales import t
from tests.e2e.conftest import Server
from tests.e2e.forms import fill, row_of
from tests.e2e.tabs import open_tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
STAGES = FIELDS["stage"].choices
KEYS = re.compile(rf"(?<![\w.=-])({'|'.join(STAGES)})(?![\w.=-])")  # as words of their own


@pytest.mark.parametrize(("lang", "locale"), [("en", "en-US"), ("zh", "zh-CN")])
def test_stages_have_their_names(
    open_page: Callable[..., Page], server: Server, home: Path, lang: str, locale: str
) -> None:
    """Data and Recipes showed "sft, ppo, grpo" where Train says "Supervised (SFT)". And what comes
    after a long list stays near: the steps of a data set, and what the chosen recipe is."""
    registry = home / "data" / "dataset_info.json"
    sets = json.loads(registry.read_text())
    more = {f"copy_{number}": sets["identity"] for number in range(20)}
    registry.write_text(json.dumps({**sets, **more}))
    page = open_page(locale=locale)
    open_tab(page, "data", lang)
    expect(row_of(page, "sets-list", "copy_19")).to_have_count(1)
    expect(page.locator(".steps-nav")).to_be_in_viewport()
    supervised = t("choice.stage.sft", lang)
    expect(row_of(page, "sets-list", "identity")).to_contain_text(supervised)
    expect(row_of(page, "sets-list", "pretrain_en")).to_contain_text(t("choice.stage.pt", lang))
    data = page.locator("#tab-data").inner_text()
    open_tab(page, "recipes", lang)
    recipe = row_of(page, "recipe", t("recipe.preference_rm_ppo.title", lang))
    recipe.click()
    expect(page.locator("#recipe-text li")).to_have_count(5)
    assert page.locator("#recipe-text").evaluate("box => box.getBoundingClientRect().top") < 700
    fill(page, "recipe-more", "sft.learning_rate=-1")
    mistake = page.locator("#recipe-problems textarea")
    expect(mistake).to_have_value(re.compile(rf"^{re.escape(supervised)}: .*-1", re.MULTILINE))
    expect(page.locator("#recipe-text li").nth(3)).to_contain_text(t("choice.stage.ppo", lang))
    expect(page.locator("#recipe-data-2")).to_contain_text(supervised)
    shown = data + page.locator("#tab-recipes .columns > .column").first.inner_text()
    assert len(shown) > 800
    assert KEYS.findall(shown) == []


# Notes every text of the box that says what keeps a start back.
WATCH = """() => {
  window.shown = [];
  const look = () => {
    const box = document.querySelector("#recipe-problems");
    if (box?.checkVisibility()) window.shown.push(box.querySelector("textarea")?.value ?? "");
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
  look();
}"""


def test_no_problem_flashes_while_a_recipe_is_chosen(
    open_page: Callable[..., Page], server: Server
) -> None:
    """ "Fix before starting" came and went with each recipe: its data sets came box by box, and
    each was judged with those of the recipe before."""
    page = open_page()
    open_tab(page, "recipes")
    commands = page.locator("#recipe-commands")
    expect(commands).to_contain_text("--dataset identity")
    page.evaluate(WATCH)
    for recipe, stages in (("preference_dpo", 4), ("base_pretrain_domain_sft", 2)):
        row_of(page, "recipe", t(f"recipe.{recipe}.title", "en")).click()
        expect(commands).to_contain_text(f"{recipe}_")
        assert commands.inner_text().count("--output_dir") >= stages - 1  # an export has none
    shown = page.evaluate("window.shown")  # that the starter model is not here may be among it
    assert [text for text in shown if t("field.dataset.label", "en") in text] == []
