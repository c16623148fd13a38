"""The GGUF file of an export: everything is checked first, then the file is written in one go."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from backend.data.rendering import Template
from backend.export.gguf import architectures, hyperparameters, rope, tokenizer, weights
from backend.export.gguf.architectures import Scheme
from backend.export.gguf.tokenizer import Vocabulary
from backend.export.gguf.weights import Entry, Type
from backend.export.merging import Deltas
from backend.model.tensors import Layout

FORMAT = "gguf"  # the value of export_format


@dataclass(frozen=True)
class GgufModel:
    """A model that can be written as GGUF: its tensors, its settings and its vocabulary."""

    scheme: Scheme
    config: Any
    kind: gguf.GGMLQuantizationType
    tensors: Layout
    entries: list[Entry]
    words: Vocabulary
    template: Template

    @classmethod
    def of(
        cls, kind: str, architecture: str, config: Any, tensors: Layout, template: Template
    ) -> "GgufModel":
        """The model of a folder; `kind` is the value of gguf_type, `architecture` the class that
        loads it. Raises ModelError where llama.cpp would compute or read something else."""
        scheme = architectures.scheme_of(architecture, config)
        number_format = weights.TYPES[kind]
        made = weights.entries(tensors, scheme, config, number_format)
        words = tokenizer.vocabulary(template.tokenizer, config.vocab_size)
        return cls(scheme, config, number_format, tensors, made, words, template)

    @property
    def size(self) -> int:
        """Bytes of the weights."""
        return sum(entry.size for entry in self.entries)

    @property
    def context(self) -> int:
        """Tokens that the model takes."""
        return hyperparameters.context_length(self.scheme, self.config)

    def write(
        self, path: Path, name: str, deltas: Deltas, progress: Callable[[int, int], None]
    ) -> None:
        """Write the file, with adapters added. Raises OSError."""
        writer = gguf.GGUFWriter(path, self.scheme.name)
        try:
            writer.add_type(gguf.GGUFType.MODEL)
            writer.add_name(name)
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
            writer.add_file_type(_file_type(self.kind))
            hyperparameters.write(writer, self.scheme, self.config)
            tokenizer.write(writer, self.words, self.template)
            extra = dict(rope.tensors(self.config))
            weights.write(writer, self.entries, self.tensors, deltas, extra, progress)
        finally:
            writer.close()


def file_name(model: str, kind: str) -> str:
    """The name of the file, as people name them: the model, then the number format."""
    return f"{model}-{kind.upper()}.gguf"


def _file_type(kind: gguf.GGMLQuantizationType) -> int:
    """The value of general.file_type, which readers show."""
    prefix = "ALL" if kind is Type.F32 else "MOSTLY"
    return int(gguf.LlamaFileType[f"{prefix}_{kind.name}"])
