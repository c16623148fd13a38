"""Check a model or adapter folder by its file names and headers only.

Nothing is unpickled or executed: weights come from safetensors files alone.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from backend.contract.base import boundary
from backend.contract.base.files import read_json
from backend.contract.base.home import describe_places, find
from backend.contract.base.problems import Problem

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
VALUE_HEAD = "value_head.safetensors"  # beside a reward model, and a policy that PPO trained
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
MAX_HEADER = 100 * 1024 * 1024  # bytes, the format's own limit
REMEMBERED = 64  # files: a form names a few models and adapters at a time


def local(path: str) -> Path:
    """The file or folder that a path argument means (see `home.find`)."""
    return find(path)


def is_hub_id(name: str) -> bool:
    """Whether a model name is a hub id: a name or org/name for which no folder exists here."""
    first = name.split("/")[0]
    return (
        HUB_ID.fullmatch(name) is not None
        and not local(name).exists()
        and not ("/" in name and local(first).is_dir())
    )


def config(folder: Path) -> Mapping[str, object]:
    """The config.json of a model folder; {} where it is missing or no JSON object.

    A form needs it at every keystroke, so the file is read again only after a change.
    """
    return _settings(folder / CONFIG)


def adapter_config(folder: Path) -> Mapping[str, object]:
    """The adapter_config.json of an adapter folder, cached in the same way."""
    return _settings(folder / ADAPTER_CONFIG)


def _settings(path: Path) -> Mapping[str, object]:
    try:
        stat = path.stat()
    except OSError:
        return {}
    content = _read(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    if not content:
        _read.cache_clear()  # it may be readable the next time, without a change
    return content


@lru_cache(REMEMBERED)
def _read(path: Path, _state: tuple[int, ...]) -> Mapping[str, object]:
    """The content of a file; `_state` is a key of the cache that changes with the file."""
    return MappingProxyType(read_json(path))


def model_problems(name: str, field: str = "model_name_or_path") -> list[Problem]:
    """The problems that prevent loading a model (or an adapter named as one). Hub ids pass."""
    return _judge(name, field, _judge_model)


def adapter_problems(name: str, field: str = "adapter_name_or_path") -> list[Problem]:
    """The problems that prevent loading an adapter folder. Hub ids pass."""
    return _judge(name, field, _judge_adapter)


def _judge(
    name: str, field: str, judge: Callable[[str, Path, str], list[Problem]]
) -> list[Problem]:
    """The problems that `judge` finds in the folder of a name, if it lies inside the boundary."""
    if is_hub_id(name):
        return []
    folder = local(name)
    outside = boundary.model_refusal(folder, field)
    return [outside] if outside else judge(name, folder, field)


def _judge_model(name: str, folder: Path, field: str) -> list[Problem]:
    if not folder.exists():
        return [Problem(code="model_missing", field=field, params={"path": describe_places(name)})]
    if not folder.is_dir():
        return [_problem("model_is_file", field, folder)]
    if not os.access(folder, os.R_OK | os.X_OK):
        return [_problem("model_unreadable", field, folder)]
    if (folder / CONFIG).is_file():
        return _whole_model_problems(folder, field)
    if (folder / ADAPTER_CONFIG).is_file():
        base = adapter_base(folder)
        if not base:
            return [_problem("adapter_without_base", field, folder)]
        return weight_problems(folder, "adapter_model", field) + (
            model_problems(base, field) if base != name else []
        )
    return [_problem("model_no_config", field, folder)]


def _whole_model_problems(folder: Path, field: str) -> list[Problem]:
    settings = config(folder)
    if not settings:
        return [_problem("model_bad_config", field, folder)]
    named = settings.get("architectures")
    kind = str(named[0] if isinstance(named, list) and named else settings.get("model_type"))
    if settings.get("is_encoder_decoder") and not kind.endswith("ForCausalLM"):
        return [_problem("model_encoder_decoder", field, folder, architecture=kind)]
    return weight_problems(folder, "model", field)


def _judge_adapter(name: str, folder: Path, field: str) -> list[Problem]:
    if not folder.is_dir():
        return [
            Problem(code="adapter_missing", field=field, params={"path": describe_places(name)})
        ]
    if not (folder / ADAPTER_CONFIG).is_file():
        return [_problem("not_adapter", field, folder)]
    return weight_problems(folder, "adapter_model", field)


def adapter_base(folder: Path) -> str:
    """The base model that the config of an adapter names, or ""."""
    return str(adapter_config(folder).get("base_model_name_or_path") or "")


def weight_problems(folder: Path, stem: str, field: str) -> list[Problem]:
    """The problem of missing, truncated or pickled weights; `stem` as in `headers`."""
    index = read_json(folder / f"{stem}.safetensors.index.json").get("weight_map")
    if isinstance(index, dict):
        names = sorted({Path(str(name)).name for name in index.values()})
        absent = [name for name in names if not (folder / name).is_file()]
        if absent:
            return [_problem("model_shard_missing", field, folder, file=absent[0])]
    elif (folder / f"{stem}.safetensors").is_file():
        names = [f"{stem}.safetensors"]
    else:
        return [_no_weights(folder, stem, field)]
    broken = [name for name in names if not whole(folder / name)]
    return [_problem("model_weights_broken", field, folder, file=broken[0])] if broken else []


def headers(folder: Path, stem: str) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """Each safetensors file of a folder: its path, the offset of its tensors in bytes, its header.

    `stem` is "model" or "adapter_model"; the header has an entry for each tensor. Raises OSError or
    ValueError where a file is missing or no safetensors file.
    """
    index = read_json(folder / f"{stem}.safetensors.index.json").get("weight_map")
    names = index.values() if isinstance(index, dict) else [f"{stem}.safetensors"]
    for path in sorted({folder / Path(str(name)).name for name in names}):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        yield path, 8 + length, header


def whole(path: Path) -> bool:
    """Whether a safetensors file has the length that its header states."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(MAX_HEADER, size):
                return False
            header = json.loads(file.read(length))
        ends = [row["data_offsets"][1] for name, row in header.items() if name != "__metadata__"]
        return size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return False


def _no_weights(folder: Path, stem: str, field: str) -> Problem:
    pickles = sorted(
        path.name for path in folder.iterdir() if path.suffix in PICKLES and stem in path.name
    ) or sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    if pickles:
        return _problem("model_pickle_only", field, folder, file=pickles[0])
    return _problem("model_no_weights", field, folder)


def _problem(code: str, field: str, folder: Path, **params: str) -> Problem:
    return Problem(code=code, field=field, params={"path": str(folder), **params})
