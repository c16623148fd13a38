"""The tutorials' chain on the starter model with the demo data, each stage from the page."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.contract.texts.locales import t
from tests.e2e.conftest import STARTER, Server
from tests.e2e.forms import ANSWER, box, choose, expect_ready, fill, show_all
from tests.e2e.test_chat_tab import say, settled
from tests.e2e.test_tabs import open_tab

pytestmark = [pytest.mark.browser, pytest.mark.starter, pytest.mark.timeout(1500)]
FINISHED = re.compile(t("state.SUCCEEDED", "en"), re.IGNORECASE)
ENDED = re.compile(
    "|".join(t(f"state.{name}", "en") for name in ("SUCCEEDED", "FAILED", "KILLED", "STOPPED")),
    re.IGNORECASE,
)
FEW = "\n".join(
    [
        *("max_steps=2", "max_samples=6", "per_device_train_batch_size=2", "cutoff_len=96"),
        *("gradient_accumulation_steps=1", "save_strategy=no", "learning_rate=1e-5"),
    ]
)
STAGES = {stage: t(f"choice.stage.{stage}", "en") for stage in ("pt", "sft", "rm", "ppo", "dpo")}


@pytest.fixture
def home(tmp_path: Path, starter: Path) -> Path:
    models = tmp_path / "saves" / "models"
    models.mkdir(parents=True)
    (models / STARTER).symlink_to(starter)
    return tmp_path


def trained(page: Page, home: Path, stage: str, model: str, dataset: str, more: str = "") -> str:
    """Train one stage from the Train tab; gives the run's folder, as the model bar takes it."""
    method = "full" if stage in {"pt", "sft"} else "lora"
    open_tab(page, "Train")
    choose(page, "finetuning_type", t(f"choice.finetuning_type.{method}", "en"), exact=True)
    choose(page, "stage", STAGES[stage], exact=True)
    fill(page, "model_name_or_path", model)
    box(page, "dataset").press("Backspace")  # takes out the one before
    choose(page, "dataset", dataset)
    show_all(page)
    fill(page, "extra_args", FEW + more)
    fill(page, "run_name", f"chain_{stage}")
    command = page.locator("#command")
    expect(command).to_contain_text(f"chain_{stage}")
    expect(command).to_contain_text("--max_steps 2")
    expect_ready(page)
    page.locator("#start").click()
    expect(page.locator("#train-run-name")).to_contain_text(f"chain_{stage}")
    expect(page.locator("#train-run-state")).to_contain_text(ENDED, timeout=400_000)
    (run,) = (home / "saves").glob(f"*/{method}/chain_{stage}")
    assert FINISHED.search(page.locator("#train-run-state").inner_text()), (
        run / "log.txt"
    ).read_text()[-3000:]
    assert json.loads((run / "all_results.json").read_bytes())["steps"] == 2
    return str(run.relative_to(home))


def test_the_chain_of_the_tutorials(
    open_page: Callable[..., Page], home: Path, server: Server
) -> None:
    """pt -> sft -> rm -> ppo -> merge -> chat, and sft -> dpo: each folder is the next one's."""
    page = open_page()
    pretrained = trained(page, home, "pt", f"saves/models/{STARTER}", "pretrain_en")
    tuned = trained(page, home, "sft", pretrained, "general_en")
    reward = trained(page, home, "rm", tuned, "preference_en")
    assert (home / reward / "value_head.safetensors").is_file()
    size = (home / reward / "adapter_model.safetensors").stat().st_size
    assert size < 20e6, "a reward adapter is a few megabytes beside the base"
    more = f"\nreward_model={reward}\nmax_new_tokens=8"
    policy = trained(page, home, "ppo", tuned, "general_en", more)
    trained(page, home, "dpo", tuned, "preference_en")

    fill(page, "model_name_or_path", tuned)
    adapters = page.locator("#adapter_name_or_path")
    box(page, "adapter_name_or_path").click()
    newest = adapters.get_by_role("option", name="chain_dpo").first
    expect(newest).to_be_visible()  # what has just ended is offered as well
    box(page, "adapter_name_or_path").press("Escape")
    choose(page, "adapter_name_or_path", "chain_ppo")
    open_tab(page, "Export")
    box(page, "export-export_dir").fill("saves/models/final")
    expect(page.locator("#export-command")).to_contain_text(policy)
    page.locator("#export-start").click()
    expect(page.locator("#export-run-state")).to_contain_text(FINISHED, timeout=200_000)
    page.locator("#export-run-chat").click()
    page.locator("#chat-load").click()
    status = page.locator("#chat-status textarea, #chat-status input")
    expect(status).to_have_value(re.compile("ready"), timeout=120_000)
    box(page, "chat-max_new_tokens").fill("8")
    say(page, "What is the capital of France?")
    answer = page.locator(f"#chat-tuned {ANSWER}").first
    assert settled(answer)
