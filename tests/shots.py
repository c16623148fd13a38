"""Pictures of the page, to be looked at: `python -m tests.shots OUT [HOME]`.

Every tab at three widths, light and dark, and each stage's form with all its groups open.
HOME is a working folder whose runs are to be seen; without one the page is a first visitor's.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from backend.contract.arguments.fields import FIELDS
from backend.contract.texts.locales import t
from tests.bench import free_port
from tests.e2e.conftest import FLAGS, Server
from tests.e2e.forms import choose, show_all
from tests.e2e.test_stage_forms import unfold_all

TABS = ("train", "data", "recipes", "evaluate", "chat", "export", "runs")
WIDTHS = (1440, 1024, 390)
SCHEMES = ("light", "dark")
SETTLE_MS = 1500


def shots(out: Path, home: Path) -> None:
    """Write the pictures to `out`, each a PNG of a whole page."""
    out.mkdir(parents=True, exist_ok=True)
    server = Server(home, free_port())
    server.start()
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            for width in WIDTHS:
                for scheme in SCHEMES:
                    options = {"viewport": {"width": width, "height": 1000}, "locale": "en-US"}
                    page = browser.new_page(color_scheme=scheme, **options)
                    opened(page, server.url)
                    _tabs(page, out, f"{width}_{scheme}")
                    page.close()
            page = browser.new_page(viewport={"width": 1440, "height": 1000}, locale="en-US")
            opened(page, server.url)
            show_all(page)
            _stages(page, out)
    finally:
        server.kill()


def opened(page: Page, url: str) -> None:
    """The page once its first events are done."""
    page.goto(url)
    expect(page.locator("#command")).to_contain_text("--output_dir")
    page.wait_for_timeout(SETTLE_MS)


def _tabs(page: Page, out: Path, name: str) -> None:
    for tab in TABS:
        button = page.get_by_role("tab", name=t(f"tab.{tab}", "en"), exact=True)
        if button.count() and button.first.is_visible():
            button.first.click()
        else:  # no room for it: it is in the menu at the end of the row
            page.locator(".overflow-menu > button").click()
            page.locator(".overflow-dropdown button", has_text=t(f"tab.{tab}", "en")).click()
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=out / f"{tab}_{name}.png", full_page=True)


def _stages(page: Page, out: Path) -> None:
    for stage in FIELDS["stage"].choices:
        choose(page, "stage", t(f"choice.stage.{stage}", "en"))
        page.wait_for_timeout(SETTLE_MS)
        unfold_all(page)
        page.wait_for_timeout(SETTLE_MS)
        page.screenshot(path=out / f"stage_{stage}.png", full_page=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as fresh:
        shots(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else fresh).resolve())
