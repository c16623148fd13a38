"""Quantized loading for real, on a CPU: train, save, load again, answer; what cannot be is said."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from backend.contract.arguments.arguments import defaults, resolve
from backend.contract.arguments.rules import check_rules
from backend.contract.models import devices
from backend.contract.preflight import preflight, requirements
from backend.contract.texts.problems import ModelError
from backend.model import load
from tests.backend.training import small, train_small

IDS = torch.tensor([[5, 6, 7, 8, 9]])
KINDS: dict[str, dict[str, Any]] = {
    "nf4": {"quantization_bit": "4"},
    "nf4, once": {"quantization_bit": "4", "double_quantization": False},
    "fp4": {"quantization_bit": "4", "quantization_type": "fp4"},
    "8 bit": {"quantization_bit": "8"},
    "torchao": {"quantization_bit": "8", "quantization_method": "torchao"},
}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.eval()(input_ids=IDS).logits
    return result


def layer(model: Any) -> Any:
    part = model.get_base_model() if hasattr(model, "peft_config") else model
    projection = part.model.layers[0].mlp.up_proj
    return getattr(projection, "base_layer", projection)


@pytest.mark.parametrize("kind", KINDS)
def test_trained_over_a_quantized_model_and_answered_with_it(
    kind: str, workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chat's model gives the logits that training ended with; its weights are quantized.

    In 4 bit some CPUs answer with bfloat16 arithmetic, see quantize.keep_unpacked.
    """
    last: list[torch.Tensor] = []
    monkeypatch.setattr(
        "backend.train.final_metrics", lambda trainer: last.append(logits(trainer.model)) or {}
    )
    folder = train_small(workspace, tiny_model_dir, max_steps=2, **KINDS[kind])
    moved = load_file(folder / "adapter_model.safetensors")
    assert all(each.abs().max() > 0 for name, each in moved.items() if "lora_B" in name)
    values = resolve({**defaults("chat"), "model_name_or_path": str(folder), **KINDS[kind]})
    model = load.model(values, training=False)
    near = 5e-3 if "4" in KINDS[kind].values() else 1e-5
    assert torch.allclose(logits(model), last[0], atol=near)
    weights = layer(model).weight
    if kind == "torchao":
        assert "Int8" in type(weights).__name__ + type(weights.data).__name__
    else:
        assert weights.dtype in {torch.uint8, torch.int8}
    plain = resolve({**defaults("chat"), "model_name_or_path": str(folder)})
    assert not torch.allclose(logits(load.model(plain, training=False)), last[0], atol=near)
    answer = model.generate(IDS, max_new_tokens=3, do_sample=False)
    assert answer.shape[1] > IDS.shape[1]


def test_the_kinds_of_4_bit_differ(tiny_model_dir: Path) -> None:
    """Each choice reaches the library."""
    states = {}
    for kind in ("nf4", "nf4, once", "fp4"):
        values = resolve(
            {**defaults("chat"), "model_name_or_path": str(tiny_model_dir), **KINDS[kind]}
        )
        states[kind] = layer(load.model(values, training=False)).weight.quant_state
    assert [states[kind].quant_type for kind in states] == ["nf4", "nf4", "fp4"]
    assert [states[kind].nested for kind in states] == [True, False, True]


@pytest.mark.parametrize("task", ["train", "chat"])
def test_torchao_has_8_bit_only(task: str) -> None:
    options = {**defaults(task), "quantization_method": "torchao", "quantization_bit": "4"}
    assert "torchao_bits" in [each.code for each in check_rules(options, task)]


@pytest.mark.parametrize(
    ("options", "field", "package"),
    [
        ({"quantization_bit": "4"}, "quantization_bit", "bitsandbytes"),
        (KINDS["torchao"], "quantization_bit", "torchao"),
    ],
)
def test_a_missing_package_is_named(
    options: dict[str, Any],
    field: str,
    package: str,
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for room in (preflight, requirements):
        monkeypatch.setattr(room, "is_installed", lambda _: False)
    problems = preflight.check_packages(small(tiny_model_dir, **options))
    assert [(each.field, each.params.get("package")) for each in problems] == [(field, package)]


@pytest.fixture
def quantized(tiny_model_dir: Path, workspace: Path) -> Any:
    """A model folder whose config says that its weights are quantized by a method."""

    def make(method: str) -> Path:
        folder = workspace / method
        shutil.copytree(tiny_model_dir, folder)
        config = json.loads((folder / "config.json").read_text())
        config["quantization_config"] = {"quant_method": method, "bits": 4}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return make


@pytest.mark.parametrize(
    ("method", "there", "gpus", "expected"),
    [
        ("gptq", (), 0, ["quantized_package", "quantized_package"]),
        ("gptq", ("gptqmodel", "optimum"), 0, []),
        ("awq", (), 0, ["quantized_package", "quantized_gpu"]),
        ("awq", ("gptqmodel",), 0, ["quantized_gpu"]),
        ("awq", ("gptqmodel",), 1, []),
        ("hqq", ("hqq",), 1, ["quantized_unknown"]),
        ("eetq", ("eetq",), 1, ["quantized_unknown"]),
    ],
)
def test_a_quantized_folder_says_what_it_needs(
    method: str,
    there: tuple[str, ...],
    gpus: int,
    expected: list[str],
    quantized: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By page and command before a launch, and by the worker before it loads."""
    values = small(quantized(method))
    for room in (preflight, requirements):
        monkeypatch.setattr(room, "is_installed", lambda name: name in there)
    monkeypatch.setattr(devices, "gpus", lambda: gpus)
    problems = preflight.check_model(values)
    assert [each.code for each in problems] == expected
    if not expected:
        return
    assert all(method in each.text() for each in problems)
    with pytest.raises(ModelError) as caught:
        load.model(values, training=True)
    assert [each.code for each in caught.value.problems] == expected


def test_quantized_weights_are_neither_quantized_again_nor_trained(
    quantized: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (preflight, requirements):
        monkeypatch.setattr(room, "is_installed", lambda _: True)
    folder = quantized("gptq")
    problems = preflight.check_model(small(folder, quantization_bit="4"))
    assert [(each.code, each.field) for each in problems] == [
        ("quantized_twice", "quantization_bit")
    ]
    with pytest.raises(ModelError) as caught:
        load.model(small(folder, finetuning_type="full"), training=True)
    assert caught.value.problems[0].code == "quantized_needs_lora"


def test_a_folder_of_bitsandbytes_is_loaded_as_it_is(workspace: Path, tiny_model_dir: Path) -> None:
    """As hubs offer them: quantized once, saved, and then trained on with LoRA."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    folder = workspace / "bnb"
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    made = AutoModelForCausalLM.from_pretrained(
        tiny_model_dir, quantization_config=how, device_map={"": "cpu"}
    )
    made.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model_dir).save_pretrained(folder)
    run = train_small(workspace, folder, max_steps=2)
    model = load.model(
        resolve({**defaults("chat"), "model_name_or_path": str(run)}), training=False
    )
    assert layer(model).weight.dtype == torch.uint8
    assert logits(model).isfinite().all()


def test_training_goes_on_after_an_evaluation(workspace: Path, tiny_model_dir: Path) -> None:
    """On CPUs with AVX512-BF16 the weights were packed anew for the evaluation, and stayed so."""
    options: dict[str, Any] = {"quantization_bit": "4", "max_steps": 3, "val_size": 0.2}
    plain = train_small(workspace, tiny_model_dir, "plain", **options, eval_strategy="no")
    evaluated = train_small(workspace, tiny_model_dir, "evaluated", **options, eval_steps=1)
    first, second = (load_file(each / "adapter_model.safetensors") for each in (plain, evaluated))
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)
