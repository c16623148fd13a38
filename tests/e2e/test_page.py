"""The page itself in Chromium: languages, problems, arguments, preview, hardware, access."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from backend.contract.arguments.arguments import drop_defaults, from_argv, from_yaml
from backend.contract.texts.locales import t
from tests.e2e.conftest import ROOT, Server, keys_in, words_of
from tests.e2e.forms import (
    box,
    chips,
    choose,
    command_of,
    expect_ready,
    expect_stored,
    expect_unready,
    expect_wrong,
    fill,
    line,
    ready_form,
    row_of,
    show_all,
    unfold,
)
from tests.e2e.tabs import TABS, open_tab, speak

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
# How a box with problems gets its height, which a rule within @supports says.
SIZING = """() => {
  const [box, text] = [document.createElement("div"), document.createElement("textarea")];
  box.className = "problems";
  box.append(text);
  document.querySelector(".contain").append(box);
  const sizing = getComputedStyle(text).fieldSizing;
  box.remove();
  return sizing;
}"""


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


def test_no_rule_of_the_page_is_lost(open_page: Callable[..., Page], server: Server) -> None:
    """Gradio writes the style sheet anew that it is given: rules within @supports were
    gone, and some within @media."""
    page = open_page()
    assert page.evaluate(SIZING) == "content"
    assert page.evaluate("window.gradio_config.css") in {None, ""}


def test_two_visitors_each_in_their_language(
    open_page: Callable[..., Page], server: Server
) -> None:
    """L-05: the language belongs to the visitor; switching one leaves the other alone."""
    english, chinese = open_page(), open_page(locale="zh-CN")
    expect(chinese.locator("#learning_rate")).to_contain_text("学习率")
    expect(chinese.locator("#start")).to_have_text("开始训练")
    expect(english.locator("#learning_rate")).to_contain_text("Learning rate")
    choose(english, "language", "中文")
    expect(english.locator("#start")).to_have_text("开始训练")
    english.reload()
    expect(english.locator("#start")).to_have_text("开始训练")
    expect(chinese.locator("#missing")).to_contain_text("数据集")


def test_a_form_is_drawn_once_in_the_browsers_language(
    open_page: Callable[..., Page], server: Server
) -> None:
    """Not in English first, which a slow machine shows for seconds."""
    first = open_page(locale="zh-SG")
    page = first.context.new_page()
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url) if "own/form/" in each.url else None)
    page.goto(server.url)
    expect(page.locator("#learning_rate")).to_contain_text("学习率")
    assert len(asked) >= 2
    assert [url for url in asked if not url.endswith("?lang=zh")] == []
    expect(page.locator("html")).to_have_attribute("lang", "zh")


def test_a_language_chosen_while_a_form_is_on_its_way(
    open_page: Callable[..., Page], server: Server
) -> None:
    """The form stayed in the language that was spoken when it was asked for."""
    page = open_page().context.new_page()
    held: list[Route] = []
    page.route("**/own/form/train?lang=en", lambda route: held.append(route))
    page.goto(server.url)
    expect(page.get_by_role("tab", name=t("tab.train"))).to_be_visible()
    choose(page, "language", "中文")
    expect(page.get_by_role("tab", name=t("tab.train", "zh"))).to_be_visible()
    assert held
    for route in held:
        route.continue_()
    expect(page.locator("#mode")).to_contain_text(t("form.advanced", "zh"))
    expect(page.locator("#learning_rate")).to_contain_text("学习率")


@pytest.mark.parametrize(
    ("locale", "lang"), [("en-US", "en"), ("zh-CN", "zh"), ("vi-VN", "en"), ("sw-KE", "en")]
)
def test_what_a_screen_reader_is_told_is_words(
    open_page: Callable[..., Page], server: Server, locale: str, lang: str
) -> None:
    """Gradio 6 has no text for common.complete in any language and said the key; of Vietnamese it
    has nothing and is English then. Every test looks at its end for keys (open_page)."""
    done = t("gradio.complete", lang)
    page = open_page(locale=locale)
    choose(page, "dataset", "identity")
    unfold(page, "preview")
    expect(page.locator("#preview-rows")).to_contain_text("Who are you?")
    unfold(page, "arguments")
    box(page, "arguments_name").fill("mine")
    page.locator("#arguments_save").click()
    expect(page.locator(".sr-only[role=status]").filter(has_text=done)).not_to_have_count(0)
    assert len(words_of(page)) > 100
    assert keys_in(page) == []
    say = "words => document.querySelector('.sr-only[role=status]').textContent = words"
    page.evaluate(say, "common.complete")
    assert keys_in(page) == ["common.complete"]  # the twin: it is looked at
    page.evaluate(say, "")


def test_a_problem_stands_beside_its_field(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """A-02: NaN is refused at the field, Start starts nothing, and both come back when it is
    mended."""
    page = open_page()
    ready_form(page)
    fill(page, "learning_rate", "nan")
    expect_wrong(page, "learning_rate")
    expect_unready(page)
    expect(page.locator("#missing")).to_contain_text("Learning rate")
    page.locator("#start").click()
    expect(page.locator("#problems li").filter(has_text="Learning rate")).to_have_count(1)
    fill(page, "learning_rate", "2e-4")
    expect_ready(page)
    expect(line(page, "learning_rate")).to_be_hidden()
    expect(page.locator("#problems")).to_be_hidden()
    assert not [*(home / "saves").glob("*/*/*/run.json")]  # what was pressed has started nothing


def test_several_data_sets_are_chosen_with_the_mouse(
    open_page: Callable[..., Page], server: Server
) -> None:
    """Beside a chip both what is left of the input and the arrow open the list again."""
    page = open_page()
    field = page.locator("#dataset")
    for place, name in (
        ("input", "identity"),
        ("input", "general_en"),
        (".form-open", "general_zh"),
    ):
        field.locator(place).click()
        field.get_by_role("option", name=name).click()
        page.locator("#title").click()
    expect(page.locator("#command")).to_contain_text("--dataset identity,general_en,general_zh")


def test_simple_shows_nine_settings_and_the_name_of_the_run(
    open_page: Callable[..., Page], server: Server
) -> None:
    """One of the nine is the purpose. The folder that the run makes is said; what an example fills
    in beside them is not silent."""
    page = open_page()
    fields = page.locator("#bar-form .form-field:visible, #train-form .form-field:visible")
    expect(page.locator("#learning_rate")).to_be_visible()
    expect(page.locator("#purpose select")).to_be_visible()
    names = fields.evaluate_all("all => all.map((field) => field.id)")
    assert len(names) == 9
    assert names[-1] == "run_name"
    fill(page, "model_name_or_path", "saves/models/tiny")
    fill(page, "run_name", "mine")
    expect(line(page, "run_name")).to_contain_text("saves/tiny/lora/mine")
    show_all(page)
    fill(page, "extra_args", "seed=1")
    page.locator("#mode label").first.click()
    expect(page.locator("#extra_args")).to_be_hidden()
    expect(page.locator(".form-mode-line")).to_contain_text("1")


def test_the_open_tab_stands_in_the_address(open_page: Callable[..., Page], server: Server) -> None:
    """A reload or a link shows the same tab; the model bar stands above those that work with it."""
    page = open_page()
    bar = page.locator("#bar-form")
    expect(bar).to_be_visible()
    page.get_by_role("tab", name="Data", exact=True).click()
    expect(bar).to_be_hidden()
    expect(page).to_have_url(re.compile(r"[?]tab=data$"))
    page.reload()
    expect(page.get_by_role("tab", name="Data", exact=True)).to_have_attribute(
        "aria-selected", "true"
    )
    expect(bar).to_be_hidden()
    page.get_by_role("tab", name="Train", exact=True).click()
    expect(bar).to_be_visible()
    expect(page).not_to_have_url(re.compile("tab="))
    page.goto(f"{server.url}/?tab=nothing&stage=dpo")
    expect(page.locator("#command")).to_contain_text("--stage dpo")
    page.get_by_role("tab", name="Recipes", exact=True).click()
    expect(bar).to_be_hidden()
    page.locator("#tab-recipes .chosen-model button").click()
    expect(bar).to_be_visible()
    fill(page, "model_name_or_path", "saves/models/mine")
    page.get_by_role("tab", name="Runs", exact=True).click()
    page.get_by_role("tab", name="Recipes", exact=True).click()
    expect(bar).to_be_hidden()
    expect(page.locator("#tab-recipes .chosen-model")).to_contain_text("saves/models/mine")


def test_the_run_of_the_open_tab_stands_in_the_address(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """A link shows the run that it names, not the newest; one that leads elsewhere shows none."""
    for name in ("first", "second"):
        folder = home / "saves" / "tiny" / "lora" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text('{"kind": "train", "arguments": {}}')
        (folder / "exit.json").write_text('{"code": 0}')
    page = open_page()
    shown = page.locator(".run-name:visible")
    expect(shown).to_have_text(re.compile("first|second"))
    other = "second" if shown.inner_text() == "first" else "first"
    for query, name in ((f"?run=saves/tiny/lora/{other}", other), ("?run=saves/../..", "")):
        page.goto(f"{server.url}/{query}")
        expect(page.locator("#command")).to_contain_text("--output_dir")
        if name:
            expect(shown).to_have_text(name)
            expect(page).to_have_url(re.compile(f"run=saves(/|%2F)tiny(/|%2F)lora(/|%2F){name}$"))
        else:
            expect(shown).to_have_count(0)
    page.get_by_role("tab", name="Chat", exact=True).click()
    expect(page).not_to_have_url(re.compile("run="))


def test_fields_of_other_methods_are_not_shown(
    open_page: Callable[..., Page], server: Server
) -> None:
    page = open_page()
    show_all(page)
    unfold(page, "group-lora")
    expect(page.locator("#lora_rank")).to_be_visible()
    choose(page, "finetuning_type", "Freeze")
    expect(page.locator("#lora_rank")).not_to_be_visible()
    unfold(page, "group-freeze")
    expect(page.locator("#freeze_trainable_layers")).to_be_visible()


def test_the_command_follows_and_parses(open_page: Callable[..., Page], server: Server) -> None:
    """P7: the command shown parses to the values on the page."""
    page = open_page()
    ready_form(page)
    box(page, "learning_rate").fill("3e-4")
    expect(page.locator("#command")).to_contain_text("--learning_rate 0.0003")
    words = command_of(page)
    assert words[:2] == ["tuneboard", "train"]
    values, problems = from_argv(words[2:], "train")
    assert problems == []
    kept = drop_defaults(values, "train")
    assert kept["learning_rate"] == 3e-4
    assert kept["model_name_or_path"] == "saves/models/tiny"
    assert kept["dataset"] == "identity"


def test_a_secret_is_in_no_command(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page()
    ready_form(page)
    unfold(page, "group-model")
    fill(page, "hf_hub_token", "hf_CANARY")
    expect(page.locator("#command")).to_contain_text('HF_TOKEN="$HF_TOKEN"')
    assert "CANARY" not in page.locator("#command").inner_text()


def test_arguments_are_saved_and_loaded(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    page = open_page()
    ready_form(page)
    show_all(page)
    box(page, "cutoff_len").fill("333")
    unfold(page, "arguments")
    box(page, "arguments_name").fill("mine")
    page.locator("#arguments_save").click()
    expect(page.locator("#arguments_note textarea, #arguments_note input")).to_have_value(
        re.compile(r"mine\.yaml")
    )
    file = home / "saves" / "arguments" / "mine.yaml"
    values, problems = from_yaml(str(file), "train")
    assert problems == []
    assert values["cutoff_len"] == 333
    box(page, "cutoff_len").fill("444")
    page.locator("#arguments_load").click()
    expect(box(page, "cutoff_len")).to_have_value("333")
    bad = home / "bad.yaml"
    bad.write_text("cutoff_len: 555\nlearning_rat: 1\n")
    with page.expect_file_chooser() as chooser:
        page.locator("#arguments_upload").click()
    chooser.value.set_files(str(bad))
    expect(page.locator("#arguments_note textarea, #arguments_note input")).to_have_value(
        re.compile("learning_rate")
    )
    expect(box(page, "cutoff_len")).to_have_value("333")


def test_the_data_is_shown_page_by_page(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page()
    choose(page, "dataset", "identity")
    unfold(page, "preview")
    rows = json.loads((ROOT / "data" / "identity.json").read_text(encoding="utf-8"))
    where = page.locator("#preview-where")
    expect(where).to_contain_text("1 to 5")
    expect(page.locator("#preview-rows")).to_contain_text(rows[0]["instruction"])
    page.locator("#preview-next").click()
    expect(where).to_contain_text("6 to 10")
    expect(page.locator("#preview-rows")).to_contain_text(rows[5]["instruction"])
    box(page, "preview-search").fill(rows[-1]["instruction"])
    box(page, "preview-search").press("Enter")
    expect(page.locator("#preview-rows")).to_contain_text(rows[-1]["instruction"])
    choose(page, "dataset", "general_en")  # the first one stays the one that is looked at
    chips(page, "dataset").first.get_by_role("button").click()
    first = json.loads((ROOT / "data" / "general_en.json").read_text(encoding="utf-8"))[0]
    expect(page.locator("#preview-rows")).to_contain_text(first["instruction"])
    expect(box(page, "preview-search")).to_have_value("")


def test_light_and_dark(open_page: Callable[..., Page], server: Server) -> None:
    page = open_page(color_scheme="light")
    assert not page.evaluate("document.body.classList.contains('dark')")
    page.locator("#theme").click()
    assert page.evaluate("document.body.classList.contains('dark')")
    page.reload()
    expect(page.locator("body.dark")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_a_screen_reader(
    open_page: Callable[..., Page], server: Server, scheme: str
) -> None:
    """On each tab, in three languages, one of them from right to left."""
    page = open_page(color_scheme=scheme)
    serious: dict[tuple[str, str], list[str]] = {}
    for lang in ("en", "zh", "ar"):
        speak(page, lang)
        for tab in TABS:
            open_tab(page, tab, lang)
            violations = Axe().run(page).response["violations"]
            serious[lang, tab] = [
                f"{row['id']}: {[node['html'][:160] for node in row['nodes']][:3]}"
                for row in violations
                if row["impact"] in {"serious", "critical"}
            ]
    assert {place: rows for place, rows in serious.items() if rows} == {}
    assert len(serious) == 3 * len(TABS)


def test_nothing_without_a_name_before_the_first_answers(
    open_page: Callable[..., Page], server: Server
) -> None:
    """What is named by an answer is not seen before it: on a slow machine that takes seconds."""
    page = open_page()
    page.route("**/gradio_api/component_server/", lambda route: None)
    names = {"runOnly": {"type": "rule", "values": ["label", "button-name", "select-name"]}}
    nameless: dict[str, list[str]] = {}
    for tab in TABS:
        open_tab(page, tab, "en")
        violations = Axe().run(page, options=names).response["violations"]
        nameless[tab] = [node["html"][:160] for row in violations for node in row["nodes"]]
    assert {tab: nodes for tab, nodes in nameless.items() if nodes} == {}


class TestTwoGpus:
    """G-01's happy side: a stand-in NVML that shows two GPUs."""

    @pytest.fixture
    def python_path(self) -> tuple[str, ...]:
        return (str(ROOT / "tests" / "fakes"),)

    def test_both_are_in_the_header(self, open_page: Callable[..., Page], server: Server) -> None:
        page = open_page()
        expect(page.locator("#hardware")).to_have_text(re.compile(r"GPU 0.*GPU 1"), timeout=15_000)


def test_a_reload_brings_the_form_back(open_page: Callable[..., Page], server: Server) -> None:
    """What was typed and chosen, on every tab; what is secret is not kept in the browser."""
    page = open_page()
    choose(page, "model_name_or_path", "tiny")
    choose(page, "dataset", "identity")
    fill(page, "learning_rate", "3e-4x")  # as it was typed
    choose(page, "finetuning_type", "Freeze")
    fill(page, "run_name", "of mine")
    unfold(page, "group-model")
    box(page, "hf_hub_token").fill("hf_CANARY")
    show_all(page)
    box(page, "extra_args").fill("weight_decay=0.25")
    expect(page.locator("#command")).to_contain_text("--weight_decay 0.25")
    page.get_by_role("tab", name="Evaluate", exact=True).click()
    box(page, "eval-max_samples").fill("7")
    expect(page.locator("#eval-command")).to_contain_text("--max_samples 7")
    page.get_by_role("tab", name="Recipes", exact=True).click()
    box(page, "recipe-more").fill("max_steps=1")
    row_of(page, "recipe", t("recipe.preference_dpo.title", "en")).click()
    expect(page.locator("#recipe-commands")).to_contain_text("--stage dpo")
    choose(page, "recipe-data-1", "general_zh")
    expect(page.locator("#recipe-commands")).to_contain_text("general_zh")
    expect_stored(page, "general_zh", '"max_samples":"7"')
    page.reload()
    expect(page.locator("#recipe-commands")).to_contain_text("general_zh")  # the tab that was open
    page.get_by_role("tab", name="Train", exact=True).click()
    expect(page.locator("#command")).to_contain_text("--weight_decay 0.25")
    expect(page.locator("#command")).to_contain_text("--dataset identity")
    expect(page.locator("#command")).to_contain_text("saves/tiny/freeze/of mine")
    expect(box(page, "learning_rate")).to_have_value("3e-4x")
    expect(page.locator("#missing")).to_contain_text("Learning rate")
    page.locator("#start").click()
    expect_wrong(page, "learning_rate")
    expect(box(page, "model_name_or_path")).to_have_value("saves/models/tiny")
    page.get_by_role("tab", name="Recipes", exact=True).click()
    expect(page.locator("#recipe-commands")).to_contain_text("general_zh")
    expect(page.locator("#recipe-commands")).to_contain_text("--max_steps 1")
    page.get_by_role("tab", name="Evaluate", exact=True).click()
    expect(box(page, "eval-max_samples")).to_have_value("7")
    expect(page.locator("#eval-command")).to_contain_text("--max_samples 7")
    page.get_by_role("tab", name="Train", exact=True).click()
    box(page, "extra_args").fill("hf_hub_token=hf_CANARY\nweight_decay=0.5")
    expect(page.locator("#command")).to_contain_text("--weight_decay 0.5")
    page.get_by_role("tab", name="Recipes", exact=True).click()
    box(page, "recipe-more").fill("hf_hub_token=hf_CANARY\nmax_steps=2")
    expect(page.locator("#recipe-commands")).to_contain_text("--max_steps 2")
    box(page, "recipe-name").fill("typed later")  # the boxes of a tab are kept together
    expect_stored(page, "typed later")
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert '\\"max_samples\\":\\"7\\"' in kept
    assert "CANARY" not in kept
