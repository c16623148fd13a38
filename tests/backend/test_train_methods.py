"""Each method trains, and what it saves loads with plain peft or plain transformers."""

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.__main__ import main
from backend.contract.runs import metrics, run_folder
from tests.backend.conftest import make_tokenizer, write_dataset
from tests.backend.training import ROWS, train_small

IDS = torch.tensor([[5, 6, 7, 8, 9]])
LORA_KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "targets": {"lora_target": "q_proj,v_proj"},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"pissa_init": True, "pissa_iter": -1},
    "pissa, fast": {"pissa_init": True, "pissa_iter": 4},
    "pissa, converted": {"pissa_init": True, "pissa_iter": 4, "pissa_convert": True},
    "lora+": {"loraplus_lr_ratio": 16.0},
    "more modules": {"additional_target": "embed_tokens"},
    "checkpointing": {"disable_gradient_checkpointing": False},
    "no checkpointing": {"disable_gradient_checkpointing": True},
    "noise": {"neftune_noise_alpha": 5.0},
}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.eval()(input_ids=IDS).logits
    return result


@pytest.mark.parametrize("kind", LORA_KINDS)
def test_lora_trains_and_loads_with_plain_peft(
    kind: str, workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loaded adapter answers exactly as the model did when training ended."""
    last: list[torch.Tensor] = []
    monkeypatch.setattr(
        "backend.train.final_metrics", lambda trainer: last.append(logits(trainer.model)) or {}
    )
    folder = train_small(workspace, tiny_model_dir, **LORA_KINDS[kind])
    loaded = AutoPeftModelForCausalLM.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    assert torch.allclose(logits(loaded), last[0], atol=1e-4)
    assert not torch.allclose(logits(loaded), logits(base), atol=1e-5)
    assert AutoTokenizer.from_pretrained(folder).chat_template


@pytest.mark.parametrize("method", ["full", "freeze"])
def test_full_and_freeze_load_with_plain_transformers(
    method: str, workspace: Path, tiny_model_dir: Path
) -> None:
    folder = train_small(
        workspace, tiny_model_dir, finetuning_type=method, freeze_trainable_layers=1
    )
    before = AutoModelForCausalLM.from_pretrained(tiny_model_dir).state_dict()
    after = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    if method == "full":
        assert "model.embed_tokens.weight" in changed
        assert any("layers.0." in name for name in changed)
    else:
        assert changed
        assert all(name.startswith("model.layers.1.") for name in changed)


@pytest.mark.parametrize(
    ("options", "learning"),
    [
        ({"freeze_trainable_layers": -1}, "model.layers.0."),
        ({"freeze_trainable_layers": 2, "freeze_trainable_modules": "mlp"}, ".mlp."),
        (
            {
                "freeze_trainable_layers": 1,
                "freeze_trainable_modules": "mlp",
                "freeze_extra_modules": "norm",
            },
            "norm|.mlp.",
        ),
    ],
)
def test_freeze_chooses_layers_and_modules(
    options: dict[str, Any], learning: str, tiny_model_dir: Path
) -> None:
    from backend.model import load
    from tests.backend.training import small

    model = load.model(small(tiny_model_dir, finetuning_type="freeze", **options), training=True)
    names = [name for name, weights in model.named_parameters() if weights.requires_grad]
    assert names
    assert all(any(part in name for part in learning.split("|")) for name in names)


@pytest.mark.parametrize("method", ["full", "freeze"])
def test_a_saved_model_says_where_an_answer_ends(
    method: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """Other programs stop by generation_config.json: the end of a turn was once not in it."""
    model = workspace / "saves" / "model"
    shutil.copytree(tiny_model_dir, model)
    tokenizer = make_tokenizer(eos="<|endoftext|>")
    tokenizer.save_pretrained(model)
    text_end, turn_end = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": text_end}))
    folder = train_small(workspace, model, finetuning_type=method, freeze_trainable_layers=1)
    for each in (folder, folder / "checkpoint-3"):
        settings = json.loads((each / "generation_config.json").read_text())
        assert settings == {"eos_token_id": [text_end, turn_end]}


@pytest.mark.parametrize("method", ["lora", "full"])
def test_weights_are_as_readable_as_other_files(
    method: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """safetensors writes for the owner alone: a server under another user could not read them."""
    before = os.umask(0o022)
    try:
        folder = train_small(workspace, tiny_model_dir, finetuning_type=method)
    finally:
        os.umask(before)
    files = list(folder.rglob("*.safetensors"))
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o644}


def test_the_card_names_no_folder_of_this_machine(workspace: Path, tiny_model_dir: Path) -> None:
    card = (train_small(workspace, tiny_model_dir) / "README.md").read_text()
    head = card.split("## Arguments")[0]
    assert f"base_model: {tiny_model_dir.name}\n" in head
    assert str(tiny_model_dir) not in head


def test_a_wish_for_fp16_on_a_cpu_is_answered_on_the_page(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the supervisor's child; the page shows the notices of the run's view."""
    write_dataset(workspace, "sums", ROWS)
    folder = workspace / "saves" / "run"
    folder.mkdir()
    monkeypatch.setenv("TUNEBOARD_RUN", str(folder))
    monkeypatch.setattr("backend.model.device.device", lambda: "cpu")
    words = f"train --model_name_or_path {tiny_model_dir} --dataset sums --max_steps 1 --fp16 True"
    assert main(words.split()) == 0
    view = run_folder.read(folder)
    assert ("bf16_on_cpu", "fp16") in [(problem.code, problem.field) for problem in view.notices]
    assert (view.step, view.total_steps, view.phase) == (1, 1, "saving")


def test_what_a_run_leaves(workspace: Path, tiny_model_dir: Path) -> None:
    """Every file that the design promises, and figures that fit each other."""
    folder = train_small(workspace, tiny_model_dir, val_size=0.2, compute_accuracy=True)
    present = {path.name for path in folder.iterdir()}
    assert {
        *("adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "README.md"),
        *("metrics.jsonl", "status.json", "all_results.json", "training_loss.png"),
        "checkpoint-3",
    } <= present
    assert not list(folder.rglob("training_args.bin"))
    assert (folder / "checkpoint-3" / "manifest.json").is_file()
    rows, _ = metrics.read(folder / "metrics.jsonl", 0)
    assert [row.step for row in rows if row.loss is not None] == [1, 2, 3]
    last = next(row for row in reversed(rows) if row.loss is not None)
    assert last.tokens
    assert last.tokens_per_second
    assert last.memory
    assert last.disk_free
    before_the_save = rows[0].checkpoints
    assert before_the_save == 0
    results = json.loads((folder / "all_results.json").read_text())
    assert results["tokens"] == last.tokens
    assert results["perplexity"] == pytest.approx(
        torch.tensor(results["eval_loss"]).exp().item(), rel=1e-4
    )
    assert 0 <= results["eval_accuracy"] <= 1
    assert "base_model" in (folder / "README.md").read_text()
    assert json.loads((folder / "adapter_config.json").read_text())[
        "base_model_name_or_path"
    ] == str(tiny_model_dir)


def test_the_tutorial_command_runs(workspace: Path, tiny_model_dir: Path) -> None:
    """As printed in an existing tutorial; the many workers are answered with a notice."""
    folder = train_small(
        workspace,
        tiny_model_dir,
        stage="sft",
        do_train=True,
        preprocessing_num_workers=16,
        finetuning_type="full",
        template="default",
        flash_attn="auto",
        cutoff_len=1024,
        learning_rate="5e-05",
        num_train_epochs="3.0",
        max_steps="none",
        max_samples=100000,
        gradient_accumulation_steps=8,
        lr_scheduler_type="cosine",
        max_grad_norm="1.0",
        logging_steps=5,
        save_steps=100,
        warmup_steps=0,
        optim="adamw_torch",
        packing="False",
        report_to="none",
        bf16=True,
        plot_loss=True,
        ddp_timeout=180000000,
        include_num_input_tokens_seen=True,
    )
    status = json.loads((folder / "status.json").read_text())
    assert {"workers_capped", "logging_lowered"} <= {notice["code"] for notice in status["notices"]}
    assert load_file(folder / "model.safetensors")["model.norm.weight"].dtype == torch.float32
    assert (folder / "training_loss.png").stat().st_size > 1000


def test_adapters_are_continued_stacked_and_merged(workspace: Path, tiny_model_dir: Path) -> None:
    """A given adapter learns on; with create_new_adapter it is merged and a new one learns."""
    first = train_small(workspace, tiny_model_dir, "first")
    again = train_small(workspace, tiny_model_dir, "again", adapter_name_or_path=str(first))
    fresh = train_small(
        workspace,
        tiny_model_dir,
        "fresh",
        adapter_name_or_path=f"{first},{again}",
        create_new_adapter=True,
    )
    before = load_file(first / "adapter_model.safetensors")
    after = load_file(again / "adapter_model.safetensors")
    new = load_file(fresh / "adapter_model.safetensors")
    name = next(name for name in before if "lora_A" in name)
    assert before.keys() == after.keys()
    assert (before[name] - after[name]).abs().max() < (before[name] - new[name]).abs().max()

    from backend.model import load
    from tests.backend.training import small

    whole = load.model(
        small(tiny_model_dir, adapter_name_or_path=f"{first},{again},{fresh}"), training=False
    )
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    for folder in (first, again, fresh):
        base = PeftModel.from_pretrained(base, folder).merge_and_unload()
    assert torch.allclose(logits(whole), logits(base), atol=1e-5)


def test_a_run_folder_is_a_model(workspace: Path, tiny_model_dir: Path) -> None:
    """An adapter's folder given as the model brings its base along."""
    from backend.model import load
    from tests.backend.training import small

    folder = train_small(workspace, tiny_model_dir)
    direct = AutoPeftModelForCausalLM.from_pretrained(folder)
    assert torch.allclose(
        logits(load.model(small(folder), training=False)), logits(direct), atol=1e-6
    )
    assert load.base_name(small(folder)) == str(tiny_model_dir)
