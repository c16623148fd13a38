"""Load a model and its tokenizer from a folder, a run, an adapter or a hub.

Weights come from safetensors files only; code of a model runs only where trust_remote_code is on.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from backend.contract.arguments.typed import Arguments
from backend.contract.models import model_folder
from backend.contract.preflight.preflight import check_packages
from backend.contract.preflight.requirements import quantization_of
from backend.contract.registry.dataset_info import names
from backend.contract.system.files import read_json
from backend.contract.texts.problems import ModelError, Problem, UsageError
from backend.model import adapters, architecture, attention, hub, language, quantize, unsloth
from backend.model import vocabulary as tokens
from backend.model.architecture import Architecture
from backend.model.device import device as device
from backend.model.device import inference_dtype, training_precision
from backend.running.failures import is_out_of_memory

FIELD = "model_name_or_path"
HubOptions = tuple[str, str, str | None]  # the hub, the revision, the folder for files
# Errors of libraries about a folder: wrong settings, wrong shapes, truncated files.
LOADING_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, ImportError, AttributeError, RuntimeError),
    SafetensorError,
)


def model(values: Arguments, *, training: bool, vocabulary: int = 0) -> Any:
    """Load the model with its adapters; for training, weights that learn are float32.

    `vocabulary` is the tokenizer's size, to which the embeddings grow for new tokens. A model for
    training is on the CPU, for the caller to move; otherwise it is on the device, in eval mode.
    Raises UsageError where a package is missing, and ModelError.
    """
    folders = adapter_folders(values)
    if training:
        prepared = _trainable_model(values, folders, vocabulary)
        before = adapters.adapters_to_merge(folders, values)
        prepared.trained_on = model_folder.record(base_folder(values), before)
        return prepared
    tuned = adapters.apply(base_model(values), folders)
    return (tuned if is_quantized(values) else tuned.to(device())).eval()


def _trainable_model(values: Arguments, folders: list[Path], vocabulary: int) -> Any:
    """Load the model for training and set up its attention, vocabulary and precision."""
    if values.use_unsloth:
        _require_packages(values)
        if base_architecture(values).sees:
            raise UsageError(Problem(code="unsloth_sees", field="use_unsloth"))
        return unsloth.model(values, base_folder(values), folders)
    base = base_model(values, training=True)
    language.require_text(base)
    if values.moe_aux_loss_coef:
        attention.require_experts(base.config)
    if values.shift_attn:
        attention.apply(base, values.cutoff_len)
    if tokens.may_change(values):
        before, after = tokenizer(tokens.without_new_tokens(values)), tokenizer(values)
        base.new_tokens = tokens.grow(base, before, after, values, vocabulary)
    prepared = adapters.prepare(base, folders, values)
    if adapters.is_new(folders, values):
        adapters.initialize(prepared, values, base_folder(values), lambda text: _ids(text, values))
    if values.upcast_layernorm:
        attention.upcast_norms(prepared)
    if values.use_reentrant_gc:
        prepared.enable_input_require_grads()  # else the layers would get no gradient
    return prepared


def _require_packages(values: Arguments) -> None:
    missing = check_packages(values)
    if missing:
        raise UsageError(*missing)


def base_model(values: Arguments, *, training: bool = False, dtype: Any = None) -> Any:
    """Load the model without adapters, on the CPU unless it is quantized.

    `dtype` None takes that of training or of answering.
    """
    _require_packages(values)
    folder = base_folder(values)
    quantize.require_loadable(folder, values, training=training)
    known = base_architecture(values)
    dtype = dtype or (_training_dtype(values) if training else inference_dtype(values))
    config = read_config(values)
    attention.scale_positions(config, values)
    quantize.unpack_in_loading(config)
    quantization = quantize.config(values, dtype)
    options: dict[str, Any] = {"config": config, "dtype": dtype, "use_safetensors": True}
    if attention.implementation(values):
        options["attn_implementation"] = attention.implementation(values)
    if quantization:
        options["quantization_config"] = quantization
    if is_quantized(values):
        options["device_map"] = {"": device()}
    loaded = _load_or_raise(folder, known.kind.from_pretrained, folder, **options, **_trust(values))
    quantize.keep_unpacked(loaded, training=training)
    loaded.name_or_path = base_name(values)
    loaded.architecture = known
    return loaded


def empty_model(values: Arguments, *, dtype: Any = None) -> Any:
    """The model without adapters on the device "meta": with shapes, and without a weight.

    `dtype` None takes that of training. Raises ModelError as loading does.
    """
    known, config = base_architecture(values), read_config(values)
    attention.scale_positions(config, values)
    with torch.device("meta"):
        empty = known.kind(config)
    name = attention.implementation(values)
    if name in attention.HERE:  # the others need packages that only a GPU has a use for
        empty.set_attn_implementation(name)
    empty.name_or_path = base_name(values)
    empty.architecture = known
    return empty.to(dtype or _training_dtype(values))


def base_architecture(values: Arguments) -> Architecture:
    """The architecture of the base model. Raises ModelError where a part of it would be lost."""
    folder = base_folder(values)
    _refuse_code(folder, values)
    trust = values.trust_remote_code
    return _load_or_raise(folder, architecture.detect, folder, trust=trust)


def base_notices(values: Arguments) -> list[Problem]:
    """A notice for each adapter that was trained on another base than this one."""
    return model_folder.notices(base_folder(values), base_name(values), adapter_folders(values))


def frozen_notices(model: Any) -> list[Problem]:
    """Notices about the parts and tensors of the model that are not trained."""
    known: Architecture | None = getattr(model, "architecture", None)
    parts, count = language.other_parts(adapters.base_of(model))
    problems = []
    if parts:
        total = sum(weights.numel() for weights in model.parameters())
        params: dict[str, str | int] = {"parts": ", ".join(parts), "share": f"{count / total:.0%}"}
        problems.append(Problem(code="parts_frozen", field=FIELD, params=params, notice=True))
    if known and known.beside:
        params = {"count": len(known.beside), "name": known.beside[0]}
        problems.append(Problem(code="tensors_beside", field=FIELD, params=params, notice=True))
    return problems


def tokenizer(values: Arguments) -> Any:
    """Load the tokenizer of the last adapter, else of the model, with a pad token."""
    folder = tokenizer_folder(values)
    _refuse_code(folder, values)
    loaded = _load_or_raise(
        folder,
        AutoTokenizer.from_pretrained,
        folder,
        use_fast=values.use_fast_tokenizer,
        padding_side="right",
        **_base_config(folder, values),
        **_trust(values),
    )
    if loaded.pad_token_id is None:
        loaded.pad_token = loaded.eos_token
    tokens.extend(loaded, values)
    return loaded


def _base_config(folder: Path, values: Arguments) -> dict[str, Any]:
    """The option with the base's config for a folder without one, as transformers also chooses the
    tokenizer's class by the model's type, and another class may split texts in another way."""
    return {} if (folder / model_folder.CONFIG).is_file() else {"config": read_config(values)}


def read_config(values: Arguments) -> Any:
    """The configuration of the base model. Raises ModelError."""
    folder = base_folder(values)
    return _load_or_raise(folder, AutoConfig.from_pretrained, folder, **_trust(values))


def embedding_rows(values: Arguments) -> int:
    """The number of rows of the base's embeddings, as its config says."""
    return int(read_config(values).get_text_config().vocab_size)


def tokenizer_folder(values: Arguments) -> Path:
    """The folder of the tokenizer: the last adapter's where it has one, else the model's."""
    own = [*adapter_folders(values)[-1:], base_folder(values)]
    return next((each for each in own if (each / "tokenizer_config.json").is_file()), own[-1])


def base_name(values: Arguments) -> str:
    """The name that an adapter records as its base: the hub id, or the folder's absolute path."""
    name = _required_name(values)
    if _is_adapter(name):
        name = model_folder.adapter_base(model_folder.local(name)) or name
    return name if _on_hub(name, values) else str(model_folder.local(name))


def base_folder(values: Arguments) -> Path:
    """The folder with config.json and the weights. Raises ModelError with all its problems."""
    return _resolve_base(_required_name(values), values.trust_remote_code, _hub_options(values))


def adapter_folders(values: Arguments) -> list[Path]:
    """The adapters' folders in their order; a model that is itself an adapter comes first."""
    name = _required_name(values)
    folder = base_folder(values)  # raises for the model first
    own = [model_folder.local(name)] if _is_adapter(name) else []
    if not own and (folder / model_folder.ADAPTER_CONFIG).is_file():
        own = [folder]
    wanted = names(values.adapter_name_or_path)
    problems = [each for name in wanted for each in model_folder.adapter_problems(name)]
    if problems:
        raise ModelError(*problems)
    return own + [_folder(name, values, "adapter_name_or_path") for name in wanted]


def last_folder(values: Arguments) -> Path:
    """The folder of the last adapter, else of the model, which has files like the value head."""
    return [base_folder(values), *adapter_folders(values)][-1]


def _ids(text: str, values: Arguments) -> list[int]:
    ids: list[int] = tokenizer(values)(text, add_special_tokens=False)["input_ids"]
    return ids


def is_quantized(values: Arguments) -> bool:
    """Whether the model is quantized in loading, or its weights are quantized already."""
    return bool(values.quantization_bit or quantization_of(base_folder(values)))


def _training_dtype(values: Arguments) -> Any:
    precision = training_precision(values)
    return precision.learned if values.finetuning_type == "full" else precision.frozen


def _required_name(values: Arguments) -> str:
    name = values.model_name_or_path
    if not name:
        raise UsageError(Problem(code="model_required", field=FIELD))
    return str(name)


def _is_adapter(name: str) -> bool:
    folder = model_folder.local(name)
    return (folder / model_folder.ADAPTER_CONFIG).is_file() and not (
        folder / "config.json"
    ).is_file()


def _on_hub(name: str, values: Arguments) -> bool:
    if values.hub_name == "modelscope":
        return not model_folder.local(name).is_dir()
    return model_folder.is_hub_id(name)


def _folder(name: str, values: Arguments, field: str = FIELD) -> Path:
    return hub.fetch(name, values, field) if _on_hub(name, values) else model_folder.local(name)


def _hub_options(values: Arguments) -> HubOptions:
    return values.hub_name, values.model_revision, values.cache_dir


@cache
def _resolve_base(name: str, trust: bool, place: HubOptions) -> Path:
    """Check the model of a name and return its folder; cached, so a hub is asked once a process."""
    hub_name, revision, cache_dir = place
    values = Arguments().replace(
        hub_name=hub_name, model_revision=revision, cache_dir=cache_dir, trust_remote_code=trust
    )
    if _is_adapter(name):
        problems = model_folder.model_problems(name)
        if problems:
            raise ModelError(*problems)
        name = model_folder.adapter_base(model_folder.local(name))
    folder = _folder(name, values)
    here = folder == model_folder.local(name)
    problems = model_folder.model_problems(name if here else str(folder))
    if problems:
        raise ModelError(*problems)
    return folder


def _trust(values: Arguments) -> dict[str, Any]:
    return {"trust_remote_code": values.trust_remote_code}


def _refuse_code(folder: Path, values: Arguments) -> None:
    """Raise ModelError with the name of the Python file that loading would run.

    A model type that transformers knows is loaded by transformers' own code and is not refused.
    """
    if values.trust_remote_code:
        return
    known = read_json(folder / "config.json").get("model_type") in CONFIG_MAPPING
    for file in ("config.json", "tokenizer_config.json"):
        mapped = read_json(folder / file).get("auto_map")
        if mapped and not known:
            code = str(next(iter(mapped.values()), "") if isinstance(mapped, dict) else mapped)
            params = {"path": str(folder), "file": f"{code.split('.')[0][:80]}.py"}
            raise ModelError(Problem(code="model_needs_code", field=FIELD, params=params))


def _load_or_raise(folder: Path, load: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a from_pretrained and turn its errors about the folder into ModelError."""
    try:
        return load(*args, **kwargs)
    except LOADING_ERRORS as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:300]
        params = {"path": str(folder), "reason": reason}
        raise ModelError(Problem(code="model_load_failed", field=FIELD, params=params)) from error
