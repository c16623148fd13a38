"""Optimizers beyond the plain names: LoRA+, GaLore and APOLLO."""

from collections.abc import Mapping
from typing import Any

from transformers import Trainer, TrainingArguments

from backend.contract.dataset_info import names
from backend.contract.field import Value

Values = Mapping[str, Value]


def arguments(values: Values) -> dict[str, Any]:
    """The TrainingArguments that choose the optimizer (GaLore and APOLLO replace `optim`)."""
    optim = str(values.get("optim") or "adamw_torch")
    for kind in ("galore", "apollo"):
        if values.get(f"use_{kind}"):
            family = "adafactor" if optim == "adafactor" and kind == "galore" else "adamw"
            targets = names(values.get(f"{kind}_target")) or ["all"]
            return {
                "optim": f"{kind}_{family}",
                "optim_target_modules": "all-linear" if "all" in targets else targets,
                "optim_args": (
                    f"rank={values[f'{kind}_rank']},"
                    f"update_proj_gap={values[f'{kind}_update_interval']},"
                    f"scale={values[f'{kind}_scale']}"
                ),
            }
    return {"optim": optim}


def loraplus(model: Any, args: TrainingArguments, values: Values) -> Any:
    """The LoRA+ optimizer: B matrices learn loraplus_lr_ratio times faster; None where not asked.

    Hayou et al., "LoRA+: Efficient Low Rank Adaptation of Large Models", 2024.
    """
    ratio = values.get("loraplus_lr_ratio")
    if not ratio or values.get("finetuning_type") != "lora":
        return None
    from peft.optimizers import create_loraplus_optimizer

    kind, given = Trainer.get_optimizer_cls_and_kwargs(args, model)
    return create_loraplus_optimizer(
        model=model,
        optimizer_cls=kind,
        lr=given.pop("lr"),
        loraplus_lr_ratio=float(ratio),
        loraplus_lr_embedding=float(values.get("loraplus_lr_embedding") or 1e-6),
        loraplus_weight_decay=args.weight_decay,
        **given,
    )
