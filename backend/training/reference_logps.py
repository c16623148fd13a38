"""Log-probabilities of a frozen reference, computed once for each sequence and kept on the disk.

Later epochs, resumed runs and other runs on the same rows read them: saves/.cache/references/<key>/
holds a file for each run that has added some. The key stands for the reference and for how it
computes; a sequence is known by its tokens and labels, and so by its row, template and cutoff
length. Deleting the folder costs only time.
"""

import contextlib
import hashlib
import os
import shutil
import struct
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import transformers
from torch import Tensor

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.typed import Arguments
from backend.contract.folders import home
from backend.data import cache
from backend.model import load, reference
from backend.model.device import device, training_precision
from backend.model.reference import Reference
from backend.training import preference

LIMIT = 5 * 1000**3  # bytes of all files together
HEAD = struct.Struct("<17sII")  # key of a sequence, numbers that follow, checksum of these
SAMPLES, SAMPLE = 64, 4096  # places of a file of weights that are read, and bytes of each
# What decides how a reference computes, beside its weights and their dtype.
COMPUTED_BY: tuple[ArgumentName, ...] = (
    "finetuning_type",
    "rope_scaling",
    "flash_attn",
    "shift_attn",
    "upcast_layernorm",
    "enable_liger_kernel",
    "use_unsloth",
    "quantization_bit",
    "quantization_method",
    "quantization_type",
    "double_quantization",
    "ref_model_quantization_bit",
)
# Arguments that change the model at random or by a computation before it is trained.
UNSTEADY: tuple[ArgumentName, ...] = (
    "resize_vocab",
    "add_tokens",
    "add_special_tokens",
    "new_special_tokens_config",
    "use_llama_pro",
    "use_badam",
    "deepspeed",
)

SHIFTED = ("olora", "loftq")

Logps = np.ndarray[Any, np.dtype[np.float32]]


def store_folder(values: Arguments) -> Path | None:
    """The folder of the log-probabilities of a run's reference.

    None where its weights do not follow from files alone.
    """
    shifted = values.pissa_init or values.init_lora_weights in SHIFTED
    if (shifted and not reference.is_other(values)) or any(values[name] for name in UNSTEADY):
        return None
    precision = training_precision(values)
    made_from = {
        "weights": [_fingerprint(each) for each in _folders(values)],
        "arguments": {name: values[name] for name in COMPUTED_BY},
        "precision": [device(), str(precision.frozen), str(precision.learned), precision.bf16],
        "versions": [torch.__version__, transformers.__version__],
    }
    return home.saves() / ".cache" / "references" / cache.key(made_from)


def _folders(values: Arguments) -> list[Path]:
    """The folders whose files make the reference."""
    if reference.is_other(values):
        values = reference.OTHER.loading_arguments(reference.with_model_name(values))
    return [load.base_folder(values), *load.adapter_folders(values)]


def _fingerprint(folder: Path) -> list[Any]:
    """The configurations and the code of a model or an adapter; and its weights by size, time and
    samples of their bytes, as reading them whole would take longer than it saves."""
    texts = sorted([*folder.glob("*config.json"), *folder.glob("*.py")])
    configs = [each.read_text() for each in texts]
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    return [*configs, *(_sample(each) for each in weights)]


def _sample(file: Path) -> list[Any]:
    status = file.stat()
    digest = hashlib.sha256()
    with file.open("rb") as content:
        for number in range(SAMPLES):
            content.seek(number * max(0, status.st_size - SAMPLE) // (SAMPLES - 1))
            digest.update(content.read(SAMPLE))
    return [file.name, status.st_size, status.st_mtime_ns, digest.hexdigest()]


class LogpsStore:
    """Log-probabilities of learned tokens by the key of their sequence; added to, never changed.

    Every run writes a file of its own, so that a write that was broken off spoils nothing else.
    """

    def __init__(self, folder: Path, *, anew: bool = False) -> None:
        self._folder = folder
        self._logps: dict[bytes, Logps] = {}
        self._file: BinaryIO | None = None
        if not anew:
            for file in sorted(folder.glob("*.logps")):
                self._logps.update(_read(file.read_bytes()))
        if folder.is_dir():
            os.utime(folder)

    def __len__(self) -> int:
        return len(self._logps)

    def get(self, key: bytes) -> Logps | None:
        """The log-probabilities of a sequence, float32 [learned tokens]."""
        return self._logps.get(key)

    def add(self, key: bytes, logps: Logps) -> None:
        """Keep those of one more sequence. A full disk only ends the keeping of them on it."""
        self._logps[key] = logps
        content = logps.tobytes()
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = self._begin()
            self._file.write(HEAD.pack(key, len(logps), zlib.crc32(content)) + content)

    def _begin(self) -> BinaryIO:
        self._folder.mkdir(parents=True, exist_ok=True)
        _trim(self._folder)
        return (self._folder / f"{uuid.uuid4().hex}.logps").open("xb", buffering=0)


def _read(content: bytes) -> Iterator[tuple[bytes, Logps]]:
    """Yield what a file holds, up to the first part that is not whole."""
    place = 0
    while place + HEAD.size <= len(content):
        key, count, checksum = HEAD.unpack_from(content, place)
        numbers = content[place + HEAD.size : place + HEAD.size + 4 * count]
        if len(numbers) < 4 * count or zlib.crc32(numbers) != checksum:
            return
        yield key, np.frombuffer(numbers, dtype=np.float32)
        place += HEAD.size + len(numbers)


def _trim(keep: Path) -> None:
    """Remove the folders used longest ago until the rest is within LIMIT."""
    folders = [each for each in keep.parent.iterdir() if each.is_dir()]
    total = 0
    for folder in sorted(folders, key=lambda each: each.stat().st_mtime, reverse=True):
        total += sum(file.stat().st_size for file in folder.iterdir())
        if total > LIMIT and folder != keep:
            shutil.rmtree(folder, ignore_errors=True)


class ReferenceLogps:
    """A reference that computes the log-probabilities of each sequence once.

    A batch carries the `keys` of its sequences (preference.sequence_keys).
    """

    def __init__(self, reference: Reference, values: Arguments) -> None:
        self._reference = reference
        folder = store_folder(values)
        self.store = LogpsStore(folder, anew=values.overwrite_cache) if folder else None

    def token_logps(self, inputs: Mapping[str, Any]) -> Tensor:
        """Log-probabilities under the reference, in the form of preference.token_logps."""
        if self.store is None:
            return self._ask(inputs)
        half = bytes([torch.is_autocast_enabled(inputs["input_ids"].device.type)])
        keys = [np.asarray(each).tobytes() + half for each in inputs["keys"].tolist()]
        missing = [row for row, key in enumerate(keys) if self.store.get(key) is None]
        if missing:
            self._add(keys, missing, inputs)
        learned = preference.label_mask(inputs["labels"])
        rows = [self.store.get(key) for key in keys]
        flat = torch.from_numpy(np.concatenate([row for row in rows if row is not None]))
        zeros = torch.zeros(learned.shape, device=learned.device)
        return zeros.masked_scatter(learned, flat.to(learned.device))

    def _add(self, keys: Sequence[bytes], rows: Sequence[int], inputs: Mapping[str, Any]) -> None:
        """Compute and keep the log-probabilities of some rows of a batch."""
        assert self.store is not None
        chosen = torch.tensor(rows, device=inputs["input_ids"].device)
        part = {name: inputs[name][chosen] for name in preference.MODEL_INPUTS}
        logps, learned = self._ask(part), preference.label_mask(part["labels"])
        for place, row in enumerate(rows):
            self.store.add(keys[row], logps[place][learned[place]].cpu().numpy())

    def _ask(self, inputs: Mapping[str, Any]) -> Tensor:
        with self._reference.model() as model:
            return preference.token_logps(model, inputs)
