"""Evaluate, Export, Chat and Runs in Chromium, with the tiny model and the real backend."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

from backend.contract.arguments import arguments
from backend.contract.base.texts import t
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from tests.e2e.conftest import ROOT, Server
from tests.e2e.forms import box, chips, choose, chosen_in, fill, row_of, unfold
from tests.failures.conftest import ended, fake, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
FINISHED = re.compile(t("state.SUCCEEDED", "en"), re.IGNORECASE)


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def with_tiny(page: Page, tab: str) -> None:
    """The tiny model in the model bar, and a tab open."""
    fill(page, "model_name_or_path", "saves/models/tiny")
    open_tab(page, tab)


def only_run(home: Path, prefix: str) -> Path:
    (file,) = (home / "saves").glob(f"*/*/{prefix}*/run.json")
    return file.parent


def test_evaluate(open_page: Callable[..., Page], server: Server, home: Path) -> None:
    """Scores and predictions of a few rows; the search keeps the rows with the words."""
    page = open_page()
    with_tiny(page, "Evaluate")
    choose(page, "eval-eval_dataset", "identity")
    box(page, "eval-max_samples").fill("6")
    box(page, "eval-max_new_tokens").fill("8")
    expect(page.locator("#eval-command")).to_contain_text("--max_new_tokens 8")
    sampling, temperature = page.locator("#eval-do_sample input"), page.locator("#eval-temperature")
    expect(sampling).not_to_be_checked()
    expect(temperature).to_be_hidden()
    sampling.check()
    expect(temperature).to_be_visible()
    expect(page.locator("#eval-command")).to_contain_text("--do_sample true")
    sampling.uncheck()
    expect(page.locator("#eval-command")).not_to_contain_text("--do_sample")
    page.locator("#eval-start").click()
    expect(page.locator("#eval-run-state")).to_contain_text(FINISHED, timeout=90_000)
    scores = page.locator("#eval-scores")
    for name in ("eval_loss", "eval_perplexity", "predict_bleu-4"):
        expect(scores).to_contain_text(t(f"score.{name}", "en"))
    lines = (only_run(home, "eval") / "generated_predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 6
    table = page.locator("#eval-table")
    expect(table).to_contain_text(rows[0]["label"])
    table.scroll_into_view_if_needed()
    for column in ("prompt", "label", "predict"):
        head = table.locator("th:visible", has_text=t(f"eval.column.{column}", "en")).first
        expect(head).to_be_in_viewport(ratio=0.9)
    box(page, "eval-search").fill(rows[5]["label"])
    expect(table).to_contain_text(rows[5]["label"])
    expect(table).not_to_contain_text(rows[1]["prompt"])


def test_export_and_open_in_chat(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """A LoRA run becomes one folder that stands alone; one click takes it to Chat."""
    adapter = "saves/tiny/lora/two"
    words = "--model_name_or_path saves/models/tiny --dataset identity --max_steps 2"
    env = {**os.environ, "TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "backend", "train", *words.split(), "--output_dir", adapter]
    subprocess.run(argv, cwd=home, env=env, check=True, capture_output=True)
    page = open_page()
    open_tab(page, "Chat")
    page.locator("#chat-tuned").get_by_role("button", name="tiny/lora/two").click()
    expect(box(page, "model_name_or_path")).to_have_value(re.compile("saves/models/tiny$"))
    expect(chips(page, "adapter_name_or_path")).to_have_count(1)
    with_tiny(page, "Export")
    box(page, "export-export_dir").fill("exports/one")
    expect(page.locator("#export-command")).to_contain_text(f"--adapter_name_or_path {adapter}")
    expect(page.locator("#export-command")).to_contain_text("--export_dir exports/one")
    page.locator("#export-start").click()
    expect(page.locator("#export-run-state")).to_contain_text(FINISHED, timeout=90_000)
    exported = home / "exports" / "one"
    expect(page.locator("#export-run-notices")).to_contain_text(str(exported))
    assert (exported / "Modelfile").is_file()
    assert loads(exported)
    page.locator("#export-open").click()
    expect(page.locator("#chat-load")).to_be_visible()
    expect(box(page, "model_name_or_path")).to_have_value("exports/one")
    expect(chips(page, "adapter_name_or_path")).to_have_count(0)


def loads(folder: Path) -> bool:
    """Whether model and tokenizer come out of this folder alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Who are you?", return_tensors="pt")["input_ids"]
    return model(input_ids=ids).logits.shape[-1] == model.config.vocab_size


def children(home: Path) -> list[int]:
    """The `tuneboard api` processes of this working folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        words, env = process.info["cmdline"] or [], process.info["environ"] or {}
        if "api" in words and env.get("TUNEBOARD_HOME") == str(home):
            found.append(process.pid)
    return found


def settled(answer: Locator) -> str:
    """The answer once it no longer grows."""
    limit, before = time.monotonic() + 30, ""
    while time.monotonic() < limit:
        now = answer.inner_text()
        if now and now == before:
            return now
        before = now
        time.sleep(0.7)
    raise AssertionError("the answer never ends")


AS_IT_IS = "<b>bold</b> &amp;   spaces\n\n    indented\n**stars** $$x$$ <script>1</script>"


def test_chat(open_page: Callable[..., Page], server: Server, home: Path) -> None:
    """Load, ask, stop, ask again, clear, unload; unloading leaves no process behind."""
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    with_tiny(page, "Chat")
    page.locator("#chat-load").click()
    status = page.locator("#chat-status textarea, #chat-status input")
    expect(status).to_have_value(re.compile("ready"), timeout=120_000)
    assert len(children(home)) == 1
    box(page, "chat-temperature").fill("1")  # greedy, the random model ends at once
    box(page, "chat-seed").fill("1")
    box(page, "chat-max_new_tokens").fill("12")
    turns = page.locator("#chat-tuned .message.bot, #chat-tuned .bot.message")
    say(page, "Who are you?")
    expect(turns).to_have_count(1)
    first = settled(turns.first)

    again(page)
    expect(turns).to_have_count(1)
    assert settled(turns.first) == first

    box(page, "chat-max_new_tokens").fill("1900")
    say(page, "And now?")
    expect(turns).to_have_count(2)
    expect(turns.nth(1)).to_have_text(re.compile(".{20}", re.DOTALL))
    stop(page)
    assert len(settled(turns.nth(1))) < 3000  # 1900 tokens are more than 3500 characters

    again(page)
    expect(turns.nth(1)).to_have_text(re.compile(".{20}", re.DOTALL))
    clear(page)  # in mid-answer
    expect(turns).to_have_count(0)
    clear_at_any_time(page)
    box(page, "chat-max_new_tokens").fill("12")
    say(page, "Who are you?")
    expect(turns).to_have_count(1)
    assert settled(turns.first) == first

    keep_disliked(page, home, first)
    say(page, AS_IT_IS)
    expect(turns).to_have_count(2)
    settled(turns.nth(1))
    look_as_it_is(page)

    page.locator("#chat-load").click()
    expect(status).to_have_value(t("chat.none", "en"))
    until(lambda: not children(home), 10)


def clear_at_any_time(page: Page) -> None:
    """Before an answer has begun, or just then: nothing of it comes after."""
    for pause in (0, 100, 400):
        say(page, "And now?")
        page.wait_for_timeout(pause)
        clear(page)
        turns = page.locator("#chat-tuned .message")
        expect(turns).to_have_count(0)
        page.wait_for_timeout(1500)
        expect(turns).to_have_count(0)


def keep_disliked(page: Page, home: Path, answer: str) -> None:
    """A judged answer is a row of a data set, once one is named."""
    page.get_by_label("Like", exact=True).first.click()
    note = page.locator("#chat-note textarea, #chat-note input")
    expect(note).to_have_value(re.compile("name a data set"))
    unfold(page, "keep")
    box(page, "keep-name").fill("liked")
    page.get_by_label("Dislike", exact=True).first.click()
    expect(note).to_have_value(re.compile("row 1 of liked"))
    row = json.loads((home / "data" / "liked" / "liked.jsonl").read_text())
    assert [one["role"] for one in row["messages"]] == ["user", "assistant"]
    assert row["messages"][1]["content"].strip() == answer.strip()
    assert row["label"] is False


def look_as_it_is(page: Page) -> None:
    """The last question with every character, whatever was ticked between."""
    asked = page.locator("#chat-tuned [data-testid=user] .md").last
    for ticked in (True, False, True):
        page.locator("#chat-escape input").set_checked(ticked)
        expect(asked.locator("b")).to_have_count(0 if ticked else 1)
        if ticked:
            assert asked.locator("code").evaluate("each => each.textContent") == AS_IT_IS + "\n"
            asked.hover()
            asked.get_by_title("copy").click()
            assert page.evaluate("navigator.clipboard.readText()") == AS_IT_IS


def button(page: Page, name: str) -> Locator:
    """The one button of the message box: Send, or Stop while an answer is written."""
    return page.locator("#chat-message").get_by_role("button", name=t(f"chat.{name}", "en"))


def say(page: Page, words: str) -> None:
    page.locator("#chat-message textarea").fill(words)
    button(page, "send").click()


def stop(page: Page) -> None:
    """Stop the answer: at once there is Send again."""
    button(page, "stop").click()
    expect(button(page, "send")).to_be_visible(timeout=5_000)
    expect(button(page, "stop")).to_have_count(0)


def again(page: Page) -> None:
    page.locator("#chat-tuned").get_by_role("button", name="Retry").click()


def clear(page: Page) -> None:
    page.locator("#chat-tuned").get_by_role("button", name="Clear").click()


def taken(page: Page) -> bool:
    """Press Enter; whether what stands in its box was taken, as no answer is being written."""
    page.locator("#chat-message textarea").press("Enter")
    page.wait_for_timeout(1000)
    return not page.locator("#chat-message textarea").input_value()


def test_runs_are_filtered_and_shown(
    open_page: Callable[..., Page], server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest run is open. The list keeps the rows with the words; a click on a row shows its
    panel, and its button sets it up again."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(home))
    for name, options in (("alpha", "--steps 3"), ("beta", "--steps 5 --crash-at 2 --code 1")):
        monkeypatch.setenv("TUNEBOARD_WORKER", fake(options))
        given = {"model_name_or_path": "saves/models/tiny", "dataset": "identity"}
        given["output_dir"] = f"saves/tiny/lora/{name}"
        ended(launch.start("train", {**arguments.defaults("train"), **given}))
    assert {view.state for view in run_folder.runs(home / "saves")} == {
        State.SUCCEEDED,
        State.FAILED,
    }
    page = open_page()
    open_tab(page, "Runs")
    table = page.locator("#runs-table")
    expect(table).to_contain_text("alpha")
    expect(chosen_in(page, "runs-table")).to_have_text("beta")
    expect(page.locator("#runs-run-name")).to_contain_text("beta")
    box(page, "runs-filter").fill("failed tiny")
    expect(table).not_to_contain_text("alpha")
    table.get_by_text("beta").locator("visible=true").first.click()
    expect(page.locator("#runs-run-name")).to_contain_text("beta")
    expect(page.locator("#runs-run-state")).to_contain_text(
        re.compile(t("state.FAILED", "en"), re.IGNORECASE)
    )
    box(page, "runs-filter").fill("alpha")
    expect(table).not_to_contain_text("beta")
    table.get_by_text("alpha").locator("visible=true").first.click()
    expect(page.locator("#runs-run-name")).to_contain_text("alpha")
    expect(page.locator("#runs-run-state")).to_contain_text(FINISHED)
    row_of(page, "runs-table", "alpha").locator("[data-action=again]").click()
    expect(chips(page, "dataset")).to_contain_text(["identity"])
    expect(page.locator("#command")).to_contain_text("--model_name_or_path saves/models/tiny")


def test_what_is_sent_while_an_answer_is_written_stays(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """It vanished; with the second column closed meanwhile, so did all that was sent afterwards."""
    page = open_page()
    with_tiny(page, "Chat")
    status = page.locator("#chat-status textarea, #chat-status input")
    note = page.locator("#chat-note textarea, #chat-note input")
    column, message = page.locator("#chat-tuned"), page.locator("#chat-message textarea")
    turns = column.locator(".message.bot, .bot.message")
    box(page, "chat-temperature").fill("1")
    box(page, "chat-max_new_tokens").fill("1900")
    page.locator("#chat-side-by-side input").check()
    say(page, "first question")  # which loads the model
    expect(status).to_have_value(re.compile("Loading tiny since .*:"))
    expect(column).to_contain_text("first question")
    message.fill("second question")
    message.press("Enter")
    expect(note).to_have_value(t("chat.still_loading", "en"))
    expect(status).to_have_value(re.compile("ready"), timeout=120_000)
    expect(note).not_to_be_visible()
    expect(column).to_contain_text("tiny")
    expect(turns.first).to_have_text(re.compile(".{20}", re.DOTALL))
    page.locator("#chat-side-by-side input").uncheck()
    message.press("Enter")
    expect(note).to_have_value(t("chat.busy", "en"))
    page.wait_for_timeout(500)
    expect(note).to_be_visible()
    expect(message).to_have_value("second question")
    stop(page)
    expect(note).not_to_be_visible()
    box(page, "chat-max_new_tokens").fill("8")
    button(page, "send").click()
    expect(message).to_have_value("")
    expect(column).to_contain_text("second question")
    expect(turns).to_have_count(2)
    settled(turns.nth(1))
    message.fill("third question")
    until(lambda: taken(page), 60)  # on a slow machine the answer before may only pause
    expect(column).to_contain_text("third question")
    expect(turns).to_have_count(3)
    settled(turns.nth(2))
    message.fill("not yet sent")
    page.wait_for_timeout(500)
    page.reload()
    open_tab(page, "Chat")
    expect(column).to_contain_text("second question")
    expect(turns).to_have_count(3)
    expect(message).to_have_value("not yet sent")
    page.locator("#chat-load").click()
    expect(status).to_have_value(t("chat.none", "en"))


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1440, 700), (390, 844)])
def test_the_message_box_is_in_view(
    open_page: Callable[..., Page], server: Server, width: int, height: int
) -> None:
    """It lay below the fold at 900 px: the page had to be scrolled for each question."""
    page = open_page(viewport={"width": width, "height": height})
    turn_to(page, "Chat")
    message, controls = page.locator("#chat-message textarea"), page.locator("#chat-settings")
    for place in (0, 300):
        page.evaluate("place => scrollTo(0, place)", place)
        expect(message).to_be_in_viewport(ratio=1)
        expect(button(page, "send")).to_be_in_viewport(ratio=1)
    expect(controls).to_be_visible()
    page.get_by_label(t("chat.settings", "en"), exact=True).uncheck()
    expect(controls).to_be_hidden()


def turn_to(page: Page, name: str) -> None:
    """Open a tab that a narrow page has in the menu at the end of the row."""
    tab = page.get_by_role("tab", name=name, exact=True).first
    if tab.is_visible():
        tab.click()
        return
    page.locator(".overflow-menu > button").click()
    page.locator(".overflow-dropdown button", has_text=name).click()


def test_what_cannot_be_answered_goes_back_into_its_box(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """A load that fails says why in the state, an answer that fails beside the box; neither is an
    answer of the assistant, and the question is not lost."""
    (home / "saves" / "models" / "broken").mkdir()
    (home / "saves" / "models" / "broken" / "config.json").write_text('{"model_type": "llama"}')
    page = open_page()
    open_tab(page, "Chat")
    status = page.locator("#chat-status textarea, #chat-status input")
    note = page.locator("#chat-note textarea, #chat-note input")
    message, shown = page.locator("#chat-message textarea"), page.locator("#chat-tuned .message")
    expect(page.locator("#chat-tuned")).to_contain_text(t("chat.empty", "en"))
    say(page, "Who are you?")
    expect(status).to_have_value(re.compile("model", re.IGNORECASE))
    expect(message).to_have_value("Who are you?")
    fill(page, "model_name_or_path", "saves/models/broken")
    button(page, "send").click()
    expect(status).to_have_value(re.compile("no weights"), timeout=120_000)
    expect(message).to_have_value("Who are you?")
    expect(shown).to_have_count(0)
    fill(page, "model_name_or_path", "saves/models/tiny")
    box(page, "chat-max_new_tokens").fill("8")
    box(page, "chat-seed").fill("x")
    button(page, "send").click()
    expect(note).to_have_value(re.compile("not a whole number"), timeout=120_000)
    expect(message).to_have_value("Who are you?")
    expect(shown).to_have_count(0)
    box(page, "chat-seed").fill("1")
    message.press("Shift+Enter")
    message.press("Enter")
    expect(page.locator("#chat-tuned .message.bot, #chat-tuned .bot.message")).to_have_count(1)
    page.locator("#chat-load").click()
