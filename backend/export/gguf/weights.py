"""Write the tensors of a model into a GGUF file, in blocks of rows, with adapters added on the way.

Memory holds one block, never a whole tensor.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np
import torch
from safetensors import safe_open

from backend.contract.arguments.fields.serving import GGUF_TYPES
from backend.contract.texts.problems import ModelError, Problem
from backend.export.gguf.architectures import FIELD, Scheme
from backend.export.merging import Delta, Deltas
from backend.model.tensors import Layout, Tensor

BLOCK = 16 * 1024 * 1024  # numbers in memory at a time, of 4 bytes each
Type = gguf.GGMLQuantizationType
TYPES = {name: Type[name.upper()] for name in GGUF_TYPES}
COARSE = {Type.Q5_0, Type.Q5_1, Type.Q4_0, Type.Q4_1}


@dataclass(frozen=True)
class Entry:
    """A tensor of the GGUF file.

    name    in the file
    source  its name in the model's own files
    shape   rows first
    kind    the number format
    head    rows of a head whose halves are interleaved, see Scheme.rotated (0: none are)
    offset  what is added to each number
    """

    name: str
    source: str
    shape: tuple[int, ...]
    kind: gguf.GGMLQuantizationType
    head: int = 0
    offset: float = 0.0

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return int(math.prod(gguf.quant_shape_to_byte_shape(self.shape, self.kind)))


def entries(
    tensors: Layout, scheme: Scheme, config: Any, kind: gguf.GGMLQuantizationType
) -> list[Entry]:
    """The tensors of the file, in the order of the model's own files.

    Raises ModelError for a tensor that llama.cpp has no place for.
    """
    names = gguf.get_tensor_name_map(scheme.arch, config.num_hidden_layers)
    made = []
    for source, tensor in tensors.items():
        if config.tie_word_embeddings and source == "lm_head.weight":
            continue
        name = names.get_name(source, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ModelError(Problem(code="gguf_tensor", field=FIELD, params={"name": source}))
        is_projection = ".attn_q." in name or ".attn_k." in name
        heads = config.num_attention_heads if ".attn_q." in name else config.num_key_value_heads
        head = tensor.shape[0] // heads if scheme.rotated and is_projection else 0
        offset = scheme.offset if name.endswith("norm.weight") else 0.0
        made.append(Entry(name, source, tensor.shape, _kind(name, tensor, kind), head, offset))
    return made


def _kind(name: str, tensor: Tensor, kind: gguf.GGMLQuantizationType) -> gguf.GGMLQuantizationType:
    """The format of one tensor: vectors stay in float32, which llama.cpp demands.

    The embeddings and the output layer, one and the same tensor where they are tied, decide
    between tokens and are not made coarser than Q8_0, as in llama.cpp's own quantized files. A row
    that is no multiple of a block's numbers is stored as F16.
    """
    if len(tensor.shape) < 2:
        return Type.F32
    if kind in COARSE and name in {"token_embd.weight", "output.weight"}:
        kind = Type.Q8_0
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return Type.F16 if tensor.shape[-1] % block else kind


def write(
    writer: gguf.GGUFWriter,
    made: Sequence[Entry],
    tensors: Layout,
    deltas: Deltas,
    extra: Mapping[str, np.ndarray],
    progress: Callable[[int, int], None],
) -> None:
    """Write the head of the file, then tensor after tensor; `extra` are small and in float32."""
    for name, numbers in extra.items():
        writer.add_tensor_info(name, numbers.shape, numbers.dtype, numbers.nbytes)
    for entry in made:
        writer.add_tensor_info(
            entry.name, entry.shape, np.dtype(np.float32), entry.size, raw_dtype=entry.kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    file = writer.fout[0]
    for numbers in extra.values():
        writer.write_padding(file, file.tell())
        numbers.tofile(file)
    for done, entry in enumerate(made, start=1):
        writer.write_padding(file, file.tell())
        for rows in _blocks(entry, tensors[entry.source], deltas.get(entry.source, ())):
            gguf.quantize(rows, entry.kind).tofile(file)
        progress(done, len(made))
    writer.write_padding(file, file.tell())


def _blocks(entry: Entry, tensor: Tensor, deltas: Sequence[Delta]) -> Iterator[np.ndarray]:
    """Yield the rows of a tensor as float32, block by block, merged and in llama.cpp's order."""
    width = math.prod(entry.shape[1:])
    step = max(1, BLOCK // width)
    if entry.head:
        step = max(1, step // entry.head) * entry.head
    with safe_open(tensor.file, framework="pt") as file:
        stored = file.get_slice(entry.source)
        for begin in range(0, entry.shape[0], step):
            rows = stored[begin : begin + step].to(torch.float32)
            for delta in deltas:
                up = delta.up[begin : begin + step].to(torch.float32)
                rows = rows + delta.scale * (up @ delta.down.to(torch.float32))
            if entry.head:
                rows = interleave(rows, entry.head)
            yield (rows + entry.offset if entry.offset else rows).contiguous().numpy()


def interleave(rows: torch.Tensor, head: int) -> torch.Tensor:
    """The rows of each head with those of its two halves in turns."""
    halves = rows.reshape(-1, 2, head // 2, *rows.shape[1:])
    return halves.transpose(1, 2).reshape(rows.shape)
