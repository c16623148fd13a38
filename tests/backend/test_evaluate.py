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
from backend.evaluation import evaluate, row_batches
from backend.model import adapters, answer_cache, load
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
    options = {"do_predict": True, "do_eval": False, "per_device_eval_batch_size": 2}
    values = values_for(tiny_model_dir, **options)
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


def adapter_on(model: Path, folder: Path) -> Path:
    """A LoRA adapter of the tiny model that changes its answers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    config = LoraConfig(
        r=4,
        lora_alpha=64,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), config).save_pretrained(folder)
    return folder


def answers_one_by_one(model: Any, tokenizer: Any, prompts: list[str]) -> list[str]:
    """What plain `generate` answers, greedily, to each prompt alone."""
    import torch

    answers = []
    for prompt in prompts:
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            output = model.generate(
                ids, max_new_tokens=8, do_sample=False, repetition_penalty=VARIED, pad_token_id=0
            )
        answers.append(tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True))
    return answers


def test_batched_answers_of_a_fused_adapter_are_plain_generate_s_row_by_row(
    tiny_model_dir: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a batch size all rows are answered in one pass, with the adapter in the weights."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    write_dataset(workspace, "rows", ROWS)
    folder = adapter_on(tiny_model_dir, workspace / "saves" / "tuned")
    sizes: list[int] = []
    generate = evaluate.Predictor._generate

    def note_size(self: Any, prompts: Any, report: Any) -> list[str]:
        sizes.append(len(prompts))
        assert not isinstance(self._model, PeftModel)
        return generate(self, prompts, report)

    monkeypatch.setattr(evaluate.Predictor, "_generate", note_size)
    options = {"do_predict": True, "do_eval": False, "repetition_penalty": VARIED}
    values = values_for(
        tiny_model_dir, adapter_name_or_path=str(folder), do_sample=False, **options
    )
    run(workspace / "run", values)
    assert sizes == [len(ROWS)]
    rows = predictions(workspace / "run")
    tokenizer = load.tokenizer(resolve(values))
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model_dir), folder)
    expected = answers_one_by_one(model.eval(), tokenizer, [row["prompt"] for row in rows])
    assert [row["predict"] for row in rows] == expected
    assert len(set(expected)) > 1


def test_a_batch_that_does_not_fit_halves_itself_and_those_after_it(
    tiny_model_dir: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    write_dataset(workspace, "rows", ROWS)
    options = {"do_predict": True, "do_eval": False, "repetition_penalty": VARIED}
    values = values_for(tiny_model_dir, **options)
    run(workspace / "whole", values)
    sizes: list[int] = []
    generate = evaluate.Predictor._generate

    def fit_two(self: Any, prompts: Any, report: Any) -> list[str]:
        sizes.append(len(prompts))
        if len(prompts) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(self, prompts, report)

    monkeypatch.setattr(evaluate.Predictor, "_generate", fit_two)
    run(workspace / "halved", values)
    assert sizes == [5, 2, 2, 1]
    assert predictions(workspace / "halved") == predictions(workspace / "whole")

    def fit_none(_self: Any, _prompts: Any, _report: Any) -> list[str]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(evaluate.Predictor, "_generate", fit_none)
    with pytest.raises(torch.OutOfMemoryError):
        run(workspace / "none", values)


def test_batches_hold_each_row_once_and_no_more_tokens_than_they_may() -> None:
    lengths = [*range(1, 3000, 7), *[5] * 200, 5000]
    listed = list(row_batches.batches(lengths, row_batches.rows_for_loss))
    assert sorted(index for batch in listed for index in batch) == list(range(len(lengths)))
    longest = [max(lengths[index] for index in batch) for batch in listed]
    assert longest == sorted(longest, reverse=True)
    for batch, length in zip(listed, longest, strict=True):
        assert len(batch) == 1 or len(batch) * length <= row_batches.LOSS_TOKENS
    assert max(map(len, listed)) == row_batches.MAX_ROWS


def test_rows_that_are_answered_at_once_follow_from_the_free_memory(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of the tiny model takes 2 layers of 2 heads of 8 keys and 8 values: 256 bytes."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    assert answer_cache.token_bytes(model) == 256
    monkeypatch.setattr(answer_cache, "_free_memory", lambda _: 4 * 256 * 1000)
    rows_of = row_batches.rows_for_answers(model, new_tokens=90)
    assert [rows_of(length) for length in (10, 160, 2000)] == [10, 4, 1]
    assert row_batches.rows_for_answers(model, 90, beams=5)(10) == 2


def test_an_adapter_is_fused_only_where_it_changes_no_answer(
    tiny_model_dir: Path, workspace: Path
) -> None:
    """In half precision the merged weights are rounded: the answers would be others."""
    import torch
    from peft import PeftModel

    folder = adapter_on(tiny_model_dir, workspace / "saves" / "tuned")
    values = resolve(values_for(tiny_model_dir, adapter_name_or_path=str(folder)))
    for dtype, is_fused in ((torch.float32, True), (torch.bfloat16, False)):
        model = load.model(values, training=False).to(dtype)
        assert isinstance(model, PeftModel)
        assert isinstance(adapters.fuse(model), PeftModel) is not is_fused
