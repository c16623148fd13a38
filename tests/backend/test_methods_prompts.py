"""Soft prompts: the learned tokens before the text shift every position, and no loss with it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.contract.arguments.arguments import resolve
from backend.model import load
from backend.training.batches import Collator
from backend.training.token_loss import logits_at_labels
from tests.backend.training import ROWS, small, train_small

METHODS = ["prompt", "prefix", "ptuning"]
BATCH = [
    {"input_ids": [5, 6, 7, 8, 9, 10], "labels": [-100, -100, 7, 8, 9, 10]},
    {"input_ids": [11, 12, 13], "labels": [-100, 12, 13]},
]


def learner(folder: Path, method: str, **options: Any) -> Any:
    """A new model of this method, ready to learn."""
    torch.manual_seed(3)
    values = small(folder, finetuning_type=method, num_virtual_tokens=5, **options)
    return load.model(values, training=True)


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_is_plain_pefts(method: str, tiny_model_dir: Path) -> None:
    model = learner(tiny_model_dir, method)
    batch = Collator(0)(BATCH)
    logits, targets = logits_at_labels(model, batch)
    assert targets.tolist() == [7, 8, 9, 10, 12, 13]
    ours = torch.nn.functional.cross_entropy(logits, targets)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
    assert ours.item() == pytest.approx(model(**inputs).loss.item(), abs=1e-5)
    ours.backward()
    learned = [each for each in model.parameters() if each.requires_grad]
    assert learned
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in learned)


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_falls(method: str, workspace: Path, tiny_model_dir: Path) -> None:
    """Gradient checkpointing is asked for: a prefix would silently not be seen with it."""
    folder = train_small(
        workspace,
        tiny_model_dir,
        finetuning_type=method,
        num_virtual_tokens=8,
        learning_rate=0.3,
        lr_scheduler_type="constant",
        max_steps=12,
        logging_steps=1,
        per_device_train_batch_size=30,
        gradient_accumulation_steps=1,
        plot_loss=False,
    )
    from backend.contract.runs import metrics

    losses = [row.loss for row in metrics.read(folder / "metrics.jsonl")[0] if row.loss]
    assert len(losses) == 12
    assert losses[-1] < losses[0] - 0.04
    notices = (folder / "status.json").read_text()
    assert ("prefix_without_checkpointing" in notices) == (method == "prefix")


def test_a_prompt_begins_as_the_given_text(tiny_model_dir: Path, tiny_tokenizer: Any) -> None:
    model = learner(tiny_model_dir, "prompt", prompt_tuning_init_text="hello, how can I help you")
    ids = tiny_tokenizer("hello, how can I help you")["input_ids"]
    words = model.get_base_model().get_input_embeddings().weight
    expected = words[torch.tensor((ids * 5)[:5])]
    assert torch.equal(model.prompt_encoder["default"].embedding.weight, expected)


def test_a_prefix_begins_as_if_the_text_had_been_read(
    tiny_model_dir: Path, tiny_tokenizer: Any
) -> None:
    text = "hello, how can I help you"
    model = learner(tiny_model_dir, "prefix", prompt_tuning_init_text=text).eval()
    before = (tiny_tokenizer(text)["input_ids"] * 5)[:5]
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        result = model(input_ids=ids, attention_mask=ids * 0 + 1).logits
        whole = torch.tensor([[*before, 5, 6, 7, 8]])
        wanted = model.get_base_model()(input_ids=whole).logits[:, 5:]
    assert (result - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("method", ["prompt", "prefix"])
def test_predictions_do_not_depend_on_the_batch(
    method: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """In a padded batch the learned tokens once stood too far from the shorter texts."""
    from transformers import AutoModelForCausalLM

    from backend.contract.arguments.arguments import parse
    from backend.evaluation import evaluate
    from tests.backend.conftest import write_dataset

    lively = workspace / "saves" / "lively"
    shutil.copytree(tiny_model_dir, lively)
    model = AutoModelForCausalLM.from_pretrained(lively)
    for weights in model.parameters():
        weights.data *= 5  # answers that hang on every position
    model.save_pretrained(lively)
    folder = train_small(workspace, lively, finetuning_type=method)
    rows = [{**ROWS[0], "instruction": "a " * count} for count in (1, 5, 9)]
    write_dataset(workspace, "few", rows)
    result = []
    for size in (1, 3):
        out = workspace / f"eval{size}"
        out.mkdir()
        options = {
            "model_name_or_path": str(folder),
            "finetuning_type": method,
            "eval_dataset": "few",
            "dataset_dir": str(workspace / "data"),
            "do_predict": True,
            "do_sample": False,
            "max_new_tokens": 8,
            "per_device_eval_batch_size": size,
        }
        values, problems = parse(options, "eval")
        assert not problems
        evaluate.run(resolve(values), out)
        result.append((out / "generated_predictions.jsonl").read_text())
    assert result[0] == result[1]
