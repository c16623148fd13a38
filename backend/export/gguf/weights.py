"""Write the tensors of a model into a GGUF file, in blocks of rows, with adapters added on the way.

Memory holds one block, never a whole tensor.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import gguf
import numpy as np
import torch
from safetensors import safe_open

from backend.contract.arguments.fields.serving import GGUF_TYPES
from backend.contract.texts.problems import ModelError, Problem
from backend.export.gguf.architectures import FIELD, Scheme
from backend.export.merging import Deltas
from backend.model.tensors import Layout

BLOCK = 16 * 1024 * 1024  # numbers in memory at a time, of 4 bytes each
Type = gguf.GGMLQuantizationType
TYPES = {name: Type[name.upper()] for name in GGUF_TYPES}
COARSE = {Type.Q5_0, Type.Q5_1, Type.Q4_0, Type.Q4_1}


# Small tensors that llama.cpp has in float32, whatever their shape: routers to experts, positions.
EXACT = ("ffn_gate_inp.weight", "position_embd.weight", "_norm.weight")
STACKED = re.compile(r"\.(experts|norms)\.(\d+)\.")


@dataclass(frozen=True)
class Piece:
    """Rows of one of the model's own tensors, from `begin` to before `end`."""

    source: str
    begin: int
    end: int


@dataclass(frozen=True)
class Entry:
    """A tensor of the GGUF file.

    name        in the file
    pieces      its rows, in order, of one of the model's own tensors or, stacked, of several
    shape       rows first
    kind        the number format
    head        rows of a head whose halves are interleaved, see Scheme.rotated (0: none are)
    offset      what is added to each number
    transposed  whether the rows are columns in the model's own files
    """

    name: str
    pieces: tuple[Piece, ...]
    shape: tuple[int, ...]
    kind: gguf.GGMLQuantizationType
    head: int = 0
    offset: float = 0.0
    transposed: bool = False

    @property
    def source(self) -> str:
        """The name of the (first) tensor in the model's own files."""
        return self.pieces[0].source

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
    for whole, sources in _stacks(tensors).items():
        name = names.get_name(whole, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ModelError(Problem(code="gguf_tensor", field=FIELD, params={"name": whole}))
        if config.tie_word_embeddings and name == "output.weight":
            continue
        stored = tensors[sources[0]].shape
        is_matrix = len(stored) == 2
        transposed = scheme.transposed and is_matrix and name.startswith("blk.")
        rows = stored[-1] if transposed else stored[0]
        shape = (*stored[::-1],) if transposed else stored
        if len(sources) > 1 or STACKED.search(sources[0]):
            shape = (len(sources), *shape)
        elif is_matrix and rows == 1:
            shape = shape[1:]
        order = _qkv_spans(scheme, config, rows) if ".attn_qkv." in name else [(0, rows)]
        pieces = tuple(Piece(source, *span) for source in sources for span in order)
        is_projection = ".attn_q." in name or ".attn_k." in name
        heads = config.num_attention_heads if ".attn_q." in name else scheme.key_heads(config)
        head = rows // heads if scheme.rotated and is_projection else 0
        offset = scheme.offset if name.endswith("norm.weight") else 0.0
        number_format = _kind(name, shape, kind)
        made.append(Entry(name, pieces, shape, number_format, head, offset, transposed))
    return made


def _stacks(tensors: Layout) -> dict[str, list[str]]:
    """The names in the model's own files of each tensor, and of those that are one in GGUF, as
    experts, in the order of their numbers."""
    numbered: dict[str, dict[int, str]] = {}
    for source in tensors:
        match = STACKED.search(source)
        name = STACKED.sub(r".\1.", source).replace(".norms.", ".") if match else source
        numbered.setdefault(name, {})[int(match[2]) if match else 0] = source
    return {name: [each[key] for key in sorted(each)] for name, each in numbered.items()}


def _qkv_spans(scheme: Scheme, config: Any, rows: int) -> list[tuple[int, int]]:
    """The rows of a joint q, k and v in llama.cpp's order, see Scheme.grouped."""
    if not scheme.grouped:
        return [(0, rows)]
    groups = scheme.key_heads(config)
    head = rows // (config.num_attention_heads + 2 * groups)
    size = rows // groups
    spans = ((0, size - 2 * head), (size - 2 * head, size - head), (size - head, size))
    return [(each * size + a, each * size + b) for a, b in spans for each in range(groups)]


def _kind(
    name: str, shape: tuple[int, ...], kind: gguf.GGMLQuantizationType
) -> gguf.GGMLQuantizationType:
    """The format of one tensor: vectors stay in float32, which llama.cpp demands.

    The embeddings and the output layer, one and the same tensor where they are tied, decide
    between tokens and are not made coarser than Q8_0, as in llama.cpp's own quantized files. A row
    that is no multiple of a block's numbers is stored as F16.
    """
    if len(shape) < 2 or name.endswith(EXACT):
        return Type.F32
    if kind in COARSE and name in {"token_embd.weight", "output.weight"}:
        kind = Type.Q8_0
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return Type.F16 if shape[-1] % block else kind


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
        for rows in _blocks(entry, tensors, deltas):
            gguf.quantize(rows, entry.kind).tofile(file)
        progress(done, len(made))
    writer.write_padding(file, file.tell())


def _blocks(entry: Entry, tensors: Layout, deltas: Deltas) -> Iterator[np.ndarray]:
    """Yield the rows of a tensor as float32, block by block, merged and in llama.cpp's order."""
    step = max(1, BLOCK // entry.shape[-1])
    if entry.head:
        step = max(1, step // entry.head) * entry.head
    with ExitStack() as opened:
        files = {
            path: opened.enter_context(safe_open(path, framework="pt"))
            for path in {tensors[piece.source].file for piece in entry.pieces}
        }
        for piece in entry.pieces:
            stored = files[tensors[piece.source].file].get_slice(piece.source)
            for begin in range(piece.begin, piece.end, step):
                end = min(begin + step, piece.end)
                rows = stored[:, begin:end].T if entry.transposed else stored[begin:end]
                rows = rows.to(torch.float32)
                for delta in deltas.get(piece.source, ()):
                    up = delta.up[begin:end].to(torch.float32)
                    rows = rows + delta.scale * (up @ delta.down.to(torch.float32))
                if entry.head:
                    rows = interleave(rows, entry.head)
                yield (rows + entry.offset if entry.offset else rows).contiguous().numpy()


def interleave(rows: torch.Tensor, head: int) -> torch.Tensor:
    """The rows of each head with those of its two halves in turns."""
    halves = rows.reshape(-1, 2, head // 2, *rows.shape[1:])
    return halves.transpose(1, 2).reshape(rows.shape)
