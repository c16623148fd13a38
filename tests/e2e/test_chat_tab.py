"""Chat in Chromium, with the tiny model and the real backend."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

from backend.contract.arguments.arguments import defaults
from backend.contract.runs.run_folder import EXIT, RUN
from backend.contract.texts.locales import t
from tests.e2e.conftest import Server
from tests.e2e.forms import ANSWER, box, empty, expect_stored, fill, unfold
from tests.e2e.test_tabs import open_tab, with_tiny
from tests.failures.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


def lengthen(model: Path, tokens: int) -> None:
    """Put a copy with such a context in place of a linked model, whose answers then go on long."""
    source = model.resolve()
    model.unlink()
    shutil.copytree(source, model)
    for name, key in (
        ("config.json", "max_position_embeddings"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        settings = json.loads((model / name).read_text())
        (model / name).write_text(json.dumps({**settings, key: tokens}))


def children(home: Path) -> list[int]:
    """The `tuneboard api` processes of this working folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        words, env = process.info["cmdline"] or [], process.info["environ"] or {}
        if "api" in words and env.get("TUNEBOARD_HOME") == str(home):
            found.append(process.pid)
    return found


def settled(answer: Locator) -> str:
    """The whole answer: Stop is there from before its first word until after its last one."""
    expect(answer).to_be_visible(timeout=60_000)
    expect(button(answer.page, "send")).to_be_visible(timeout=60_000)
    return answer.inner_text()


# Notes when Stop is there, however short the answer.
WATCH = """(box, name) => {
  const look = () => [...box.querySelectorAll('button')].some((each) =>
    [each.textContent.trim(), each.ariaLabel, each.title].includes(name));
  window.stopWasThere = false;
  new MutationObserver((_, watch) => {
    if (!look()) return;
    window.stopWasThere = true;
    watch.disconnect();
  }).observe(box, { subtree: true, childList: true, attributes: true, characterData: true });
}"""
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
    turns = page.locator(f"#chat-tuned {ANSWER}")
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
    expect(page.locator("#chat-columns .loading-spinner:visible")).to_have_count(0)


def again(page: Page) -> None:
    """Have the last answer written anew: Send has been Stop when this returns."""
    page.locator("#chat-message").evaluate(WATCH, t("chat.stop", "en"))
    page.locator("#chat-tuned").get_by_role("button", name="Retry").click()
    page.wait_for_function("() => window.stopWasThere")


def clear(page: Page) -> None:
    page.locator("#chat-tuned").get_by_role("button", name="Clear").click()


def expect_waiting(page: Page, question: str) -> None:
    """What goes on stands where each answer will: nothing told that one was coming."""
    column = page.locator("#chat-tuned")
    expect(column).to_contain_text(question)
    expect(column).to_contain_text(re.compile("(Loading tiny|Reading the question) since .*:"))
    expect(page.locator("#chat-base")).to_contain_text(t("chat.waits_beside", "en"))


def test_what_is_sent_while_an_answer_is_written_stays(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """It vanished; with the second column closed meanwhile, so did all that was sent afterwards."""
    lengthen(home / "saves" / "models" / "tiny", 16_384)
    page = open_page()
    with_tiny(page, "Chat")
    status, note = (
        page.locator(f"#chat-{name} textarea, #chat-{name} input") for name in ("status", "note")
    )
    column, message = page.locator("#chat-tuned"), page.locator("#chat-message textarea")
    turns = column.locator(ANSWER)
    box(page, "chat-temperature").fill("0.01")  # greedy: it never ends by itself
    box(page, "chat-max_new_tokens").fill("12000")
    page.locator("#chat-side-by-side input").check()
    say(page, "first question")  # which loads the model
    expect(status).to_have_value(re.compile("Loading tiny since .*:"))
    expect_waiting(page, "first question")
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
    length = len(turns.first.inner_text())
    until(lambda: len(turns.first.inner_text()) > length, 60)
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
    message.press("Enter")
    expect(message).to_have_value("")
    expect(column).to_contain_text("third question")
    expect(turns).to_have_count(3)
    settled(turns.nth(2))
    message.fill("not yet sent")
    expect_stored(page, "not yet sent")
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


def test_the_message_box_is_in_view_below_an_open_hub(
    open_page: Callable[..., Page], server: Server
) -> None:
    """What is fetched from a hub lies above the conversation: on a phone it pushed the box out."""
    page = open_page(viewport={"width": 390, "height": 844})
    turn_to(page, "Chat")
    page.locator("#hub-model summary").first.click()
    expect(page.locator("#hub-model-search")).to_be_visible()
    message, rest = page.locator("#chat-message textarea"), box(page, "chat-seed")
    page.evaluate("scrollTo(0, 0)")
    expect(message).to_be_in_viewport(ratio=1)
    expect(button(page, "send")).to_be_in_viewport(ratio=1)
    rest.scroll_into_view_if_needed()
    rest.fill("7")  # what is last on the page is not under it
    expect(message).to_be_in_viewport(ratio=1)


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
    fill(page, "model_name_or_path", "")  # the only model is chosen when the page opens
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
    expect(page.locator(f"#chat-tuned {ANSWER}")).to_have_count(1)
    page.locator("#chat-load").click()


def test_the_newest_run_is_offered_until_it_is_chosen(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """It was offered beside the words that it is chosen, and the box of the model then held the
    whole path of its base. The only model of this machine is chosen at first, which the empty
    conversation asked for all the same."""
    run = home / "saves" / "tiny" / "lora" / "mine"
    run.mkdir(parents=True)
    base = {"base_model_name_or_path": str(home / "saves" / "models" / "tiny")}
    row = {"kind": "train", "arguments": {**defaults("train")}, "sequence": 1}
    contents = {RUN: row, EXIT: {"code": 0}, "adapter_config.json": base}
    for name, content in contents.items():
        (run / name).write_text(json.dumps(content, default=str))
    page = open_page()
    open_tab(page, t("tab.chat", "en"))
    column = page.locator("#chat-tuned")
    offer = column.get_by_text(t("chat.newest", "en", name="").strip())
    expect(column).to_contain_text(t("chat.chosen", "en", name="tiny"))
    offer.click()
    expect(column).to_contain_text(t("chat.chosen", "en", name="mine"))
    expect(offer).not_to_be_visible()
    expect(box(page, "model_name_or_path")).to_have_value("saves/models/tiny")
    empty(page, "adapter_name_or_path")
    expect(offer).to_be_visible()
