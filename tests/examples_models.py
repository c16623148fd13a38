"""Tiny models that stand for those of LLaMA-Factory's examples."""

import json
from pathlib import Path

from tests.backend.conftest import make_tokenizer
from tests.matrix import shrink

# Special tokens that the built-in templates of the examples end their turns with.
ENDS = ("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|begin_of_text|>", "</s>")
PLAIN = ("qwen3", "qwen2", "llama")


def save(family: str, folder: Path) -> None:
    """A tiny random model of a family; "awq" and such are a Llama whose config says so."""
    if family == "qwen3_vl":
        _save_with_eyes(folder)
        return
    shrink.save(family if family in PLAIN else "llama", folder, make_tokenizer(*ENDS))
    config = json.loads((folder / "config.json").read_text())
    if family not in PLAIN:
        config["quantization_config"] = {"quant_method": family, "bits": 4}
        (folder / "config.json").write_text(json.dumps(config))


def _save_with_eyes(folder: Path) -> None:
    from transformers import AutoModelForImageTextToText

    tokenizer = make_tokenizer()
    config = shrink.shrunk("qwen3_vl", tokenizer)
    eyes = config.vision_config
    eyes.depth, eyes.num_heads, eyes.out_hidden_size = 2, 4, config.text_config.hidden_size
    eyes.deepstack_visual_indexes = [0]
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_adapter(model: Path, folder: Path) -> None:
    """A new LoRA adapter of a tiny model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    kind = AutoModelForImageTextToText if "vl" in model.name else AutoModelForCausalLM
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(kind.from_pretrained(model), lora).save_pretrained(folder)
