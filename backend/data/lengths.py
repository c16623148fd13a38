"""Measure rows in tokens, and the effect of the cutoff length, padding and packing on them.

A sample is measured first, every row on request. The lengths are cached in saves/.cache/lengths by
content, tokenizer and template (a sample by the files' sizes and times), so that another cutoff
length or batch size is answered at once.
"""

import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.contract.arguments.typed import Arguments
from backend.contract.folders import home
from backend.contract.registry import dataset_info
from backend.contract.texts.problems import DataError, Problem
from backend.data import cache, packing, tokenize, tokens
from backend.data.examples import Example, ExampleBatch, Maker
from backend.data.length_order import group_by_length
from backend.data.rendering import Template
from backend.data.row_range import RowRange
from backend.data.sources import Account, Source
from backend.datafiles import reading
from backend.datafiles.layouts import WANTED

SAMPLE = 1000  # rows
PLACES = 20  # parts of the data that a sample is taken from
BINS = 40
PERCENTILES = (50, 90, 95, 99)
KEPT = 300  # files in the cache
KINDS = ("prompt", "answer", "total")

Array = np.ndarray[Any, np.dtype[np.int32]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Lengths:
    """Lengths in tokens before any cut, one for each example; of a pair those of the longer answer.

    prompt, answer: shape (examples,); rows: rows that were read; refused: those that gave no
    example; whole: rows of the data (-1: not known); exact: every row was read.
    """

    prompt: Array
    answer: Array
    rows: int
    refused: int
    whole: int
    exact: bool

    @property
    def total(self) -> Array:
        """Prompt and answer together."""
        return self.prompt + self.answer


def measure(
    values: Arguments, template: Template, exact: bool, progress: Progress = lambda *_: None
) -> Lengths:
    """Measure the rows of `dataset`: a sample, or all of them (exact).

    progress: called with rows done and rows in all (0: not known). Raises DataError.
    """
    stage = values.stage
    policy = replace(tokens.Policy.of(values), cutoff_len=sys.maxsize, train_on_prompt=False)
    maker = Maker(stage, template, policy)
    row_ranges = [RowRange(name, values) for name in dataset_info.names(values.dataset)]
    share = max(1, SAMPLE // max(1, len(row_ranges)))
    measured = []
    for row_range in row_ranges:
        file = _folder() / f"{_key(row_range, maker, exact)}-{'all' if exact else share}.npz"
        lengths = _load(file)
        if lengths is None:
            lengths = (
                _measure_all(row_range, maker, progress)
                if exact
                else _measure_sample(row_range, maker, share)
            )
            _save(file, lengths)
        measured.append(lengths)
    return _join(measured)


def _join(parts: list[Lengths]) -> Lengths:
    """Join the lengths of several sets. Raises DataError where there is no example."""
    known = all(part.whole >= 0 for part in parts)
    joined = Lengths(
        np.concatenate([part.prompt for part in parts]),
        np.concatenate([part.answer for part in parts]),
        sum(part.rows for part in parts),
        sum(part.refused for part in parts),
        sum(part.whole for part in parts) if known else -1,
        all(part.exact for part in parts),
    )
    if not len(joined.prompt):
        params = {"rows": joined.rows}
        raise DataError(Problem(code="no_rows_left", field="dataset", params=params))
    return joined


def _measure_sample(row_range: RowRange, maker: Maker, count: int) -> Lengths:
    """Measure rows from PLACES places of the data where its size is known, else the first rows."""
    rows, total = row_range.fetch(0, count)
    if total is not None and total > count:
        each = max(1, count // PLACES)
        starts = [at * (total - each) // (PLACES - 1) for at in range(PLACES)]
        rows = [row for start in dict.fromkeys(starts) for row in row_range.fetch(start, each)[0]]
    conversations, refused = row_range.convert(rows)
    made = [maker(batch) for batch in tokenize.batches(conversations, tokenize.BATCH)]
    whole = -1 if total is None else total
    return _lengths(made, len(rows), len(refused), whole, maker, total == len(rows))


def _measure_all(row_range: RowRange, maker: Maker, progress: Progress) -> Lengths:
    """Measure every row, read as training reads it."""
    known = row_range.fetch(0, 1)[1] or 0
    source = Source(row_range.entry, row_range.values, row_range.argument)
    account = Account()
    workers = tokenize.count_workers(row_range.values, known or tokenize.ROWS_A_WORKER * 64)
    batches = tokenize.batches(_number(source, account), tokenize.BATCH)
    parts: list[Lengths] = []
    done = 0
    for made in tokenize.map_batches(maker, batches, workers):
        parts.append(_lengths([made], made.rows, 0, -1, maker, True))
        done += made.rows
        progress(done, known)
    left_out = sum(counted.count for counted in account.refused.values())
    rows = done + left_out
    return replace(_join(parts), rows=rows, whole=rows, refused=_join(parts).refused + left_out)


def _number(source: Source, account: Account) -> Iterator[tuple[int, Any]]:
    for number, (conversation, _, _) in enumerate(source.conversations(account)):
        yield number, conversation


def _lengths(
    made: list[ExampleBatch], rows: int, refused: int, whole: int, maker: Maker, exact: bool
) -> Lengths:
    counts = [
        count_tokens(example, WANTED[maker.stage]) for each in made for example in each.examples
    ]
    table = np.asarray(counts, dtype=np.int32).reshape(-1, 2)
    refused += sum(len(each.refused) for each in made)
    return Lengths(table[:, 0], table[:, 1], rows, refused, whole, exact)


def count_tokens(example: Example, wanted: str) -> tuple[int, int]:
    """Count the tokens of the prompt and of the answer."""
    if wanted == "text":
        return 0, example["length"]
    if wanted == "prompt":
        return example["length"], 0
    if wanted == "pair":
        longer = max("chosen_", "rejected_", key=lambda side: len(example[f"{side}input_ids"]))
        labels = example[f"{longer}labels"]
    else:
        labels = example["labels"]
    learned = sum(label != tokens.IGNORED for label in labels)
    return len(labels) - learned, learned


def stats(lengths: Lengths, values: Arguments) -> dict[str, Any]:
    """The statistics of the lengths as JSON values, in tokens and rows; shares are 0 to 1."""
    limit = tokens.Policy.of(values).cutoff_len
    batch = values.per_device_train_batch_size
    stage = values.stage
    total = lengths.total.astype(np.int64)
    lost = 0 if stage == "pt" else int(np.maximum(total - limit, 0).sum())
    shortened = _pieces(total, limit) if stage == "pt" else np.minimum(total, limit)
    cut = int((total > limit).sum())
    return {
        "stage": stage,
        "rows": lengths.rows,
        "of": None if lengths.whole < 0 else lengths.whole,
        "exact": lengths.exact,
        "examples": len(total),
        "refused": lengths.refused,
        "tokens": int(total.sum()),
        "lengths": {kind: _summary(getattr(lengths, kind)) for kind in KINDS},
        "histogram": _histogram(lengths),
        "cutoff": {
            "cutoff_len": limit,
            "rows_cut": cut,
            "share_cut": cut / len(total),
            "tokens_lost": lost,
            "share_lost": lost / max(1, int(total.sum())),
        },
        "padding": {
            "batch_size": batch,
            "random": padding(shortened, batch, False),
            "grouped": padding(shortened, batch, True),
        },
        "packing": _packing(shortened, limit, batch) if stage in {"sft", "pt"} else None,
    }


def _pieces(total: Any, limit: int) -> Any:
    """The lengths of the pieces of `limit` tokens into which plain text is cut."""
    whole = np.full(int((total // limit).sum()), limit)
    rest = total % limit
    return np.concatenate([whole, rest[rest > 0]])


def _summary(lengths: Array) -> dict[str, float]:
    levels = np.percentile(lengths, PERCENTILES, method="higher")
    named = {f"p{at}": int(level) for at, level in zip(PERCENTILES, levels, strict=True)}
    mean = round(float(lengths.mean()), 1)
    return {"mean": mean, "min": int(lengths.min()), **named, "max": int(lengths.max())}


def _histogram(lengths: Lengths) -> dict[str, list[int]]:
    """Count examples by length, with common edges in tokens; the last bin takes longer ones."""
    longest = max(1, int(np.percentile(lengths.total, 99.5)))
    width = max(1, -(-(longest + 1) // BINS))
    edges = np.arange(0, longest + width + 1, width)
    counts = {
        kind: np.histogram(np.minimum(getattr(lengths, kind), edges[-1]), edges)[0].tolist()
        for kind in KINDS
    }
    return {"edges": edges.tolist(), **counts}


def padding(lengths: Array, batch: int, grouped: bool) -> float:
    """The share of padding (0 to 1) in random batches, or in batches of rows of like length."""
    generator = np.random.default_rng(0)
    sizes = np.asarray(lengths, dtype=np.int64)
    if grouped:
        drawn = sizes[group_by_length(sizes, batch, generator)]
    else:
        drawn = generator.permutation(sizes)
    groups = [drawn[at : at + batch] for at in range(0, len(drawn), batch)]
    room = sum(int(group.max()) * len(group) for group in groups)
    return 1 - int(drawn.sum()) / max(1, room)


def _packing(lengths: Array, limit: int, batch: int) -> dict[str, float]:
    """The number of packed sequences, the share of them that is filled, and the share of computed
    tokens (padding included) that packing saves."""
    sequences = len(packing.bins(lengths.tolist(), limit))
    used = int(lengths.sum())
    padded = used / max(1e-9, 1 - padding(lengths, batch, False))
    room = max(1, sequences * limit)
    return {
        "sequences": sequences,
        "examples_a_sequence": round(len(lengths) / max(1, sequences), 2),
        "filled": used / room,
        "saved": max(0.0, 1 - used / padded),
    }


def _key(row_range: RowRange, maker: Maker, exact: bool) -> str:
    made_from = cache.of(row_range if exact else _QuickSource(row_range), maker, 0)
    return cache.key(made_from)


class _QuickSource(Source):
    """A set whose fingerprint uses sizes and times of its files, since reading them would take
    longer than the sample."""

    def __init__(self, row_range: RowRange) -> None:
        self.entry, self.values, self.argument = (
            row_range.entry,
            row_range.values,
            row_range.argument,
        )
        self._row_range = row_range

    def content(self) -> dict[str, str]:
        """Each file with its size and time of change."""
        if self.entry.path is None:
            return self._row_range.content()
        return {str(file): _stamp(file) for file in reading.files(self.entry.path)}


def _stamp(file: Path) -> str:
    status = file.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def _folder() -> Path:
    return home.saves() / ".cache" / "lengths"


def _load(file: Path) -> Lengths | None:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            rows, refused, whole, exact = arrays["figures"].tolist()
            return Lengths(arrays["prompt"], arrays["answer"], rows, refused, whole, bool(exact))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _save(file: Path, lengths: Lengths) -> None:
    totals = [lengths.rows, lengths.refused, lengths.whole, int(lengths.exact)]
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{os.getpid()}-{file.name}")
    np.savez(part, prompt=lengths.prompt, answer=lengths.answer, figures=np.asarray(totals))
    part.replace(file)
    _trim(file.parent.glob("*.npz"))


def _trim(files: Iterable[Path]) -> None:
    newest_first = sorted(files, key=lambda each: each.stat().st_mtime, reverse=True)
    for old in newest_first[KEPT:]:
        old.unlink(missing_ok=True)
