"""Check whether an adapter is put on the base that it was trained on.

An adapter's config only names its base, and another model of the same shapes accepts the adapter
silently. Adapters trained here therefore have a fingerprint of their base beside them, base.json,
which a copy or a move of the base does not change.

The fingerprint covers the name, the shape and some bytes of each tensor (SAMPLE bytes at its start,
middle and end). It misses a change outside of these; training, merging into or quantising a whole
tensor changes them.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from backend.contract.base.files import dump, read_json, write_atomic
from backend.contract.base.problems import Problem
from backend.contract.models.model_folder import adapter_base, headers, local

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
