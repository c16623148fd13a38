"""From a spreadsheet on a person's disk to a running fine-tune, without terminal or editor."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.services.data import row_tree
from backend.contract.runs.states import State
from backend.contract.texts.locales import t
from backend.datafiles.formats import Conversation
from tests.e2e.conftest import ROOT, Server
from tests.e2e.forms import (
    box,
    chips,
    choose,
    choose_set,
    chosen_in,
    expect_ready,
    fill,
    open_step,
    row_of,
    show_all,
    unfold,
)
from tests.e2e.test_run_life import in_state
from tests.e2e.test_tabs import open_tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
NONE: frozenset[int] = frozenset()  # special tokens
# Which of the two bars is seen, each time that this changes.
WATCH = """() => {
    window.changes = []
    const seen = name => document.querySelector(`#${name}-bar`)?.checkVisibility() ? name : ''
    let last = ''
    new MutationObserver(() => {
        const now = seen('check') + seen('clean')
        if (now !== last) changes.push(last = now)
    }).observe(document.body, {subtree: true, childList: true, attributes: true})
}"""
PAYLOAD = "<img src=x onerror=window.__pwn=1>"


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


def markup(node: str | row_tree.Element) -> str:
    """A tree of elements as HTML."""
    if isinstance(node, str):
        return html.escape(node)
    tag, *classes = node["kind"].split(".")
    inside = "".join(map(markup, node["inside"]))
    return f"<{tag} class='{' '.join(classes)}'>{inside}</{tag}>"


def test_a_rejected_answer_is_not_green(browser: Browser) -> None:
    """Green is what is learned to be said: the worse answer of a pair, and an undesirable one, as
    bubbles and as tokens, stand on another ground, in both schemes."""
    asked, better, worse = ({"role": "assistant", "content": text} for text in ("q", "y", "n"))
    pair = Conversation([{**asked, "role": "user"}], chosen=better, rejected=worse)
    judged = [
        Conversation([{**asked, "role": "user"}, worse], label=label) for label in (True, False)
    ]
    piece = [["n", [7], True]]
    drawn = [
        *(row_tree.conversation(1, row, "en") for row in (pair, *judged)),
        row_tree.token_row(
            {"row": 1, "chosen_pieces": piece, "rejected_pieces": piece}, NONE, "en"
        ),
        row_tree.token_row({"row": 1, "pieces": piece, "desirable": False}, NONE, "en"),
    ]
    style = (ROOT / "app" / "browser" / "seen.css").read_text(encoding="utf-8")
    rows = "".join(map(markup, drawn))
    page = browser.new_page()
    for scheme in ("", "dark"):
        page.set_content(f"<style>{style}</style><body class='{scheme}'><div class='seen'>{rows}")
        grounds = page.locator(".bubble-assistant, .tk.on").evaluate_all(
            "found => found.map(one => getComputedStyle(one).backgroundColor)"
        )
        red_green = [tuple(map(int, re.findall(r"\d+", ground)[:2])) for ground in grounds]
        greens = [green > red for red, green in red_green]
        assert greens == [True, False, True, False, True, False, False]
    page.close()


def upload(page: Page, file: Path) -> None:
    page.locator("#bring-file input[type=file]").set_input_files(str(file))


def test_a_file_comes_in_on_a_page_that_changed_its_language(
    open_page: Callable[..., Page], server: Server, tmp_path: Path
) -> None:
    """Gradio then makes each component anew: what was done to the first one is lost."""
    table = tmp_path / "q.csv"
    table.write_text("q,a\n还好吗？,很好。\n")
    page = open_page(locale="zh-CN")
    open_tab(page, t("tab.data", "zh"))
    upload(page, table)
    expect(page.locator("#bring-example")).to_contain_text("很好。")
    box(page, "columns-name").fill("mine")
    page.locator("#bring-register").click()
    expect(chosen_in(page, "sets-list")).to_have_text("mine")


def test_a_hub_is_searched_where_it_is_chosen(
    open_page: Callable[..., Page], server: Server
) -> None:
    """Its search stood below the box for a file of one's own computer, too: Gradio shows a column
    that is "hidden" from the beginning."""
    page = open_page()
    open_tab(page, t("tab.data", "en"))
    search = page.get_by_text(t("hub.title_dataset", "en"))
    source = page.locator("#bring-source")
    expect(page.locator("#bring-upload")).to_be_visible()
    expect(search).to_be_attached()
    expect(search).not_to_be_visible()
    source.get_by_text(t("bring.source.hub", "en"), exact=True).click()
    expect(search).to_be_visible()
    source.get_by_text(t("bring.source.path", "en"), exact=True).click()
    expect(search).not_to_be_visible()
    expect(page.locator("#bring-path")).to_be_visible()


def test_one_file_after_another(
    open_page: Callable[..., Page], server: Server, home: Path, tmp_path: Path
) -> None:
    """The second was dead for ever, with HTTP 500 and no word: after a registration, the box hands
    over what Gradio makes of a file. One that is refused does not stand in the way, either."""
    page = open_page()
    open_tab(page, "Data")
    for number in (1, 2, 3):
        bad = tmp_path / f"bad{number}.csv"
        bad.write_text("")
        upload(page, bad)
        expect(page.locator("#bring-problem")).to_contain_text("no rows")
        table = tmp_path / f"table{number}.csv"
        table.write_text(f"q,a\nWho?,Number {number}.\n")
        upload(page, table)
        expect(page.locator("#bring-example")).to_contain_text(f"Number {number}.")
        page.locator("#bring-register").click()
        expect(chosen_in(page, "sets-list")).to_have_text(f"table{number}")
        expect(page.locator("#data-rows")).to_contain_text(f"Number {number}.")
        open_step(page, "bring")
    registry = json.loads((home / "data" / "dataset_info.json").read_text())
    assert {"table1", "table2", "table3"} <= set(registry)


def test_from_a_spreadsheet_to_a_run(
    open_page: Callable[..., Page], server: Server, home: Path, tmp_path: Path
) -> None:
    table = tmp_path / "my questions.csv"
    rows = "".join(f'What is {n} plus 1?,"It is {n + 1}, of course."\n' for n in range(12))
    table.write_text("q,a\n" + rows)
    page = open_page()
    open_tab(page, "Data")
    upload(page, table)
    example = page.locator("#bring-example")
    expect(example).to_contain_text("What is 0 plus 1?")
    expect(example).to_contain_text("It is 1, of course.")
    choose(page, "columns-response", "q")  # the wrong column is seen at once
    expect(example).not_to_contain_text("It is 1, of course.")
    choose(page, "columns-response", "a")
    expect(example).to_contain_text("It is 1, of course.")
    box(page, "columns-name").fill("sums")
    page.locator("#bring-register").click()
    expect(chosen_in(page, "sets-list")).to_have_text("sums")
    registry = json.loads((home / "data" / "dataset_info.json").read_text())
    assert registry["sums"]["columns"] == {"prompt": "q", "response": "a"}
    assert (home / "data" / registry["sums"]["file_name"]).read_text() == table.read_text()
    expect(page.locator("#data-rows")).to_contain_text("What is 0 plus 1?")

    page.locator("#data-steps button[data-step=train]").click()
    expect(chips(page, "dataset")).to_contain_text(["sums"])
    fill(page, "model_name_or_path", "saves/models/tiny")
    show_all(page)
    page.locator("#extra_args textarea").fill("max_steps=2")
    expect(page.locator("#command")).to_contain_text("--max_steps 2")
    expect(page.locator("#command")).to_contain_text("--dataset sums")
    page.locator("#start").click()
    in_state(page, State.SUCCEEDED, timeout=90_000)


def test_from_a_csv_to_a_run_in_six_clicks(
    open_page: Callable[..., Page], server: Server, home: Path, tmp_path: Path
) -> None:
    """With an empty model box: the tab, the file, Register, Train, Start, and one to spare. The
    only model on this machine is chosen, and each step's result is the next one's choice."""
    table = tmp_path / "capitals.csv"
    table.write_text("question,answer\nCapital of France?,Paris.\nCapital of Italy?,Rome.\n")
    page = open_page()
    page.evaluate("addEventListener('click', e => { window.clicks += e.isTrusted }, true)")
    page.evaluate("window.clicks = 0")
    page.get_by_role("tab", name="Data", exact=True).click()
    with page.expect_file_chooser() as chooser:
        page.locator("#bring-file button").first.click()
    chooser.value.set_files(str(table))
    page.locator("#bring-register").click()
    expect(page.locator("#data-rows")).to_contain_text("Capital of France?")
    page.locator("#data-steps button[data-step=train]").click()
    expect(page.locator("#command")).to_contain_text("--dataset capitals")
    expect(page.locator("#command")).to_contain_text("--model_name_or_path saves/models/tiny")
    expect_ready(page)
    page.locator("#start").click()
    in_state(page, State.RUNNING, timeout=90_000)
    assert page.evaluate("window.clicks") <= 6


def test_what_cannot_be_read_is_named_and_leaves_nothing(
    open_page: Callable[..., Page], server: Server, home: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('[{"instruction": "a", "output": "b"},\n {"instruction": "c", "output": }]')
    before = sorted((home / "data").rglob("*"))
    page = open_page()
    open_tab(page, "Data")
    upload(page, bad)
    problem = page.locator("#bring-problem")
    expect(problem).to_contain_text(re.compile(r"bad\.json, line 2.*Correct the line", re.DOTALL))
    expect(page.locator("#bring-register")).not_to_be_visible()
    assert sorted((home / "data").rglob("*")) == before


def test_nothing_in_a_file_runs(
    open_page: Callable[..., Page], server: Server, home: Path, tmp_path: Path
) -> None:
    """X-01: payloads in names of files and columns, and in rows, are shown as text."""
    file = tmp_path / "<svg onload=window.__pwn=2>.json"
    file.write_text(json.dumps([{"instruction": PAYLOAD, "output": PAYLOAD, PAYLOAD: PAYLOAD}]))
    page = open_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    open_tab(page, "Data")
    upload(page, file)
    expect(page.locator("#bring-example")).to_contain_text(PAYLOAD)
    box(page, "columns-name").fill("hostile")
    page.locator("#bring-register").click()
    expect(page.locator("#data-rows")).to_contain_text(PAYLOAD)
    page.locator("#data-view").get_by_text("Conversation").click()
    expect(page.locator("#data-rows .bubble").first).to_contain_text(PAYLOAD)
    assert page.evaluate("window.__pwn") is None
    assert dialogs == []


def test_rows_are_corrected_and_a_set_is_cleaned(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """Both make new files: what a run has read stays as it was."""
    page = open_page()
    open_tab(page, "Data")
    choose_set(page, "identity")
    expect(page.locator("#data-rows")).to_contain_text("Who are you?")
    unfold(page, "edit")
    page.locator("#edit-open").click()
    expect(box(page, "edit-box-0")).to_have_value("Who are you?")
    page.locator("#edit-next").click()
    expect(box(page, "edit-row")).to_have_value("2")
    page.locator("#edit-delete").click()
    expect(page.locator("#edit-note")).to_contain_text("1 deleted")
    box(page, "edit-row").fill("1")
    box(page, "edit-row").press("Enter")
    expect(box(page, "edit-box-0")).to_have_value("Who are you?")
    box(page, "edit-box-2").fill("")
    page.locator("#edit-next").click()
    expect(page.locator("#edit-note")).to_contain_text("empty")
    expect(box(page, "edit-row")).to_have_value("1")
    box(page, "edit-box-2").fill("I am somebody else.")
    page.locator("#edit-next").click()
    expect(page.locator("#edit-note")).to_contain_text("1 changed, 1 deleted")
    choose_set(page, "general_en")
    expect(page.locator("#edit-note")).to_contain_text("unsaved changes to identity")
    choose_set(page, "identity")
    page.locator("#edit-open").click()
    expect(page.locator("#edit-note")).to_contain_text("1 changed, 1 deleted")
    box(page, "edit-row").fill("3")
    box(page, "edit-row").press("Enter")
    expect(page.locator("#edit-note")).to_contain_text("Row 3")
    box(page, "edit-box-2").fill("Typed, and saved at once.")
    page.locator("#edit-save").click()
    expect(page.locator("#edit-note")).to_contain_text("new version")
    expect(page.locator("#data-rows")).to_contain_text("I am somebody else.")
    registry = json.loads((home / "data" / "dataset_info.json").read_text())
    lines = (home / "data" / registry["identity"]["file_name"]).read_text().splitlines()
    old = json.loads((home / "data" / "identity.json").read_text())
    assert len(lines) == len(old) - 1
    assert json.loads(lines[0])["output"] == "I am somebody else."
    assert json.loads(lines[1])["output"] == "Typed, and saved at once."


def test_what_was_made_is_what_is_chosen(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """A cleaned set is the one that Split splits, and its larger part the one to train with, with
    Start in sight; the raw one stayed chosen below the words "Remove duplicates first". The smaller
    part is what is measured on, while training and on Evaluate, but for no other set."""
    page = open_page()
    open_tab(page, "Data")
    choose_set(page, "identity")
    expect(page.locator("#data-rows")).to_contain_text("Who are you?")
    open_step(page, "clean")
    box(page, "clean-into").fill("tidy")
    page.locator("#clean-start").click()
    expect(page.locator("#clean-said")).to_contain_text("tidy", timeout=60_000)
    registry = json.loads((home / "data" / "dataset_info.json").read_text())
    assert (home / "data" / registry["tidy"]["file_name"]).stat().st_size > 1000
    expect(chosen_in(page, "sets-list")).to_have_text("tidy")
    open_step(page, "split")
    expect(box(page, "split-first")).to_have_value("tidy_train")
    page.locator("#split-start").click()
    expect(page.locator("#split-said")).to_contain_text("tidy_test", timeout=60_000)
    expect(chosen_in(page, "sets-list")).to_have_text("tidy_train")
    row_of(page, "sets-list", "tidy_train").locator("[data-action=train]").click()
    expect(chips(page, "dataset")).to_contain_text(["tidy_train"])
    expect(page.locator("#start")).to_be_in_viewport()
    assert page.evaluate("scrollY") == 0
    expect(chips(page, "eval_dataset")).to_contain_text(["tidy_test"])
    open_tab(page, "Evaluate")
    expect(chips(page, "eval-eval_dataset")).to_contain_text(["tidy_test"])
    open_tab(page, "Data")
    row_of(page, "sets-list", "general_en").locator("[data-action=train]").click()
    expect(chips(page, "dataset")).to_contain_text(["general_en"])
    expect(chips(page, "eval_dataset")).to_have_count(0)


def test_a_stopped_work_leaves_no_bar(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """What the work said last once came after its end, and the bar stood there again; so it was
    hidden a second time, one and a half seconds later."""
    page = open_page()
    rows = [{"instruction": f"question {n} " * 20, "output": "a"} for n in range(100_000)]
    (home / "data" / "big.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    registry = home / "data" / "dataset_info.json"
    known = json.loads(registry.read_text())
    registry.write_text(json.dumps({**known, "big": {"file_name": "big.jsonl"}}))
    open_tab(page, "Data")
    choose_set(page, "big")
    expect(page.locator("#data-rows")).to_contain_text("question 0")
    page.evaluate(WATCH)
    for name in ["check", "clean"] * 2:
        start = f"{name}-start"
        open_step(page, name)
        page.locator(f"#{start}").click()
        expect(page.locator(f"#{name}-bar progress")).to_be_visible()
        page.locator(f"#{name}-stop").click()
        expect(page.locator(f"#{name}-stop")).to_be_hidden()
        expect(page.locator(f"#{name}-bar")).to_be_hidden()
        expect(page.locator(f"#{start}")).to_be_enabled()
    expect(page.locator("#clean-said")).to_contain_text(t("clean.stopped", "en"))
    expect(page.locator("#check-said")).to_have_text("")
    assert page.evaluate("changes") == ["check", "", "clean", ""] * 2
    names = {path.name for path in (home / "data").iterdir()}
    assert not {name for name in names if "big_clean" in name}


def test_start_is_in_sight_on_a_phone(open_page: Callable[..., Page], server: Server) -> None:
    """It lay 3,014 px down; so does the panel of the run, which is gone to."""
    page = open_page(viewport={"width": 390, "height": 844})
    expect(page.locator("#start")).to_be_in_viewport(ratio=1)
    page.evaluate("scrollTo(0, document.body.scrollHeight / 3)")
    expect(page.locator("#start")).to_be_in_viewport(ratio=1)


def test_register_is_near_the_file_on_a_phone(
    open_page: Callable[..., Page], server: Server, tmp_path: Path
) -> None:
    """It lay 2,378 px down, below nine lists of columns that were right already."""
    table = tmp_path / "table.csv"
    table.write_text("q,a\nWho?,Me.\n")
    page = open_page(viewport={"width": 390, "height": 844})
    open_tab(page, "Data")
    upload(page, table)
    expect(page.locator("#bring-example")).to_contain_text("Me.")
    register, name = (page.locator(f"#{each}") for each in ("bring-register", "columns-name"))
    expect(name).to_be_visible()
    above, below = register.bounding_box(), name.bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] < below["y"]


def test_a_row_is_known_by_its_number(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """Check called it line 64, Clean row 36: it is row 2 in both, and in the conversation view;
    where its line in the file is another one, that stands beside it."""
    rows = [{"instruction": f"q{n}", "output": "a" * (n != 2)} for n in range(1, 4)]
    (home / "data" / "mine.json").write_text(json.dumps(rows, indent=1))
    file = home / "data" / "dataset_info.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps({**known, "mine": {"file_name": "mine.json"}}))
    page = open_page()
    open_tab(page, "Data")
    choose_set(page, "mine")
    open_step(page, "check")
    page.locator("#check-start").click()
    row = t("data.check.row", "en", row=2, line=6)
    assert (home / "data" / "mine.json").read_text().split("\n")[5].strip() == "{"
    expect(page.locator("#check-found")).to_contain_text(row, timeout=60_000)
    open_step(page, "look")
    page.locator("#data-view").get_by_text("Conversation").click()
    refused = page.locator("#data-rows .seen-row").nth(1)
    expect(refused).to_contain_text("Row 2")
    expect(refused).to_contain_text("line 6")
    open_step(page, "clean")
    page.locator("#clean-start").click()
    expect(page.locator("#clean-said")).to_contain_text(t("clean.rows", "en", rows="2"))


def test_a_set_leaves_the_list_only_when_it_is_confirmed(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """Its files stay; a registry that a hand has changed is listed without a reload."""
    page = open_page()
    open_tab(page, "Data")
    row = row_of(page, "sets-list", "identity")
    expect(row).to_contain_text("92")
    row.locator("[data-action=remove]").click()
    row.locator("[data-action=remove-no]").click()
    registry = home / "data" / "dataset_info.json"
    assert "identity" in json.loads(registry.read_text())
    row.locator("[data-action=remove]").click()
    row.locator("[data-action=remove-yes]").click()
    expect(row).to_have_count(0)
    expect(page.locator("#sets-note")).to_contain_text("identity")
    known = json.loads(registry.read_text())
    assert "identity" not in known
    assert (home / "data" / "identity.json").is_file()
    registry.write_text(json.dumps({**known, PAYLOAD: {"file_name": "identity.json"}}))
    expect(page.locator("#sets-list")).to_contain_text(PAYLOAD)
    assert page.evaluate("window.__pwn") is None
