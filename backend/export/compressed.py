"""Weights rounded to INT8, INT4 or FP8 as compressed-tensors, which transformers and vLLM read.

Rounding is to the nearest number, with one scale for each row (INT8, FP8) or group of a row (INT4):
no sample texts are needed. With FP8 a program that computes in it also rounds what the weights are
multiplied with, token by token. The package compressed-tensors does the rounding and the packing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import ModelError, Problem
from backend.export.merging import Entry
from backend.model import load
from backend.model.architecture import Architecture
from backend.model.tensors import DTYPES, Tensor

FIELD = "export_quantization_bit"
GROUPS = (128, 64, 32)  # weights that share a scale, as vLLM's kernels know
KINDS = {dtype: name for name, dtype in DTYPES.items()} | {
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float8_e4m3fn: "F8_E4M3",
}
PRESETS = {"int8": "W8A16", "int4": "W4A16", "fp8": "FP8_DYNAMIC"}  # of compressed-tensors
FORMATS = {"int8": "pack-quantized", "int4": "pack-quantized", "fp8": "float-quantized"}
# Modules whose weights stay as they are, beside those that have vectors only.
WHOLE = (nn.Embedding, nn.Conv1d)


@dataclass(frozen=True)
class Compression:
    """How the linear layers of a model are stored.

    names    of their weights in the files
    ignored  names of the linear layers that stay as they are: the output layer
    scheme   compressed-tensors' QuantizationScheme
    """

    names: frozenset[str]
    ignored: tuple[str, ...]
    scheme: Any

    @classmethod
    def of(cls, architecture: Architecture, values: Arguments) -> "Compression":
        """Raises ModelError where a layer of the model cannot be stored so."""
        from compressed_tensors.quantization import QuantizationStrategy, preset_name_to_scheme

        kind = str(values.export_quantization_bit)
        layers, ignored = _linear_layers(architecture, load.empty_model(values))
        scheme = preset_name_to_scheme(PRESETS[kind], ["Linear"])
        scheme.format = FORMATS[kind]
        if kind == "int4":
            scheme.weights.group_size = _group_size(architecture, layers)
        else:
            scheme.weights.strategy = QuantizationStrategy.CHANNEL
            scheme.weights.group_size = None
        return cls(frozenset(layers), ignored, scheme)

    @property
    def config(self) -> dict[str, Any]:
        """The `quantization_config` of config.json."""
        from compressed_tensors.quantization import QuantizationConfig

        config = QuantizationConfig(
            config_groups={"group_0": self.scheme},
            format=self.scheme.format,
            quantization_status="compressed",
            ignore=list(self.ignored),
        )
        described: dict[str, Any] = config.model_dump(mode="json")
        return described

    def entries(self, name: str, tensor: Tensor, dtype: torch.dtype | None) -> dict[str, Entry]:
        """The tensors that stand in the file for one of the model's, which is `dtype` there (None:
        its own); empty where it stays as it is."""
        empty = torch.empty(tensor.shape, dtype=dtype or tensor.dtype, device="meta")
        return {
            key: Entry(KINDS[each.dtype], tuple(each.shape), each.nbytes)
            for key, each in self.encode(name, empty).items()
        }

    def encode(self, name: str, weight: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Those tensors, of a weight [out, in]; sums are made in float32, scales have its dtype."""
        if name not in self.names:
            return {}
        from compressed_tensors.compressors import BaseCompressor
        from compressed_tensors.quantization.utils import calculate_qparams

        size = self.scheme.weights.group_size
        exact = weight.float()
        groups = exact.unflatten(-1, (-1, size)) if size else exact[:, None]
        scale, zero = calculate_qparams(*torch.aminmax(groups, dim=-1), self.scheme.weights)
        stored = scale.to(weight.dtype)
        stored = torch.where(stored == 0, torch.finfo(weight.dtype).tiny, stored)
        parts = {"weight": exact, "weight_scale": stored.float(), "weight_zero_point": zero}
        compressor = BaseCompressor.get_value_from_registry(self.scheme.format)
        compressed = {**compressor.compress(parts, self.scheme), "weight_scale": stored}
        module = name.removesuffix("weight")
        return {f"{module}{key}": each.contiguous() for key, each in compressed.items()}


def _linear_layers(architecture: Architecture, model: Any) -> tuple[list[str], tuple[str, ...]]:
    """The names in the files of the linear layers' weights, and the name of the output layer."""
    head = model.get_output_embeddings()
    names: list[str] = []
    ignored: list[str] = []
    for name, module in model.named_modules():
        if module is head:
            ignored.append(name)
        elif isinstance(module, nn.Linear):
            names.append(f"{name}.weight")
        else:
            _require_small(architecture, name, module)
    for name in names:
        if name not in architecture.tensors or name in architecture.renamed:
            raise _error("export_quantization_layers", architecture, name)
    if not names:
        raise _error("export_quantization_layers", architecture, "Linear")
    return names, tuple(ignored)


def _require_small(architecture: Architecture, name: str, module: nn.Module) -> None:
    """Raises ModelError for matrices that are no linear layer of their own, as of experts."""
    for key, weights in module.named_parameters(recurse=False):
        if weights.ndim > 1 and not isinstance(module, WHOLE):
            raise _error("export_quantization_layers", architecture, f"{name}.{key}")


def _group_size(architecture: Architecture, names: list[str]) -> int:
    """The largest of GROUPS that divides every row. Raises ModelError."""
    widths = {name: architecture.tensors[name].shape[-1] for name in names}
    for size in GROUPS:
        if not any(width % size for width in widths.values()):
            return size
    name = next(each for each, width in widths.items() if width % GROUPS[-1])
    sizes = ", ".join(map(str, reversed(GROUPS)))
    code = "export_quantization_width"
    raise _error(code, architecture, name, width=widths[name], sizes=sizes)


def _error(code: str, architecture: Architecture, name: str, **more: str | int) -> ModelError:
    kind = architecture.kind.__name__
    return ModelError(
        Problem(code=code, field=FIELD, params={"architecture": kind, "name": name, **more})
    )
