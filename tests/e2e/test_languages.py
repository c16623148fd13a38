"""Which language the page speaks in a browser, and in which direction it is written."""

import pytest
from playwright.sync_api import Browser

from app.ui import LANGUAGE_NAMES
from backend.contract.texts.locales import languages
from tests.e2e.modules import serve_modules

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

URL = "http://page.test/"
SHIPPED = " ".join(["en", *sorted(set(LANGUAGE_NAMES) - {"en"})])
PICK = """async () => {
  const { claim, likely } = await import("/language.js");
  return [claim(), document.documentElement.dir, likely().length];
}"""


def test_each_language_has_its_name_in_the_list() -> None:
    assert set(languages()) <= set(LANGUAGE_NAMES)


@pytest.mark.parametrize(
    ("locale", "spoken", "direction"),
    [
        ("en-GB", "en", "ltr"),
        ("de-AT", "de", "ltr"),
        ("zh-CN", "zh", "ltr"),
        ("zh-SG", "zh", "ltr"),
        ("zh-TW", "zh-Hant", "ltr"),
        ("zh-HK", "zh-Hant", "ltr"),
        ("pt-PT", "pt-BR", "ltr"),
        ("ar-EG", "ar", "rtl"),
        ("sw-KE", "en", "ltr"),
    ],
)
def test_the_page_speaks_what_the_browser_prefers(
    locale: str, spoken: str, direction: str, browser: Browser
) -> None:
    context = browser.new_context(locale=locale)
    page = context.new_page()
    serve_modules(page, URL, f'<meta name="languages" content="{SHIPPED}">')
    page.goto(URL)
    assert page.evaluate(PICK)[:2] == [spoken, direction]
    context.close()
