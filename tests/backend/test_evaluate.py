"""Evaluation of a tiny random model: the loss, the predictions and their files."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments import arguments
from backend.contract.arguments.arguments import resolve
from backend.contract.runs import run_folder
from backend.contract.texts.problems import UsageError
from backend.data import prepare, templates
from backend.evaluation import evaluate
from backend.model import load
from backend.running.failures import Stopped
from backend.running.report import Report
from tests.backend.conftest import write_dataset

ROWS = [
    {"instruction": "Who are you?", "input": "", "output": "I am Tuneboard."},
    {"instruction": "What is the capital of France?", "input": "", "output": "Paris."},
    {"instruction": "hello", "input": "", "output": "hello, how can I help you today?"},
    {"instruction": "Translate into English", "input": "今天天气很好。", "output": "Fine weather."},
    {"instruction": "user", "input": "", "output": "今天天气很好"},
]
# The tiny model repeats the prompt's last token; with this penalty its answers differ.
VARIED = 3.0


def values_for(model: Path, **more: object) -> dict[str, Any]:
    """Arguments of `tuneboard eval` on data set "rows"."""
    options = {
        "model_name_or_path": str(model),
        "eval_dataset": "rows",
        "max_new_tokens": 8,
        **more,
    }
    values, problems = arguments.parse(options, "eval")
    assert not problems
    return dict(values)


def run(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Evaluate into a folder; gives all_results.json."""
    folder.mkdir()
    evaluate.run(resolve(values), folder)
    results: dict[str, Any] = json.loads((folder / run_folder.RESULTS).read_text())
    return results


def predictions(folder: Path) -> list[dict[str, str]]:
    """The rows of generated_predictions.jsonl."""
    text = (folder / evaluate.PREDICTIONS).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_the_loss_is_the_mean_over_learned_tokens(tiny_model_dir: Path, workspace: Path) -> None:
    """Against the plain model, a row at a time; the batch size changes nothing."""
    import torch
    from torch.nn import functional
    from transformers import AutoModelForCausalLM

    write_dataset(workspace, "rows", ROWS)
    values = values_for(tiny_model_dir)
    tokenizer = load.tokenizer(resolve(values))
    report = Report(workspace)
    template = templates.load(resolve(values), tokenizer)
    rows = prepare.prepare_training(resolve(values), tokenizer, template, report).evaluation
    assert rows is not None
    assert len(rows) == len(ROWS)
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    total, count = 0.0, 0
    for row in rows:
        labels = torch.tensor(row["labels"][1:])
        with torch.no_grad():
            logits = model(torch.tensor([row["input_ids"]])).logits[0, :-1]
        total += functional.cross_entropy(logits, labels, reduction="sum").item()
        count += int((labels != -100).sum())
    for size in (1, 4):
        result = run(workspace / f"by{size}", {**values, "per_device_eval_batch_size": size})
        assert result["eval_loss"] == pytest.approx(total / count, rel=1e-4)
        assert result["eval_perplexity"] == pytest.approx(math.exp(total / count), rel=1e-3)
        assert result["eval_samples_per_second"] > 0
        assert "predict_bleu-4" not in result


def test_predictions_are_in_the_datas_order_whatever_the_batch(
    tiny_model_dir: Path, workspace: Path
) -> None:
    """Left padding and sorting change no greedy answer."""
    write_dataset(workspace, "rows", ROWS)
    result = []
    for size in (1, 3):
        values = values_for(
            tiny_model_dir,
            do_predict=True,
            do_eval=False,
            do_sample=False,
            repetition_penalty=VARIED,
            per_device_eval_batch_size=size,
        )
        results = run(workspace / f"by{size}", values)
        assert {
            "predict_bleu-4",
            "predict_rouge-1",
            "predict_rouge-2",
            "predict_rouge-l",
            "predict_exact_match",
            "predict_runtime",
            "predict_samples_per_second",
        } == set(results)
        result.append(predictions(workspace / f"by{size}"))
    assert result[0] == result[1]
    assert len({row["predict"] for row in result[0]}) > 1
    assert [row["label"] for row in result[0]] == [row["output"] for row in ROWS]
    for row, expected_row in zip(result[0], ROWS, strict=True):
        assert set(row) == {"prompt", "label", "predict"}
        assert str(expected_row["instruction"]) in row["prompt"]
        assert row["predict"]


def test_labels_that_the_model_says_score_100(tiny_model_dir: Path, workspace: Path) -> None:
    write_dataset(workspace, "rows", ROWS)
    asked = {"predict_with_generate": True, "do_sample": False, "repetition_penalty": VARIED}
    values = values_for(tiny_model_dir, **asked)
    run(workspace / "first", values)
    answers = [row["predict"] for row in predictions(workspace / "first")]
    rows = [{**row, "output": text} for row, text in zip(ROWS, answers, strict=True)]
    write_dataset(workspace, "rows", rows)
    results = run(workspace / "second", values)
    assert results["predict_exact_match"] == 100
    assert results["eval_loss"] > 0
    names = {"predict_results.json", "eval_results.json", "all_results.json"}
    assert names <= {path.name for path in (workspace / "second").iterdir()}


def test_what_nobody_asked_to_be_sampled_is_the_same_each_time(
    tiny_model_dir: Path, workspace: Path
) -> None:
    """The likeliest answers, whatever the seed: a score can be repeated."""
    write_dataset(workspace, "rows", ROWS)
    asked = {"do_predict": True, "do_eval": False, "repetition_penalty": VARIED}
    answers = []
    for seed in (1, 2):
        answers.append(run(workspace / f"s{seed}", values_for(tiny_model_dir, seed=seed, **asked)))
        del answers[-1]["predict_runtime"], answers[-1]["predict_samples_per_second"]
    assert answers[0] == answers[1]
    assert predictions(workspace / "s1") == predictions(workspace / "s2")
    greedy = {**asked, "do_sample": True, "top_k": 1}
    run(workspace / "greedy", values_for(tiny_model_dir, **greedy))
    assert predictions(workspace / "greedy") == predictions(workspace / "s1")


def test_a_seed_makes_sampled_predictions_again(tiny_model_dir: Path, workspace: Path) -> None:
    write_dataset(workspace, "rows", ROWS)
    drawn = {"do_predict": True, "do_eval": False, "temperature": 1.5, "top_p": 1.0}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(workspace / name, values_for(tiny_model_dir, seed=seed, **drawn))
    assert predictions(workspace / "a") == predictions(workspace / "b")
    assert predictions(workspace / "a") != predictions(workspace / "c")


def test_a_stop_keeps_what_was_predicted_and_gives_no_metrics(
    tiny_model_dir: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person stops during the second batch of two rows: the first two are kept, in order."""
    write_dataset(workspace, "rows", ROWS)
    folder = workspace / "run"
    folder.mkdir()
    progress = Report.progress

    def stop_after(self: Report, step: int, total: int, **extra: float | str | None) -> None:
        progress(self, step, total, **extra)
        if step == 2:
            run_folder.request_stop(folder)

    monkeypatch.setattr(Report, "progress", stop_after)
    values = values_for(tiny_model_dir, do_predict=True, do_eval=False)
    with pytest.raises(Stopped):
        evaluate.run(resolve(values), folder)
    labels = [row["label"] for row in predictions(folder)]
    assert len(labels) == 2
    assert labels == [row["output"] for row in ROWS if row["output"] in labels]
    assert not (folder / run_folder.RESULTS).exists()


def test_nothing_to_do_is_a_usage_error(tiny_model_dir: Path, workspace: Path) -> None:
    with pytest.raises(UsageError) as caught:
        evaluate.run(resolve(values_for(tiny_model_dir, do_eval=False)), workspace)
    assert caught.value.problems[0].code == "nothing_to_evaluate"
