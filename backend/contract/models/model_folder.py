"""Check a model or adapter folder by file names and headers, and an adapter's base by its bytes.

Nothing is unpickled or executed: weights come from safetensors files alone.

An adapter's config only names its base, and another model of the same shapes accepts the adapter
silently. Adapters trained here therefore have a fingerprint of their base beside them, base.json,
which a copy or a move of the base does not change. It covers the name, the shape and some bytes of
each tensor (SAMPLE bytes at its start, middle and end). It misses a change outside of these;
training, merging into or quantizing a whole tensor changes them.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from backend.contract.folders.home import describe_places, find
from backend.contract.system import boundary
from backend.contract.system.files import dump, read_json, write_atomic
from backend.contract.texts.problems import Problem

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


NAME = "base.json"
SAMPLE = 64  # bytes
CACHED = re.compile(r"models--(.+)/snapshots/")  # a hub's model in the cache on this disk

Record = Mapping[str, object]


def record(base: Path, before: Sequence[Path]) -> Record:
    """The content of base.json for an adapter that is trained on the model folder `base` with the
    adapters `before` merged into it."""
    return {
        "fingerprint": fingerprint(base, "model"),
        "before": [fingerprint(folder, "adapter_model") for folder in before],
    }


def write(folder: Path, content: Record) -> None:
    """Write base.json into an adapter's folder."""
    write_atomic(folder / NAME, dump(content))


def notices(base: Path, name: str, adapters: Sequence[Path]) -> list[Problem]:
    """A notice for each adapter that was trained on another base than the one it is put on.

    base      the folder of the base model
    name      the base as the person named it: a hub id or a path
    adapters  the folders of the adapters, in the order in which they are put on
    """
    own = fingerprint(base, "model") if adapters else ""
    before: list[str] = []
    problems = []
    for index, folder in enumerate(adapters):
        content, named = read_json(folder / NAME), adapter_base(folder)
        names = {"adapter": str(folder), "base": name, "named": named or "-"}
        if not content and not _is_same_base(named, base, name):
            problems.append(_notice("adapter_names_other_base", **names))
        elif content and content.get("fingerprint") != own:
            problems.append(_notice("adapter_of_other_base", **names))
        elif content and content.get("before") != before:
            stack = ", ".join(str(each) for each in adapters[:index]) or "-"
            problems.append(_notice("adapter_of_other_stack", before=stack, **names))
        before = [*before, fingerprint(folder, "adapter_model")]
    return problems


def fingerprint(folder: Path, stem: str) -> str:
    """A hexadecimal fingerprint of the weights of a folder, as the module describes it.

    `stem` is "model" or "adapter_model". Raises OSError where a file cannot be read.
    """
    digest = hashlib.sha256()
    tensors = sorted(
        (name, path, start, entry)
        for path, start, header in headers(folder, stem)
        for name, entry in header.items()
    )
    for name, path, start, entry in tensors:
        begin, end = (start + int(offset) for offset in entry["data_offsets"])
        digest.update(f"{name} {entry['dtype']} {entry['shape']}\n".encode())
        with path.open("rb") as file:
            for place in (begin, (begin + end) // 2, max(begin, end - SAMPLE)):
                digest.update(os.pread(file.fileno(), min(SAMPLE, end - place), place))
    return digest.hexdigest()


def _notice(code: str, **params: str) -> Problem:
    return Problem(code=code, field="adapter_name_or_path", params=params, notice=True)


def _is_same_base(named: str, base: Path, name: str) -> bool:
    """Whether the base that an adapter names is this one, as far as name and weights tell."""
    folder = local(named)
    if not named or named == name or folder.resolve() == base.resolve():
        return True
    if (folder / "config.json").is_file():
        return fingerprint(folder, "model") == fingerprint(base, "model")
    cached = CACHED.search(str(base))
    known = cached[1].replace("--", "/") if cached else name
    return Path(named).name.lower() == Path(known).name.lower()
