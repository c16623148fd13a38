"""LLaMA Pro: new blocks that change nothing at first, learn alone, and load anywhere."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from backend.contract.arguments.arguments import resolve
from backend.contract.texts.problems import ModelError, UsageError
from backend.model import freezing, load
from tests.backend.training import small, train_small

IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])
SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "pad_token_id": 0,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LAYERS = ["sliding_attention", "full_attention"]
MODELS = {
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SMALL)),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(**SMALL, sliding_window=3, layer_types=LAYERS * 2)
    ),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=16, n_layer=4, n_head=2)),
    "experts": lambda: Qwen3MoeForCausalLM(Qwen3MoeConfig(**SMALL, **EXPERTS)),
}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.eval()(input_ids=IDS).logits
    return result


@pytest.mark.parametrize("kind", MODELS)
def test_the_expanded_model_is_the_same_function(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = MODELS[kind]()
    before = logits(model)
    assert freezing.expand(model, resolve({"freeze_trainable_layers": 2})) == [2, 5]
    assert torch.allclose(logits(model), before, atol=1e-6)
    cached = model.generate(input_ids=IDS, max_new_tokens=4, do_sample=False, pad_token_id=0)
    plain = model.generate(
        input_ids=IDS, max_new_tokens=4, do_sample=False, pad_token_id=0, use_cache=False
    )
    assert torch.equal(cached, plain)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.config.num_hidden_layers == 6
    assert torch.allclose(logits(loaded), before, atol=1e-6)
    assert freezing.expand(loaded, resolve({"freeze_trainable_layers": 2})) == [2, 5]


def test_a_model_that_would_change_is_refused() -> None:
    """The new block reads a projection that is not known to be the way back."""
    model = MODELS["qwen3"]()
    for layer in model.model.layers:
        layer.mlp.register_forward_hook(lambda _module, _given, output: output + 1.0)
    with pytest.raises(ModelError) as error:
        freezing.expand(model, resolve({"freeze_trainable_layers": 2}))
    assert error.value.problems[0].code == "llama_pro_unfit"


def test_layers_that_do_not_divide_are_refused() -> None:
    with pytest.raises(UsageError) as error:
        freezing.expand(MODELS["qwen3"](), resolve({"freeze_trainable_layers": 3}))
    assert error.value.problems[0].code == "llama_pro_layers"


def test_only_the_new_blocks_learn_and_lora_goes_on(workspace: Path, tiny_model_dir: Path) -> None:
    """freeze makes the blocks, a resumed run goes on, and LoRA may then learn in them alone."""
    options = {
        "finetuning_type": "freeze",
        "use_llama_pro": True,
        "freeze_trainable_layers": 1,
        "save_steps": 2,
    }
    folder = train_small(workspace, tiny_model_dir, **options, max_steps=4)
    before = AutoModelForCausalLM.from_pretrained(tiny_model_dir).state_dict()
    first = AutoModelForCausalLM.from_pretrained(folder)
    after = first.state_dict()
    assert first.config.num_hidden_layers == 3
    for name, weights in before.items():
        assert torch.equal(after[name], weights)
    assert after["model.layers.2.mlp.down_proj.weight"].abs().max() > 0
    train_small(
        workspace,
        tiny_model_dir,
        **options,
        max_steps=4,
        resume_from_checkpoint=str(folder / "checkpoint-2"),
    )
    again = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.allclose(logits(again), logits(first), atol=1e-6)

    tuned = train_small(workspace, folder, "lora", use_llama_pro=True)
    settings = json.loads((tuned / "adapter_config.json").read_text())
    assert settings["layers_to_transform"] == [2]
    chat = load.model(small(tuned), training=False)
    assert (logits(chat) - logits(again)).abs().max() > 0


def test_lora_needs_a_model_with_new_blocks(workspace: Path, tiny_model_dir: Path) -> None:
    with pytest.raises(UsageError) as error:
        train_small(workspace, tiny_model_dir, use_llama_pro=True)
    assert error.value.problems[0].code == "llama_pro_lora"
