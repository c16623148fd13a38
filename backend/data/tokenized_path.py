"""Save and load prepared rows in the folder that tokenized_path names, in the format of datasets.

The folder has Arrow files and JSON only; loading them runs no code.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, DatasetDict

from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import find
from backend.contract.texts.problems import DataError, Problem
from backend.data import cache, examples, packing
from backend.data.tokenize import Preparation

TRAIN, VALIDATION = "train", "validation"
MADE_WITH = "tuneboard.json"
INDEX = "dataset_dict.json"


def folder(values: Arguments) -> Path | None:
    """The folder that tokenized_path names; None where it is not set."""
    path = values.tokenized_path
    return find(path) if path else None


def load(work: Preparation, path: Path) -> dict[str, Dataset]:
    """Load the rows by part ("train", "validation").

    Raises DataError where the folder holds anything else, rows of another stage, or (where that is
    known) rows made with another tokenizer, template or cutoff length.
    """
    if not (path / INDEX).is_file():
        raise _wrong_error(work, path, INDEX)
    try:
        parts = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError):
        raise _wrong_error(work, path, INDEX) from None
    if TRAIN not in parts:
        raise _wrong_error(work, path, TRAIN)
    for part, rows in parts.items():
        missing = [name for name in _columns(work, part) if name not in rows.column_names]
        if missing:
            raise _wrong_error(work, path, ", ".join(missing))
    made_with = path / MADE_WITH
    if made_with.is_file() and json.loads(made_with.read_bytes()) != _describe(work):
        params = {"path": str(path)}
        raise DataError(Problem(code="tokenized_other", field="tokenized_path", params=params))
    params = {"path": str(path)}
    work.report.notice(
        Problem(code="tokenized_loaded", field="tokenized_path", params=params, notice=True)
    )
    return {name: parts[name] for name in (TRAIN, VALIDATION) if name in parts}


def save(work: Preparation, path: Path, train: Dataset, evaluation: Dataset | None) -> None:
    """Write the rows; the folder appears only once it is complete."""
    parts = {TRAIN: train} | ({VALIDATION: evaluation} if evaluation is not None else {})
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        DatasetDict(parts).save_to_disk(str(part))
        (part / MADE_WITH).write_text(json.dumps(_describe(work)))
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _columns(work: Preparation, part: str) -> list[str]:
    columns = [name for name in examples.columns(work.stage) if name != "length"]
    neat = part == TRAIN and packing.kind(work.values) == "neat"
    return [*columns, "position_ids"] if neat else columns


def _describe(work: Preparation) -> dict[str, Any]:
    maker = work.maker()
    return {
        "stage": work.stage,
        "cutoff_len": work.limit,
        "tokenizer": cache.key(cache.tokenizer(work.template.tokenizer)),
        "template": cache.key(cache.template(maker.template)),
    }


def _wrong_error(work: Preparation, path: Path, missing: str) -> DataError:
    params = {"path": str(path), "stage": work.stage, "missing": missing}
    return DataError(Problem(code="tokenized_wrong", field="tokenized_path", params=params))
