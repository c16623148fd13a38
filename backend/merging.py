"""Adapters folded into a model file by file: W + s*B*A, tensor by tensor, no model in memory.

Only for what is plain LoRA; everything else (`plain` says so) is left to peft. Sums are made in
float32 and rounded once, to the dtype that is written.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from backend.contract.files import read_json

WEIGHTS = "model.safetensors"
ADAPTER = "adapter_model.safetensors"
FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
# What a plain LoRA may say; anything else in its config must be as peft's default is.
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
class Tensor:
    """Where a tensor lies; `dtype` is None where it holds no floating-point numbers."""

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype | None
    size: int  # bytes

    def size_as(self, dtype: torch.dtype) -> int:
        """Bytes once it is written as `dtype`."""
        return self.size if self.dtype is None else math.prod(self.shape) * dtype.itemsize


@dataclass(frozen=True)
class Delta:
    """What an adapter adds to one weight: scale * up @ down; shapes [out, r] and [r, in]."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float


@dataclass(frozen=True)
class How:
    """How weights are written: dtype, bytes a file, device for the sums, whom to tell."""

    dtype: torch.dtype
    shard: int
    device: str
    progress: Callable[[int, int], None]


Layout = Mapping[str, Tensor]
Deltas = Mapping[str, Sequence[Delta]]


def layout(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a model folder, by name, from the headers alone."""
    index = read_json(folder / f"{WEIGHTS}.index.json").get("weight_map")
    names = sorted({str(name) for name in index.values()}) if isinstance(index, dict) else [WEIGHTS]
    found = {}
    for path in (folder / Path(name).name for name in names):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                dtype = FLOATS.get(entry["dtype"])
                found[name] = Tensor(path, tuple(entry["shape"]), dtype, end - begin)
    return found


def dtype_of(tensors: Layout) -> torch.dtype:
    """The dtype in which most of the numbers are stored."""
    sizes: dict[torch.dtype, int] = {}
    for tensor in tensors.values():
        if tensor.dtype is not None:
            sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.size
    return max(sizes, key=sizes.__getitem__, default=torch.float32)


def plain(folders: Sequence[Path], tensors: Layout) -> Deltas | None:
    """What the adapters add to which weight, or None where one of them is more than plain LoRA."""
    deltas: dict[str, list[Delta]] = {}
    for folder in folders:
        found = _deltas(folder, tensors)
        if found is None:
            return None
        for name, delta in found.items():
            deltas.setdefault(name, []).append(delta)
    return deltas


def write(tensors: Layout, deltas: Deltas, folder: Path, how: How) -> None:
    """Write the model with what the adapters add, in files of at most how.shard bytes."""
    parts = list(_parts(tensors, how))
    total = len(tensors)
    done, places = 0, {}
    for number, names in enumerate(parts, start=1):
        file = WEIGHTS if len(parts) == 1 else f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        content = {}
        for name, weight in _read(names, tensors):
            content[name] = _added(weight, deltas.get(name, ()), how)
            places[name] = file
            done += 1
            how.progress(done, total)
        save_file(content, folder / file, metadata={"format": "pt"})
    if len(parts) > 1:
        size = sum(tensor.size_as(how.dtype) for tensor in tensors.values())
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))}
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _parts(tensors: Layout, how: How) -> Iterator[list[str]]:
    """Names for each file, in the order of the model's own files; one too big is alone."""
    part: list[str] = []
    filled = 0
    for name, tensor in tensors.items():
        size = tensor.size_as(how.dtype)
        if part and filled + size > how.shard:
            yield part
            part, filled = [], 0
        part.append(name)
        filled += size
    yield part


def _read(names: Sequence[str], tensors: Layout) -> Iterator[tuple[str, torch.Tensor]]:
    for file in dict.fromkeys(tensors[name].file for name in names):
        with safe_open(file, framework="pt") as weights:
            for name in names:
                if tensors[name].file == file:
                    yield name, weights.get_tensor(name)


def _added(weight: torch.Tensor, deltas: Sequence[Delta], how: How) -> torch.Tensor:
    if deltas:
        weight = weight.to(how.device, torch.float32)
        for delta in deltas:
            up, down = (part.to(how.device, torch.float32) for part in (delta.up, delta.down))
            weight = weight + delta.scale * (up @ down)
    if weight.is_floating_point():
        weight = weight.to("cpu", how.dtype)
    return weight.contiguous()


def _deltas(folder: Path, tensors: Layout) -> dict[str, Delta] | None:
    settings = _settings(folder)
    if settings is None or not (folder / ADAPTER).is_file():
        return None
    root = math.sqrt(settings.r) if settings.use_rslora else settings.r
    parts = load_file(folder / ADAPTER)
    found = {}
    for key, down in parts.items():
        name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        up = parts.get(f"base_model.model.{name}.lora_B.weight")
        target = tensors.get(f"{name}.weight")
        if up is None or target is None or target.dtype is None:
            if not key.endswith(".lora_B.weight"):
                return None
            continue
        if (up.shape[0], down.shape[1]) != target.shape or up.shape[1] != down.shape[0]:
            return None
        found[f"{name}.weight"] = Delta(up, down, settings.lora_alpha / root)
    return found if 2 * len(found) == len(parts) else None


def _settings(folder: Path) -> Any:
    """The adapter's config, or None where it asks for more than plain LoRA."""
    given = read_json(folder / "adapter_config.json")
    if given.get("peft_type") != "LORA":
        return None
    default = json.loads(json.dumps(LoraConfig().to_dict(), default=str))
    changed = [
        name
        for name, value in given.items()
        if name not in UNIMPORTANT | {"peft_type"}
        and (name not in default or value != default[name])
    ]
    if changed:
        return None
    return LoraConfig(**{name: given[name] for name in ("r", "lora_alpha", "use_rslora")})
