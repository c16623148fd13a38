"""What kind a model is: its family, and how many billions of parameters it has.

Read from its name and the small files and headers of its folder; nothing is loaded.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from backend.contract.models import model_folder
from backend.contract.system import boundary

# A name says more than the type in a config: SmolLM2 is of type llama.
FAMILIES = ("smollm", "qwen", "gemma", "mistral", "llama")
# "135M", "0.5B", "30B-A3B" (the first number); not the "7B" of "8x7B".
SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])")
REMEMBERED = 64  # models


@dataclass(frozen=True)
class ModelKind:
    """A family of FAMILIES, "" for any other, and billions of parameters, None if not known."""

    family: str = ""
    billions: float | None = None


def kind_of(name: str | None) -> ModelKind:
    """The kind of a model by its path or hub id."""
    words = (name or "").strip()
    if not words:
        return ModelKind()
    try:
        return _of_folder(words) or _of_name(words)
    except (OSError, ValueError):  # a name that is too long, or has a NUL in it
        return ModelKind()


def _of_name(name: str, model_type: str = "") -> ModelKind:
    last = name.rstrip("/").rpartition("/")[2].lower()
    family = next((each for each in FAMILIES if each in last), "")
    family = family or next((each for each in FAMILIES if model_type.startswith(each)), "")
    size = SIZE.search(last)
    return ModelKind(family, size and float(size[1]) / (1 if size[2] == "b" else 1000))


def _of_folder(name: str) -> ModelKind | None:
    """None where the name is not that of a model's folder on this machine."""
    if model_folder.is_hub_id(name):
        return None
    folder = model_folder.local(name)
    if not folder.is_dir() or boundary.model_refusal(folder) is not None:
        return None
    config = model_folder.config(folder)
    if not config:
        base = model_folder.adapter_base(folder)
        return kind_of(base) if base and base != name else None
    named = _of_name(name, str(config.get("model_type", "")))
    counted = None if "quantization_config" in config else _count(folder, folder.stat().st_mtime_ns)
    return ModelKind(named.family, counted or named.billions)


@lru_cache(REMEMBERED)
def _count(folder: Path, _stamp: int) -> float | None:
    """Billions of numbers in the weights of a folder; None where they cannot be counted."""
    try:
        tensors = [
            tensor
            for _, _, header in model_folder.headers(folder, "model")
            for tensor in header.values()
        ]
        numbers: int = sum(math.prod(tensor["shape"]) for tensor in tensors)
        return numbers / 1e9
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
