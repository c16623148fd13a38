"""Merge LoRA adapters into a model file by file: W + s*B*A, tensor by tensor, no model in memory.

This is only for plain LoRA; everything else (`plain_deltas` gives None) is left to peft. Sums are
made in float32 and rounded once, to the dtype that is written.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file

from backend.contract.system.files import read_json
from backend.model.tensors import DTYPES, WEIGHTS, Layout, Tensor, read_in_turn

ADAPTER = "adapter_model.safetensors"
LARGEST = 8  # bytes of a number
NAMES = {dtype: name for name, dtype in DTYPES.items()}
# Settings of a LoRA that may be anything here.
UNIMPORTANT = {
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "peft_type",
    "peft_version",
    "r",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
}
# All others must have peft's defaults, which stand here as peft takes seconds to import.
DEFAULTS: dict[str, Any] = {
    "alora_invocation_tokens": None,
    "alpha_pattern": {},
    "arrow_config": None,
    "bias": "none",
    "corda_config": None,
    "ensure_weight_tying": False,
    "eva_config": None,
    "fan_in_fan_out": False,
    "init_lora_weights": True,
    "kasa_config": None,
    "layer_replication": None,
    "loftq_config": {},
    "lora_bias": False,
    "lora_ga_config": None,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "modules_to_save": None,
    "monteclora_config": None,
    "qalora_group_size": 16,
    "rank_pattern": {},
    "target_parameters": None,
    "trainable_token_indices": None,
    "use_bdlora": None,
    "use_dora": False,
    "use_qalora": False,
    "velora_config": None,
}


@dataclass(frozen=True)
class Delta:
    """What an adapter adds to one weight: scale * up @ down, of shapes [out, r] and [r, in]."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float


@dataclass(frozen=True)
class Entry:
    """A tensor in a safetensors file: what the file calls its numbers, its shape, its bytes."""

    kind: str
    shape: tuple[int, ...]
    size: int

    @property
    def itemsize(self) -> int:
        """The bytes of one of its numbers; an entry without numbers lies anywhere."""
        count = math.prod(self.shape)
        return self.size // count if count else LARGEST


class Encoding(Protocol):
    """A format in which some weights of a model are other tensors in the file."""

    def entries(self, name: str, tensor: Tensor, dtype: torch.dtype | None) -> Mapping[str, Entry]:
        """The tensors that stand in the file for one of the model's, which is `dtype` there (None:
        its own); empty where it stays as it is."""

    def encode(self, name: str, weight: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Those tensors, of the weight; empty likewise."""


@dataclass(frozen=True)
class WriteOptions:
    """How weights are written.

    dtype     of the written weights; None keeps that of each
    shard     bytes a file at most
    device    computes the sums
    progress  is called with tensors done and in all
    encoding  of some weights in the files; None writes all as they are
    """

    dtype: torch.dtype | None
    shard: int
    device: str
    progress: Callable[[int, int], None]
    encoding: Encoding | None = None

    def entries(self, name: str, tensor: Tensor) -> Mapping[str, Entry]:
        """The tensors of the file that one of the model becomes."""
        encoded = self.encoding.entries(name, tensor, self.dtype) if self.encoding else {}
        if encoded:
            return encoded
        kind = NAMES[self.dtype] if self.dtype and tensor.dtype else tensor.kind
        return {name: Entry(kind, tensor.shape, tensor.size_as(self.dtype))}

    def encode(self, name: str, weight: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Their content, of the weight."""
        encoded = self.encoding.encode(name, weight) if self.encoding else {}
        return encoded or {name: weight}


Deltas = Mapping[str, Sequence[Delta]]


class NotPlainError(ValueError):
    """An adapter is not plain LoRA: it has a setting or a tensor that plain LoRA does not have.

    Its attributes are the adapter's folder, the name of the setting or tensor, and the value of the
    setting or the shape of the tensor.
    """

    def __init__(self, folder: Path, name: str, value: Any) -> None:
        super().__init__(f"{folder}: {name} = {value}")
        self.folder = folder
        self.name = name
        self.value = value


def plain_deltas(
    folders: Sequence[Path], tensors: Layout, renamed: Mapping[str, str]
) -> Deltas | None:
    """The deltas of the adapters for each weight, or None where one of them is not plain LoRA.

    `renamed` gives the name in the files of each parameter whose name in the model is another.
    """
    try:
        return lora_deltas(folders, tensors, renamed)
    except NotPlainError:
        return None


def lora_deltas(folders: Sequence[Path], tensors: Layout, renamed: Mapping[str, str]) -> Deltas:
    """The same as `plain_deltas`, but raises NotPlainError instead of returning None."""
    deltas: dict[str, list[Delta]] = {}
    for folder in folders:
        for name, delta in _deltas(folder, tensors, renamed).items():
            deltas.setdefault(name, []).append(delta)
    return deltas


def write(tensors: Layout, deltas: Deltas, folder: Path, options: WriteOptions) -> None:
    """Write the model with its deltas added, in files of at most options.shard bytes.

    Each tensor goes to its place in the file as soon as it is made, so that one of them is in
    memory at a time.
    """
    parts = list(_parts(tensors, options))
    total = len(tensors)
    done, size = 0, 0
    places: dict[str, str] = {}
    for number, part in enumerate(parts, start=1):
        file = WEIGHTS if len(parts) == 1 else f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        entries = {key: entry for each in part.values() for key, entry in each.items()}
        header, offsets = _lay_out(entries)
        with (folder / file).open("wb") as target:
            target.write(header)
            for name, weight in read_in_turn(part, tensors):
                merged = _add_deltas(weight, deltas.get(name, ()), options)
                for key, content in options.encode(name, merged).items():
                    target.seek(len(header) + offsets[key])
                    target.write(_to_bytes(content))
                done += 1
                options.progress(done, total)
        places |= dict.fromkeys(entries, file)
        size += sum(entry.size for entry in entries.values())
    if len(parts) > 1:
        index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))}
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _lay_out(entries: Mapping[str, Entry]) -> tuple[bytes, dict[str, int]]:
    """The header of a safetensors file with its length before it, and the offset of each tensor.

    Tensors of larger numbers come first, so that each lies at a multiple of the size of its own;
    the format is that of github.com/huggingface/safetensors.
    """
    described: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offsets, end = {}, 0
    for name, entry in sorted(entries.items(), key=lambda each: -each[1].itemsize):
        offsets[name], begin = end, end
        end += entry.size
        described[name] = {
            "dtype": entry.kind,
            "shape": entry.shape,
            "data_offsets": [begin, end],
        }
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, offsets


def _to_bytes(weight: torch.Tensor) -> memoryview:
    numbers: Any = weight.reshape(-1).view(torch.uint8).numpy()
    return memoryview(numbers)


def _parts(tensors: Layout, options: WriteOptions) -> Iterator[Mapping[str, Mapping[str, Entry]]]:
    """Yield the tensors of each file with what they become there, in the order of the model's own
    files; one that is larger than a file has one of its own."""
    part: dict[str, Mapping[str, Entry]] = {}
    filled = 0
    for name, tensor in tensors.items():
        entries = options.entries(name, tensor)
        size = sum(entry.size for entry in entries.values())
        if part and filled + size > options.shard:
            yield part
            part, filled = {}, 0
        part[name] = entries
        filled += size
    yield part


def _add_deltas(
    weight: torch.Tensor, deltas: Sequence[Delta], options: WriteOptions
) -> torch.Tensor:
    """The weight with its deltas, in its own memory where it is float32 on the CPU already."""
    own = weight.dtype
    if deltas:
        weight = weight.to(options.device, torch.float32)
        for delta in deltas:
            up, down = (part.to(options.device, torch.float32) for part in (delta.up, delta.down))
            weight += (up @ down).mul_(delta.scale)
    if own in NAMES:
        weight = weight.to("cpu", options.dtype or own)
    return weight.contiguous()


def _deltas(folder: Path, tensors: Layout, renamed: Mapping[str, str]) -> dict[str, Delta]:
    """Raises NotPlainError."""
    scale = _scale(folder)
    if not (folder / ADAPTER).is_file():
        raise NotPlainError(folder, ADAPTER, None)
    parts = load_file(folder / ADAPTER)
    deltas = {}
    for key, down in parts.items():
        module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        up = parts.get(f"base_model.model.{module}.lora_B.weight")
        name = renamed.get(f"{module}.weight", f"{module}.weight")
        target = tensors.get(name)
        if up is None or target is None or target.dtype is None:
            if not key.endswith(".lora_B.weight"):
                raise NotPlainError(folder, key, list(down.shape))
            continue
        if (up.shape[0], down.shape[1]) != target.shape or up.shape[1] != down.shape[0]:
            raise NotPlainError(folder, key, list(down.shape))
        deltas[name] = Delta(up, down, scale)
    if 2 * len(deltas) != len(parts):
        raise NotPlainError(folder, ADAPTER, None)
    return deltas


def _scale(folder: Path) -> float:
    """The factor of an adapter's products. Raises NotPlainError."""
    config = read_json(folder / "adapter_config.json")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if config.get("peft_type") != "LORA":
        raise NotPlainError(folder, "peft_type", config.get("peft_type"))
    if not isinstance(rank, int) or rank < 1:
        raise NotPlainError(folder, "r", rank)
    if not isinstance(alpha, int | float):
        raise NotPlainError(folder, "lora_alpha", alpha)
    for name, value in config.items():
        if name not in UNIMPORTANT and (name not in DEFAULTS or value != DEFAULTS[name]):
            raise NotPlainError(folder, name, value)
    return float(alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))
