"""Adapters that start from the model itself: PiSSA, OLoRA, LoftQ and soft prompts of real tokens.

PiSSA and OLoRA are LoRA that starts as a part of the base weights, which is taken from the base
(Meng et al., "PiSSA", 2024; Buyukakyuz, "OLoRA", 2024). The saved adapter is plain LoRA over the
unchanged base: W - s B0 A0 + s B A = W + s [B, -B0] [A; A0], of twice the rank.

LoftQ starts as a correction of the error of 4-bit quantization (Li et al., "LoftQ:
LoRA-Fine-Tuning-Aware Quantization", 2023), with an unchanged quantized base (one step of its
iteration). A file in the adapter's folder marks that it fits the quantized model only.

Prompt and prefix tuning start from real tokens, as random numbers spoil every answer: Lester et
al., "The Power of Scale for Parameter-Efficient Prompt Tuning", 2021 (vocabulary and text as a
start); Li and Liang, "Prefix-Tuning", 2021 (activations of real words).
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import ModelError, Problem
from backend.model import tensors
from backend.model.architecture import Architecture

START = "adapter_start"  # folder of the adapter before training, in the run's
WEIGHTS = "adapter_model.safetensors"


def is_fast(values: Arguments) -> bool:
    """Whether PiSSA starts from a randomised SVD.

    Such an adapter must be converted when it is saved, as plain peft would repeat the SVD with
    other random numbers and get another base.
    """
    return values.pissa_init and values.pissa_iter != -1


def converts(values: Arguments) -> bool:
    """Whether the trained adapter is saved as plain LoRA."""
    if values.finetuning_type != "lora":
        return False
    pissa = bool(values.pissa_init and values.pissa_convert)
    return pissa or is_fast(values) or values.init_lora_weights == "olora"


def keep_start(model: Any, run: Path) -> None:
    """Write A0 and B0 into the run's folder, unless they are there already."""
    start = run / START
    if not start.exists():
        start.mkdir(parents=True)
        save_file(_weights(model), start / WEIGHTS)


def save(model: Any, folder: Path, run: Path, state_dict: Any = None) -> None:
    """Write the adapter as plain LoRA over the unchanged base; the model is not changed."""
    begun = load_file(run / START / WEIGHTS)
    learned = _weights(model, state_dict)
    weights = {name: _concatenate(name, each, begun[name]) for name, each in learned.items()}
    config = copy.deepcopy(model.peft_config["default"])
    config.init_lora_weights = True
    config.inference_mode = True
    config.r *= 2
    # the scale of rsLoRA is alpha / sqrt(r), else alpha / r: it stays the same
    config.lora_alpha *= 2**0.5 if config.use_rslora else 2
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    config.save_pretrained(folder)


def _weights(model: Any, state_dict: Any = None) -> dict[str, torch.Tensor]:
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(model, state_dict=state_dict)
    return {name: each.detach().cpu().contiguous().clone() for name, each in state.items()}


def _concatenate(name: str, learned: torch.Tensor, begun: torch.Tensor) -> torch.Tensor:
    if ".lora_A" in name or ".lora_embedding_A" in name:
        return torch.cat([learned, begun], dim=0)
    if ".lora_B" in name or ".lora_embedding_B" in name:
        return torch.cat([learned, -begun], dim=1)
    return learned


MARK = "quantized_base.json"  # the file that marks such an adapter folder


def initialize_loftq(model: Any, base: Path) -> None:
    """Set the new adapter to the best low-rank approximation of the quantization error of `base`.

    s B A is the truncated singular value decomposition of W - Q. Raises ModelError where the
    folder has no weights under the name of a layer.
    """
    from bitsandbytes.functional import dequantize_4bit

    known: Architecture = model.architecture
    for name, part in model.get_base_model().named_modules():
        if not hasattr(part, "lora_A") or "default" not in part.lora_A:
            continue
        inner = part.get_base_layer().weight
        key = known.renamed.get(f"{name}.weight", f"{name}.weight")
        whole = _tensor(key, known, base).to(inner.device, torch.float32)
        dequantized = dequantize_4bit(inner.data, inner.quant_state).float()
        up, sizes, down = torch.linalg.svd((whole - dequantized) / part.scaling["default"])
        roots = sizes[: part.r["default"]].sqrt()  # fewer than the rank where a layer is narrower
        ups, downs = part.lora_B["default"].weight.data, part.lora_A["default"].weight.data
        ups.zero_()[:, : len(roots)] = up[:, : len(roots)] * roots
        downs[: len(roots)] = roots[:, None] * down[: len(roots)]


def _tensor(key: str, known: Architecture, base: Path) -> torch.Tensor:
    for _, weights in tensors.read([key] if key in known.tensors else [], known.tensors):
        return weights
    params = {"path": str(base), "name": key}
    raise ModelError(Problem(code="loftq_weights", field="init_lora_weights", params=params))


def mark(folder: Path) -> None:
    """Mark in the adapter's folder that it fits the quantized base only."""
    (folder / MARK).write_text(json.dumps({"quantization_bit": 4}) + "\n")


def require_quantized(model: Any, folder: Path) -> None:
    """Raise ModelError where such an adapter meets a model that is not quantized to 4 bits."""
    quantization = getattr(model.config, "quantization_config", None)
    if is_marked(folder) and not getattr(quantization, "load_in_4bit", False):
        params = {"path": str(folder)}
        raise ModelError(
            Problem(code="adapter_needs_4bit", field="quantization_bit", params=params)
        )


def is_marked(folder: Path) -> bool:
    """Whether an adapter folder is marked as one for the quantized base only."""
    return (folder / MARK).is_file()


def initialize_prompts(model: Any, method: str, ids: list[int]) -> None:
    """Initialize with the tokens `ids`, repeated or cut to fit, or with random ones for []."""
    count = model.peft_config["default"].num_virtual_tokens
    words = model.get_base_model().get_input_embeddings()
    drawn = torch.randint(0, words.weight.shape[0], (count,)).tolist()
    tokens = torch.tensor((ids * count)[:count] or drawn, device=words.weight.device)
    with torch.no_grad():
        if method == "prompt":
            model.prompt_encoder["default"].embedding.weight.copy_(words(tokens))
            return
        with model.disable_adapter():
            cache = model.eval()(input_ids=tokens[None], use_cache=True).past_key_values
        from peft.tuners.cartridge.utils import initialize_kv_prefix_from_past_key_values

        initialize_kv_prefix_from_past_key_values(model, past_key_values=cache)
    model.train()


def continue_training(model: Any, folder: Path) -> Any:
    """Load a saved prompt or prefix for further training, which peft itself does not do."""
    from peft import PeftConfig, get_peft_model

    config = PeftConfig.from_pretrained(str(folder))
    config.inference_mode = False
    model = get_peft_model(model, config)
    weights = load_file(folder / "adapter_model.safetensors")["prompt_embeddings"]
    model.prompt_encoder["default"].embedding.load_state_dict({"weight": weights})
    return model


def needs_single_rows(model: Any) -> bool:
    """Whether texts must be answered one at a time.

    In a batch, padding on the left of a shorter text would stand between the learned tokens and
    the text and shift its positions.
    """
    kinds = {str(each.peft_type.value) for each in getattr(model, "peft_config", {}).values()}
    return bool(kinds & {"PROMPT_TUNING", "P_TUNING"})
