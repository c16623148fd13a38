"""What a person does with a form of the page: fill, choose, unfold, wait for Start."""

import re
import shlex

from playwright.sync_api import Locator, Page, expect

READY = re.compile(r"\blaunch-ready\b")
STORED = """parts => {
  const texts = [...Object.values(localStorage), ...Object.values(sessionStorage)].join("\\n");
  return parts.every((part) => texts.includes(part));
}"""
# Done once no element and no text has come or gone for as long as this many milliseconds.
QUIET = """(long) => new Promise((done) => {
  const look = new MutationObserver(wait);
  let timer;
  function wait() {
    clearTimeout(timer);
    timer = setTimeout(() => { look.disconnect(); done(); }, long);
  }
  look.observe(document.body, { subtree: true, childList: true, characterData: true });
  wait();
})"""
QUIET_MS = 300
ANSWER = ".message.bot:not(:has(.loading-spinner))"  # and not what says that one is to come


def box(page: Page, name: str) -> Locator:
    """What a field is typed into, of a form or of Gradio."""
    return page.locator(f"#{name} input, #{name} textarea").first


def fill(page: Page, name: str, text: str) -> None:
    """Type into a field, and leave it: a list of names that opens while typing is in no one's
    way."""
    box(page, name).fill(text)
    box(page, name).blur()


def choose(page: Page, name: str, text: str, *, exact: bool = False) -> None:
    """Pick an entry of a list by its words: of a native one, of names, or of Gradio's."""
    field = page.locator(f"#{name}")
    control = field.locator("select, input").first
    expect(control).to_be_attached()
    native = field.locator("select")
    if native.count():
        options = native.locator("option")
        words = text if not exact else re.compile(rf"^{re.escape(text)}$")
        native.select_option(options.filter(has_text=words).first.get_attribute("value"))
        return
    control.click()
    field.get_by_role("option", name=text, exact=exact).first.click()
    page.keyboard.press("Escape")


def add(page: Page, name: str, *values: str) -> None:
    """Type values into a field that holds several: each becomes a chip."""
    for value in values:
        box(page, name).fill(value)
        box(page, name).press("Enter")
        expect(chips(page, name).filter(has_text=value)).to_have_count(1)
    box(page, name).blur()


def chips(page: Page, name: str) -> Locator:
    """The values that a field of several holds."""
    return page.locator(f"#{name} .form-chip")


def empty(page: Page, name: str) -> None:
    """Take every value out of a field that holds several."""
    while chips(page, name).count():
        chips(page, name).last.get_by_role("button").click()
    box(page, name).blur()


def line(page: Page, name: str) -> Locator:
    """What stands below a field: what is wrong with it, or worth knowing."""
    return page.locator(f"#{name} .form-line")


def expect_wrong(page: Page, name: str) -> None:
    """Wait until a field is marked as wrong, and says why."""
    expect(page.locator(f"#{name}.form-wrong")).to_have_count(1)
    expect(line(page, name)).not_to_be_empty()


def show_all(page: Page) -> None:
    """Switch the form of Train to its advanced mode."""
    page.locator("#mode label").last.click()
    expect(page.locator("#mode input").last).to_be_checked()


def settle(page: Page) -> None:
    """Wait until what is drawn stays."""
    page.evaluate(QUIET, QUIET_MS)


def unfold(page: Page, name: str) -> None:
    """Open a closed group of fields, or a box of Gradio, whose fields are made only now: what is
    typed at once is lost."""
    group = page.locator(f"#{name}")
    expect(group).to_be_attached()
    if group.evaluate("element => element.tagName") == "DETAILS":
        group.locator("> summary").click()
        expect(group).to_have_attribute("open", "")
        return
    group.locator("> button").click()
    settle(page)


def expect_stored(page: Page, *parts: str) -> None:
    """Wait until the browser keeps these texts, which a reload then brings back."""
    page.wait_for_function(STORED, arg=[*parts])


def expect_ready(page: Page, prefix: str = "") -> None:
    """Wait until Start would start."""
    expect(page.locator(f"#{prefix}start")).to_have_class(READY)


def expect_unready(page: Page, prefix: str = "") -> None:
    """Wait until Start would not start, and it is said why."""
    expect(page.locator(f"#{prefix}start")).not_to_have_class(READY)
    expect(page.locator(f"#{prefix}missing")).not_to_be_empty()


def ready_form(page: Page) -> None:
    """The tiny model and a data set: what a training needs at least."""
    fill(page, "model_name_or_path", "saves/models/tiny")
    choose(page, "dataset", "identity")
    expect_ready(page)


def command_of(page: Page) -> list[str]:
    """The words of the command that is shown."""
    return shlex.split(page.locator("#command code").inner_text())


def choose_set(page: Page, name: str) -> None:
    """Choose a data set in the list of the Data tab."""
    row = row_of(page, "sets-list", name)
    row.locator(".list-name").click()
    expect(row.locator("[aria-current=true]")).to_be_visible()


def row_of(page: Page, listing: str, name: str) -> Locator:
    """The row of a list whose name is this."""
    exact = re.compile(rf"^{re.escape(name)}$")
    return page.locator(f"#{listing} .list-row", has=page.locator(".list-name", has_text=exact))


def chosen_in(page: Page, listing: str) -> Locator:
    """The name of the row that is chosen in a list."""
    return page.locator(f"#{listing} [aria-current=true]")


def open_step(page: Page, name: str) -> None:
    """Open a step of the Data tab's path."""
    button = page.locator(f"#data-steps button[data-step={name}]")
    button.click()
    expect(button).to_have_attribute("aria-current", "step")
