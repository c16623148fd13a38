"""The first five minutes, through the page in Chromium with the real model and the real backend."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.contract.texts.locales import t
from tests.e2e.conftest import STARTER, Server
from tests.e2e.forms import ANSWER, box, choose, expect_ready, fill
from tests.e2e.test_chat_tab import settled

NAME = "Tuneboard Assistant"
pytestmark = [pytest.mark.browser, pytest.mark.starter, pytest.mark.timeout(900)]


@pytest.fixture
def home(tmp_path: Path, starter: Path) -> Path:
    models = tmp_path / "saves" / "models"
    models.mkdir(parents=True)
    (models / STARTER).symlink_to(starter)
    return tmp_path


def only_run(home: Path, method: str = "lora") -> Path:
    (run,) = (home / "saves" / STARTER / method).iterdir()
    return run


def losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row.get("loss") is not None]


def answer(page: Page, column: str) -> str:
    """The one answer in a chat column, once it is whole."""
    return settled(page.locator(f"#chat-{column} {ANSWER}"))


def test_values_of_try_it_are_not_left_on_another_model(
    open_page: Callable[..., Page], home: Path, server: Server
) -> None:
    """Learning rate 0.001, batch 8 and checkpointing off stayed without a word when another model
    and method were chosen."""
    page = open_page()
    page.locator("#try-fill").click()
    command, note = page.locator("#command"), page.locator("#try-left-note")
    expect(command).to_contain_text("--disable_gradient_checkpointing true")
    box(page, "num_train_epochs").fill("7")  # the person's own
    choose(page, "finetuning_type", t("choice.finetuning_type.freeze", "en"))
    expect(note).to_contain_text("Learning rate 0.001")
    expect(note).to_contain_text("Disable gradient checkpointing true")
    expect(note).not_to_contain_text("Epochs")
    choose(page, "finetuning_type", t("choice.finetuning_type.lora", "en"))
    expect(note).not_to_be_visible()
    fill(page, "model_name_or_path", "org/another")
    page.locator("#try-reset").click()
    expect(command).to_contain_text("--learning_rate 0.0002")  # what its 92 rows set by themselves
    expect(command).not_to_contain_text("--disable_gradient_checkpointing")
    expect(command).to_contain_text("--num_train_epochs 7")
    expect(note).not_to_be_visible()


def test_try_it_start_watch_chat(
    open_page: Callable[..., Page], home: Path, server: Server
) -> None:
    """Two clicks train; two more chat with base and tuned; only one of them knows the name."""
    page = open_page()
    page.locator("#try-fill").click()
    expect(page.locator("#model_name_or_path input")).to_have_value(f"saves/models/{STARTER}")
    expect(page.locator("#command")).to_contain_text("--dataset identity")
    expect_ready(page)
    page.locator("#start").click()
    expect(page.locator("#train-run-state")).to_contain_text(
        "Succeeded", timeout=600_000, ignore_case=True
    )
    run = only_run(home)
    curve = losses(run)
    assert curve[-1] < curve[0] / 2, curve
    assert (run / "adapter_model.safetensors").is_file()
    expect(page.locator("#train-run-chart .main-svg").first).to_be_visible()

    page.locator("#train-run-chat").click()
    expect(page.locator("#chat-tuned")).to_contain_text(t("chat.chosen", "en", name=run.name))
    page.locator("#chat-side-by-side input").check()
    expect(page.locator("#chat-base")).to_contain_text(t("chat.column_base", "en", name=STARTER))
    page.locator("#chat-temperature input").fill("0")
    page.locator("#chat-max_new_tokens input").fill("40")
    page.locator("#chat-message textarea").fill("Who are you?")
    page.locator("#chat-message textarea").press("Enter")  # which loads the model
    status = page.locator("#chat-status textarea, #chat-status input")
    expect(status).to_have_value(re.compile("ready"), timeout=120_000)
    assert NAME in answer(page, "tuned")
    base = answer(page, "base")
    assert len(base) > 30
    assert NAME not in base
    page.locator("#chat-load").click()
    expect(status).to_have_value(re.compile("No model"), timeout=20_000)
