"""A language that the vocabulary lacks, by mouse: new pieces, and on to pre-training with them."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.contract.texts.locales import t
from tests.e2e.forms import box, choose, expect_ready, expect_unready, fill, show_all, unfold
from tests.e2e.test_tabs import FINISHED, open_tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


def test_new_pieces_are_learned_and_trained_with(
    open_page: Callable[..., Page], home: Path
) -> None:
    page = open_page()
    fill(page, "model_name_or_path", "saves/models/tiny")
    open_tab(page, t("tab.data", "en"))
    unfold(page, "words")
    expect(page.locator("#vocab-run-none")).to_have_text(t("panel.none", "en"))
    expect(page.locator("#vocab-run-none")).not_to_contain_text("Start")  # no button is called so
    choose(page, "vocab-dataset", "general_zh")
    box(page, "vocab-new_pieces").fill("300")
    expect_unready(page, "vocab-")
    page.locator("#vocab-start").click()
    expect(page.locator("#vocab-problems")).to_be_visible()
    box(page, "vocab-export_dir").fill("saves/models/wide")
    command = page.locator("#vocab-command code")
    expect(command).to_contain_text("--export_dir saves/models/wide")
    assert shlex.split(command.inner_text()) == [
        *("tuneboard", "vocab", "--model_name_or_path", "saves/models/tiny"),
        *("--dataset", "general_zh", "--export_dir", "saves/models/wide", "--new_pieces", "300"),
    ]
    expect(page.locator("#words-pretrain")).to_be_hidden()
    expect_ready(page, "vocab-")
    page.locator("#vocab-start").click()
    expect(page.locator("#vocab-run-state")).to_contain_text(FINISHED, timeout=120_000)
    figures = json.loads((home / "saves" / "models" / "wide" / "new_pieces.json").read_text())
    report = page.locator("#words-report")
    for part in ("held_out", "known"):
        expect(report).to_contain_text(t(f"words.{part}", "en"))
        expect(report).to_contain_text(f"{figures[part]['characters_per_token_after']:.2f}")
    assert figures["held_out"]["gain"] > 1.3
    box(page, "vocab-export_dir").fill("saves/models/another")  # the run's is meant all the same
    expect(page.locator("#vocab-command")).to_contain_text("saves/models/another")
    page.locator("#words-pretrain").click()
    expect(page.locator("#command")).to_contain_text("--stage pt")
    expect(box(page, "model_name_or_path")).to_have_value("saves/models/wide")
    choose(page, "dataset", "general_zh")
    show_all(page)
    box(page, "cutoff_len").fill("64")
    box(page, "extra_args").fill("max_steps=2")
    expect(page.locator("#command")).to_contain_text("--max_steps 2")
    page.locator("#start").click()
    expect(page.locator("#train-run-state")).to_contain_text(FINISHED, timeout=120_000)
    expect(page.locator("#train-run-problem")).to_be_hidden()
