"""Shifted sparse attention against references; position scaling; what needs a GPU says so."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.contract.arguments.arguments import defaults, resolve
from backend.contract.arguments.typed import Arguments
from backend.contract.models import devices
from backend.contract.preflight import preflight, requirements
from backend.contract.texts.problems import ModelError, UsageError
from backend.model import attention, device, load
from tests.backend.training import small, train_small

GROUP = 4
LENGTH = 11  # two whole groups and a part; the shifted heads have parts at both ends


def places(heads: int, length: int) -> torch.Tensor:
    """Who sees whom, [heads, length, length], written down from the paper, one by one."""
    seen = torch.zeros(heads, length, length, dtype=torch.bool)
    for head in range(heads):
        shift = 0 if head < heads // 2 else GROUP // 2
        for query in range(length):
            for key in range(query + 1):
                seen[head, query, key] = (query + shift) // GROUP == (key + shift) // GROUP
    return seen


def reference(query: Any, key: Any, value: Any, mask: torch.Tensor) -> torch.Tensor:
    heads, shared = query.shape[1], key.shape[1]
    key, value = (each.repeat_interleave(heads // shared, 1) for each in (key, value))
    scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    return (weights @ value).transpose(1, 2)


States = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def states(heads: int, shared: int, length: int = LENGTH) -> States:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, n, length, 8) for n in (heads, shared, shared))
    return query, key, value


def attend(inputs: States, mask: torch.Tensor | None, **named: Any) -> Any:
    heads, shared = inputs[0].shape[1], inputs[1].shape[1]
    module = torch.nn.Module()
    module.num_key_value_groups = heads // shared
    module.train(named.pop("training", True))
    attended, _ = attention.forward(module, *inputs, mask, group=GROUP, **named)
    return attended


@pytest.mark.parametrize(("heads", "shared"), [(4, 4), (4, 2), (4, 1), (3, 3)])
@pytest.mark.parametrize("length", [8, LENGTH, 12])
def test_groups_are_as_written_down(heads: int, shared: int, length: int) -> None:
    """With as many key heads as heads, and with fewer (GQA, MQA); any length."""
    inputs = states(heads, shared, length)
    expected = reference(*inputs, places(heads, length))
    assert torch.allclose(attend(inputs, None), expected, atol=1e-5)


def test_padding_and_packed_texts_are_not_seen() -> None:
    """A mask on top: the first text is padded on the right, the second row holds two texts."""
    inputs = states(4, 2)
    causal = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    mask = torch.stack([causal.clone(), causal.clone()])[:, None]
    mask[0, :, :, 9:] = False
    mask[1, :, 5:, :5] = False
    seen = mask & places(4, LENGTH)
    expected = reference(*inputs, seen | torch.eye(LENGTH, dtype=torch.bool))
    result = attend(inputs, mask)
    assert result.isfinite().all()
    assert torch.allclose(result[0, :9], expected[0, :9], atol=1e-5)
    assert torch.allclose(result[1], expected[1], atol=1e-5)


@pytest.mark.parametrize(("length", "training"), [(GROUP, True), (LENGTH, False)])
def test_short_texts_and_answers_have_full_attention(length: int, training: bool) -> None:
    inputs = states(4, 2, length)
    causal = torch.ones(4, length, length, dtype=torch.bool).tril()
    result = attend(inputs, None, training=training)
    assert torch.allclose(result, reference(*inputs, causal), atol=1e-5)


def test_no_token_sees_a_later_one() -> None:
    """The paper's roll lets the first tokens see the last: here a change at the end stays there."""
    query, key, value = states(4, 2, 12)
    before = attend((query, key, value), None)
    key, value = key.clone(), value.clone()
    key[:, :, -1], value[:, :, -1] = 9.0, 9.0
    after = attend((query, key, value), None)
    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


def logits(model: Any, length: int) -> torch.Tensor:
    torch.manual_seed(0)
    ids = torch.randint(5, 300, (1, length))
    result: torch.Tensor = model(input_ids=ids).logits
    return result


def test_a_model_shifts_only_where_it_trains_on_long_texts(tiny_model_dir: Path) -> None:
    """The tiny model has fewer key heads than heads."""
    options = {"finetuning_type": "full", "cutoff_len": 64}
    plain = load.model(small(tiny_model_dir, **options), training=True)
    shifted = load.model(small(tiny_model_dir, shift_attn=True, **options), training=True)
    for model in (plain, shifted):
        model.train()
    assert torch.allclose(logits(plain, 16), logits(shifted, 16), atol=1e-6)
    assert not torch.allclose(logits(plain, 40), logits(shifted, 40), atol=1e-4)
    assert torch.allclose(logits(plain.eval(), 40), logits(shifted.eval(), 40), atol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"finetuning_type": "full", "neat_packing": True}], ids=str
)
def test_a_run_with_shifted_attention(
    options: dict[str, Any], workspace: Path, tiny_model_dir: Path
) -> None:
    """Batches are padded here; the saved model says nothing of the trick."""
    folder = train_small(workspace, tiny_model_dir, shift_attn=True, cutoff_len=32, **options)
    assert "s2_" not in "".join(path.read_text() for path in folder.glob("*config.json"))
    values = resolve({**defaults("chat"), "model_name_or_path": str(folder)})
    assert logits(load.model(values, training=False), 40).isfinite().all()


def test_an_attention_of_its_own_cannot_be_shifted(tiny_model_dir: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    model.config.attn_logit_softcapping = 30.0
    with pytest.raises(ModelError) as caught:
        attention.apply(model, 64)
    assert caught.value.problems[0].code == "shift_attn_model"


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn", "llama3"])
def test_scaled_positions_train_and_answer(
    kind: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """A run, then an answer with the same scaling; a full model keeps it in its config."""
    options = {"rope_scaling": kind, "cutoff_len": 5000, "max_steps": 2}
    folder = train_small(workspace, tiny_model_dir, finetuning_type="full", **options)
    values = resolve({**defaults("chat"), "model_name_or_path": str(folder)})
    model = load.model(values, training=False)
    assert model.config.rope_parameters["rope_type"] == kind
    result = model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4, do_sample=False)
    assert result.shape[1] > 3
    again = AutoTokenizer.from_pretrained(folder)
    assert again.chat_template


@pytest.mark.parametrize(
    ("options", "field", "module"),
    [
        ({"flash_attn": "fa2"}, "flash_attn", "flash_attn"),
        ({"flash_attn": "fa3"}, "flash_attn", "flash_attn_interface"),
        ({"enable_liger_kernel": True}, "enable_liger_kernel", "liger_kernel"),
        ({"use_unsloth": True}, "use_unsloth", "unsloth"),
    ],
)
def test_boosters_need_a_package_and_a_gpu(
    options: dict[str, Any],
    field: str,
    module: str,
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Said before anything is loaded; with both there is nothing to say."""
    values = small(tiny_model_dir, **options)
    there: set[str] = set()
    for room in (preflight, requirements):
        monkeypatch.setattr(room, "is_installed", lambda name: name in there)
    monkeypatch.setattr(devices, "gpus", lambda: 0)
    result = [(each.code, each.field) for each in preflight.check_packages(values)]
    assert result == [("package_missing", field), ("gpu_needed", field)]
    there.add(module)
    with pytest.raises(UsageError) as caught:
        load.model(values, training=True)
    assert [each.code for each in caught.value.problems] == ["gpu_needed"]
    monkeypatch.setattr(devices, "gpus", lambda: 1)
    assert not preflight.check_packages(values)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auto", None),
        ("disabled", "eager"),
        ("sdpa", "sdpa"),
        ("fa2", "flash_attention_2"),
        ("fa3", "flash_attention_3"),
    ],
)
def test_attention_by_name(
    name: str, expected: str | None, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers is asked for the implementation by its own name."""
    asked: list[dict[str, Any]] = []
    values = small(tiny_model_dir, flash_attn=name)
    monkeypatch.setattr(load, "check_packages", lambda _: [])
    monkeypatch.setattr(
        load.base_architecture(values).kind,
        "from_pretrained",
        lambda _, **options: asked.append(options) or torch.nn.Module(),
    )
    load.base_model(values)
    assert asked[0].get("attn_implementation") == expected


@pytest.mark.parametrize("name", ["auto", "disabled", "sdpa"])
def test_attention_of_every_cpu(name: str, tiny_model_dir: Path) -> None:
    model = load.model(small(tiny_model_dir, flash_attn=name), training=True)
    plain = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    assert torch.allclose(logits(model.eval(), 20), logits(plain.eval(), 20), atol=1e-5)


def test_unsloth_is_asked_for_what_was_asked(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the package, which needs a GPU to be imported at all."""
    calls: dict[str, dict[str, Any]] = {}

    class FastLanguageModel:
        @staticmethod
        def from_pretrained(**options: Any) -> tuple[str, None]:
            calls["load"] = options
            return "base", None

        @staticmethod
        def get_peft_model(base: str, **options: Any) -> Any:
            calls["adapt"] = options
            return SimpleNamespace(name=f"{base} with adapter")

    module = ModuleType("unsloth")
    module.FastLanguageModel = FastLanguageModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "unsloth", module)
    monkeypatch.setattr(load, "check_packages", lambda _: [])
    options = {"use_unsloth": True, "lora_rank": 4, "quantization_bit": "4", "cutoff_len": 512}
    model = load.model(small(tiny_model_dir, lora_target="q_proj", **options), training=True)
    assert model.name == "base with adapter"
    assert calls["load"]["model_name"] == str(tiny_model_dir)
    assert calls["load"]["load_in_4bit"] is True
    assert calls["load"]["max_seq_length"] == 512
    assert (calls["adapt"]["r"], calls["adapt"]["lora_alpha"]) == (4, 8)
    assert calls["adapt"]["target_modules"] == ["q_proj"]


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_both_ways_of_checkpointing_learn_the_same(
    kind: str, workspace: Path, tiny_model_dir: Path
) -> None:
    from safetensors.torch import load_file

    file = "adapter_model.safetensors" if kind == "lora" else "model.safetensors"
    folders = [
        train_small(workspace, tiny_model_dir, str(number), finetuning_type=kind, **options)
        for number, options in enumerate(
            (
                {"disable_gradient_checkpointing": False},
                {"disable_gradient_checkpointing": False, "use_reentrant_gc": True},
                {"disable_gradient_checkpointing": True},
            )
        )
    ]
    usual, *others = (load_file(folder / file) for folder in folders)
    for other in others:
        assert all(torch.allclose(usual[name], other[name], atol=1e-6) for name in usual)


def half(learned: torch.dtype) -> Any:
    """Stand-in for a GPU: 16-bit weights on the CPU, in mixed precision unless all is 16 bit."""
    return lambda _: device.Precision(
        frozen=torch.bfloat16, learned=learned, bf16=learned == torch.float32
    )


@pytest.mark.parametrize("upcast", [False, True])
def test_norms_in_32_bit(
    upcast: bool, workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("backend.model.load", "backend.model.adapters", "backend.training.arguments"):
        monkeypatch.setattr(f"{place}.training_precision", half(torch.float32))
    model = load.model(small(tiny_model_dir, upcast_layernorm=upcast), training=True)
    norms = {str(each.dtype) for name, each in model.named_parameters() if "norm" in name}
    others = {str(each.dtype) for name, each in model.named_parameters() if "base_layer" in name}
    assert norms == {"torch.float32" if upcast else "torch.bfloat16"}
    assert others == {"torch.bfloat16"}
    folder = train_small(workspace, tiny_model_dir, upcast_layernorm=upcast, max_steps=2)
    assert (folder / "adapter_model.safetensors").is_file()


def test_everything_in_16_bit(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    for place in ("backend.model.load", "backend.model.adapters", "backend.training.arguments"):
        monkeypatch.setattr(f"{place}.training_precision", half(torch.bfloat16))
    folder = train_small(workspace, tiny_model_dir, finetuning_type="full", max_steps=2)
    weights = load_file(folder / "model.safetensors")
    base = load_file(tiny_model_dir / "model.safetensors")
    learned = {name for name, each in weights.items() if each.dtype == torch.bfloat16}
    assert len(learned) > len(weights) / 2
    for name in weights.keys() - learned:  # what did not change is in the base's own bytes
        assert torch.equal(weights[name], base[name]), name
    assert all(each.isfinite().all() for each in weights.values())
    assert attention.implementation(Arguments()) is None
