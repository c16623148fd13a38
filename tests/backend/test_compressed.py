"""Weights rounded to INT8, INT4 and FP8: what is written is read back by transformers and here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CompressedTensorsConfig,
    GPT2Config,
    LlamaConfig,
    Qwen3MoeConfig,
)

from backend.contract.arguments.arguments import defaults, resolve
from backend.contract.arguments.fields.serving import ROUNDED
from backend.contract.preflight import preflight, requirements
from backend.contract.texts.problems import ModelError
from backend.export import export
from backend.model import load
from tests.backend.test_export import Exporter, logits, make_adapter, plainly, run, tuned
from tests.backend.training import small, train_small

__all__ = ["run"]
ROOT = Path(__file__).parents[2]
GROUP = 32  # the largest that divides the rows of the tiny model, 32 and 64
# Bits of a weight with its share of a scale in float32, for rows of 32.
SIZES = {"int8": 8 + 1, "int4": 4 + 1, "fp8": 8 + 1}
MERGED = {"lora": {}, "dora": {"use_dora": True}, "saved_head": {"modules_to_save": ["lm_head"]}}


def rounded(weight: torch.Tensor, kind: str) -> torch.Tensor:
    """A weight as the format can represent it, by its definition.

    INT: q * s with q in -2^(b-1) ... 2^(b-1)-1 and s = max|w| / ((2^b - 1) / 2) of a row or group.
    FP8: the nearest float8_e4m3fn of w / s times s, with s = max|w| / 448 of a row.
    """
    groups = weight.unflatten(-1, (-1, GROUP if kind == "int4" else weight.shape[-1]))
    largest = groups.abs().amax(-1, keepdim=True)
    if kind == "fp8":
        scale = largest / 448
        near = (groups / scale).to(torch.float8_e4m3fn).float() * scale
    else:
        steps = 2 ** int(kind.removeprefix("int"))
        scale = largest / ((steps - 1) / 2)
        near = (groups / scale).round().clamp(-steps // 2, steps // 2 - 1) * scale
    return near.flatten(-2)


def by_hand(model: Any, kind: str) -> Any:
    """A model whose linear layers are rounded in memory."""
    head = model.get_output_embeddings()
    for part in model.modules():
        if isinstance(part, torch.nn.Linear) and part is not head:
            part.weight.data = rounded(part.weight.data, kind)
    return model


def whole(folder: Path) -> Any:
    """The exported model with its weights unpacked in loading, so that only they are rounded."""
    unpack = CompressedTensorsConfig(dequantize=True)
    return AutoModelForCausalLM.from_pretrained(folder, quantization_config=unpack)


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The real command in a working folder."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "backend", *words],
        env={**os.environ, "TUNEBOARD_HOME": str(home), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("kind", ROUNDED)
def test_the_command_s_export_is_read_back(
    kind: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """By transformers, whose logits are those of weights rounded by the format's definition, and by
    the loader of chat, api and eval. FP8 also rounds what the weights are multiplied with."""
    made = workspace / "out"
    words = [f"model_name_or_path={tiny_model_dir}", f"export_dir={made}"]
    done = command(workspace, "export", *words, f"export_quantization_bit={kind}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"vllm serve {made}" in done.stdout + done.stderr
    assert "ollama" not in done.stdout + done.stderr
    config = json.loads((made / "config.json").read_text())["quantization_config"]
    assert (config["quant_method"], config["ignore"]) == ("compressed-tensors", ["lm_head"])
    card = (made / "README.md").read_text()
    assert f"{kind.upper()}, compressed-tensors" in card
    assert not (made / "Modelfile").exists()

    expected = logits(by_hand(plainly(tiny_model_dir), kind))
    assert (logits(whole(made)) - expected).abs().max() < 1e-5
    near = 0.05 if kind == "fp8" else 1e-5
    assert (logits(AutoModelForCausalLM.from_pretrained(made)) - expected).abs().max() < near
    values = resolve({**defaults("chat"), "model_name_or_path": str(made)})
    ours = load.model(values, training=False)
    assert torch.allclose(logits(ours), expected, atol=1e-5)
    assert (expected - logits(plainly(tiny_model_dir))).abs().max() > 1e-4  # it is rounded

    def size(folder: Path) -> int:
        parts = load_file(folder / "model.safetensors").items()
        return sum(each.nbytes for name, each in parts if "_proj.weight" in name)

    assert size(made) <= size(tiny_model_dir) * SIZES[kind] / 32 + 14 * 16  # weight_shape


@pytest.mark.parametrize("adapter", MERGED)
def test_adapters_are_merged_and_rounded_at_once(
    adapter: str, run: Exporter, tiny_model_dir: Path, tmp_path: Path
) -> None:
    """Also those that peft merges in memory; nothing but the result is left."""
    folder = make_adapter(tiny_model_dir, tmp_path / adapter, **MERGED[adapter])
    merged = run(adapter_name_or_path=folder)
    made = run(
        adapter_name_or_path=folder, export_quantization_bit="int4", export_dir=tmp_path / "few"
    )
    expected = logits(by_hand(plainly(merged), "int4"))
    assert (logits(whole(made)) - expected).abs().max() < 1e-4
    assert (expected - tuned(tiny_model_dir, folder)).abs().max() > 1e-3  # it is rounded
    assert (logits(whole(made)) - logits(plainly(tiny_model_dir))).abs().max() > 0.05
    assert {path.name for path in tmp_path.iterdir()} >= {"few"}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", ROUNDED)
def test_several_files_and_another_dtype(
    kind: str, run: Exporter, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scales and all that is not rounded have the dtype that was asked for."""
    monkeypatch.setattr(export, "GIGABYTE", 10**6)
    made = run(export_quantization_bit=kind, export_dtype="bfloat16", export_size="0.02")
    assert len(list(made.glob("model-*.safetensors"))) > 1
    index = json.loads((made / "model.safetensors.index.json").read_text())
    written: dict[str, torch.Tensor] = {}
    for path in made.glob("*.safetensors"):
        content = load_file(path)
        assert {index["weight_map"][name] for name in content} == {path.name}
        written |= content
    assert index["metadata"]["total_size"] == sum(each.nbytes for each in written.values())
    floats = {name: each for name, each in written.items() if each.dtype.is_floating_point}
    assert {each.dtype for each in floats.values()} - {torch.float8_e4m3fn} == {torch.bfloat16}
    expected = logits(by_hand(plainly(tiny_model_dir).bfloat16().float(), kind))
    assert (logits(whole(made).float()) - expected).abs().max() < 0.05


def odd_model(folder: Path, config: Any, like: Path) -> Path:
    """A random model of this architecture with the tokenizer of another."""
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(like).save_pretrained(folder)
    return folder


TINY = {"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2}
EXPERTS = {"head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
REFUSED: dict[str, tuple[Any, str, str, str]] = {
    "width": (
        LlamaConfig(vocab_size=500, hidden_size=48, intermediate_size=64, **TINY),
        "int4",
        "export_quantization_width",
        "model.layers.0.self_attn.q_proj.weight",
    ),
    "experts": (
        Qwen3MoeConfig(vocab_size=500, hidden_size=32, **TINY, **EXPERTS),
        "int8",
        "export_quantization_layers",
        "experts",
    ),
    "conv1d": (
        GPT2Config(vocab_size=500, n_embd=32, n_layer=1, n_head=4),
        "fp8",
        "export_quantization_layers",
        "c_attn",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_rounded_is_refused_by_name(
    case: str, run: Exporter, tmp_path: Path, tiny_model_dir: Path
) -> None:
    config, kind, code, named = REFUSED[case]
    folder = odd_model(tmp_path / "odd", config, tiny_model_dir)
    with pytest.raises(ModelError) as caught:
        run(model_name_or_path=folder, export_quantization_bit=kind)
    (problem,) = caught.value.problems
    assert (problem.code, problem.field) == (code, "export_quantization_bit")
    assert named in problem.text()
    assert not (tmp_path / "out").exists()


def test_rows_that_int4_refuses_are_rounded_with_8_bits(
    run: Exporter, tmp_path: Path, tiny_model_dir: Path
) -> None:
    folder = odd_model(tmp_path / "odd", REFUSED["width"][0], tiny_model_dir)
    made = run(model_name_or_path=folder, export_quantization_bit="int8")
    expected = logits(by_hand(plainly(folder), "int8"))
    assert (logits(whole(made)) - expected).abs().max() < 1e-5


def test_a_missing_package_is_named(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in (preflight, requirements):
        monkeypatch.setattr(room, "is_installed", lambda _: False)
    values = resolve(
        {
            **defaults("export"),
            "model_name_or_path": str(tiny_model_dir),
            "export_quantization_bit": "int4",
        }
    )
    problems = preflight.check_packages(values)
    assert [(each.field, each.params["package"]) for each in problems] == [
        ("export_quantization_bit", "compressed-tensors")
    ]


@pytest.mark.parametrize("kind", ROUNDED)
def test_lora_learns_over_it(kind: str, run: Exporter, workspace: Path) -> None:
    """And answers with what it has learned. transformers left the weights packed until the first
    answer, and peft failed: 'Linear' object has no attribute 'weight'."""
    made = run(export_quantization_bit=kind)
    folder = train_small(workspace, made, max_steps=2)
    moved = load_file(folder / "adapter_model.safetensors")
    assert all(each.abs().max() > 0 for name, each in moved.items() if "lora_B" in name)
    values = resolve({**defaults("chat"), "model_name_or_path": str(folder)})
    result = logits(load.model(values, training=False))
    base = logits(AutoModelForCausalLM.from_pretrained(made))
    assert 0 < (result - base).abs().max() < 1


def test_it_is_not_rounded_again(run: Exporter, tmp_path: Path) -> None:
    made = run(export_quantization_bit="int8")
    with pytest.raises(ModelError) as caught:
        run(model_name_or_path=made, export_quantization_bit="int4", export_dir=tmp_path / "more")
    assert caught.value.problems[0].code == "export_quantized"
    with pytest.raises(ModelError) as caught:
        load.model(small(made, finetuning_type="full"), training=True)
    assert caught.value.problems[0].code == "quantized_needs_lora"
