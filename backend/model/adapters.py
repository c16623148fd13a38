"""Which weights learn: full, freeze, or LoRA adapters (new, continued, or over merged ones)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model, prepare_model_for_kbit_training
from torch import nn

from backend.contract.dataset_info import names
from backend.contract.field import Value
from backend.contract.files import make_readable
from backend.contract.problems import ModelError, Problem, UsageError
from backend.model.device import training_precision

Values = Mapping[str, Value]
PISSA = "pissa_start"  # folder of the adapter before training


def apply(model: Any, folders: Sequence[Path]) -> Any:
    """The model with trained adapters, for answering: all but the last are merged."""
    model = merge(model, folders[:-1])
    return attach(model, folders[-1]) if folders else model


def merge(model: Any, folders: Sequence[Path]) -> Any:
    """The model with these adapters folded into its weights, in their order."""
    for folder in folders:
        model = attach(model, folder).merge_and_unload()
    return model


def attach(model: Any, folder: Path, *, training: bool = False) -> Any:
    """The model with one adapter on it. Raises ModelError where that is for another model."""
    name = getattr(model, "name_or_path", "")
    try:
        return PeftModel.from_pretrained(
            model, str(folder), is_trainable=training, use_safetensors=True
        )
    except (RuntimeError, ValueError, KeyError, TypeError, OSError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        params = {"path": str(folder), "model": str(name), "reason": _short(error)}
        raise ModelError(
            Problem(code="adapter_does_not_fit", field="adapter_name_or_path", params=params)
        ) from error


def prepare(model: Any, folders: Sequence[Path], values: Values) -> Any:
    """The model made ready to learn by finetuning_type; what learns is float32.

    Raises UsageError (names of layers or modules that the model has not) or ModelError.
    """
    method = values.get("finetuning_type")
    if values.get("quantization_bit"):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if method == "lora":
        model = _lora(model, folders, values)
    elif method == "freeze":
        model = merge(model, folders)
        _freeze(model, values)
    else:
        model = merge(model, folders)
        model.requires_grad_(requires_grad=True)
    dtype = training_precision(values).learned
    for weights in model.parameters():
        if weights.requires_grad and weights.is_floating_point():
            weights.data = weights.data.to(dtype)
    return model


def save(model: Any, folder: Path, values: Values) -> None:
    """Write the adapter, or the full model, so that plain peft or transformers loads it."""
    settings = getattr(model, "generation_config", None)
    if settings is not None and (settings.temperature, settings.top_p) != (None, None):
        settings.do_sample = True  # transformers refuses to write sampling numbers without it
    if _converts(model, values):
        model.save_pretrained(folder, path_initial_model_for_weight_conversion=folder / PISSA)
    else:
        model.save_pretrained(folder)
    make_readable(folder.rglob("*.safetensors"))


def keep_start(model: Any, folder: Path, values: Values) -> None:
    """Keep the adapter as PiSSA set it up: converting the trained one needs the difference."""
    start = folder / PISSA
    if _converts(model, values) and not start.exists():
        kind = model.peft_config["default"].init_lora_weights
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(start)
        model.peft_config["default"].init_lora_weights = kind


def resize(model: Any, vocabulary: int) -> None:
    """Room in the embeddings for `vocabulary` tokens, in steps of 64 rows."""
    if model.get_input_embeddings().weight.shape[0] < vocabulary:
        model.resize_token_embeddings(vocabulary, pad_to_multiple_of=64)


def _converts(model: Any, values: Values) -> bool:
    wanted = values.get("pissa_init") and (values.get("pissa_convert") or is_fast(values))
    return hasattr(model, "peft_config") and bool(wanted)


def is_fast(values: Values) -> bool:
    """Whether PiSSA starts from a randomised SVD. Such an adapter must be converted when saved:
    plain peft repeats the SVD with other random numbers and would get another base."""
    return bool(values.get("pissa_init")) and values.get("pissa_iter") != -1


def learned(model: Any) -> tuple[int, int]:
    """How many parameters learn, and how many there are."""
    counts = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(count for count, learns in counts if learns), sum(count for count, _ in counts)


def _lora(model: Any, folders: Sequence[Path], values: Values) -> Any:
    continued = bool(folders) and not values.get("create_new_adapter")
    before = folders[:-1] if continued else folders
    if before and values.get("quantization_bit"):
        raise UsageError(Problem(code="quantization_one_adapter", field="adapter_name_or_path"))
    name = model.name_or_path
    model = merge(model, before)
    model.name_or_path = name
    if continued:
        return attach(model, folders[-1], training=True)
    try:
        return get_peft_model(model, lora_config(values))
    except ValueError as error:
        if "target" not in str(error).lower():
            raise
        params = {"value": str(values.get("lora_target")), "known": ", ".join(linear_names(model))}
        raise UsageError(
            Problem(code="modules_unknown", field="lora_target", params=params)
        ) from error


def lora_config(values: Values) -> LoraConfig:
    """peft's configuration of the adapter that these values describe."""
    targets = names(values.get("lora_target")) or ["all"]
    start: bool | str = True
    if values.get("pissa_init"):
        rounds = values.get("pissa_iter")
        start = "pissa" if rounds == -1 else f"pissa_niter_{rounds}"
    rank = int(values["lora_rank"] or 8)
    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=rank,
        lora_alpha=int(values.get("lora_alpha") or 2 * rank),
        lora_dropout=float(values.get("lora_dropout") or 0.0),
        target_modules="all-linear" if "all" in targets else targets,
        modules_to_save=names(values.get("additional_target")) or None,
        use_rslora=bool(values.get("use_rslora")),
        use_dora=bool(values.get("use_dora")),
        init_lora_weights=start,
    )


def linear_names(model: Any) -> list[str]:
    """The last parts of the names of all linear layers, as lora_target takes them."""
    found = {name.rsplit(".", 1)[-1] for name, part in model.named_modules() if _is_linear(part)}
    return sorted(found - {"lm_head"})


def _is_linear(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D"


def layers(model: Any) -> tuple[str, nn.ModuleList]:
    """The decoder layers and the name under which they lie in the model."""
    wanted = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    for name, part in model.named_modules():
        if isinstance(part, nn.ModuleList) and len(part) == wanted:
            return name, part
    raise UsageError(Problem(code="no_layers", field="finetuning_type"))


def _freeze(model: Any, values: Values) -> None:
    """Let only some layers learn: the last n (n > 0) or the first n (n < 0), plus named others."""
    prefix, stack = layers(model)
    count = int(values.get("freeze_trainable_layers") or 0)
    total = len(stack)
    if not 0 < abs(count) <= total:
        params = {"value": count, "layers": total}
        raise UsageError(
            Problem(code="freeze_layers", field="freeze_trainable_layers", params=params)
        )
    chosen = range(total - count, total) if count > 0 else range(-count)
    inside = names(values.get("freeze_trainable_modules")) or ["all"]
    extra = names(values.get("freeze_extra_modules"))
    within = {part for each in stack[0].named_parameters() for part in each[0].split(".")[:-1]}
    outside = {
        part
        for name, _ in model.named_parameters()
        if not name.startswith(f"{prefix}.")
        for part in name.split(".")[:-1]
    }
    _known(inside, within | {"all"}, "freeze_trainable_modules")
    _known(extra, outside, "freeze_extra_modules")
    starts = tuple(f"{prefix}.{index}." for index in chosen)
    for name, weights in model.named_parameters():
        parts = set(name.split("."))
        in_layer = name.startswith(starts) and ("all" in inside or bool(parts & set(inside)))
        is_extra = not name.startswith(f"{prefix}.") and bool(parts & set(extra))
        weights.requires_grad_(in_layer or is_extra)


def _known(given: list[str], known: set[str], field: str) -> None:
    wrong = [name for name in given if name not in known]
    if wrong:
        params = {"value": ", ".join(wrong)[:80], "known": ", ".join(sorted(known))[:400]}
        raise UsageError(Problem(code="modules_unknown", field=field, params=params))


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300]
