"""Initialise prompt and prefix tuning from real tokens, as random numbers spoil every answer.

Lester et al., "The Power of Scale for Parameter-Efficient Prompt Tuning", 2021 (vocabulary and
text as a start); Li and Liang, "Prefix-Tuning", 2021 (activations of real words).
"""

from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, get_peft_model
from peft.tuners.cartridge.utils import initialize_kv_prefix_from_past_key_values
from safetensors.torch import load_file


def initialize(model: Any, method: str, ids: list[int]) -> None:
    """Initialise with the tokens `ids`, repeated or cut to fit, or with random ones for []."""
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
        initialize_kv_prefix_from_past_key_values(model, past_key_values=cache)
    model.train()


def continue_training(model: Any, folder: Path) -> Any:
    """Load a saved prompt or prefix for further training, which peft itself does not do."""
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
