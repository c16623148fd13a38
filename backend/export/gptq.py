"""GPTQ: a model's weights in 8, 4, 3 or 2 bits, fitted on sample texts, by the package gptqmodel.

Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", 2022.
"""

import math
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from backend.contract.arguments.typed import Arguments
from backend.contract.models.model_folder import local
from backend.contract.texts.problems import DataError, Problem
from backend.datafiles import reading
from backend.model.device import device
from backend.model.tensors import layout

FIELD = "export_quantization_dataset"
GROUPS = (128, 64, 32)  # weights that share a scale; it must divide the width of each matrix


def quantize(base: Path, new_folder: Path, tokenizer: Any, values: Arguments) -> None:
    """Write the quantized model of the folder `base` into `new_folder`.

    Raises DataError where the sample texts are empty.
    """
    texts = samples(tokenizer, values)
    # gptqmodel counts 1 worker on a machine of two cores, and then refuses to work.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(min(12, max(2, os.cpu_count() or 1))))
    from gptqmodel import GPTQModel, QuantizeConfig

    assert values.export_quantization_bit, "a caller quantizes only where it is set"
    config = QuantizeConfig(
        bits=int(values.export_quantization_bit),
        group_size=_group_size(base),
        device=device() if values.export_device == "auto" else "cpu",
    )
    trust = values.trust_remote_code
    model = GPTQModel.load(str(base), config, trust_remote_code=trust)
    model.quantize(texts, batch_size=1)
    model.save(str(new_folder))
    (new_folder / "quant_log.csv").unlink(missing_ok=True)


def samples(tokenizer: Any, values: Arguments) -> list[dict[str, torch.Tensor]]:
    """At most nsamples windows of maxlen tokens ([1, length] int64) of the joined texts."""
    count = values.export_quantization_nsamples
    length = values.export_quantization_maxlen
    path = local(str(values.export_quantization_dataset))
    ids: list[int] = []
    for text in _texts(path):
        if len(ids) >= count * length:
            break
        ids += tokenizer(text)["input_ids"]
    if not ids:
        problem = Problem(code="export_calibration_empty", field=FIELD, params={"path": str(path)})
        raise DataError(problem)
    windows = (ids[at : at + length] for at in range(0, len(ids), length))
    rows = [torch.tensor([window]) for window in islice(windows, count)]
    return [{"input_ids": row, "attention_mask": torch.ones_like(row)} for row in rows]


def _texts(path: Path) -> Iterator[str]:
    """Yield the column "text" of each row, or all its texts joined by line ends."""
    for file in reading.files(path):
        for _, row in reading.rows(file):
            text = row.get("text")
            words = [text] if isinstance(text, str) else list(row.values())
            yield "\n".join(word for word in words if isinstance(word, str))


def _group_size(base: Path) -> int:
    """The largest of GROUPS that fits every matrix; -1 (one group a row) where none does."""
    layers = [layer for name, layer in layout(base).items() if ".layers." in name]
    widths = {layer.shape[-1] for layer in layers if len(layer.shape) == 2}
    common = math.gcd(*widths) if widths else 1
    return next((size for size in GROUPS if common % size == 0), -1)
