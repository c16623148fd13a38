"""Every optimizer that a run may name changes the weights, and goes on exactly after a stop."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.fields.training import OPTIMIZERS
from backend.contract.arguments.rules import check_rules
from backend.contract.models import devices
from backend.contract.preflight import preflight, requirements
from backend.contract.runs import metrics
from backend.contract.texts.problems import UsageError
from backend.model import block_adam, load, optimizers
from backend.model.block_adam import BlockAdam, RatioAdam
from backend.model.optimizers import JoinedOptimizer
from backend.running.failures import Stopped
from tests.backend.training import small, train_small

ON_GPU = {"adalomo"}
ONE_BY_ONE = {"gradient_accumulation_steps": 1}
SPECIAL: dict[str, dict[str, Any]] = {
    "galore": {"use_galore": True, "galore_rank": 4, "galore_update_interval": 2},
    "galore, full": {"use_galore": True, "galore_rank": 4, "galore_proj_type": "full"},
    "galore, adafactor": {"use_galore": True, "galore_rank": 4, "optim": "adafactor"},
    "galore, layerwise": {"use_galore": True, "galore_rank": 4, "galore_layerwise": True},
    "apollo": {"use_apollo": True, "apollo_rank": 4, "apollo_update_interval": 2},
    "apollo, svd": {"use_apollo": True, "apollo_rank": 4, "apollo_proj": "svd"},
    "apollo-mini": {"use_apollo": True, "apollo_rank": 1, "apollo_scale_type": "tensor"},
    "apollo, front": {"use_apollo": True, "apollo_rank": 4, "apollo_scale_front": True},
    "apollo, layerwise": {"use_apollo": True, "apollo_rank": 4, "apollo_layerwise": True},
    "badam": {"use_badam": True, "badam_switch_interval": 2},
    "badam, random": {
        "use_badam": True,
        "badam_switch_mode": "random",
        "badam_switch_interval": 3,
    },
    "badam, ratio": {
        "use_badam": True,
        "badam_mode": "ratio",
        "badam_update_ratio": 0.3,
        "badam_switch_interval": 2,
    },
    "badam, scatter": {
        "use_badam": True,
        "badam_mode": "ratio",
        "badam_mask_mode": "scatter",
        "badam_switch_interval": 2,
    },
    "adam-mini": {"use_adam_mini": True},
    "muon": {"use_muon": True},
}


def whole(kind: str) -> dict[str, Any]:
    options = {"finetuning_type": "full", "weight_decay": 0.01, **SPECIAL[kind]}
    return options | (ONE_BY_ONE if "layerwise" in kind else {})


def changed(folder: Path, before: Path) -> set[str]:
    """Names of the weights that a run changed; all are finite."""
    first, second = load_file(before / "model.safetensors"), load_file(folder / "model.safetensors")
    assert all(second[name].isfinite().all() for name in second)
    return {name for name in second if not torch.equal(first[name], second[name])}


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - ON_GPU))
def test_each_name_trains(
    name: str, workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RAdam waits some steps by design; torchao's are not compiled here, which takes a minute."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    options = {"finetuning_type": "full", "max_steps": 8 if name == "schedule_free_radam" else 2}
    options |= ONE_BY_ONE if name == "lomo" else {}
    folder = train_small(workspace, tiny_model_dir, optim=name, **options)
    assert len(changed(folder, tiny_model_dir)) > 10


@pytest.mark.parametrize("kind", SPECIAL)
def test_each_kind_learns_and_resumes(
    kind: str, workspace: Path, tiny_model_dir: Path, stop_at: Any
) -> None:
    """The loss of the very same rows falls; a run in two parts ends with the same weights."""
    options = {**whole(kind), "max_steps": 6, "max_samples": 2, "gradient_accumulation_steps": 1}
    options |= {"lr_scheduler_type": "constant", "logging_steps": 1, "save_strategy": "no"}
    straight = train_small(workspace, tiny_model_dir, "whole", **options)
    rows, _ = metrics.read(straight / "metrics.jsonl", 0)
    losses = [row.loss for row in rows if row.loss is not None]
    assert losses[-1] < losses[0] - 0.003
    stop_at(3)
    with pytest.raises(Stopped):
        train_small(workspace, tiny_model_dir, "parts", **options)
    parts = workspace / "saves" / "parts"
    (parts / "stop.json").unlink()
    stop_at(-1)
    train_small(workspace, tiny_model_dir, "parts", resume_from_checkpoint="auto", **options)
    assert not changed(parts, straight)


@pytest.mark.parametrize("kind", ["galore", "apollo"])
def test_layer_by_layer_is_the_same_training(
    kind: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """Only that gradients are gone sooner (and are not clipped); APOLLO's seeds differ: svd."""
    options = {
        **whole(kind),
        "gradient_accumulation_steps": 1,
        "max_grad_norm": 0,
        **({"apollo_proj": "svd"} if kind == "apollo" else {}),
    }
    together = train_small(workspace, tiny_model_dir, "together", **options)
    apart = train_small(
        workspace, tiny_model_dir, "apart", **options, **{f"{kind}_layerwise": True}
    )
    first, second = (load_file(folder / "model.safetensors") for folder in (together, apart))
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


def test_a_schedule_free_run_saves_its_averaged_weights(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """The weights of the last checkpoint are those to go on from, not those to answer with."""
    folder = train_small(
        workspace, tiny_model_dir, optim="schedule_free_adamw", finetuning_type="full"
    )
    assert changed(folder, folder / "checkpoint-3")


def test_badam_trains_one_layer_at_a_time(workspace: Path, tiny_model_dir: Path) -> None:
    """Two steps on layer 1, none on what lies outside the layers; all count as learned again."""
    folder = train_small(
        workspace,
        tiny_model_dir,
        finetuning_type="full",
        use_badam=True,
        badam_switch_mode="descending",
        max_steps=2,
    )
    names = changed(folder, tiny_model_dir)
    assert names
    assert all(name.startswith("model.layers.1.") for name in names)
    results = json.loads((folder / "all_results.json").read_text())
    assert results["learned_parameters"] > sum(
        each.numel()
        for name, each in load_file(folder / "model.safetensors").items()
        if ".1." in name
    )


@pytest.mark.parametrize(
    ("mode", "start", "expected"),
    [
        ("ascending", None, [0, 1, 2, 0]),
        ("descending", None, [2, 1, 0, 2]),
        ("ascending", 2, [2, 0, 1, 2]),
        ("fixed", 1, [1, 1, 1, 1]),
        ("fixed", None, [0, 0, 0, 0]),
    ],
)
def test_the_order_of_blocks(mode: str, start: int | None, expected: list[int]) -> None:
    blocks = [[torch.nn.Parameter(torch.ones(2))] for _ in range(3)]
    order = block_adam._order(mode, start, 3, seed=0)
    optimizer = BlockAdam(blocks, order=order, every=2, lr=0.1)
    seen = []
    for step in range(8):
        if step % 2 == 0:
            seen.append(optimizer.active)
            assert not optimizer.state
        learning = [number for number, block in enumerate(blocks) if block[0].requires_grad]
        assert learning == [optimizer.active]
        blocks[optimizer.active][0].sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert seen == expected


def test_a_first_layer_that_is_not_there(tiny_model_dir: Path) -> None:
    with pytest.raises(UsageError) as caught:
        block_adam._order("ascending", 2, 2, seed=0)
    assert caught.value.problems[0].field == "badam_start_block"


@pytest.mark.parametrize("scattered", [False, True])
def test_a_share_of_the_numbers_learns(scattered: bool) -> None:
    """A quarter at a time, another quarter in each turn: after four turns all had theirs, once."""
    weights = torch.nn.Parameter(torch.zeros(4, 4))
    optimizer = RatioAdam([weights], ratio=0.25, every=2, scattered=scattered, lr=0.1,
                          betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)  # fmt: skip
    for turn in range(1, 5):
        for _ in range(2):
            weights.grad = torch.ones(4, 4)
            optimizer.step()
        assert int((weights != 0).sum()) == 4 * turn
    assert torch.allclose(weights, torch.full((4, 4), -0.2), atol=1e-5)  # Adam: lr a step


def test_all_numbers_are_adam() -> None:
    """With a ratio of 1 and no switch, it is torch's AdamW."""
    torch.manual_seed(0)
    ours = torch.nn.Parameter(torch.randn(3, 5))
    theirs = torch.nn.Parameter(ours.detach().clone())
    numbers: dict[str, Any] = {"lr": 0.05, "betas": (0.8, 0.99), "eps": 1e-8, "weight_decay": 0.1}
    ratio = RatioAdam([ours], ratio=1.0, every=100, scattered=True, **numbers)
    adamw = torch.optim.AdamW([theirs], **numbers)
    for _ in range(5):
        gradient = torch.randn(3, 5)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        ratio.step()
        adamw.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_muon_takes_the_matrices_inside_the_layers(workspace: Path, tiny_model_dir: Path) -> None:
    from transformers import TrainingArguments

    model = load.model(small(tiny_model_dir, finetuning_type="full"), training=True)
    args = TrainingArguments(str(workspace), use_cpu=True)
    made = optimizers.build_special(model, args, resolve({"use_muon": True}))
    assert isinstance(made, JoinedOptimizer)
    muon, adamw = made.parts
    assert isinstance(muon, torch.optim.Muon)
    inside = {id(each) for group in muon.param_groups for each in group["params"]}
    assert inside == {
        id(each) for name, each in model.named_parameters() if name.endswith("_proj.weight")
    }
    made.param_groups[0]["lr"] = made.param_groups[1]["lr"] = 0.5  # as a schedule does
    assert muon.param_groups[0]["lr"] == adamw.param_groups[0]["lr"] == 0.5


def test_a_missing_package_is_named(tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (preflight, requirements):
        monkeypatch.setattr(room, "is_installed", lambda _: False)
    needing = [name for name, package in OPTIMIZERS.items() if package]
    assert len(needing) > 15
    for name in needing:
        problems = preflight.check_packages(small(tiny_model_dir, optim=name))
        package = OPTIMIZERS[name]
        assert package is not None
        assert ("package_missing", "optim", package[1]) in [
            (each.code, each.field, each.params.get("package")) for each in problems
        ]
    assert not preflight.check_packages(small(tiny_model_dir, optim="adafactor"))


@pytest.mark.parametrize("gpus", [0, 1])
@pytest.mark.parametrize(
    "options", [{"optim": "adalomo"}, {"optim": "adamw_8bit", "use_galore": True}]
)
def test_some_ask_for_a_gpu(
    options: dict[str, Any], gpus: int, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "gpus", lambda: gpus)
    values = small(tiny_model_dir, finetuning_type="full", **options)
    codes = [(each.code, each.field) for each in preflight.check_packages(values)]
    assert codes == ([("gpu_needed", "optim")] if gpus == 0 else [])


@pytest.mark.parametrize(
    ("options", "code", "field"),
    [
        ({"use_badam": True}, "lora_and_low_rank_optimizer", "use_badam"),
        ({"use_adam_mini": True}, "lora_and_low_rank_optimizer", "use_adam_mini"),
        (
            {"use_muon": True, "use_badam": True, "finetuning_type": "full"},
            "two_optimizers",
            "use_muon",
        ),
        (
            {"use_galore": True, "galore_layerwise": True, "finetuning_type": "full"},
            "layerwise_and_accumulation",
            "galore_layerwise",
        ),
        ({"optim": "lomo"}, "lomo_and_accumulation", "optim"),
        ({"use_muon": True, "deepspeed": "2"}, "deepspeed_and_low_rank_optimizer", "use_muon"),
        (
            {"optim": "schedule_free_sgd", "load_best_model_at_end": True, "val_size": 0.1},
            "schedule_free_and_best_model",
            "load_best_model_at_end",
        ),
    ],
)
def test_what_does_not_go_together(options: dict[str, Any], code: str, field: str) -> None:
    values, problems = parse({"model_name_or_path": "m", "dataset": "d", **options}, "train")
    assert not problems
    assert (code, field) in [
        (each.code, each.field) for each in check_rules(values, "train") if not each.notice
    ]


def test_one_process_only(workspace: Path, tiny_model_dir: Path) -> None:
    from types import SimpleNamespace

    with pytest.raises(UsageError) as caught:
        optimizers._require_one_process(SimpleNamespace(world_size=2), "use_badam")
    assert "2" in caught.value.problems[0].text()
