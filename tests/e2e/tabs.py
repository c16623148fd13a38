"""The tabs of the page in any language: open one, choose the language, wait until it is drawn."""

from playwright.sync_api import Page, expect

from app.ui import LANGUAGE_NAMES, TABS
from backend.contract.texts.locales import t
from tests.e2e.forms import choose, settle

__all__ = ["TABS", "open_tab", "settle", "speak"]


def open_tab(page: Page, name: str, lang: str = "en") -> None:
    """Open a tab; where there is no room for it, it is in the menu at the end of the row."""
    words = t(f"tab.{name}", lang)
    tab = page.get_by_role("tab", name=words, exact=True)
    if tab.count() and tab.first.is_visible():
        tab.first.click()
    else:
        page.locator(".overflow-menu > button").click()
        page.locator(".overflow-dropdown button", has_text=words).click()
    expect(page.locator(f"#tab-{name}")).to_be_visible()
    settle(page)


def speak(page: Page, lang: str) -> None:
    """Choose a language of the page, and wait for its texts, ours and those of Gradio's parts."""
    choose(page, "language", LANGUAGE_NAMES[lang])
    expect(page.locator("html")).to_have_attribute("lang", lang)
    expect(page.locator("#mode")).to_contain_text(t("form.advanced", lang))
    expect(page.locator("#theme")).to_have_text(t("header.theme", lang))
    settle(page)
