"""Optimizers beyond transformers' plain names: LoRA+, GaLore, APOLLO, BAdam, Adam-mini, Muon.

Several optimizers of one model act as one, with one state and one schedule.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Trainer, TrainingArguments

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.fields.training import GALORE_8BIT
from backend.contract.arguments.typed import Arguments
from backend.contract.registry.dataset_info import names
from backend.contract.texts.problems import Problem, UsageError
from backend.model import block_adam


class JoinedOptimizer(torch.optim.Optimizer):
    """Joins optimizers of disjoint weights; a step is one step of each, in their order."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        states = [part.state for part in parts]
        super().__init__([group for part in parts for group in part.param_groups], {})
        for state in states:
            self.state.update(state)
        self._share()

    def _share(self) -> None:
        """Let each part use the groups and the state of the whole, so that schedules reach it."""
        start = 0
        for part in self.parts:
            end = start + len(part.param_groups)
            part.param_groups, part.state = self.param_groups[start:end], self.state
            start = end

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make one step of each part."""
        loss = None if closure is None else closure()
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state as any optimizer does, and share it with the parts."""
        super().load_state_dict(state_dict)
        self._share()


class LayerwiseOptimizer(JoinedOptimizer):
    """Updates each weight as soon as its gradient is known, and then frees the gradient.

    The gradients of all weights are never in memory at once, so none can be accumulated.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        super().__init__(parts)
        for part in self.parts:
            (weights,) = part.param_groups[0]["params"]
            weights.register_post_accumulate_grad_hook(_make_step_hook(part))

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Do nothing, as the steps were made during the backward pass."""
        return None if closure is None else closure()


def _make_step_hook(part: torch.optim.Optimizer) -> Callable[[torch.Tensor], None]:
    def step(_weights: torch.Tensor) -> None:
        part.step()
        part.zero_grad()

    return step


@dataclass(frozen=True)
class LowRank:
    """The arguments of GaLore or APOLLO: whether it is on, which weights it projects, whether each
    layer has an optimizer of its own, and what its package takes (by the package's names)."""

    switch: ArgumentName
    target: ArgumentName
    layerwise: ArgumentName
    options: Mapping[str, ArgumentName]


LOW_RANK = {
    "galore": LowRank(
        "use_galore",
        "galore_target",
        "galore_layerwise",
        {
            "rank": "galore_rank",
            "update_proj_gap": "galore_update_interval",
            "scale": "galore_scale",
            "proj_type": "galore_proj_type",
        },
    ),
    "apollo": LowRank(
        "use_apollo",
        "apollo_target",
        "apollo_layerwise",
        {
            "rank": "apollo_rank",
            "update_proj_gap": "apollo_update_interval",
            "scale": "apollo_scale",
            "proj_type": "apollo_proj_type",
            "proj": "apollo_proj",
            "scale_type": "apollo_scale_type",
        },
    ),
}


def arguments(values: Arguments) -> dict[str, Any]:
    """The TrainingArguments for the optimizer, where GaLore and APOLLO replace `optim`."""
    optim = values.optim
    for kind, own in LOW_RANK.items():
        if values[own.switch]:
            targets = names(values[own.target]) or ["all"]
            pairs = (f"{key}={values[name]}" for key, name in own.options.items())
            return {
                "optim": f"{kind}_{_family(optim, kind)}",
                "optim_target_modules": "all-linear" if "all" in targets else targets,
                "optim_args": ",".join(pairs),
            }
    return {"optim": optim}


def build_special(
    model: Any, args: TrainingArguments, values: Arguments
) -> torch.optim.Optimizer | None:
    """Build an optimizer that transformers cannot make from its arguments alone, else give None.

    Raises UsageError where several processes train with an optimizer for one process.
    """
    for name, make in SPECIAL.items():
        if values[name]:
            return make(model, args, values)
    return _loraplus(model, args, values) if _wants_loraplus(values) else None


def finish(optimizer: Any) -> None:
    """After the last step take the averaged weights, if any, and unfreeze BAdam's blocks."""
    inner = getattr(optimizer, "optimizer", optimizer)  # accelerate's wrapper
    if callable(getattr(inner, "eval", None)):  # schedule-free
        inner.eval()
    for group in inner.param_groups if isinstance(inner, block_adam.BlockAdam) else ():
        for weights in group["params"]:
            weights.requires_grad_(requires_grad=True)


def _family(optim: str, kind: str) -> str:
    """The inner optimizer: adamw, or with GaLore also adafactor or adamw_8bit."""
    if kind == "galore" and optim == "adafactor":
        return "adafactor"
    return "adamw_8bit" if kind == "galore" and optim in GALORE_8BIT else "adamw"


def _low_rank(kind: str, model: Any, args: TrainingArguments, values: Arguments) -> Any:
    """Build GaLore or APOLLO with transformers and their packages, one a layer where asked for.

    Zhao et al., "GaLore", 2024; Zhu et al., "APOLLO: SGD-like Memory, AdamW-level Performance",
    2024. The packages keep a projection as an object, which a checkpoint may contain.
    """
    torch.serialization.add_safe_globals([*_projectors(kind)])
    make, options = Trainer.get_optimizer_cls_and_kwargs(args, model)
    groups = options.pop("params")
    family = _family(values.optim, kind)
    options |= {
        "adamw": _adam(args) | {"no_deprecation_warning": True},
        "adamw_8bit": _adam(args),
    }.get(family, {"scale_parameter": False, "relative_step": False})
    if kind == "apollo":
        options["scale_front"] = values.apollo_scale_front
    learning = [_trainable_group(group, args.weight_decay) for group in groups]
    layerwise = LOW_RANK[kind].layerwise
    if not values[layerwise]:
        return make(learning, **options)
    _require_one_process(args, layerwise)
    return LayerwiseOptimizer(
        [
            make([{**group, "params": [weights]}], **options)
            for group in learning
            for weights in group["params"]
        ]
    )


def _adam(args: TrainingArguments) -> dict[str, Any]:
    return {"betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon}


def _trainable_group(group: dict[str, Any], decay: float) -> dict[str, Any]:
    """A parameter group with only the weights that learn; only projected ones have weight decay."""
    trainable = [weights for weights in group["params"] if weights.requires_grad]
    return {**group, "params": trainable, "weight_decay": decay if "rank" in group else 0.0}


def _projectors(kind: str) -> list[type]:
    if kind == "galore":
        from galore_torch.galore_projector import GaLoreProjector

        return [GaLoreProjector]
    from apollo_torch.random_projector import GradientProjector
    from apollo_torch.svd_projector import GaLoreProjector as SvdProjector

    return [GradientProjector, SvdProjector]


def _badam(model: Any, args: TrainingArguments, values: Arguments) -> torch.optim.Optimizer:
    _require_one_process(args, "use_badam")
    return block_adam.build(model, args, values)


def _adam_mini(model: Any, args: TrainingArguments, _values: Arguments) -> torch.optim.Optimizer:
    """Build Adam-mini from its package.

    Zhang et al., "Adam-mini: Use Fewer Learning Rates To Gain More", 2024.
    """
    from adam_mini import Adam_mini

    config = model.config.get_text_config()
    heads, hidden = config.num_attention_heads, config.hidden_size
    optimizer = Adam_mini(
        named_parameters=model.named_parameters(),
        lr=args.learning_rate,
        weight_decay=args.weight_decay,
        dim=hidden,
        n_heads=heads,
        verbose=False,
        **_adam(args),
    )
    # The package assumes heads of size hidden / heads, and a process for each GPU.
    size = getattr(config, "head_dim", None) or hidden // heads
    optimizer.head_numel, optimizer.world_size = size * hidden, 1
    return optimizer


def _muon(model: Any, args: TrainingArguments, _values: Arguments) -> torch.optim.Optimizer:
    """Build Muon for matrices inside the layers, AdamW for embeddings, output, norms and biases.

    Jordan et al., 2024; the steps are scaled to AdamW's, so that its learning rates fit (Liu et
    al., "Muon is Scalable for LLM Training", 2025).
    """
    ends = {
        id(each.weight)
        for each in (model.get_input_embeddings(), model.get_output_embeddings())
        if each is not None
    }
    learning = [each for each in model.parameters() if each.requires_grad]
    inner = [each for each in learning if each.ndim == 2 and id(each) not in ends]
    others = [each for each in learning if each.ndim != 2 or id(each) in ends]
    decay: dict[str, Any] = {"lr": args.learning_rate, "weight_decay": args.weight_decay}
    adamw = torch.optim.AdamW(others, **_adam(args), **decay) if others else None
    muon = torch.optim.Muon(inner, adjust_lr_fn="match_rms_adamw", **decay) if inner else None
    return JoinedOptimizer([each for each in (muon, adamw) if each is not None])


def _wants_loraplus(values: Arguments) -> bool:
    return bool(values.loraplus_lr_ratio) and values.finetuning_type == "lora"


def _loraplus(model: Any, args: TrainingArguments, values: Arguments) -> Any:
    """Build the optimizer of LoRA+, in which B matrices learn loraplus_lr_ratio times faster.

    Hayou et al., "LoRA+: Efficient Low Rank Adaptation of Large Models", 2024.
    """
    from peft.optimizers import create_loraplus_optimizer

    kind, options = Trainer.get_optimizer_cls_and_kwargs(args, model)
    return create_loraplus_optimizer(
        model=model,
        optimizer_cls=kind,
        lr=options.pop("lr"),
        loraplus_lr_ratio=values.loraplus_lr_ratio or 0.0,
        loraplus_lr_embedding=values.loraplus_lr_embedding or 1e-6,
        loraplus_weight_decay=args.weight_decay,
        **options,
    )


def _require_one_process(args: TrainingArguments, field: str) -> None:
    if args.world_size > 1:
        params = {"processes": args.world_size}
        raise UsageError(Problem(code="one_process_only", field=field, params=params))


SPECIAL: dict[ArgumentName, Callable[..., Any]] = {
    "use_galore": functools.partial(_low_rank, "galore"),
    "use_apollo": functools.partial(_low_rank, "apollo"),
    "use_badam": _badam,
    "use_adam_mini": _adam_mini,
    "use_muon": _muon,
}
