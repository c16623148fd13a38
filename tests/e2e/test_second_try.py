"""Extra arguments, a failed run set up again, and tools in Chat: in Chromium, real backend."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.contract.arguments import arguments
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from tests.e2e.conftest import Server
from tests.e2e.forms import (
    ANSWER,
    box,
    choose,
    command_of,
    expect_ready,
    expect_unready,
    expect_wrong,
    fill,
    line,
    ready_form,
    show_all,
)
from tests.e2e.test_chat_tab import say
from tests.e2e.test_tabs import open_tab, with_tiny
from tests.failures.conftest import ended

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
FAILS = """
import json, os, sys
row = {"code": "out_of_memory_training", "field": "per_device_train_batch_size",
       "params": {"batch": 8, "cutoff": 64, "changes": "per_device_train_batch_size 4"}}
with open(os.path.join(os.environ["TUNEBOARD_RUN"], "problem.json"), "w") as file:
    json.dump(row, file)
sys.exit(5)
"""


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


def test_extra_arguments(open_page: Callable[..., Page], server: Server) -> None:
    """They go over the form, live; what is wrong with them stands beside their box."""
    page = open_page()
    ready_form(page)
    show_all(page)
    box(page, "extra_args").fill('{"weight_decay": 0.25, "lora_rank": 3}')
    command = page.locator("#command")
    expect(command).to_contain_text("--weight_decay 0.25")
    expect(command).to_contain_text("--lora_rank 3")
    fill(page, "extra_args", "weight_deca=0.25")
    expect_wrong(page, "extra_args")
    expect(line(page, "extra_args")).to_contain_text("weight_decay?")
    expect_unready(page)
    box(page, "extra_args").fill("")
    expect_ready(page)


def test_a_failed_run_is_set_up_again_with_the_cure(
    open_page: Callable[..., Page], server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory: one click fills the form with half the batch and with gradient checkpointing,
    and all else as it was."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(home))
    monkeypatch.setenv("TUNEBOARD_WORKER", f"{sys.executable} -c {shlex.quote(FAILS)}")
    raw = {
        "model_name_or_path": "saves/models/tiny",
        "dataset": "identity",
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 3,
        "learning_rate": 0.002,
        "loraplus_lr_embedding": 1e-5,  # has no control
        "output_dir": "saves/tiny/lora/first",
    }
    values, problems = arguments.parse(raw, "train")
    assert not problems
    folder = launch.start("train", values)
    assert ended(folder).state is State.OUT_OF_MEMORY
    page = open_page()
    fix, wrong = page.locator("#train-run-fix"), page.locator("#train-run-problem")
    expect(fix).to_contain_text("8 → 4")
    expect(wrong).to_contain_text("Batch size 4, Gradient accumulation 6")
    expect(wrong).not_to_contain_text("_")
    expect(page.locator("#train-run-restart")).to_be_enabled()
    again = page.locator("#train-run-again")
    expect(again).to_have_text("Set up again with this change")
    again.click()
    expect(page.locator("#command")).to_contain_text("--per_device_train_batch_size 4")
    expect(page.locator("#command")).to_contain_text("--loraplus_lr_embedding")
    expect_ready(page)
    found, problems = arguments.from_argv(command_of(page)[2:], "train")
    assert not problems
    found = dict(found)
    assert str(found.pop("output_dir")).startswith("saves/tiny/lora/train_")
    changes: dict[str, object] = {
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 6,
        "disable_gradient_checkpointing": False,  # left open, it may have been off
    }
    wanted = {**values, **changes, "lora_alpha": 16}
    del wanted["output_dir"]
    assert found == wanted
    assert run_folder.read(folder).state is State.OUT_OF_MEMORY, "the run itself is left alone"


def test_tools_and_their_results(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    page = open_page()
    with_tiny(page, "Train")
    open_tab(page, "Chat")
    tools = page.locator("#chat-tools")
    tools.locator("textarea").fill('[{"description": "no name"}]')
    expect(tools).to_contain_text("Tool 1 has no name")
    tools.locator("textarea").fill(json.dumps([{"name": "weather", "parameters": {}}]))
    expect(tools).not_to_contain_text("has no name")
    page.locator("#chat-load").click()
    status = page.locator("#chat-status textarea, #chat-status input")
    expect(status).to_have_value(re.compile("ready"), timeout=120_000)
    box(page, "chat-max_new_tokens").fill("4")
    turns = page.locator(f"#chat-tuned {ANSWER}")
    say(page, "How is the weather?")
    expect(turns).to_have_count(1)
    choose(page, "chat-role", "Tool result")
    say(page, "rain")
    expect(page.locator("#chat-tuned")).to_contain_text("Tool result")
    expect(page.locator("#chat-tuned")).to_contain_text("rain")
    expect(page.locator("#chat-role input")).to_have_value("User")
    note = page.locator("#chat-note textarea, #chat-note input")
    expect(note).not_to_be_visible()
    box(page, "chat-seed").fill("x")
    say(page, "And now?")
    expect(note).to_have_value(re.compile("not a whole number"))
    page.locator("#chat-load").click()
