"""`tuneboard eval`: loss and perplexity on a data set, and answers scored against its labels."""

import gc
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import torch
from torch.nn import functional
from transformers import StoppingCriteria, StoppingCriteriaList

from backend.contract.arguments.typed import Arguments
from backend.contract.runs import run_folder
from backend.contract.system.files import write_atomic
from backend.contract.texts.problems import Problem, UsageError
from backend.data import prepare, templates
from backend.data.length_order import read_lengths
from backend.evaluation import scores
from backend.evaluation.row_batches import batches, rows_for_answers, rows_for_loss
from backend.model import adapter_starts, adapters, load, value_head
from backend.model.generation import Sampling, context_length, end_ids, pad_id
from backend.running.failures import Stopped, is_out_of_memory
from backend.running.report import Report, finite
from backend.training.batches import Collator
from backend.training.preference import PairCollator, answer_ends
from backend.training.token_loss import logits_at_labels

PREDICTIONS = "generated_predictions.jsonl"
EVAL_RESULTS = "eval_results.json"
PREDICT_RESULTS = "predict_results.json"
MAX_EXPONENT = 700.0  # the largest loss whose exponential is a float

Results = dict[str, float | None]

logger = logging.getLogger(__name__)


def run(values: Arguments, folder: Path) -> None:
    """Evaluate as the arguments say and write the results into the run folder.

    Raises UsageError (nothing to do), DataError, ModelError, or Stopped when the person asked.
    """
    predicts = values.do_predict or values.predict_with_generate
    if not (predicts or values.do_eval):
        raise UsageError(Problem(code="nothing_to_evaluate", field="do_eval"))
    report = Report(folder)
    report.phase("loading")
    load.base_architecture(values)  # what cannot be loaded is refused before data is read
    for notice in load.base_notices(values):
        report.notice(notice)
    tokenizer = load.tokenizer(values)
    template = templates.load(values, tokenizer)
    evaluation = prompts = None
    if values.do_eval:
        report.phase("tokenizing")
        evaluation = prepare.prepare_training(values, tokenizer, template, report).evaluation
    if predicts:
        report.phase("tokenizing")
        prompts = prepare.prepare_prompts(values, tokenizer, template, report)
    report.phase("loading")
    model = adapters.fuse(load.model(values, training=False))
    results: Results = {}
    if evaluation is not None:
        measure = _preferences if values.stage == "rm" else _loss
        results |= measure(model, evaluation, tokenizer.pad_token_id or 0, values, report)
        _write(folder / EVAL_RESULTS, results)
    if prompts is not None:
        predicted = Predictor(model, tokenizer, template, values).run(prompts, folder, report)
        _write(folder / PREDICT_RESULTS, predicted)
        results |= predicted
    _write(folder / run_folder.RESULTS, results)


def _loss(model: Any, rows: Any, pad_id: int, values: Arguments, report: Report) -> Results:
    """Mean negative log-likelihood of the learned tokens (nats a token), and its exponential."""
    report.phase("evaluating")
    began = time.monotonic()
    total, count = 0.0, 0
    for inputs in _inputs(model, rows, Collator(pad_id), values, report):
        with torch.inference_mode():
            logits, targets = logits_at_labels(model, inputs)
            total += functional.cross_entropy(logits.float(), targets, reduction="sum").item()
        count += targets.numel()
    loss = total / max(count, 1)
    return {
        "eval_loss": finite(loss),
        "eval_perplexity": finite(math.exp(min(loss, MAX_EXPONENT))),
        **_speed("eval", len(rows), began),
    }


def _preferences(model: Any, rows: Any, pad_id: int, values: Arguments, report: Report) -> Results:
    """The loss of a reward model on pairs, and the metrics that its training logs, too."""
    report.phase("evaluating")
    began = time.monotonic()
    head = value_head.read(model, load.last_folder(values), "model_name_or_path")
    batch_rewards: list[torch.Tensor] = []
    for inputs in _inputs(model, rows, PairCollator(pad_id), values, report):
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        with torch.inference_mode():
            rewards = value_head.values_at(model, head, ids, mask, answer_ends(inputs["labels"]))
        batch_rewards.append(torch.stack(rewards.chunk(2)).cpu())
    chosen, rejected = torch.cat(batch_rewards, dim=1)
    metrics = {
        "eval_loss": -functional.logsigmoid(chosen - rejected),
        "eval_rewards/chosen": chosen,
        "eval_rewards/rejected": rejected,
        "eval_rewards/margins": chosen - rejected,
        "eval_rewards/accuracies": (chosen > rejected).float(),
    }
    means = {name: finite(each.mean().item()) for name, each in metrics.items()}
    return {**means, **_speed("eval", len(rows), began)}


def _inputs(
    model: Any, rows: Any, collate: Any, values: Arguments, report: Report
) -> Iterator[dict[str, Any]]:
    """Yield batches on the model's device, the longest rows first. Raises Stopped on a stop."""
    done, size = 0, values.per_device_eval_batch_size
    for batch in batches(
        read_lengths(rows).tolist(), rows_for_loss if size is None else lambda _: size
    ):
        if report.stop_requested():
            raise Stopped
        inputs = collate([rows[index] for index in batch])
        yield {
            name: value.to(model.device) if isinstance(value, torch.Tensor) else value
            for name, value in inputs.items()
        }
        done += len(batch)
        report.progress(done, len(rows))


class Predictor:
    """Generates an answer to every prompt, several at once, and scores them."""

    def __init__(self, model: Any, tokenizer: Any, template: Any, values: Arguments) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._values = values
        self._end = end_ids(model, tokenizer, template.stop_ids)
        self._pad = pad_id(tokenizer, self._end)
        self._sampling = Sampling.of(values)
        self._fitting = sys.maxsize  # rows that fit in memory at once, as far as is known

    def run(self, prompts: Sequence[Any], folder: Path, report: Report) -> Results:
        """Predict and score; generated_predictions.jsonl grows as answers come.

        At the end, or when the person stops it (Stopped), its rows are in the data's order.
        """
        report.phase("predicting")
        torch.manual_seed(self._values.seed)
        began = time.monotonic()
        rows: dict[int, dict[str, str]] = {}
        lengths = [len(prompt.prompt_ids) for prompt in prompts]
        path = folder / PREDICTIONS
        with path.open("w", encoding="utf-8") as file:
            for batch in batches(lengths, self._rows_of()):
                answers = self._answers([prompts[index].prompt_ids for index in batch], report)
                if answers is None:
                    break
                for index, answer in zip(batch, answers, strict=True):
                    rows[index] = self._row(prompts[index], answer)
                    _append(file, rows[index])
                report.progress(len(rows), len(prompts))
        write_atomic(path, "".join(_line(rows[index]) for index in sorted(rows)))
        if len(rows) < len(prompts):
            raise Stopped
        pairs = [(row["label"], row["predict"]) for row in rows.values()]
        predict_scores: Results = {
            f"predict_{name}": v for name, v in scores.mean_scores(pairs).items()
        }
        return {**predict_scores, **_speed("predict", len(prompts), began)}

    def _row(self, prompt: Any, answer: str) -> dict[str, str]:
        text = self._tokenizer.decode(prompt.prompt_ids, skip_special_tokens=False)
        return {"prompt": text, "label": prompt.label, "predict": answer}

    def _rows_of(self) -> Callable[[int], int]:
        """How many prompts of a length are answered at once."""
        size = self._values.per_device_eval_batch_size
        if adapter_starts.needs_single_rows(self._model):
            size = 1
        if size is not None:
            return lambda _: size
        return rows_for_answers(self._model, self._sampling.max_tokens, self._values.num_beams)

    def _answers(self, prompts: list[list[int]], report: Report) -> list[str] | None:
        """The answers to a batch of prompts (token ids); None where a stop was asked meanwhile.

        A batch that does not fit in memory halves itself, and so do those after it.
        """
        answers: list[str] = []
        while len(answers) < len(prompts):
            part = prompts[len(answers) : len(answers) + self._fitting]
            texts = self._answer_at_once(part, report)
            if report.stop_requested():
                return None
            if texts is None:
                self._fitting = len(part) // 2
                logger.warning("%d answers at once do not fit in memory: half of them", len(part))
            else:
                answers += texts
        return answers

    def _answer_at_once(self, prompts: list[list[int]], report: Report) -> list[str] | None:
        """The answers to these prompts; None where several together do not fit in memory."""
        try:
            return self._generate(prompts, report)
        except (RuntimeError, MemoryError) as error:
            if len(prompts) == 1 or not is_out_of_memory(error):
                raise
        gc.collect()  # what the failed pass held, now that its error is gone
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _generate(self, prompts: list[list[int]], report: Report) -> list[str]:
        longest = max(len(ids) for ids in prompts)
        # the answers begin at one place, so the padding lies on the left
        padded = [[self._pad] * (longest - len(ids)) + ids for ids in prompts]
        mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts]
        sampling = self._sampling.within(context_length(self._model), longest)
        config = sampling.config(
            self._end,
            self._pad,
            num_beams=self._values.num_beams,
            length_penalty=self._values.length_penalty,
        )
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=torch.tensor(padded, device=self._model.device),
                attention_mask=torch.tensor(mask, device=self._model.device),
                generation_config=config,
                stopping_criteria=StoppingCriteriaList([_StopRequested(report)]),
            )
        return [self._text(ids) for ids in output[:, longest:].tolist()]

    def _text(self, ids: list[int]) -> str:
        """The text up to the first end token; the rest of the row is padding."""
        end = next((place for place, token in enumerate(ids) if token in self._end), len(ids))
        skip = self._sampling.skip_special_tokens
        return str(self._tokenizer.decode(ids[:end], skip_special_tokens=skip))


class _StopRequested(StoppingCriteria):
    """Ends a batch within a token once the person asks for a stop."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __call__(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        stop = self._report.stop_requested()
        return torch.full((len(input_ids),), stop, dtype=torch.bool, device=input_ids.device)


def _speed(prefix: str, rows: int, began: float) -> Results:
    seconds = max(time.monotonic() - began, 1e-6)
    return {
        f"{prefix}_runtime": round(seconds, 4),
        f"{prefix}_samples_per_second": round(rows / seconds, 3),
    }


def _line(row: dict[str, str]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _append(file: TextIO, row: dict[str, str]) -> None:
    file.write(_line(row))
    file.flush()


def _write(path: Path, results: Results) -> None:
    write_atomic(path, json.dumps(results, indent=4, sort_keys=True) + "\n")
