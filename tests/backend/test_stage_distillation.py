"""Distillation by trl's trainer: what its loss is, that it learns, and how a server teaches."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from backend.contract.arguments.arguments import defaults, resolve, to_argv
from backend.contract.arguments.rules import check_rules
from backend.contract.preflight.rewards import check_teacher
from backend.contract.texts.problems import ModelError, TuneboardError, UsageError
from backend.model import load
from tests.backend.conftest import make_teacher, write_dataset
from tests.backend.training import assert_resumed_equals, record, train_small
from tests.fakes import loopback

SMALL: dict[str, Any] = {
    "stage": "distillation",
    "max_new_tokens": 8,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "logging_steps": 1,
    "save_steps": 100,
}
CHECKED = {"val_size": 6, "eval_steps": 60, "eval_on_start": True, "finetuning_type": "full"}


@pytest.fixture(scope="module")
def teacher_dir(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wider than the student, and with more rows of logits than there are tokens, as Qwen's are."""
    rows = LlamaConfig.from_pretrained(tiny_model_dir).vocab_size + 24
    return make_teacher(
        tiny_model_dir,
        tmp_path_factory.mktemp("teacher"),
        hidden_size=48,
        vocab_size=rows,
    )


def evaluations(folder: Path) -> list[float]:
    return [row.eval_loss for row in record(folder) if row.eval_loss is not None]


def test_the_divergence_falls_by_half(
    workspace: Path, tiny_model_dir: Path, teacher_dir: Path
) -> None:
    """Forward KL on held-out answers; half of the steps learn from answers of the student."""
    options = {**SMALL, **CHECKED, "teacher_model": str(teacher_dir), "distillation_beta": 0.0}
    options |= {"learning_rate": 2e-2, "lr_scheduler_type": "constant", "max_steps": 60}
    folder = train_small(workspace, tiny_model_dir, **options)
    before, after = evaluations(folder)
    assert after < before / 2
    lengths = {row.more.get("completions/mean_length") for row in record(folder)}
    assert len(lengths) > 2  # 8 where the student drew, those of the data elsewhere


def test_resumed_equals_uninterrupted(
    workspace: Path, tiny_model_dir: Path, teacher_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped within an epoch, between two logged rows (2 and 4), and at the epoch's end (8);
    between own answers and those given."""
    monkeypatch.setattr("backend.training.arguments.POINTS", 1)  # else each step has a row
    options = {**SMALL, "teacher_model": str(teacher_dir), "max_steps": 9, "lora_dropout": 0.1}
    options["logging_steps"] = 2
    whole = train_small(workspace, tiny_model_dir, "whole", **options)
    assert [row.step for row in record(whole)] == [2, 4, 6, 8, 9]
    for step in (3, 8):
        assert_resumed_equals(whole, workspace, tiny_model_dir, step, monkeypatch, **options)


def test_spare_rows_belong_to_no_token(
    workspace: Path, tiny_model_dir: Path, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen2.5 7B has 152064 rows, 0.5B 151936, and one tokenizer: the student of more spare rows
    learns from the common ones, also from answers of its own; a row too few for the tokens is said
    before a model is loaded."""
    size = LlamaConfig.from_pretrained(tiny_model_dir).vocab_size
    assert size == len(tiny_tokenizer)
    options = {**SMALL, **CHECKED, "max_steps": 2, "lmbda": 1.0, "distillation_beta": 0.5}
    folder = make_teacher(tiny_model_dir, workspace / "teacher")
    student = make_teacher(tiny_model_dir, workspace / "student", vocab_size=size + 100)
    loaded = LlamaForCausalLM.from_pretrained(student)
    with torch.no_grad():
        loaded.lm_head.weight[size:] *= 50  # the likeliest of all, were they drawn
    loaded.save_pretrained(student)
    loaded.resize_token_embeddings(size)
    narrow = workspace / "narrow"
    loaded.save_pretrained(narrow)
    tiny_tokenizer.save_pretrained(narrow)
    runs = [
        train_small(workspace, model, model.name, **options, teacher_model=str(folder))
        for model in (student, narrow)
    ]
    first, second = map(evaluations, runs)
    assert len(first) == 2
    assert first[0] == pytest.approx(second[0], rel=1e-4)
    assert first[1] == pytest.approx(second[1], rel=1e-2)  # their own answers are drawn otherwise
    few = make_teacher(tiny_model_dir, workspace / "few", vocab_size=size - 1)
    monkeypatch.setattr(load, "base_model", None)
    with pytest.raises(ModelError) as caught:
        train_small(workspace, tiny_model_dir, "refused", **SMALL, teacher_model=str(few))
    problem = caught.value.problems[0]
    assert (problem.code, problem.params) == (
        "teacher_vocabulary",
        {"rows": size - 1, "wanted": size},
    )


class Scoring(BaseHTTPRequestHandler):
    """/v1/completions with echo and logprobs, as vLLM's server writes them, over a real model."""

    model: Any = None
    bodies: ClassVar[list[dict[str, Any]]] = []
    most = 10_000

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/completions"
        assert self.headers["Authorization"] == "Bearer sesame"
        self.bodies.append(body)
        choices = [self._choice(*pair, body) for pair in enumerate(body["prompt"])]
        raw = json.dumps({"choices": choices[::-1]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(raw)

    def _choice(self, index: int, ids: list[int], body: dict[str, Any]) -> dict[str, Any]:
        with torch.no_grad():
            logps = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        own: list[Any] = [None]
        tops: list[Any] = [None]
        for place, token in enumerate(ids[1:]):
            best = logps[place].topk(min(self.most, body["logprobs"], logps.shape[-1]))
            pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            row = {f"token_id:{number}": chance for number, chance in pairs}
            row[f"token_id:{token}"] = logps[place, token].item()
            own.append(logps[place, token].item())
            tops.append(row)
        own, tops = [*own, -1.0], [*tops, {}]  # the one token that max_tokens=1 adds
        return {"index": index, "logprobs": {"token_logprobs": own, "top_logprobs": tops}}

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def server(tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = make_teacher(tiny_model_dir, tmp_path / "same")
    monkeypatch.setattr(Scoring, "model", LlamaForCausalLM.from_pretrained(folder))
    monkeypatch.setattr(Scoring, "bodies", [])
    monkeypatch.setenv("TEACHER_API_KEY", "sesame")
    with loopback.serving(Scoring) as url:
        yield url


def test_a_server_teaches_what_its_model_would(
    workspace: Path, tiny_model_dir: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for all tokens, forward KL is that of the model itself; of 5, the rest is one more."""
    size = LlamaConfig.from_pretrained(tiny_model_dir).vocab_size
    options = {**SMALL, **CHECKED, "distillation_beta": 0.0, "max_steps": 2}
    local = train_small(
        workspace, tiny_model_dir, "local", **options, teacher_model=str(workspace / "same")
    )
    exact = evaluations(local)[0]
    asked = {**options, "teacher_server": server, "teacher_top_k": size}
    everything = train_small(workspace, tiny_model_dir, "everything", **asked)
    assert evaluations(everything)[0] == pytest.approx(exact, rel=1e-3)
    asked_first, body = Scoring.bodies[:2]
    assert len(asked_first["prompt"][0]) == 1  # whether it teaches at all, before a model is loaded
    assert (body["echo"], body["logprobs"], body["max_tokens"]) == (True, size, 1)
    assert "sesame" not in "".join(
        path.read_text() for path in everything.glob("*.json") if path.is_file()
    )
    five = train_small(workspace, tiny_model_dir, "five", **{**asked, "teacher_top_k": 5})
    assert 0 < evaluations(five)[0] < exact  # a coarser partition: never more (data processing)
    for beta in (0.5, 1.0):
        run = train_small(
            workspace, tiny_model_dir, f"b{beta}", **{**asked, "distillation_beta": beta}
        )
        assert Scoring.bodies[-1]["logprobs"] == 1
        assert len(evaluations(run)) == 2
    monkeypatch.setattr(Scoring, "most", 3)
    with pytest.raises(TuneboardError) as caught:
        train_small(workspace, tiny_model_dir, "few", **{**asked, "teacher_top_k": 20})
    assert caught.value.problems[0].code == "teacher_too_few"


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_the_loss_is_the_divergence_of_the_paper(
    beta: float, workspace: Path, tiny_model_dir: Path, tiny_tokenizer: Any
) -> None:
    """arXiv:2306.13649, eq. 1, over the tokens of the last answer of each held-out row."""
    from backend.data import prepare, templates
    from backend.running.report import Report
    from tests.backend.training import small

    folder = make_teacher(tiny_model_dir, workspace / "other")
    options = {**SMALL, **CHECKED, "teacher_model": str(folder), "max_steps": 1, "temperature": 0.7}
    options["distillation_beta"] = beta
    evaluation = evaluations(train_small(workspace, tiny_model_dir, **options))[0]
    values = small(tiny_model_dir, dataset_dir=str(workspace / "data"), **options)
    template = templates.load(values, tiny_tokenizer)
    rows = prepare.prepare_training(values, tiny_tokenizer, template, Report(workspace)).evaluation
    assert rows is not None
    assert len(rows) == 6
    models = [LlamaForCausalLM.from_pretrained(first) for first in (tiny_model_dir, folder)]
    losses = []
    for row in rows:
        learned = [place for place, label in enumerate(row["labels"]) if label != -100]
        with torch.no_grad():
            student, other = (
                (first(torch.tensor([row["input_ids"]])).logits[0] / 0.7).double().log_softmax(-1)
                for first in models
            )
        q, p = student[[at - 1 for at in learned]], other[[at - 1 for at in learned]]
        if beta in {0.0, 1.0}:
            first, second = (p, q) if beta == 0 else (q, p)
            losses.append((first.exp() * (first - second)).sum(-1))
            continue
        mixed = (beta * p.exp() + (1 - beta) * q.exp()).log()
        parts = [(each.exp() * (each - mixed)).sum(-1) for each in (p, q)]
        losses.append(beta * parts[0] + (1 - beta) * parts[1])
    assert evaluation == pytest.approx(torch.cat(losses).mean().item(), rel=1e-4)


def test_what_cannot_be_is_said_before_the_start(workspace: Path, tiny_model_dir: Path) -> None:
    values = {**defaults("train"), "stage": "distillation", "top_p": 1.0, "temperature": 1.0}
    server = {"teacher_server": "http://localhost:8000"}
    wrong = {
        "teacher_required": {},
        "two_teachers": {**server, "teacher_model": "x"},
        "teacher_server_temperature": {**server, "temperature": 0.9},
        "teacher_model_unset": {**server, "teacher_model_adapters": "x"},
        "teacher_top_k_not_used": {**server, "teacher_top_k": 5},
        "not_with_trl": {"deepspeed": "2"},
    }
    for code, case in wrong.items():
        assert code in [one.code for one in check_rules({**values, **case}, "train")], code
    assert [
        one.code for one in check_teacher(resolve({**values, "teacher_server": "localhost:8000"}))
    ] == ["teacher_not_address"]
    assert check_teacher(resolve({**values, **server})) == []
    (workspace / "none").mkdir()
    assert check_teacher(resolve({**values, "teacher_model": str(workspace / "none")}))
    words = to_argv({**values, **server, "teacher_api_key": "sesame"}, "train")
    assert "sesame" not in " ".join(words)
    folder = make_teacher(tiny_model_dir, workspace / "words")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["another"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(UsageError) as caught:
        train_small(workspace, tiny_model_dir, **SMALL, teacher_model=str(folder))
    problem = caught.value.problems[0]
    assert problem.code == "teacher_other_tokenizer"
    number = tokenizer.convert_tokens_to_ids("another")
    assert f'first is "another", whose id is {number} there and - here' in problem.text()


def test_a_run_over_the_same_base_reads_the_same_tokens(
    workspace: Path, tiny_tokenizer: Any
) -> None:
    """A qwen2 base is read by Qwen2Tokenizer, which adds <|endoftext|>; the folder of a LoRA run
    has no config.json, and transformers 5.23 took another class for it without the base's type:
    such a teacher or reward model was refused for one token more or less."""
    base = workspace / "qwen"
    shape = LlamaConfig(
        vocab_size=len(tiny_tokenizer) + 8,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
    ).to_dict()
    Qwen2ForCausalLM(Qwen2Config(**{**shape, "model_type": "qwen2"})).save_pretrained(base)
    tiny_tokenizer.save_pretrained(base)
    for file in base.glob("tokenizer*.json"):
        file.write_text(file.read_text().replace("<|endoftext|>", "<|over|>"))
    own = load.tokenizer(resolve({"model_name_or_path": str(base)}))
    assert {"<|endoftext|>", "<|over|>"} <= own.get_vocab().keys()
    row = {"conversations": [{"from": "human", "value": "What?"}]}
    chosen, rejected = ({"from": "gpt", "value": each} for each in ("Yes.", "No."))
    write_dataset(
        workspace,
        "pairs",
        [{**row, "chosen": chosen, "rejected": rejected}] * 4,
        formatting="sharegpt",
        ranking=True,
    )
    judge = train_small(workspace, base, "judge", stage="rm", dataset="pairs", max_steps=1)
    read = load.tokenizer(resolve({"model_name_or_path": str(judge)}))
    assert read.backend_tokenizer.to_str() == own.backend_tokenizer.to_str()
    few = {**SMALL, "max_steps": 1}
    run = train_small(workspace, base, "taught", **few, teacher_model=str(judge))
    assert len(record(run)) == 1
    other = {"reward_model_type": "full", "reward_model_adapters": str(judge)}
    other |= {"reward_functions": "reward_model", "reward_model": str(base), "stage": "online_dpo"}
    scored = train_small(workspace, base, "scored", **few | other)
    assert len(record(scored)) == 1
