"""Evaluate, Export and Runs in Chromium, with the tiny model and the real backend."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.contract.arguments import arguments
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.texts.locales import t
from tests.e2e.conftest import ROOT, Server
from tests.e2e.forms import box, chips, choose, chosen_in, fill, row_of
from tests.failures.conftest import ended, fake

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
    expect(box(page, "export-export_dir")).to_have_value("saves/models/two")
    expect(page.locator("#export-command")).to_contain_text("--export_dir saves/models/two")
    chips(page, "adapter_name_or_path").get_by_role("button").click()
    expect(box(page, "export-export_dir")).to_have_value("saves/models/tiny-export")
    box(page, "export-export_dir").fill("exports/one")
    choose(page, "adapter_name_or_path", "two")
    expect(page.locator("#export-command")).to_contain_text(f"--adapter_name_or_path {adapter}")
    expect(page.locator("#export-command")).to_contain_text("--export_dir exports/one")
    page.locator("#export-start").click()
    expect(page.locator("#export-run-state")).to_contain_text(FINISHED, timeout=90_000)
    exported = home / "exports" / "one"
    expect(page.locator("#export-run-notices")).to_contain_text(str(exported))
    assert (exported / "Modelfile").is_file()
    assert loads(exported)
    use_elsewhere(page, exported)
    page.locator("#export-run-chat").click()
    expect(page.locator("#chat-load")).to_be_visible()
    expect(box(page, "model_name_or_path")).to_have_value("exports/one")
    expect(chips(page, "adapter_name_or_path")).to_have_count(0)


def use_elsewhere(page: Page, exported: Path) -> None:
    """Each command that runs the result has a button that copies it; one link brings it all."""
    lines = page.locator("#export-run-use li")
    commands = [f"vllm serve {exported}", f"mlx_lm.server --model {exported}"]
    commands.append(f"ollama create one -f {exported}/Modelfile")
    expect(lines.locator("code")).to_have_text(commands)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for line, command in zip(lines.all(), commands, strict=True):
        line.get_by_role("button").click()
        copied = page.evaluate("() => navigator.clipboard.readText()")
        assert copied == command
    with page.expect_download() as download:
        page.locator("#export-run-download-export").click()
    assert download.value.suggested_filename == "one.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert {name.removeprefix("one/") for name in archive.namelist()} == {
            path.name for path in exported.iterdir()
        }
        assert archive.testzip() is None


def loads(folder: Path) -> bool:
    """Whether model and tokenizer come out of this folder alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Who are you?", return_tensors="pt")["input_ids"]
    return model(input_ids=ids).logits.shape[-1] == model.config.vocab_size


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
