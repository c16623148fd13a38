"""LoRA adapters as a GGUF file, which llama.cpp puts on the GGUF file of their base model.

The format is that of convert_lora_to_gguf.py in github.com/ggml-org/llama.cpp: two tensors for each
changed one, in float32, and one alpha for the file. llama.cpp multiplies each product by
alpha / rank.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import torch

from backend.contract.texts.problems import ModelError, Problem, UsageError
from backend.export import merging
from backend.export.gguf import architectures, weights
from backend.export.gguf.architectures import FIELD, Scheme
from backend.export.gguf.weights import Entry, Type
from backend.export.merging import Delta, Deltas
from backend.model.architecture import Architecture

FORMAT = "gguf_lora"  # the value of export_format
BYTES = 4  # of a number


@dataclass(frozen=True)
class GgufLora:
    """Adapters that can be written as one GGUF file.

    entries  the tensors of the base model's file that they change
    deltas   what they add to each, by the names in the base's own files
    """

    scheme: Scheme
    entries: list[Entry]
    deltas: Deltas

    @classmethod
    def of(cls, architecture: Architecture, config: Any, folders: Sequence[Path]) -> "GgufLora":
        """The adapters in these folders, one after the other, on a model of this architecture.

        Raises UsageError where there is none, and ModelError where one of them, or the model, is
        of a kind that llama.cpp does not compute as peft does.
        """
        if not folders:
            raise UsageError(Problem(code="gguf_lora_no_adapter", field="adapter_name_or_path"))
        scheme = architectures.scheme_of(architecture.kind.__name__, config)
        beside = set(architecture.beside)
        tensors = {name: each for name, each in architecture.tensors.items() if name not in beside}
        entries = weights.entries(tensors, scheme, config, Type.F32)
        known = {
            entry.source: tensors[entry.source]
            for entry in entries
            if len(entry.pieces) == 1 and not entry.transposed
        }
        try:
            deltas = merging.lora_deltas(folders, known, architecture.renamed)
        except merging.NotPlainError as error:
            raise _refusal(error) from error
        return cls(scheme, [entry for entry in entries if entry.source in deltas], deltas)

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        parts = (delta for deltas in self.deltas.values() for delta in deltas)
        return BYTES * sum(delta.up.numel() + delta.down.numel() for delta in parts)

    @property
    def alpha(self) -> float:
        """The alpha of the file, with which the first product has its right scale."""
        first = self.deltas[self.entries[0].source]
        return first[0].scale * _rank(first)

    def write(self, path: Path, name: str, progress: Callable[[int, int], None]) -> None:
        """Write the file. Raises OSError."""
        writer = gguf.GGUFWriter(path, self.scheme.name)
        try:
            writer.add_type(gguf.GGUFType.ADAPTER)
            writer.add_name(name)
            writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
            writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, self.alpha)
            for done, entry in enumerate(self.entries, start=1):
                up, down = self._parts(entry)
                writer.add_tensor(f"{entry.name}.lora_a", down.numpy())
                writer.add_tensor(f"{entry.name}.lora_b", up.numpy())
                progress(done, len(self.entries))
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()

    def _parts(self, entry: Entry) -> tuple[torch.Tensor, torch.Tensor]:
        """The matrices of one tensor, [out, r] and [r, in], with rows in llama.cpp's order."""
        deltas = self.deltas[entry.source]
        common = self.alpha / _rank(deltas)
        up = torch.cat([_rescale(delta, common) for delta in deltas], dim=1)
        down = torch.cat([delta.down.to(torch.float32) for delta in deltas])
        if entry.head:
            up = weights.interleave(up, entry.head)
        return up.contiguous(), down.contiguous()


def file_name(model: str) -> str:
    """The name of the file, as people name them."""
    return f"{model}-LoRA-F32.gguf"


def _rank(deltas: Sequence[Delta]) -> int:
    """The rank of several products, written as one."""
    return sum(delta.down.shape[0] for delta in deltas)


def _rescale(delta: Delta, common: float) -> torch.Tensor:
    """The matrix that gives the same product where the scale is another one."""
    up = delta.up.to(torch.float32)
    return up if delta.scale == common else up * (delta.scale / common)


def _refusal(error: merging.NotPlainError) -> ModelError:
    params = {"path": str(error.folder), "name": error.name, "value": str(error.value)[:80]}
    return ModelError(Problem(code="gguf_lora_kind", field=FIELD, params=params))
