"""Values that follow from the number of rows: they come and go by themselves, marked, and never in
place of what somebody has set."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.form.conftest import Open, box, last_values, load
from tests.e2e.form_page import FormPage
from tests.failures.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

SMALL = {"learning_rate": "2e-4", "epochs": "10"}
LARGER = {"learning_rate": "1e-4"}


@pytest.fixture(autouse=True)
def follows(form: FormPage) -> None:
    form.follows = {"identity": SMALL, "alpaca_en": LARGER}


def choose(page: Page, name: str) -> None:
    """Another data set in place of those that are chosen."""
    chips = page.locator("#t-dataset .form-chip button")
    while chips.count():
        chips.last.click()
    box(page, "dataset").fill(name)
    box(page, "dataset").press("Enter")
    box(page, "dataset").blur()


def note(page: Page) -> Locator:
    return page.locator(".form-follow")


def expect_values(page: Page, rate: str, epochs: str) -> None:
    expect(box(page, "learning_rate")).to_have_value(rate)
    expect(box(page, "epochs")).to_have_value(epochs)


def test_they_follow_the_data_and_are_marked(open_form: Open, form: FormPage) -> None:
    page = open_form()
    expect(note(page)).to_be_hidden()
    choose(page, "identity")
    expect_values(page, "2e-4", "10")
    expect(note(page)).to_contain_text("Set by the data: 2")
    expect(page.locator("#t-learning_rate .form-dot")).to_be_visible()
    expect(page.locator("#t-group-numbers .form-count")).to_have_text("2")
    expect(page.locator("#t-command")).to_contain_text("--learning_rate 2e-4")
    choose(page, "alpaca_en")
    expect_values(page, "1e-4", "3")
    expect(page.locator("#t-epochs .form-dot")).to_be_hidden()
    choose(page, "alpaca_zh")
    expect_values(page, "5e-5", "3")
    expect(note(page)).to_be_hidden()


def test_what_is_typed_stays_even_if_it_is_the_default(open_form: Open, form: FormPage) -> None:
    page = open_form()
    box(page, "learning_rate").fill("3e-4")
    box(page, "epochs").fill("4")
    box(page, "epochs").fill("3")
    for name in ("identity", "alpaca_en"):
        choose(page, name)
        until(lambda name=name: last_values(form)["dataset"] == [name], 10)
        expect_values(page, "3e-4", "3")
    load(page, form)
    expect_values(page, "3e-4", "3")
    assert form.asked[-1]["own"] == ["learning_rate", "epochs"]


def test_one_click_brings_the_defaults_back_for_good(open_form: Open, form: FormPage) -> None:
    """Until all settings of the form are put back: then they follow again."""
    form.schema["simple"] = ["stage", "model", "dataset", "learning_rate"]
    page = open_form()
    choose(page, "identity")
    expect(box(page, "learning_rate")).to_have_value("2e-4")
    expect(page.locator(".form-mode-line")).to_be_hidden()  # nothing was hidden by a person
    page.get_by_role("button", name="Use the defaults").click()
    expect(box(page, "learning_rate")).to_have_value("5e-5")
    expect(box(page, "learning_rate")).to_be_focused()
    expect(note(page)).to_be_hidden()
    choose(page, "alpaca_en")
    until(lambda: last_values(form)["dataset"] == ["alpaca_en"], 10)
    load(page, form)
    expect(box(page, "learning_rate")).to_have_value("5e-5")
    page.locator("#t-defaults").click()
    choose(page, "identity")
    expect(box(page, "learning_rate")).to_have_value("2e-4")


def test_a_reload_brings_what_followed_and_nothing_of_it_is_kept(
    open_form: Open, form: FormPage
) -> None:
    page = open_form()
    choose(page, "identity")
    expect_values(page, "2e-4", "10")
    load(page, form)
    expect_values(page, "2e-4", "10")
    assert form.asked[-1]["own"] == []
    assert "2e-4" not in page.evaluate("JSON.stringify(localStorage)")


def test_defaults_and_undo_leave_them_following(open_form: Open, form: FormPage) -> None:
    form.schema["simple"] = ["stage", "model", "dataset", "learning_rate"]
    page = open_form()
    choose(page, "identity")
    expect(box(page, "learning_rate")).to_have_value("2e-4")
    page.locator("#t-defaults").click()
    expect(box(page, "learning_rate")).to_have_value("5e-5")
    page.get_by_role("button", name="Undo").click()
    expect(box(page, "learning_rate")).to_have_value("2e-4")
    choose(page, "alpaca_en")
    expect(box(page, "learning_rate")).to_have_value("1e-4")


def test_arguments_that_python_fills_in_stay(open_form: Open, form: FormPage) -> None:
    """Those of a run, a file or a preset are all of the form's, defaults included; a few that are
    put back to their defaults follow again."""
    page = open_form()
    plain = {name: data["default"] for name, data in form.schema["fields"].items()}
    form.fills = {**plain, "dataset": ["identity"], "learning_rate": "7e-4"}
    page.locator("#fill").click()
    until(lambda: last_values(form)["dataset"] == ["identity"], 10)
    expect_values(page, "7e-4", "3")
    expect(note(page)).to_be_hidden()
    choose(page, "alpaca_en")
    until(lambda: last_values(form)["dataset"] == ["alpaca_en"], 10)
    expect_values(page, "7e-4", "3")
    form.changes = {"learning_rate": "5e-5"}
    form.answers.set()
    page.locator("#change").click()
    expect_values(page, "1e-4", "3")


def test_what_stands_there_is_what_starts(open_form: Open, form: FormPage) -> None:
    """Start is pressed before the judgement of the data set is here."""
    form.slow["2e-4"] = 1.0
    page = open_form()
    box(page, "model").fill("small")
    choose(page, "identity")
    page.locator("#t-start").click()
    expect(page.locator("#t-answer")).to_have_text("Started.")
    (values,) = form.started
    assert {name: values[name] for name in SMALL} == SMALL
    expect_values(page, "2e-4", "10")


def test_an_answer_to_older_values_changes_nothing(open_form: Open, form: FormPage) -> None:
    form.slow["2e-4"] = 1.0
    page = open_form()
    choose(page, "identity")
    until(lambda: last_values(form)["dataset"] == ["identity"], 10)
    box(page, "learning_rate").press_sequentially("9")
    expect(box(page, "epochs")).to_have_value("10")
    expect(box(page, "learning_rate")).to_have_value("95e-5")
