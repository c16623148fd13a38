"""The values of the form: judged, hidden, put back to defaults, filled by Python, kept."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.form.conftest import Open, box, chips, last_values, load
from tests.e2e.form_page import FormPage
from tests.failures.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def test_what_differs_is_marked_and_put_back(open_form: Open, form: FormPage) -> None:
    page = open_form()
    rate = box(page, "learning_rate")
    dot = page.locator("#t-learning_rate .form-dot")
    rate.fill("0.00005")
    expect(dot).to_be_hidden()  # the same number
    rate.fill("1e-3")
    expect(dot).to_have_attribute("title", "Differs from the default")
    expect(dot).to_be_visible()
    expect(page.locator("#t-group-numbers .form-count")).to_have_text("1")
    page.locator("#t-learning_rate .form-info").click()
    page.get_by_role("button", name="Put back (5e-5)").click()
    expect(rate).to_have_value("5e-5")
    expect(rate).to_be_focused()
    expect(dot).to_be_hidden()
    until(lambda: last_values(form)["learning_rate"] == "5e-5", 10)


def test_nothing_is_red_before_it_was_touched_or_start_was_pressed(open_form: Open) -> None:
    page = open_form()
    wrong = page.locator(".form-wrong")
    expect(page.locator("#t-missing")).to_have_text("Model: choose one.")
    expect(page.locator("#t-start")).not_to_have_class(re.compile("launch-ready"))
    expect(wrong).to_have_count(0)
    expect(page.locator("#t-problems")).to_be_hidden()
    box(page, "learning_rate").fill("fast")
    expect(page.locator("#t-command")).to_contain_text("fast")
    expect(wrong).to_have_count(0)  # still being typed
    box(page, "batch").click()
    expect(page.locator("#t-learning_rate .form-line")).to_have_text("fast is no number.")
    expect(box(page, "learning_rate")).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_have_count(1)
    box(page, "batch").fill("64")
    expect(page.locator("#t-batch .form-line")).to_have_text("64 needs much memory.")
    page.locator("#t-start").click()
    expect(wrong).to_have_count(2)
    expect(box(page, "model")).to_be_focused()
    expect(page.locator("#t-problems li")).to_have_count(2)


@pytest.mark.parametrize("simple", [[], ["stage", "dataset"]])
def test_start_leads_into_what_is_folded_away(
    open_form: Open, form: FormPage, simple: list[str]
) -> None:
    form.schema["simple"] = simple
    for section in form.schema["sections"]:
        section["rows"] = [[name for name in row if name != "model"] for row in section["rows"]]
    form.schema["sections"][-1]["rows"][0].append("model")
    page = open_form()
    expect(box(page, "model")).to_be_hidden()
    page.locator("#t-start").click()
    expect(box(page, "model")).to_be_focused()
    expect(page.locator("#t-model .form-line")).to_have_text("Choose a model.")


SIMPLE = ["stage", "model", "dataset", "learning_rate"]


def seen(page: Page) -> list[str]:
    """The names of the fields that are seen."""
    fields = page.locator("#t-form .form-field:visible, .form-field[id^=t-]:visible")
    return [field.removeprefix("t-") for field in fields.evaluate_all("all => all.map(e => e.id)")]


def test_simple_shows_few_fields_and_comes_back(open_form: Open, form: FormPage) -> None:
    form.schema["simple"] = SIMPLE
    page = open_form()
    assert seen(page) == SIMPLE
    expect(page.locator("#t-group-data")).to_be_hidden()
    page.get_by_label("Advanced").check(force=True)
    expect(page.locator("#t-group-data")).to_be_visible()
    assert {*SIMPLE, "epochs", "batch", "schedule"} <= set(seen(page))
    load(page, form)
    expect(page.get_by_label("Advanced")).to_be_checked()
    assert "epochs" in seen(page)
    page.get_by_label("Simple").check(force=True)
    expect(page.locator("#t-epochs")).to_be_hidden()
    assert seen(page) == SIMPLE


def test_nothing_that_was_changed_is_hidden_silently(open_form: Open, form: FormPage) -> None:
    """Loaded arguments go into fields that simple mode hides: how many is said, and one press
    shows them, however folded away."""
    form.schema["simple"] = SIMPLE
    page = open_form()
    line = page.locator(".form-mode-line")
    expect(line).to_be_hidden()
    form.fills = {"epochs": "7", "packing": True, "beta": "9", "learning_rate": "1e-3"}
    page.locator("#fill").click()
    expect(line).to_contain_text("Hidden and changed: 2")  # beta does not apply
    line.get_by_role("button", name="Show").click()
    expect(box(page, "epochs")).to_be_focused()
    expect(box(page, "packing")).to_be_visible()
    expect(line).to_be_hidden()


def test_what_is_wrong_is_not_hidden_silently(open_form: Open, form: FormPage) -> None:
    form.schema["simple"] = [name for name in SIMPLE if name != "learning_rate"]
    page = open_form()
    form.fills = {"learning_rate": "fast"}
    page.locator("#fill").click()
    line = page.locator(".form-mode-line")
    expect(line).to_contain_text("Hidden and wrong: 1")
    line.get_by_role("button", name="Show").click()
    expect(box(page, "learning_rate")).to_be_focused()


def test_defaults_are_restored_and_taken_back(open_form: Open, form: FormPage) -> None:
    form.schema["simple"] = SIMPLE
    page = open_form()
    reset = page.locator("#t-defaults")
    expect(reset).to_be_hidden()
    form.fills = {"learning_rate": "1e-3", "epochs": "7", "dataset": ["mine"], "packing": True}
    page.locator("#fill").click()
    expect(box(page, "learning_rate")).to_have_value("1e-3")
    reset.click()
    expect(box(page, "learning_rate")).to_have_value("5e-5")
    expect(reset).to_be_hidden()
    until(lambda: last_values(form)["packing"] is False, 10)
    assert last_values(form)["dataset"] == []
    page.locator(".form-mode-line").get_by_role("button", name="Undo").click()
    expect(box(page, "learning_rate")).to_have_value("1e-3")
    assert chips(page, "dataset") == ["mine"]
    until(lambda: last_values(form)["epochs"] == "7", 10)
    expect(page.locator(".form-mode-line")).to_contain_text("Hidden and changed: 2")
    reset.click()
    box(page, "model").fill("small")  # from here on there is another thing to take back
    expect(page.locator(".form-mode-line")).to_be_hidden()
    until(lambda: last_values(form)["epochs"] == "3", 10)


def test_an_answer_that_comes_late_is_dropped(open_form: Open, form: FormPage) -> None:
    form.slow["1e-1"] = 1.5
    page = open_form()
    box(page, "learning_rate").fill("1e-1")
    until(lambda: last_values(form)["learning_rate"] == "1e-1", 10)
    with page.expect_response(lambda each: '"1e-1"' in (each.request.post_data or "")) as late:
        box(page, "learning_rate").fill("1e-2")
        expect(page.locator("#t-command")).to_contain_text("--learning_rate 1e-2")
    late.value.finished()
    expect(page.locator("#t-command")).to_contain_text("--learning_rate 1e-2")


def test_a_judge_that_fails_leaves_the_form_usable(open_form: Open, form: FormPage) -> None:
    page = open_form()
    box(page, "model").fill("small")
    box(page, "learning_rate").fill("crash")
    until(lambda: last_values(form)["learning_rate"] == "crash", 10)
    box(page, "learning_rate").fill("1e-2")
    expect(page.locator("#t-command")).to_contain_text("--learning_rate 1e-2")


def test_another_language_keeps_what_is_typed_and_where(open_form: Open) -> None:
    page = open_form()
    rate = box(page, "learning_rate")
    rate.fill("12345")
    rate.press("ArrowLeft")
    page.evaluate("document.querySelector('#chinese').click()")
    expect(page.locator("#t-learning_rate label")).to_have_text("中 Learning rate")
    expect(rate).to_be_focused()
    page.keyboard.type("x")
    expect(rate).to_have_value("1234x5")
    expect(page.locator("#t-schedule option").first).to_have_text("中 Cosine")
    expect(box(page, "schedule")).to_have_value("cosine")
    expect(page.locator("#t-stage").get_by_text("中 DPO")).to_be_visible()
    expect(page.get_by_label("中 Supervised fine-tuning")).to_be_checked()
    expect(page.locator("#t-group-numbers > summary")).to_contain_text("中 How")


def test_another_language_changes_only_the_texts_of_choices(open_form: Open) -> None:
    """New options in each list, with what it held chosen anew, took the browser 190 of the 250 ms
    until the Train tab stood there in another language."""
    page = open_form()
    options = page.locator("#t-schedule option").element_handles()
    page.locator("#t-schedule select").select_option("linear")
    page.evaluate("document.querySelector('#chinese').click()")
    expect(page.locator("#t-schedule option").first).to_have_text("中 Cosine")
    assert [each.evaluate("(option) => option.isConnected") for each in options] == [True, True]
    expect(box(page, "schedule")).to_have_value("linear")


def test_python_fills_the_form(open_form: Open, form: FormPage) -> None:
    """What Python puts into a field is nobody's fault yet, even where it was touched before."""
    page = open_form()
    box(page, "learning_rate").fill("fast")
    box(page, "learning_rate").blur()
    expect(page.locator(".form-wrong")).to_have_count(1)
    form.fills = {
        "stage": "dpo",
        "model": "org/large",
        "dataset": ["a", "b"],
        "learning_rate": "slow",
        "schedule": "other",
        "packing": True,
    }
    page.locator("#fill").click()
    expect(box(page, "model")).to_have_value("org/large")
    expect(page.locator("#t-beta")).to_be_visible()
    assert chips(page, "dataset") == ["a", "b"]
    expect(box(page, "schedule")).to_have_value("other")
    expect(page.locator("#t-command")).to_contain_text("slow")
    expect(page.locator(".form-wrong")).to_have_count(0)
    until(lambda: last_values(form)["packing"] is True, 10)


def test_what_is_typed_while_python_changes_another_field_stays(
    open_form: Open, form: FormPage
) -> None:
    """An answer held all values of the form, as they were when it was asked for: what was typed
    since then was lost. What follows the answer finds all values."""
    page = open_form()
    form.changes = {"schedule": "linear"}
    page.locator("#change").click()
    box(page, "epochs").fill("7")
    box(page, "learning_rate").fill("1e-2")
    form.answers.set()
    expect(box(page, "schedule")).to_have_value("linear")
    expect(box(page, "epochs")).to_have_value("7")
    until(lambda: len(form.filled) == 1, 10)
    values = form.filled[0]
    assert (values["schedule"], values["epochs"], values["batch"]) == ("linear", "7", "2")
    until(lambda: last_values(form)["epochs"] == "7", 10)


def test_what_is_typed_comes_back_without_secrets(open_form: Open, form: FormPage) -> None:
    page = open_form()
    page.locator("#t-group-more > summary").click()
    box(page, "epochs").fill("7")
    box(page, "token").fill("hf_secret")
    box(page, "extra").fill("--seed 1")
    load(page, form)
    expect(box(page, "epochs")).to_have_value("7")
    expect(box(page, "token")).to_have_value("")
    expect(box(page, "extra")).to_have_value("--seed 1")
    until(lambda: last_values(form)["epochs"] == "7", 10)
    page.locator("#t-group-more > summary").click()
    box(page, "extra").fill("--token hf_secret")
    load(page, form)
    expect(box(page, "extra")).to_have_value("")
    assert "hf_secret" not in page.evaluate("JSON.stringify(localStorage)")
