"""The configurations of peft for each method that does not change the base model; AdaLoRA's steps.

In each training step AdaLoRA has its budget of ranks and an orthogonality penalty: Zhang et al.,
"Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning", 2023.
"""

from collections.abc import Callable
from typing import Any

import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoraConfig,
    OFTConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    TaskType,
    VeraConfig,
)
from peft.utils.constants import (
    TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING as IA3_FEEDFORWARD,
)
from peft.utils.constants import TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING as IA3_TARGETS
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.typed import Arguments
from backend.contract.registry.dataset_info import names
from backend.contract.texts.problems import Problem, UsageError
from backend.model import freezing, language
from backend.model.freezing import layers

TASK = {"task_type": TaskType.CAUSAL_LM}
MAMBA = {"falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h"}
KEYS_AND_VALUES = ("k_proj", "v_proj", "key", "value", "qkv", "c_attn", "pack", "kv")


def config(model: Any, values: Arguments) -> PeftConfig:
    """The configuration of a new adapter on this model."""
    return CONFIGS[values.finetuning_type](model, values)


def target_field(values: Arguments) -> ArgumentName:
    """The argument that names the modules of the chosen method."""
    return "oft_target" if values.finetuning_type == "oft" else "lora_target"


def linear_names(model: Any) -> list[str]:
    """The last parts of the names of all linear layers, as lora_target takes them."""
    linear = {name.rsplit(".", 1)[-1] for name, part in language.modules(model) if _is_linear(part)}
    return sorted(linear - {"lm_head"})


def _lora(model: Any, values: Arguments) -> PeftConfig:
    rank = values.lora_rank
    options: dict[str, Any] = {
        **_targets(model, values),
        **_lora_options(values),
        "r": rank,
        "use_rslora": values.use_rslora,
        "use_dora": values.use_dora,
        "init_lora_weights": init_lora_weights(values),
    }
    if values.use_llama_pro:
        options |= _in_blocks(model, names(values.lora_target) or ["all"])
    return LoraConfig(**options)


def _in_blocks(model: Any, listed: list[str]) -> dict[str, Any]:
    """The options that restrict the listed modules to the new blocks of LLaMA Pro."""
    wanted, blocks = linear_names(model) if "all" in listed else listed, freezing.blocks(model)
    if not language.is_part(model.config):
        return {"target_modules": wanted, "layers_to_transform": blocks}
    starts = tuple(f"{layers(model)[0]}.{index}." for index in blocks)
    modules = _modules(model, wanted, "lora_target")
    return {"target_modules": [name for name in modules if name.startswith(starts)]}


def init_lora_weights(values: Arguments) -> bool | str:
    """The value of peft's init_lora_weights; LoftQ replaces the weights afterwards."""
    if values.pissa_init:
        rounds = values.pissa_iter
        return "pissa" if rounds == -1 else f"pissa_niter_{rounds}"
    method = values.init_lora_weights
    return method if method in {"gaussian", "olora"} else True


def _oft(model: Any, values: Arguments) -> PeftConfig:
    rank = values.oft_rank
    return OFTConfig(
        **_targets(model, values),
        r=rank,
        oft_block_size=0 if rank else values.oft_block_size,
        module_dropout=values.module_dropout,
    )


def _adalora(model: Any, values: Arguments) -> PeftConfig:
    return AdaLoraConfig(
        **_targets(model, values),
        **_lora_options(values),
        init_r=values.adalora_init_r,
        target_r=values.adalora_target_r,
        total_step=1,  # AdaLoraCallback sets the run's own number of steps
    )


def _ia3(model: Any, values: Arguments) -> PeftConfig:
    targets, feedforward = _ia3_modules(model, names(values.lora_target) or ["all"])
    return IA3Config(
        **TASK,
        target_modules=_modules(model, targets, "lora_target"),
        feedforward_modules=_modules(model, feedforward, "lora_target"),
        **_saved_modules(model, values),
    )


def _vera(model: Any, values: Arguments) -> PeftConfig:
    return VeraConfig(
        **_targets(model, values),
        r=values.vera_rank,
        vera_dropout=values.lora_dropout,
        projection_prng_key=values.seed,
        save_projection=True,  # the key may give other numbers on other machines
    )


def _prompt(_model: Any, values: Arguments) -> PeftConfig:
    return PromptTuningConfig(**_virtual_tokens(values))


def _prefix(_model: Any, values: Arguments) -> PeftConfig:
    return PrefixTuningConfig(**_virtual_tokens(values))


def _ptuning(_model: Any, values: Arguments) -> PeftConfig:
    size = values.encoder_hidden_size
    return PromptEncoderConfig(**_virtual_tokens(values), encoder_hidden_size=size)


def _targets(model: Any, values: Arguments) -> dict[str, Any]:
    field = target_field(values)
    listed = names(values[field]) or ["all"]
    if "all" not in listed:
        targets: str | list[str] = _modules(model, listed, field)
    elif language.is_part(model.config):
        head = model.get_output_embeddings()
        linear = [(name, part) for name, part in language.modules(model) if _is_linear(part)]
        targets = [name for name, part in linear if part is not head]
    else:
        targets = "all-linear"
    return {
        **TASK,
        "target_modules": targets,
        **_excluded_modules(model),
        **_saved_modules(model, values),
    }


def _saved_modules(model: Any, values: Arguments) -> dict[str, Any]:
    listed = names(values.additional_target)
    return {"modules_to_save": _modules(model, listed, "additional_target") or None}


def _modules(model: Any, listed: list[str], field: str) -> list[str]:
    """The listed modules as peft takes them: last parts of names, or full names where the language
    model is only a part of the model, as parts for pictures or sound use the same names.

    Raises UsageError where the language model has no such module.
    """
    if not language.is_part(model.config):
        return listed
    full = {name: language.full_names(model, [name]) for name in listed}
    unknown = [name for name in listed if not full[name]]
    if unknown:
        known = sorted({name.rsplit(".", 1)[-1] for name, _ in language.modules(model)} - {""})
        params = {"value": ", ".join(unknown)[:80], "known": ", ".join(known)[:400]}
        raise UsageError(Problem(code="modules_unknown", field=field, params=params))
    return [each for name in listed for each in full[name]]


def _excluded_modules(model: Any) -> dict[str, Any]:
    """The option for linear layers without an adapter: those in Mamba's fused kernels, which peft
    refuses by name, and the routers of experts, whose output is a choice."""
    excluded = {
        name.rsplit(".", 1)[-1]
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear) and type(part).__name__.endswith("Router")
    }
    excluded |= {"out_proj"} if model.config.model_type in MAMBA else set()
    return {"exclude_modules": sorted(excluded)} if excluded else {}


def _lora_options(values: Arguments) -> dict[str, Any]:
    return {
        "lora_alpha": values.lora_alpha,
        "lora_dropout": values.lora_dropout,
    }


def _virtual_tokens(values: Arguments) -> dict[str, Any]:
    return {**TASK, "num_virtual_tokens": values.num_virtual_tokens}


def _ia3_modules(model: Any, listed: list[str]) -> tuple[list[str], list[str]]:
    """The modules that IA3 scales, and those of them that it scales at the input.

    They come from peft's table, or else from the shapes of the layers.

    Liu et al., 2022: keys, values, and what enters the second layer of the MLP.
    """
    kind = model.config.model_type
    inner = set(IA3_FEEDFORWARD[kind]) if kind in IA3_FEEDFORWARD else _narrowing(model)
    if "all" not in listed:
        return listed, [name for name in listed if name in inner]
    if kind in IA3_TARGETS:
        return list(IA3_TARGETS[kind]), sorted(inner)
    known = linear_names(model)
    chosen = [name for name in known if any(part in name.lower() for part in KEYS_AND_VALUES)]
    return sorted({*(chosen or known), *inner}), sorted(inner)


def _narrowing(model: Any) -> set[str]:
    """Names of the linear layers outside attention whose output is narrower than their input."""
    return {
        name.rsplit(".", 1)[-1]
        for name, part in layers(model)[1].named_modules()
        if isinstance(part, nn.Linear)
        and part.out_features < part.in_features
        and "att" not in name.lower()
    }


def _is_linear(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D"


CONFIGS: dict[str, Callable[[Any, Arguments], PeftConfig]] = {
    "lora": _lora,
    "oft": _oft,
    "adalora": _adalora,
    "ia3": _ia3,
    "vera": _vera,
    "prompt": _prompt,
    "prefix": _prefix,
    "ptuning": _ptuning,
}


class AdaLoraCallback(TrainerCallback):
    """Cuts ranks step by step, except in the first tenth and the last third of a run."""

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Set the schedule of the budget, now that the number of steps is known."""
        del args, control
        config = _config(kwargs["model"])
        total = state.max_steps
        config.total_step = total
        config.tinit, config.tfinal = total // 10, (total + 1) // 3

    def on_pre_optimizer_step(
        self,
        *_: Any,
        **kwargs: Any,
    ) -> None:
        """Add the gradient of the penalty, so that the logged loss is that of the data alone.

        orth_reg_weight times the mean of |P P^T - I| over the factors P (Frobenius norm).
        """
        model = kwargs["model"]
        with torch.enable_grad():
            norms = [
                _distance(name, each) for name, each in model.named_parameters() if _is_factor(name)
            ]
            penalty = _config(model).orth_reg_weight * torch.stack(norms).mean()
            penalty.backward()

    def on_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Score the weights and cut ranks, between the optimizer's step and the next gradients."""
        del args, control
        model, config = kwargs["model"], _config(kwargs["model"])
        final = config.total_step - config.tfinal
        scored = bool(model.base_model.rankallocator.ipt)
        if state.global_step < final or (state.global_step == final and scored):
            model.base_model.update_and_allocate(state.global_step)
        elif config.rank_pattern:
            model.base_model.rankallocator.mask_using_rank_pattern(
                model.base_model.model, config.rank_pattern
            )


def _config(model: Any) -> Any:
    return model.peft_config["default"]


def _is_factor(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def _distance(name: str, factor: torch.Tensor) -> torch.Tensor:
    """The Frobenius norm of P P^T - I for the rows of A, or the columns of B."""
    product = factor @ factor.T if ".lora_A." in name else factor.T @ factor
    return torch.linalg.matrix_norm(product - torch.eye(len(product), device=product.device))
