"""Which weights learn: full, freeze, or adapters (new, continued, or over merged ones)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model, prepare_model_for_kbit_training

from backend.contract.arguments.methods import SOFT_PROMPTS, is_adapter
from backend.contract.arguments.typed import Arguments
from backend.contract.base.files import make_readable, read_json
from backend.contract.base.problems import ModelError, Problem, UsageError
from backend.contract.models import adapter_base
from backend.contract.models.model_folder import ADAPTER_CONFIG
from backend.contract.registry.dataset_info import names
from backend.model import (
    changed_base,
    freezing,
    full_model,
    language,
    llama_pro,
    loftq,
    peft_methods,
    soft_prompts,
    trainable_state,
    value_head,
)
from backend.model import vocabulary as tokens
from backend.model.adalora import AdaLoraCallback
from backend.model.device import training_precision

# peft's names of the methods, as adapter_config.json has them
PEFT_TYPES = {
    "LORA": "lora",
    "OFT": "oft",
    "ADALORA": "adalora",
    "IA3": "ia3",
    "VERA": "vera",
    "PROMPT_TUNING": "prompt",
    "PREFIX_TUNING": "prefix",
    "P_TUNING": "ptuning",
}


def apply(model: Any, folders: Sequence[Path]) -> Any:
    """The model with trained adapters, for answering: all but the last are merged."""
    model = merge(model, folders[:-1])
    return attach(model, folders[-1]) if folders else model


def merge(model: Any, folders: Sequence[Path]) -> Any:
    """The model with these adapters folded into its weights, in their order."""
    require_mergeable(folders)
    for folder in folders:
        model = attach(model, folder).merge_and_unload()
    return model


def require_mergeable(folders: Sequence[Path]) -> None:
    """Raise ModelError where one of the adapters cannot become a part of the weights."""
    for folder in folders:
        method, params = method_of(folder), {"path": str(folder)}
        if method in SOFT_PROMPTS:
            params = {**params, "method": method}
            code = "adapter_not_mergeable"
        elif loftq.is_marked(folder):
            code = "loftq_not_mergeable"
        else:
            continue
        raise ModelError(Problem(code=code, field="adapter_name_or_path", params=params))


def method_of(folder: Path) -> str:
    """The finetuning_type of an adapter folder (peft's own name where it is none of ours)."""
    kind = str(read_json(folder / ADAPTER_CONFIG).get("peft_type") or "")
    return PEFT_TYPES.get(kind, kind)


def base_of(model: Any) -> Any:
    """The model under an adapter; the model itself where it has none."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def attach(model: Any, folder: Path, *, training: bool = False) -> Any:
    """The model with one adapter on it. Raises ModelError where that is for another model."""
    loftq.require_quantized(model, folder)
    with _fitting(model, folder):
        tokens.fit(model, folder)
        if training and method_of(folder) in SOFT_PROMPTS:
            return soft_prompts.go_on(model, folder)
        tuned = PeftModel.from_pretrained(
            model, str(folder), is_trainable=training, use_safetensors=True
        )
    tuned.is_loftq = loftq.is_marked(folder)
    return tuned


def attach_beside(model: Any, folder: Path, name: str) -> None:
    """Put a trained adapter beside the one that learns; it is off until `set_adapter(name)`.

    Raises ModelError where it is for another model.
    """
    loftq.require_quantized(model, folder)
    training = model.training
    with _fitting(model, folder):
        model.load_adapter(str(folder), name, is_trainable=False, use_safetensors=True)
    model.train(training)


@contextmanager
def _fitting(model: Any, folder: Path) -> Iterator[None]:
    """Around loading an adapter: an error of the library's becomes ModelError."""
    name = getattr(model, "name_or_path", "")
    try:
        yield
    except (RuntimeError, ValueError, KeyError, TypeError, OSError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        params = {"path": str(folder), "model": str(name), "reason": _short(error)}
        raise ModelError(
            Problem(code="adapter_does_not_fit", field="adapter_name_or_path", params=params)
        ) from error


def prepare(model: Any, folders: Sequence[Path], values: Arguments) -> Any:
    """The model made ready to learn by finetuning_type; what learns is float32.

    Raises UsageError (names of layers or modules that the model has not) or ModelError.
    """
    method = values.finetuning_type
    if getattr(model, "is_quantized", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if is_adapter(method):
        model = _adapted(model, folders, values)
    elif method == "freeze":
        model = merge(model, folders)
        pro = values.use_llama_pro
        chosen = llama_pro.expand(model, values) if pro else freezing.chosen_layers(model, values)
        freezing.freeze(model, chosen, values)
    else:
        model = merge(model, folders)
        model.requires_grad_(requires_grad=True)
    language.freeze_others(base_of(model))
    dtype = training_precision(values).learned
    for weights in model.parameters():
        if weights.requires_grad and weights.is_floating_point():
            weights.data = weights.data.to(dtype)
    return model


def begin(model: Any, values: Arguments, base: Path, tokenize: Callable[[str], list[int]]) -> None:
    """Set a new adapter's weights where that needs more than peft's configuration can say.

    `base` is the folder of the base model.
    """
    method = values.finetuning_type
    if method in {"prompt", "prefix"}:
        text = values.prompt_tuning_init_text or ""
        try:
            soft_prompts.begin(model, method, tokenize(text) if text else [])
        except (ValueError, AttributeError) as error:  # a cache of another shape than peft makes
            raise _unfit(model, values, error) from error
    elif is_loftq(values):
        loftq.begin(model, base)
        model.is_loftq = True


def callbacks(model: Any) -> list[Any]:
    """What must happen at each step of training this model."""
    allocates = hasattr(getattr(model, "base_model", None), "rankallocator")
    return [AdaLoraCallback()] if allocates else []


def save(model: Any, folder: Path, values: Arguments, run: Path, state_dict: Any = None) -> None:
    """Write the adapter, or the full model, so that plain peft or transformers loads it.

    A value head is written beside it; an adapter that stands beside the learning one is not.
    A checkpoint (any folder but `run`, the run's own) also gets what going on from it needs.
    """
    settings = getattr(model, "generation_config", None)
    if settings is not None and (settings.temperature, settings.top_p) != (None, None):
        settings.do_sample = True  # transformers refuses to write sampling numbers without it
    converted = hasattr(model, "peft_config") and changed_base.converts(values)
    with value_head.apart(model) as head:
        weights = value_head.without(state_dict)
        if converted:
            changed_base.save(model, folder, run, state_dict)
        elif hasattr(model, "peft_config"):
            own = {"selected_adapters": ["default"], **tokens.saving(model)}
            model.save_pretrained(folder, state_dict=weights, **own)
        else:
            full_model.save(model, folder, weights)
    if head is not None:
        head.write(folder)
    if hasattr(model, "peft_config"):
        adapter_base.write(folder, model.trained_on)
    if getattr(model, "is_loftq", False):
        loftq.mark(folder)
    derived = values.finetuning_type in {"adalora", *SOFT_PROMPTS}
    if folder != run and (converted or derived):
        trainable_state.write(model, folder)
    make_readable(folder.rglob("*.safetensors"))


def keep_start(model: Any, run: Path, values: Arguments) -> None:
    """Keep the adapter as it began, where converting the trained one needs the difference."""
    if hasattr(model, "peft_config") and changed_base.converts(values):
        changed_base.keep_start(model, run)


def notices(values: Arguments) -> list[Problem]:
    """What a method changes without being asked."""
    found = []
    if changed_base.is_fast(values) and not values.pissa_convert:
        found.append(Problem(code="pissa_converted", field="pissa_convert", notice=True))
    if values.init_lora_weights == "olora":
        found.append(Problem(code="olora_converted", field="init_lora_weights", notice=True))
    if not allows_checkpointing(values) and not values.disable_gradient_checkpointing:
        field = "disable_gradient_checkpointing"
        found.append(Problem(code="prefix_without_checkpointing", field=field, notice=True))
    return found


def allows_checkpointing(values: Arguments) -> bool:
    """Whether layers may be computed twice: a prefix lies in a cache that they then do not see."""
    return values.finetuning_type != "prefix"


def is_loftq(values: Arguments) -> bool:
    """Whether a new adapter starts from what quantisation lost."""
    lora = values.finetuning_type == "lora"
    return lora and values.init_lora_weights == "loftq"


def learned(model: Any) -> tuple[int, int]:
    """How many parameters learn, and how many there are."""
    counts = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(count for count, learns in counts if learns), sum(count for count, _ in counts)


def is_new(folders: Sequence[Path], values: Arguments) -> bool:
    """Whether a new adapter learns, and not the last one given."""
    adapter = is_adapter(values.finetuning_type)
    return adapter and (not folders or values.create_new_adapter)


def merged(folders: Sequence[Path], values: Arguments) -> Sequence[Path]:
    """The adapters that are folded into the weights before training: all but one that learns."""
    continued = is_adapter(values.finetuning_type) and not is_new(folders, values)
    return folders[:-1] if continued else folders


def _adapted(model: Any, folders: Sequence[Path], values: Arguments) -> Any:
    before = merged(folders, values)
    if before and values.quantization_bit:
        raise UsageError(Problem(code="quantization_one_adapter", field="adapter_name_or_path"))
    name = model.name_or_path
    model = merge(model, before)
    model.name_or_path = name
    if not is_new(folders, values):
        _require_method(folders[-1], values)
        _require_known_tokens(model, folders[-1])
        return attach(model, folders[-1], training=True)
    if values.use_llama_pro and not llama_pro.blocks(model):
        raise UsageError(Problem(code="llama_pro_lora", field=llama_pro.FIELD))
    config = peft_methods.config(model, values)
    tokens.learn(config, model, getattr(model, "new_tokens", []))
    try:
        return get_peft_model(model, config)
    except TypeError as error:  # a kind of layer that the method has no form for
        raise _unfit(model, values, error) from error
    except ValueError as error:
        if "target" not in str(error).lower():
            raise
        raise _unknown_modules(model, values) from error


def _require_known_tokens(model: Any, folder: Path) -> None:
    """Raise UsageError where tokens are new that an adapter which learns on does not have."""
    if set(getattr(model, "new_tokens", [])) - tokens.learned(folder):
        params = {"path": str(folder)}
        raise UsageError(
            Problem(code="new_tokens_and_adapter", field="create_new_adapter", params=params)
        )


def _require_method(folder: Path, values: Arguments) -> None:
    found, wanted = method_of(folder), values.finetuning_type
    if found != wanted:
        params = {"path": str(folder), "found": found, "wanted": wanted}
        raise UsageError(
            Problem(code="adapter_other_method", field="adapter_name_or_path", params=params)
        )


def _unfit(model: Any, values: Arguments, error: Exception) -> ModelError:
    architecture = type(getattr(model, "get_base_model", lambda: model)()).__name__
    params = {
        "method": values.finetuning_type,
        "architecture": architecture,
        "reason": _short(error),
    }
    return ModelError(Problem(code="method_unfit", field="finetuning_type", params=params))


def _unknown_modules(model: Any, values: Arguments) -> UsageError:
    field = peft_methods.target_field(values)
    known = ", ".join(peft_methods.linear_names(model))
    params = {"value": ", ".join(names(getattr(values, field))), "known": known}
    return UsageError(Problem(code="modules_unknown", field=field, params=params))


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300]
