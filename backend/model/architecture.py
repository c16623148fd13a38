"""Find the class of transformers that loads a model folder, and check that it loads all of it.

Some classes silently load a part of a checkpoint (transformers 5.23: Qwen3_5ForCausalLM is
the text of a Qwen3.5, BartForCausalLM the half of a BART), and what is saved from them is half a
model under another name. So the class is the one that config.json names, and all tensors are loaded
into it once, empty (device "meta": nothing but headers is read), to see what it takes and writes.
"""

import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MULTIMODAL_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
)
from transformers.utils import logging

from backend.contract.preflight.requirements import quantization_of
from backend.contract.system.files import read_json
from backend.contract.texts.problems import ModelError, Problem
from backend.model import language
from backend.model.tensors import Layout, layout

FIELD = "model_name_or_path"
AUTO = "AutoModelForCausalLM"
# The last one also holds models that hear and then go on with a text, as AudioFlamingo3.
MAPPINGS = (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MULTIMODAL_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
)
NAMED = 3  # tensors that an error names at most


@dataclass(frozen=True)
class Architecture:
    """How a model folder is loaded and written.

    kind     the class whose from_pretrained loads it
    tensors  every tensor of the folder, by its name in the files
    sees     whether it also has parts for pictures or sound
    renamed  name in the files of each parameter whose name in the model is another
    beside   names of the tensors that the class leaves out by its own rule (draft heads for
             speculative decoding and the like)
    """

    kind: Any
    tensors: Layout
    sees: bool
    renamed: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()


@cache
def detect(folder: Path, *, trust: bool) -> Architecture:
    """The architecture of a model folder; `trust` lets code of the folder define the class.

    Raises ModelError where no class generates text from this folder, or where that class would
    lose tensors or initialize some at random. Folders with quantized weights, or with a class of
    their own, are not compared tensor by tensor.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust)
    own = trust and AUTO in str(read_json(folder / "config.json").get("auto_map"))
    kind = AutoModelForCausalLM if own else _kind(config, folder)
    plain = Architecture(kind, layout(folder), language.is_part(config))
    return plain if own or quantization_of(folder) else _compare_tensors(plain, config, folder)


def _kind(config: Any, folder: Path) -> Any:
    """The class that config.json names, else the first class for its model type."""
    name = (config.architectures or [""])[0]
    kinds = [
        each
        for mapping in MAPPINGS
        if type(config) in mapping
        for each in _tuple(mapping[type(config)])
        if each.config_class not in config.sub_configs.values()  # else the text of a larger model
        and each.forward is not torch.nn.Module.forward  # else parts that are computed one by one
    ]
    exact = [each for each in kinds if each.__name__ == name]
    if config.is_encoder_decoder:
        raise _error("model_encoder_decoder", folder, architecture=name or config.model_type)
    if not kinds:
        params = {"architecture": name or config.model_type, "version": transformers.__version__}
        raise _error("model_not_language", folder, **params)
    kind = (exact or kinds)[0]
    inputs = inspect.signature(kind.forward).parameters.values()
    needed = [
        each.name
        for each in inputs
        if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
    ]
    if set(needed) - {"self", "input_ids"}:
        params = {"architecture": kind.__name__, "reason": f"forward({', '.join(needed)})"}
        raise _error("model_not_on_text", folder, **params)
    return kind


def _compare_tensors(plain: Architecture, config: Any, folder: Path) -> Architecture:
    """Load all tensors, empty, into an empty model, and add the names that this shows.

    Raises ModelError where tensors are lost or missing.
    """
    kind, tensors = plain.kind, plain.tensors
    empty = {
        name: torch.empty(each.shape, dtype=each.dtype or torch.int64, device="meta")
        for name, each in tensors.items()
    }
    with _silence_transformers():
        model, report = kind.from_pretrained(
            None,
            config=config,
            state_dict=empty,
            device_map={"": "meta"},
            dtype=torch.float32,
            output_loading_info=True,
        )
    params = {"architecture": kind.__name__, "total": len(tensors)}
    if report["unexpected_keys"]:
        raise _error(
            "model_tensors_lost", folder, **params, **_list_names(report["unexpected_keys"])
        )
    if report["missing_keys"]:
        raise _error(
            "model_tensors_missing", folder, **params, **_list_names(report["missing_keys"])
        )
    parameters = model.state_dict()
    written = revert_weight_conversion(model, parameters)
    names = {id(weights): name for name, weights in written.items()}
    renamed = {
        name: names[id(weights)]
        for name, weights in parameters.items()
        if names.get(id(weights), name) != name
    }
    beside = tuple(name for name in tensors if name not in written)
    return dataclasses.replace(plain, renamed=renamed, beside=beside)


@contextmanager
def _silence_transformers() -> Iterator[None]:
    """Silence the progress bar and the loading report of transformers."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _tuple(kinds: Any) -> tuple[Any, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)


def _list_names(names: Iterable[str]) -> dict[str, str | int]:
    ordered = sorted(names)
    more = ", ..." if len(ordered) > NAMED else ""
    return {"count": len(ordered), "names": ", ".join(ordered[:NAMED]) + more}


def _error(code: str, folder: Path, **params: str | int) -> ModelError:
    return ModelError(Problem(code=code, field=FIELD, params={"path": str(folder), **params}))
