"""Cache of tokenized examples on the disk, memory-mapped, found by a key of all they depend on.

saves/.cache/tokens/<key>/ holds rows.arrow and account.json. Deleting it costs only time; the
folders used longest ago are removed when all together pass LIMIT bytes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import tokenizers
import transformers
from datasets import Dataset, Features
from filelock import FileLock

from backend.contract.folders import home
from backend.data.examples import Maker
from backend.data.rendering import Template
from backend.data.sources import PLACEHOLDERS, Source

LIMIT = 20 * 1000**3  # bytes
ROWS, ACCOUNT = "rows.arrow", "account.json"

Example = Mapping[str, Any]
Write = Callable[[pa.RecordBatch], None]
Meta = dict[str, Any]


def key(made_from: Any) -> str:
    """A key (40 hexadecimal digits) for these values, which JSON can hold."""
    text = json.dumps(made_from, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def folder() -> Path:
    """The folder of the cache."""
    return home.saves() / ".cache" / "tokens"


def load_or_make(
    name: str, features: Features, make: Callable[[Write], Meta], anew: bool = False
) -> tuple[Dataset, Meta]:
    """Load the examples under this name, or let `make` write them, with its account (JSON).

    Of several processes at once one makes them and the others wait. anew: make them in any case.
    """
    target = folder() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if anew or not (target / ACCOUNT).is_file():
            _make(target, features, make)
            _trim(keep=target)
        os.utime(target)
        meta = json.loads((target / ACCOUNT).read_bytes())
        return Dataset.from_file(str(target / ROWS)), meta


def _make(target: Path, features: Features, make: Callable[[Write], Meta]) -> None:
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    schema = features.arrow_schema
    try:
        with pa.OSFile(str(part / ROWS), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:

            def write(rows: pa.RecordBatch) -> None:
                if rows.num_rows:
                    writer.write_batch(rows)

            meta = make(write)
        (part / ACCOUNT).write_text(json.dumps(meta))
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def to_arrow(rows: Sequence[Example], features: Features) -> pa.RecordBatch:
    """Rows as a batch for `Write`, with these columns."""
    columns = {name: [row[name] for row in rows] for name in features}
    return pa.RecordBatch.from_pydict(columns, schema=features.arrow_schema)


def _trim(keep: Path) -> None:
    """Remove the folders used longest ago until the rest is within LIMIT."""
    folders = sorted(
        (each for each in folder().iterdir() if (each / ROWS).is_file()),
        key=lambda each: each.stat().st_mtime,
        reverse=True,
    )
    total = 0
    for each in folders:
        total += (each / ROWS).stat().st_size
        if total > LIMIT and each != keep:
            shutil.rmtree(each, ignore_errors=True)


# Attributes of a template that say how it was chosen or follow from the others.
LEFT_OUT = {"tokenizer", "name", "notices", "reads", "_tails"}
VERSION = 3  # raised when the code that makes examples changes what it makes


def of(source: Source, maker: Maker, batch_size: int) -> dict[str, Any]:
    """Content of the data, layout, tokenizer, template, arguments and versions, as JSON values."""
    return {
        "version": [VERSION, transformers.__version__, tokenizers.__version__],
        "set": _source(source),
        "stage": maker.stage,
        "policy": vars(maker.policy),
        "batch_size": batch_size if maker.stage == "kto" else None,
        "template": template(maker.template),
        "tokenizer": tokenizer(maker.template.tokenizer),
    }


def tokenizer(tokenizer: Any) -> dict[str, Any]:
    """All that decides which ids a tokenizer makes of a text."""
    if tokenizer.is_fast:
        made = json.loads(tokenizer.backend_tokenizer.to_str())
        rules: Any = {**made, "truncation": None, "padding": None}  # left over from earlier calls
    else:
        rules = [
            type(tokenizer).__name__,
            tokenizer.get_vocab(),
            repr(tokenizer.added_tokens_decoder),
        ]
    return {"rules": rules, "special": tokenizer.special_tokens_map}


def template(template: Template) -> list[Any]:
    """All that decides how a template renders a conversation."""
    return sorted((n, str(value)) for n, value in vars(template).items() if n not in LEFT_OUT)


def _source(source: Source) -> dict[str, Any]:
    entry, values = source.entry, source.values
    filled = [values[name] for _, name in PLACEHOLDERS] if entry.placeholders else []
    return {
        "content": source.content(),
        "layout": [entry.formatting, entry.columns, entry.tags, values.strict_turns],
        "chosen": [entry.num_samples, values.max_samples],
        "seed": values.seed if entry.num_samples else None,
        "filled": filled,
    }
