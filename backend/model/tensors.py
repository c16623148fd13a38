"""The tensors of a model folder by name, from the headers of its safetensors files alone."""

import errno
import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from backend.contract.models.model_folder import headers

WEIGHTS = "model.safetensors"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


@dataclass(frozen=True)
class Tensor:
    """The place of a tensor in a file.

    `dtype` is None where it is not floating-point; `kind` is what the file calls it. `begin` is the
    offset of its first byte in the file.
    """

    file: Path
    begin: int
    shape: tuple[int, ...]
    dtype: torch.dtype | None
    size: int  # bytes
    kind: str

    def size_as(self, dtype: torch.dtype | None) -> int:
        """The size in bytes when it is written as `dtype` (None: in its own)."""
        if self.dtype is None or dtype is None:
            return self.size
        return math.prod(self.shape) * dtype.itemsize


Layout = Mapping[str, Tensor]


def layout(folder: Path) -> dict[str, Tensor]:
    """All tensors of a model folder, by their names in the files."""
    tensors = {}
    for path, start, header in headers(folder, "model"):
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            kind, shape = entry["dtype"], tuple(entry["shape"])
            place = start + begin
            tensors[name] = Tensor(path, place, shape, DTYPES.get(kind), end - begin, kind)
    return tensors


def dtype_of(tensors: Layout) -> torch.dtype:
    """The dtype in which most of the numbers are stored."""
    sizes: dict[torch.dtype, int] = {}
    for tensor in tensors.values():
        if tensor.dtype is not None:
            sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.size
    return max(sizes, key=sizes.__getitem__, default=torch.float32)


def widest(tensors: Layout) -> torch.dtype:
    """A dtype that represents every number of these tensors."""
    dtypes = {tensor.dtype for tensor in tensors.values() if tensor.dtype is not None}
    return functools.reduce(torch.promote_types, dtypes) if dtypes else torch.float32


def read(names: Iterable[str], tensors: Layout) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors of these names file by file, on the CPU and in their stored dtype."""
    wanted = list(names)
    for file in dict.fromkeys(tensors[name].file for name in wanted):
        with safe_open(file, framework="pt") as weights:
            for name in wanted:
                if tensors[name].file == file:
                    yield name, weights.get_tensor(name)


def read_in_turn(names: Iterable[str], tensors: Layout) -> Iterator[tuple[str, torch.Tensor]]:
    """As read, but each tensor has the memory of the one before it, for the caller to change, and
    one that is not floating-point is its bytes (uint8, flat).

    Mapped files and new memory for each tensor cost more than the reading: a page fault for every
    4 kB.
    """
    wanted = list(names)
    room = torch.empty(max((tensors[name].size for name in wanted), default=0), dtype=torch.uint8)
    for path in dict.fromkeys(tensors[name].file for name in wanted):
        with path.open("rb") as file:
            for name in wanted:
                tensor = tensors[name]
                if tensor.file != path:
                    continue
                taken = room[: tensor.size]
                file.seek(tensor.begin)
                if file.readinto(taken.numpy().data) != tensor.size:
                    raise OSError(errno.EIO, f"{path} ends before {name}")
                yield name, taken.view(tensor.dtype).view(tensor.shape) if tensor.dtype else taken
