"""Choose the weights that learn: all, some layers (freeze), or an adapter; save and load them.

peft is imported where it is used: half of what a command would import that needs none of it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from backend.contract.arguments.fields.methods import SOFT_PROMPTS, is_adapter
from backend.contract.arguments.typed import Arguments
from backend.contract.models import model_folder
from backend.contract.models.model_folder import ADAPTER_CONFIG
from backend.contract.registry.dataset_info import names
from backend.contract.system.files import make_readable, read_json
from backend.contract.texts.problems import ModelError, Problem, UsageError
from backend.model import (
    adapter_starts,
    freezing,
    language,
    saved_weights,
    value_head,
)
from backend.model import vocabulary as tokens
from backend.model.device import device, training_precision
from backend.running.failures import is_out_of_memory

# The copies of a layer share its weight: merged by peft 0.21.2, each has the adapters of all.
REPLICATED = "layer_replication"
PREDICTING = ("pt", "sft")  # stages whose loss is that of the next token
# peft_type in adapter_config.json -> finetuning_type
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
    """Put trained adapters on a model for answering; all but the last are merged."""
    model = merge(model, folders[:-1])
    return attach(model, folders[-1]) if folders else model


def merge(model: Any, folders: Sequence[Path]) -> Any:
    """Merge these adapters into the weights of the model, in their order."""
    require_mergeable(folders)
    for folder in folders:
        model = attach(model, folder).merge_and_unload()
    return model


def fuse(model: Any) -> Any:
    """The model with its adapter merged, for answers alone, where that changes none of them.

    Beside each layer an adapter costs two small matrix products for each token. Merged, W + s*B*A
    is rounded once more: in float32 that is lost among the errors of the sums, in half precision it
    is not, so that such models, quantized ones and adapters other than LoRA are left as they are.
    """
    configs = getattr(model, "peft_config", {}).values()
    kinds = {str(each.peft_type.value) for each in configs}
    if kinds != {"LORA"} or getattr(model, "is_loftq", False):
        return model
    if any(each.layer_replication for each in configs):
        return model
    whole = base_of(model)
    exact = {torch.float32, torch.float64}
    if getattr(whole, "is_quantized", False) or {p.dtype for p in whole.parameters()} - exact:
        return model
    return model.merge_and_unload()


def require_mergeable(folders: Sequence[Path]) -> None:
    """Raise ModelError where one of the adapters cannot become a part of the weights."""
    for folder in folders:
        method, params = method_of(folder), {"path": str(folder)}
        if method in SOFT_PROMPTS:
            params = {**params, "method": method}
            code = "adapter_not_mergeable"
        elif adapter_starts.is_marked(folder):
            code = "loftq_not_mergeable"
        elif read_json(folder / ADAPTER_CONFIG).get(REPLICATED):
            code = "replicated_not_mergeable"
        else:
            continue
        raise ModelError(Problem(code=code, field="adapter_name_or_path", params=params))


def method_of(folder: Path) -> str:
    """The finetuning_type of an adapter folder, or peft's own name where we have none."""
    kind = str(read_json(folder / ADAPTER_CONFIG).get("peft_type") or "")
    return PEFT_TYPES.get(kind, kind)


def base_of(model: Any) -> Any:
    """The base model under an adapter, or the model itself where it has none."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def attach(model: Any, folder: Path, *, training: bool = False, name: str = "default") -> Any:
    """Put one adapter on a model. Raises ModelError where the adapter is for another model."""
    from peft import PeftModel

    adapter_starts.require_quantized(model, folder)
    with _wrap_load_errors(model, folder):
        tokens.resize_for_adapter(model, folder)
        if training and method_of(folder) in SOFT_PROMPTS:
            return adapter_starts.continue_training(model, folder)
        tuned = PeftModel.from_pretrained(
            model, str(folder), adapter_name=name, is_trainable=training, use_safetensors=True
        )
    tuned.is_loftq = adapter_starts.is_marked(folder)
    return tuned


def attach_beside(model: Any, folder: Path, name: str) -> None:
    """Put a trained adapter beside the one that learns; it is off until `set_adapter(name)`.

    Raises ModelError where it is for another model.
    """
    adapter_starts.require_quantized(model, folder)
    training = model.training
    with _wrap_load_errors(model, folder):
        model.load_adapter(str(folder), name, is_trainable=False, use_safetensors=True)
    model.train(training)


@contextmanager
def _wrap_load_errors(model: Any, folder: Path) -> Iterator[None]:
    """Turn an error of the library in loading an adapter into ModelError."""
    name = getattr(model, "name_or_path", "")
    try:
        yield
    except (RuntimeError, ValueError, KeyError, TypeError, OSError) as error:
        if is_out_of_memory(error):
            raise
        params = {"path": str(folder), "model": str(name), "reason": _summarize(error)}
        raise ModelError(
            Problem(code="adapter_does_not_fit", field="adapter_name_or_path", params=params)
        ) from error


def prepare(model: Any, folders: Sequence[Path], values: Arguments) -> Any:
    """Make a model ready to learn as finetuning_type says; weights that learn are float32.

    Raises UsageError for layers or modules that the model does not have, and ModelError.
    """
    method = values.finetuning_type
    if getattr(model, "is_quantized", False):
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if is_adapter(method):
        model = _prepare_adapter(model, folders, values)
    elif method == "freeze":
        model = merge(model, folders)
        pro = values.use_llama_pro
        chosen = freezing.expand(model, values) if pro else freezing.layers_to_train(model, values)
        freezing.freeze(model, chosen, values)
    else:
        model = merge(model, folders)
        model.requires_grad_(requires_grad=True)
    language.freeze_others(base_of(model))
    precision = training_precision(values)
    for weights in model.parameters():
        if weights.requires_grad and weights.is_floating_point():
            weights.data = weights.data.to(precision.learned)
    if precision.bf16 and device() == "cpu" and method == "lora" and values.stage in PREDICTING:
        _keep_inputs(model)
    return model


def _keep_inputs(model: Any) -> None:
    """Let LoRA take its inputs as they are: in mixed precision they are cast for the product, and
    peft's cast to float32 before that costs a twentieth of a step on a processor.

    Only in stages whose every forward pass is in mixed precision.
    """
    for layer in model.modules():
        if hasattr(layer, "cast_input_dtype_enabled"):
            layer.cast_input_dtype_enabled = False


def initialize(
    model: Any, values: Arguments, base: Path, tokenize: Callable[[str], list[int]]
) -> None:
    """Set the weights of a new adapter where peft's configuration cannot do it.

    `base` is the folder of the base model.
    """
    method = values.finetuning_type
    if method in {"prompt", "prefix"}:
        text = values.prompt_tuning_init_text or ""
        try:
            adapter_starts.initialize_prompts(model, method, tokenize(text) if text else [])
        except (ValueError, AttributeError) as error:  # the model's cache has another shape
            raise _method_error(model, values, error) from error
    elif is_loftq(values):
        adapter_starts.initialize_loftq(model, base)
        model.is_loftq = True


def callbacks(model: Any) -> list[Any]:
    """The Trainer callbacks that the adapter of this model needs."""
    allocates = hasattr(getattr(model, "base_model", None), "rankallocator")
    if not allocates:
        return []
    from backend.model.peft_methods import AdaLoraCallback

    return [AdaLoraCallback()]


def save(model: Any, folder: Path, values: Arguments, run: Path, state_dict: Any = None) -> None:
    """Write the adapter, or the full model, so that plain peft or transformers loads it.

    A value head is written beside it; further adapters on the model are not written. A checkpoint
    (any folder but `run`, the run's own) also gets what a resumed run needs.
    """
    settings = getattr(model, "generation_config", None)
    if settings is not None and (settings.temperature, settings.top_p) != (None, None):
        settings.do_sample = True  # transformers refuses to write sampling numbers without it
    converted = hasattr(model, "peft_config") and adapter_starts.converts(values)
    with value_head.without_head(model) as head:
        weights = value_head.drop_weights(state_dict)
        if converted:
            adapter_starts.save(model, folder, run, state_dict)
        elif hasattr(model, "peft_config"):
            own = {"selected_adapters": ["default"], **tokens.save_options(model)}
            model.save_pretrained(folder, state_dict=weights, **own)
        else:
            saved_weights.save(model, folder, weights)
    if head is not None:
        head.write(folder)
    if hasattr(model, "peft_config"):
        model_folder.write(folder, model.trained_on)
    if getattr(model, "is_loftq", False):
        adapter_starts.mark(folder)
    derived = values.finetuning_type in {"adalora", *SOFT_PROMPTS}
    if folder != run and (converted or derived):
        saved_weights.write_trainable(model, folder)
    make_readable(folder.rglob("*.safetensors"))


def keep_start(model: Any, run: Path, values: Arguments) -> None:
    """Write the untrained adapter into the run's folder where conversion needs it at the end."""
    if hasattr(model, "peft_config") and adapter_starts.converts(values):
        adapter_starts.keep_start(model, run)


def notices(values: Arguments) -> list[Problem]:
    """Notices about settings that the fine-tuning method changes by itself."""
    problems = []
    if adapter_starts.is_fast(values) and not values.pissa_convert:
        problems.append(Problem(code="pissa_converted", field="pissa_convert", notice=True))
    if values.init_lora_weights == "olora":
        problems.append(Problem(code="olora_converted", field="init_lora_weights", notice=True))
    if not allows_checkpointing(values) and not values.disable_gradient_checkpointing:
        field = "disable_gradient_checkpointing"
        problems.append(Problem(code="prefix_without_checkpointing", field=field, notice=True))
    return problems


def allows_checkpointing(values: Arguments) -> bool:
    """Whether gradient checkpointing works; recomputed layers would not see a prefix's cache."""
    return values.finetuning_type != "prefix"


def wants_checkpointing(values: Arguments) -> bool:
    """Whether a training asks for gradient checkpointing, where the architecture can do it."""
    return allows_checkpointing(values) and not values.disable_gradient_checkpointing


def is_loftq(values: Arguments) -> bool:
    """Whether a new adapter starts with LoftQ, from the error of quantization."""
    lora = values.finetuning_type == "lora"
    return lora and values.init_lora_weights == "loftq"


def parameter_counts(model: Any) -> tuple[int, int]:
    """The numbers of parameters that learn, and of all parameters."""
    counts = [(each.numel(), each.requires_grad) for each in model.parameters()]
    return sum(count for count, learns in counts if learns), sum(count for count, _ in counts)


def is_new(folders: Sequence[Path], values: Arguments) -> bool:
    """Whether a new adapter is trained, instead of the last one in `folders`."""
    adapter = is_adapter(values.finetuning_type)
    return adapter and (not folders or values.create_new_adapter)


def adapters_to_merge(folders: Sequence[Path], values: Arguments) -> Sequence[Path]:
    """The adapters that are merged before training: all but one whose training is continued."""
    continued = is_adapter(values.finetuning_type) and not is_new(folders, values)
    return folders[:-1] if continued else folders


def _prepare_adapter(model: Any, folders: Sequence[Path], values: Arguments) -> Any:
    from peft import get_peft_model

    from backend.model import peft_methods

    before = adapters_to_merge(folders, values)
    if before and values.quantization_bit:
        raise UsageError(Problem(code="quantization_one_adapter", field="adapter_name_or_path"))
    name = model.name_or_path
    model = merge(model, before)
    model.name_or_path = name
    if not is_new(folders, values):
        _require_method(folders[-1], values)
        _require_known_tokens(model, folders[-1])
        return attach(model, folders[-1], training=True)
    if values.use_llama_pro and not freezing.blocks(model):
        raise UsageError(Problem(code="llama_pro_lora", field=freezing.FIELD))
    config = peft_methods.config(model, values)
    tokens.train_rows(config, model, getattr(model, "new_tokens", []))
    try:
        return get_peft_model(model, config)
    except TypeError as error:  # the method does not support this kind of layer
        raise _method_error(model, values, error) from error
    except ValueError as error:
        if "target" not in str(error).lower():
            raise
        raise _unknown_modules(model, values) from error


def _require_known_tokens(model: Any, folder: Path) -> None:
    """Raise UsageError where the adapter to be continued was trained without the new tokens."""
    if set(getattr(model, "new_tokens", [])) - tokens.learned_token_ids(folder):
        params = {"path": str(folder)}
        raise UsageError(
            Problem(code="new_tokens_and_adapter", field="create_new_adapter", params=params)
        )


def _require_method(folder: Path, values: Arguments) -> None:
    method, wanted = method_of(folder), values.finetuning_type
    if method != wanted:
        params = {"path": str(folder), "found": method, "wanted": wanted}
        raise UsageError(
            Problem(code="adapter_other_method", field="adapter_name_or_path", params=params)
        )


def _method_error(model: Any, values: Arguments, error: Exception) -> ModelError:
    architecture = type(getattr(model, "get_base_model", lambda: model)()).__name__
    params = {
        "method": values.finetuning_type,
        "architecture": architecture,
        "reason": _summarize(error),
    }
    return ModelError(Problem(code="method_unfit", field="finetuning_type", params=params))


def _unknown_modules(model: Any, values: Arguments) -> UsageError:
    from backend.model import peft_methods

    field = peft_methods.target_field(values)
    known = ", ".join(peft_methods.linear_names(model))
    params = {"value": ", ".join(names(values[field])), "known": known}
    return UsageError(Problem(code="modules_unknown", field=field, params=params))


def _summarize(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300]
