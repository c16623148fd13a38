"""Merge LoRA adapters into a model file by file: W + s*B*A, tensor by tensor, no model in memory.

This is only for plain LoRA; everything else (`plain_deltas` gives None) is left to peft. Sums are
made in float32 and rounded once, to the dtype that is written.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file

from backend.contract.system.files import read_json
from backend.model.tensors import WEIGHTS, Layout, read

ADAPTER = "adapter_model.safetensors"
# Settings that a plain LoRA may have; all others in its config must have peft's defaults.
UNIMPORTANT = {
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "peft_version",
    "r",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
}


@dataclass(frozen=True)
class Delta:
    """What an adapter adds to one weight: scale * up @ down, of shapes [out, r] and [r, in]."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float


@dataclass(frozen=True)
class WriteOptions:
    """How weights are written.

    dtype     of the written weights; None keeps that of each
    shard     bytes a file at most
    device    computes the sums
    progress  is called with tensors done and in all
    """

    dtype: torch.dtype | None
    shard: int
    device: str
    progress: Callable[[int, int], None]


Deltas = Mapping[str, Sequence[Delta]]


def plain_deltas(
    folders: Sequence[Path], tensors: Layout, renamed: Mapping[str, str]
) -> Deltas | None:
    """The deltas of the adapters for each weight, or None where one of them is not plain LoRA.

    `renamed` gives the name in the files of each parameter whose name in the model is another.
    """
    deltas: dict[str, list[Delta]] = {}
    for folder in folders:
        additions = _deltas(folder, tensors, renamed)
        if additions is None:
            return None
        for name, delta in additions.items():
            deltas.setdefault(name, []).append(delta)
    return deltas


def write(tensors: Layout, deltas: Deltas, folder: Path, options: WriteOptions) -> None:
    """Write the model with its deltas added, in files of at most options.shard bytes."""
    parts = list(_parts(tensors, options))
    total = len(tensors)
    done, places = 0, {}
    for number, names in enumerate(parts, start=1):
        file = WEIGHTS if len(parts) == 1 else f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        content = {}
        for name, weight in read(names, tensors):
            content[name] = _add_deltas(weight, deltas.get(name, ()), options)
            places[name] = file
            done += 1
            options.progress(done, total)
        save_file(content, folder / file, metadata={"format": "pt"})
    if len(parts) > 1:
        size = sum(tensor.size_as(options.dtype) for tensor in tensors.values())
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))}
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _parts(tensors: Layout, options: WriteOptions) -> Iterator[list[str]]:
    """Yield the names for each file, in the order of the model's own files; a tensor that is larger
    than a file has one of its own."""
    part: list[str] = []
    filled = 0
    for name, tensor in tensors.items():
        size = tensor.size_as(options.dtype)
        if part and filled + size > options.shard:
            yield part
            part, filled = [], 0
        part.append(name)
        filled += size
    yield part


def _add_deltas(
    weight: torch.Tensor, deltas: Sequence[Delta], options: WriteOptions
) -> torch.Tensor:
    own = weight.dtype
    if deltas:
        weight = weight.to(options.device, torch.float32)
        for delta in deltas:
            up, down = (part.to(options.device, torch.float32) for part in (delta.up, delta.down))
            weight = weight + delta.scale * (up @ down)
    if weight.is_floating_point():
        weight = weight.to("cpu", options.dtype or own)
    return weight.contiguous()


def _deltas(folder: Path, tensors: Layout, renamed: Mapping[str, str]) -> dict[str, Delta] | None:
    settings = _settings(folder)
    if settings is None or not (folder / ADAPTER).is_file():
        return None
    root = math.sqrt(settings.r) if settings.use_rslora else settings.r
    parts = load_file(folder / ADAPTER)
    deltas = {}
    for key, down in parts.items():
        module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        up = parts.get(f"base_model.model.{module}.lora_B.weight")
        name = renamed.get(f"{module}.weight", f"{module}.weight")
        target = tensors.get(name)
        if up is None or target is None or target.dtype is None:
            if not key.endswith(".lora_B.weight"):
                return None
            continue
        if (up.shape[0], down.shape[1]) != target.shape or up.shape[1] != down.shape[0]:
            return None
        deltas[name] = Delta(up, down, settings.lora_alpha / root)
    return deltas if 2 * len(deltas) == len(parts) else None


def _settings(folder: Path) -> Any:
    """The adapter's config, or None where it is not plain LoRA."""
    config = read_json(folder / "adapter_config.json")
    if config.get("peft_type") != "LORA":
        return None
    default = json.loads(json.dumps(LoraConfig().to_dict(), default=str))
    changed = [
        name
        for name, value in config.items()
        if name not in UNIMPORTANT | {"peft_type"}
        and (name not in default or value != default[name])
    ]
    if changed:
        return None
    return LoraConfig(**{name: config[name] for name in ("r", "lora_alpha", "use_rslora")})
