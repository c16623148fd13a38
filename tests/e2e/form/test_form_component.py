"""The form component in Chromium, on a small page of its own: what a person does, and what the
server is asked."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.e2e.conftest import ROOT
from tests.e2e.form.conftest import Open, box, chips, last_values, options
from tests.e2e.form_page import FIELDS, FormPage
from tests.failures.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

MARKUP = ("{{value}}", "${1+1}", "<img src=x onerror=window.hit=1>", "@children")


def test_each_control_is_reached_by_its_label(open_form: Open) -> None:
    page = open_form()
    page.get_by_label("Learning rate", exact=True).fill("1e-4")
    page.get_by_label("Schedule", exact=True).select_option("linear")
    expect(page.locator("#t-command")).to_contain_text("--learning_rate 1e-4")
    drawn = [page.get_by_label(data["label"], exact=True).count() for data in FIELDS.values()]
    assert drawn == [1] * len(FIELDS)


def test_what_is_typed_just_before_start_is_started(open_form: Open, form: FormPage) -> None:
    """A judgement is asked for a moment after each letter: Start waits for the last one."""
    page = open_form()
    box(page, "model").press_sequentially("saves/models/small")
    page.locator("#t-start").click()
    expect(page.locator("#t-answer")).to_have_text("Started.")
    assert [value["model"] for value in form.started] == ["saves/models/small"]
    box(page, "learning_rate").fill("fast")
    page.locator("#t-start").click()
    expect(page.locator("#t-problems")).to_contain_text("fast is no number")
    assert len(form.started) == 1


def test_start_is_pressed_once(open_form: Open, form: FormPage) -> None:
    page = open_form()
    box(page, "model").fill("small")
    form.answer = {"state": "refused", "texts": {"en": "Another run is going."}}
    expect(page.locator("#t-start")).to_have_class(re.compile("launch-ready"))
    page.locator("#t-start").evaluate("(start) => { start.click(); start.click(); }")
    expect(page.locator("#t-answer")).to_have_text("Another run is going.")
    expect(page.locator("#t-start")).to_be_enabled()
    assert len(form.started) == 1


def test_a_stage_shows_its_fields_and_hides_the_others(open_form: Open, form: FormPage) -> None:
    page = open_form()
    expect(page.locator("#t-group-dpo")).to_be_hidden()
    page.locator("#t-stage").get_by_text("DPO").click()
    expect(page.locator("#t-beta")).to_be_visible()
    expect(page.locator("#t-group-dpo > summary")).to_contain_text("Preferences")
    page.locator("#t-stage").get_by_label("Supervised fine-tuning").check()
    expect(page.locator("#t-group-dpo")).to_be_hidden()
    until(lambda: last_values(form)["stage"] == "sft", 10)


@pytest.mark.parametrize(("query", "stage"), [("?stage=dpo", "dpo"), ("?stage=<b>&x=1", "sft")])
def test_the_stage_stands_in_the_address(
    open_form: Open, form: FormPage, query: str, stage: str
) -> None:
    """A link or a reload shows the same stage; what is no stage is passed over."""
    page = open_form()
    page.goto(form.url + "/" + query)
    expect(page.locator(f"#t-stage input[value={stage}]")).to_be_checked()
    assert page.locator("#t-stage input").count() == 3
    page.locator("#t-stage").get_by_text("Pre-training").click()
    expect(page).to_have_url(re.compile(r"[?&]stage=pt$"))
    page.reload()
    expect(page.locator("#t-stage input[value=pt]")).to_be_checked()
    page.locator("#t-stage").get_by_text("Supervised").click()  # the default says nothing
    expect(page).not_to_have_url(re.compile("stage="))


def test_conditions_compare_what_values_mean(open_form: Open) -> None:
    """`8` typed equals the number 8, a tick equals true, "" equals null; of a field that is not
    drawn here the value comes from outside."""
    page = open_form()
    page.locator("#t-group-data > summary").click()
    expect(page.locator("#t-neat")).to_be_hidden()
    page.get_by_label("Packing", exact=True).check()
    expect(page.locator("#t-neat")).to_be_visible()
    box(page, "batch").fill("8.0")
    expect(page.locator("#t-depth")).to_be_visible()
    page.locator("#outer").click()
    expect(page.locator("#t-depth")).to_be_hidden()


def test_a_list_is_used_by_keyboard(open_form: Open) -> None:
    page = open_form()
    model = box(page, "model")
    model.focus()
    page.keyboard.press("ArrowDown")
    expect(options(page)).to_have_text(["small", "medium", "large"])
    expect(page.locator(".form-active")).to_contain_text("small")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    active = model.get_attribute("aria-activedescendant")
    expect(page.locator(f"[id='{active}']")).to_contain_text("medium")
    page.keyboard.press("Enter")
    expect(model).to_have_value("org/medium")
    expect(model).to_have_attribute("aria-expanded", "false")
    model.press("ControlOrMeta+a")
    page.keyboard.type("LAR")
    expect(options(page)).to_have_text(["large"])
    page.keyboard.press("Escape")
    expect(options(page)).to_have_count(0)
    expect(model).to_have_value("LAR")
    expect(page.locator("#t-command")).to_contain_text("--model LAR")


def test_several_are_chips(open_form: Open, form: FormPage) -> None:
    page = open_form()
    page.locator("#t-dataset").get_by_role("combobox").click()
    page.get_by_role("option", name="identity").click()
    page.keyboard.type("alp")
    expect(options(page)).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type("mine/a.json,b.json")
    page.locator("#t-epochs-control").click()
    assert chips(page, "dataset") == ["identity", "alpaca_en", "mine/a.json", "b.json"]
    until(lambda: last_values(form)["dataset"] == chips(page, "dataset"), 10)
    box(page, "dataset").press("Backspace")
    page.get_by_role("button", name="Remove identity").click()
    until(lambda: last_values(form)["dataset"] == ["alpaca_en", "mine/a.json"], 10)


def test_a_list_that_cannot_be_read_says_so_and_takes_what_is_typed(
    open_form: Open, form: FormPage
) -> None:
    form.offers.clear()
    page = open_form()
    box(page, "model").click()
    expect(page.get_by_text("Not readable.")).to_be_visible()
    page.keyboard.type("own/folder")
    expect(page.locator("#t-command")).to_contain_text("--model own/folder")


def test_a_long_list_is_filtered(open_form: Open) -> None:
    page = open_form()
    page.locator("#t-group-more > summary").click()
    many = box(page, "many")
    many.click()
    expect(options(page)).to_have_count(1000)
    many.press_sequentially("model 99")
    expect(options(page)).to_have_count(19)  # 99, 199, ... 899, and 990 to 999


def test_help_by_hover_focus_and_tap(open_form: Open) -> None:
    page = open_form()
    info = page.locator("#t-learning_rate .form-info")
    popup = page.locator(".form-help")
    info.hover()
    expect(popup).to_be_visible()
    expect(popup).to_contain_text(FIELDS["learning_rate"]["help"])
    expect(popup).to_contain_text("Range: 0 to 1")
    popup.get_by_role("link", name="Documentation").hover()
    page.wait_for_timeout(400)  # longer than the way into the popover may take
    expect(popup).to_be_visible()
    page.mouse.move(5, 5)
    expect(popup).to_be_hidden()
    info.focus()
    expect(popup).to_be_visible()
    page.keyboard.press("Escape")
    expect(popup).to_be_hidden()
    expect(info).to_be_focused()
    page.locator("#t-epochs .form-info").click()
    expect(popup).to_contain_text("What Epochs does")
    page.locator("#t-command").click()
    expect(popup).to_be_hidden()


def test_a_popup_is_never_cut_off_on_a_phone(open_form: Open) -> None:
    page = open_form(viewport={"width": 390, "height": 700}, has_touch=True)
    seen = 0
    for name in ("model", "learning_rate", "epochs", "batch", "schedule"):
        page.locator(f"#t-{name} .form-info").tap()
        place = page.locator(".form-help").bounding_box()
        assert place is not None
        assert 0 <= place["x"] <= 390 - place["width"], name
        assert 0 <= place["y"] <= 700 - place["height"], name
        seen += 1
    assert seen == 5
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_markup_is_text_wherever_it_comes_from(open_form: Open, form: FormPage) -> None:
    """Gradio runs placeholders in a template as code, and markup set as HTML runs, too: data comes
    into the form by ten ways, and each shows it as it is."""
    seen = 0
    for text in MARKUP:
        data = FIELDS["learning_rate"] | {"label": text, "help": text, "range": text}
        form.schema["fields"] = {
            **FIELDS,
            "learning_rate": data | {"placeholder": text, "doc": "javascript:window.hit=1"},
            "schedule": FIELDS["schedule"] | {"choices": [["cosine", text]]},
        }
        form.schema["sections"][1]["title"] = text
        form.offers = {"model": [{"title": text, "options": [[text, text]]}]}
        form.fills = {"model": text, "dataset": [text], "learning_rate": text}
        page = open_form()
        page.locator("#fill").click()
        expect(box(page, "model")).to_have_value(text)
        page.locator("#t-start").click()
        expect(page.locator("#t-command")).to_contain_text(f"--learning_rate {text}")
        expect(page.locator("#t-problems")).to_contain_text(text)
        expect(page.locator("#t-learning_rate .form-line")).to_contain_text(text)
        expect(page.locator("#t-learning_rate label")).to_have_text(text)
        expect(page.locator("#t-schedule option").first).to_have_text(text)
        expect(page.locator("#t-group-numbers > summary")).to_contain_text(text)
        assert chips(page, "dataset") == [text]
        page.locator("#t-learning_rate .form-info").click()
        expect(page.locator(".form-help p").first).to_have_text(text)
        assert page.locator(".form-help a").count() == 0
        page.keyboard.press("Escape")
        box(page, "model").click()
        expect(options(page).first).to_have_text(text)
        assert page.evaluate("window.hit") is None
        seen += 1
    assert seen == len(MARKUP)


def test_no_script_sets_markup() -> None:
    scripts = sorted((ROOT / "app" / "browser").glob("*.js"))
    assert len(scripts) > 10
    markup = re.compile(r"(inner|outer|insertAdjacent)HTML|document\.write|\beval\(|\bFunction\(")
    assert [path.name for path in scripts if markup.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_form: Open, scheme: str) -> None:
    page = open_form(color_scheme=scheme)
    page.evaluate(f"document.body.classList.toggle('dark', {str(scheme == 'dark').lower()})")
    for summary in ("data", "more"):
        page.locator(f"#t-group-{summary} > summary").click()
    box(page, "learning_rate").fill("fast")
    page.locator("#t-start").click()
    expect(page.locator(".form-wrong")).to_have_count(2)
    box(page, "dataset").click()
    expect(options(page)).to_have_count(3)
    violations = Axe().run(page).response["violations"]
    serious = [each for each in violations if each["impact"] in {"serious", "critical"}]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []


def test_the_colours_follow_the_theme(open_form: Open) -> None:
    page = open_form()
    colour = "getComputedStyle(document.querySelector('#t-epochs-control')).backgroundColor"
    light = page.evaluate(colour)
    page.evaluate("document.body.classList.add('dark')")
    assert page.evaluate(colour) != light
