"""PPO: one base plays all parts, and a resumed run equals an uninterrupted one."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backend.contract.preflight import preflight
from backend.contract.runs import metrics
from backend.contract.texts.problems import TuneboardError
from backend.model import adapters, load, value_head
from backend.running.failures import Stopped
from backend.running.report import Report
from backend.stages import table
from backend.stages.ppo import PpoTrainer
from backend.training import rollouts, scoring
from tests.backend.conftest import write_dataset
from tests.backend.preferences import train_preferences
from tests.backend.training import ROWS, small, train_small

SMALL: dict[str, Any] = {
    "stage": "ppo",
    "max_new_tokens": 8,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "ppo_epochs": 2,
    "logging_steps": 1,
    "max_steps": 4,
}
METRICS = {"policy_loss", "value_loss", "entropy", "clip_fraction"}
DRAWN = {"reward", "kl", "kl_coef", "completion_length", "clipped_ratio"}
HEAD = "value_head.safetensors"


def rows(folder: Path) -> list[metrics.Metrics]:
    return [row for row in metrics.read(folder / "metrics.jsonl")[0] if row.loss is not None]


@pytest.fixture(scope="module")
def reward_folder(
    tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Makes reward models of a few steps by finetuning_type; each once."""
    home = tmp_path_factory.mktemp("rewards")
    (home / "data").mkdir()
    (home / "saves").mkdir()

    def make(method: str) -> Path:
        folder = home / "saves" / method
        if not (folder / HEAD).exists():
            train_preferences(
                home, tiny_model_dir, method, stage="rm", finetuning_type=method, learning_rate=0.01
            )
        return folder

    return make


def test_one_base_plays_all_parts(
    workspace: Path,
    tiny_model_dir: Path,
    reward_folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Figures of all kinds; in the folder the policy's adapter and its head, and nothing else."""
    trainers: list[PpoTrainer] = []
    begin = PpoTrainer.__init__

    def init(self: PpoTrainer, *adapter: Any, **named: Any) -> None:
        begin(self, *adapter, **named)
        trainers.append(self)

    monkeypatch.setattr(PpoTrainer, "__init__", init)
    source = reward_folder("lora")
    folder = train_small(
        workspace, tiny_model_dir, **SMALL, reward_model=str(source), val_size=4, eval_steps=2
    )
    records = rows(folder)
    assert [set(row.more) >= METRICS for row in records] == [True] * 4
    assert [set(row.more) >= DRAWN for row in records] == [True, False, True, False]
    assert records[0].more["kl"] == pytest.approx(0, abs=1e-5)
    assert abs(records[2].more["kl"]) > 1e-4  # an estimate, which may fall below 0
    assert 0 < records[0].more["completion_length"] <= 8
    check = [row for row in metrics.read(folder / "metrics.jsonl")[0] if row.eval_loss is not None]
    assert [row.step for row in check] == [2, 4]
    assert check[0].eval_loss == pytest.approx(-check[0].more["eval_reward"], rel=1e-4)
    names = set(load_file(folder / "adapter_model.safetensors"))
    assert names
    assert all("lora_" in name for name in names)
    assert not (folder / "reward").exists()
    assert not (folder / "checkpoint-4" / "reward").exists()
    assert load_file(folder / HEAD)["v_head.summary.weight"].any()
    learning = [
        name for name, weights in trainers[0].model.named_parameters() if weights.requires_grad
    ]
    assert all(".default." in name or name.startswith("value_head.") for name in learning)
    assert len(trainers[0].model.peft_config) == 2
    adapter = load_file(source / "adapter_model.safetensors")
    reward = {
        name.replace(".reward", ""): weights
        for name, weights in trainers[0].model.named_parameters()
        if ".reward." in name
    }
    assert reward.keys() == adapter.keys()
    assert all(torch.equal(reward[name], adapter[name]) for name in adapter)  # it did not learn


def test_the_policy_opens_as_any_adapter(
    workspace: Path, tiny_model_dir: Path, reward_folder: Callable[[str], Path]
) -> None:
    folder = train_small(
        workspace, tiny_model_dir, **SMALL, reward_model=str(reward_folder("lora"))
    )
    values = small(tiny_model_dir, adapter_name_or_path=str(folder))
    net = load.model(values.replace(infer_dtype="float32"), training=False)
    assert net(input_ids=torch.tensor([[5, 6, 7]])).logits.isfinite().all()
    again = train_small(
        workspace,
        tiny_model_dir,
        "again",
        **SMALL,
        adapter_name_or_path=str(folder),
        reward_model=str(reward_folder("lora")),
    )
    # the reference is the policy that this run began with
    assert rows(again)[0].more["kl"] == pytest.approx(0, abs=1e-5)


def test_scores_are_the_reward_models_own(
    workspace: Path, tiny_model_dir: Path, reward_folder: Callable[[str], Path]
) -> None:
    """On the shared base, beside it, and worked out plainly: the same, and nothing is left on."""
    source = reward_folder("lora")
    ids = [[5, 6, 7, 8, 9], [30, 31], [40, 41, 42]]
    base = load.base_model(small(tiny_model_dir))
    net = adapters.attach(base, source).eval()
    head = load_file(source / HEAD)
    plain = torch.tensor(
        [
            (
                net(input_ids=torch.tensor([weights]), output_hidden_states=True).hidden_states[-1][
                    0, -1
                ]
                @ head["v_head.summary.weight"][0]
                + head["v_head.summary.bias"][0]
            ).item()
            for weights in ids
        ]
    )
    options = {"stage": "ppo", "reward_model": str(source), "lora_target": "q_proj,up_proj"}
    for method, kind in (("lora", "lora"), ("full", "lora"), ("lora", "full")):
        values = small(tiny_model_dir, finetuning_type=method, reward_model_type=kind, **options)
        policy = value_head.attach(
            load.model(values, training=True),
            load.last_folder(values),
            random=True,
        )
        policy.train()
        learning = [name for name, weights in policy.named_parameters() if weights.requires_grad]
        scorer = scoring.load(values, policy, load.tokenizer(values))
        assert isinstance(scorer, scoring.SharedScorer) is (method == kind == "lora")
        before = policy(input_ids=torch.tensor(ids[:1])).logits
        assert torch.allclose(scorer(ids), plain, atol=1e-5)
        assert [
            name for name, weights in policy.named_parameters() if weights.requires_grad
        ] == learning
        assert policy.training
        assert torch.equal(policy(input_ids=torch.tensor(ids[:1])).logits, before)


@pytest.mark.parametrize(
    ("method", "stop", "more"),
    [
        ("lora", 3, {"ppo_buffer_size": 2, "ppo_score_norm": True, "ppo_whiten_rewards": True}),
        ("lora", 5, {"ppo_buffer_size": 3, "logging_steps": 2}),
        ("full", 4, {}),
        ("freeze", 3, {"freeze_trainable_layers": 1}),
    ],
)
def test_resumed_equals_uninterrupted(
    method: str,
    stop: int,
    more: dict[str, Any],
    workspace: Path,
    tiny_model_dir: Path,
    reward_folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the bit, also where the stop falls between two steps on the same answers, and between two
    logged rows."""
    monkeypatch.setattr("backend.training.arguments.POINTS", 1)  # else each step has a row
    source = str(reward_folder("lora"))
    options = {**SMALL, "max_steps": 9, "finetuning_type": method, "reward_model": source, **more}
    whole = train_small(workspace, tiny_model_dir, "whole", **options)
    ask = Report.progress

    def progress(self: Report, step: int, total: int, **extra: Any) -> None:
        ask(self, step, total, **extra)
        if step == stop:
            (self.folder / "stop.json").write_text("{}")

    with monkeypatch.context() as patch:
        patch.setattr(Report, "progress", progress)
        with pytest.raises(Stopped):
            train_small(workspace, tiny_model_dir, "cut", **options)
    folder = workspace / "saves" / "cut"
    assert len(rows(folder)) == stop // options["logging_steps"]
    (folder / "stop.json").unlink()
    train_small(workspace, tiny_model_dir, "cut", resume_from_checkpoint="true", **options)
    for name in (HEAD, "adapter_model.safetensors", "model.safetensors"):
        if (whole / name).exists():
            first, second = load_file(whole / name), load_file(folder / name)
            assert all(torch.equal(first[key], second[key]) for key in first)
    assert [dict(row.more) for row in rows(whole)] == [dict(row.more) for row in rows(folder)]


def test_a_step_is_the_same_however_it_is_cut(
    workspace: Path,
    tiny_model_dir: Path,
    reward_folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Batch 4 x 1 equals 1 x 4, with answers made from the question alone."""

    def answers(_model: Any, _tokenizer: Any, prompts: Any, *_: Any) -> list[list[int]]:
        made = []
        for prompt in prompts:
            chance = torch.Generator().manual_seed(sum(prompt))
            length = int(torch.randint(1, 9, (1,), generator=chance))
            made.append(torch.randint(5, 400, (length,), generator=chance).tolist())
        return made

    monkeypatch.setattr(rollouts, "generate", answers)
    result = []
    for batch, steps in ((4, 1), (1, 4)):
        cut = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": steps}
        options = {
            **SMALL,
            **cut,
            "reward_model": str(reward_folder("lora")),
            "learning_rate": 1e-4,
        }
        folder = train_small(workspace, tiny_model_dir, f"batch{batch}", **options)
        result.append(rows(folder))
    assert len(result[0]) == 4
    for first, second in zip(*result, strict=True):
        assert first.loss == pytest.approx(second.loss, rel=1e-3, abs=1e-5)
        assert first.grad_norm == pytest.approx(second.grad_norm, rel=1e-3)
        assert first.tokens == second.tokens
        assert dict(first.more) == pytest.approx(dict(second.more), rel=1e-3, abs=1e-5)


def test_rounds_answer_each_question_once_an_epoch(
    workspace: Path,
    tiny_model_dir: Path,
    reward_folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """30 questions, 4 a step, rounds of 3 steps, each twice: 9 steps' worth are drawn."""
    drawn: list[tuple[int, ...]] = []
    draw = rollouts.generate

    def counted(model: Any, tokenizer: Any, prompts: Any, *more: Any) -> Any:
        drawn.extend(tuple(prompt) for prompt in prompts)
        return draw(model, tokenizer, prompts, *more)

    monkeypatch.setattr(rollouts, "generate", counted)
    options = {
        "ppo_buffer_size": 3,
        "max_steps": None,
        "num_train_epochs": 1.0,
        "max_new_tokens": 1,
    }
    source = str(reward_folder("lora"))
    folder = train_small(workspace, tiny_model_dir, **{**SMALL, **options, "reward_model": source})
    assert len(rows(folder)) == 18
    assert len(drawn) == 36
    assert len(set(drawn)) == 30
    assert len(set(drawn[:30])) == 30


def test_a_stop_while_answers_are_drawn_saves_what_was_learned(
    workspace: Path,
    tiny_model_dir: Path,
    reward_folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw, calls = rollouts.generate, []

    def stopping(*options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:  # the second round
            (workspace / "saves" / "run" / "stop.json").write_text("{}")
        return draw(*options)

    monkeypatch.setattr(rollouts, "generate", stopping)
    options = {**SMALL, "reward_model": str(reward_folder("lora"))}
    with pytest.raises(Stopped):
        train_small(workspace, tiny_model_dir, **options)
    folder = workspace / "saves" / "run"
    assert len(calls) == 3
    assert (folder / "checkpoint-2" / "manifest.json").is_file()
    (folder / "stop.json").unlink()
    monkeypatch.setattr(rollouts, "generate", draw)
    train_small(workspace, tiny_model_dir, resume_from_checkpoint="true", **options)
    assert [row.step for row in rows(folder)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"reward_model": "nowhere/at/all"}, "adapter_missing"),
        ({"reward_model": "FULL"}, "reward_is_model"),
        ({"reward_model": "POLICY"}, "reward_no_head"),
        ({"reward_model": "POLICY", "reward_model_type": "full"}, "reward_no_head"),
        ({"reward_model": "BASE", "reward_model_type": "full"}, "reward_no_head"),
        ({"reward_model": "REWARD", "reward_model_type": "api"}, "reward_not_address"),
        ({"model_name_or_path": "FULL"}, "reward_other_base"),
        ({"finetuning_type": "oft"}, "reward_other_method"),
        ({"adapter_name_or_path": "POLICY", "create_new_adapter": True}, "reward_base_merged"),
        ({"adapter_name_or_path": "POLICY,REWARD"}, "reward_base_merged"),
    ],
)
def test_what_does_not_fit_is_said_before_the_start(
    change: dict[str, Any],
    code: str,
    workspace: Path,
    tiny_model_dir: Path,
    reward_folder: Callable[[str], Path],
) -> None:
    policy = workspace / "saves" / "policy"  # an adapter as any: without a head
    shutil.copytree(reward_folder("lora"), policy, ignore=lambda *_: [HEAD])
    write_dataset(workspace, "sums", ROWS)
    named = {
        "FULL": reward_folder("full"),
        "REWARD": reward_folder("lora"),
        "POLICY": policy,
        "BASE": tiny_model_dir,
    }
    good = {**SMALL, "reward_model": "REWARD"}
    for options, wanted in ((good, []), ({**good, **change}, [code])):
        filled = {
            name: ",".join(str(named.get(part, part)) for part in value.split(","))
            if isinstance(value, str)
            else value
            for name, value in options.items()
        }
        values = {
            **small(tiny_model_dir).as_mapping(),
            **filled,
            "dataset_dir": str(workspace / "data"),
        }
        assert [problem.code for problem in preflight.check_paths(values, "train")] == wanted


def test_a_reward_model_of_another_vocabulary_is_refused(
    workspace: Path,
    tiny_model_dir: Path,
    reward_folder: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    shutil.copytree(reward_folder("full"), other)
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text.replace('"!": ', '"!!!!": ', 1))
    with pytest.raises(TuneboardError) as caught:
        train_small(
            workspace, tiny_model_dir, **SMALL, reward_model=str(other), reward_model_type="full"
        )
    assert caught.value.problems[0].code == "reward_other_tokenizer"
    assert caught.value.problems[0].field == "reward_model"


def test_stages_are_named(tiny_model_dir: Path) -> None:
    assert table.stage_trainer("ppo") is PpoTrainer
