"""Prepare the data sets of a run for its trainer, and count every row that is left out."""

import itertools
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
from datasets import Dataset

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.typed import Arguments
from backend.contract.registry import dataset_info
from backend.contract.texts.problems import DataError, Problem
from backend.data import (
    cache,
    examples,
    packing,
    sources,
    streams,
    template_check,
    templates,
    tokenize,
    tokenized_path,
    tokens,
)
from backend.data.examples import Example
from backend.data.length_order import read_lengths
from backend.data.mixing import Mix
from backend.data.rendering import Template
from backend.data.row_range import RowRange
from backend.data.sources import RowCount
from backend.data.tokenize import Part, Preparation, Reports
from backend.datafiles.formats import Conversation
from backend.datafiles.layouts import WANTED
from backend.datafiles.turns import Message

MIX: tuple[ArgumentName, ...] = ("mix_strategy", "interleave_probs", "seed")
CHECKED = 200  # rows of each set that the template is checked on
AT_ONCE = 512  # rows that are read back from disk at once
SHORTENED = {"pair": "pairs_cut", "prompt": "prompts_cut"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """Examples with the columns of the stage (backend.data.examples), and position_ids if packed
    neatly.

    summary: for "train" and "evaluation" the numbers of rows, examples, cut, tokens,
    learned_tokens, and `refused`: reason, file, first line, count.
    key: identifies the rows to train on and how they were read; "" for a stream and for rows of
    tokenized_path.
    """

    train: Any
    evaluation: Dataset | None
    summary: dict[str, Any]
    key: str = ""

    def sizes(self) -> tuple[int, int]:
        """The numbers of rows to train on (0 for a stream) and to evaluate on."""
        return (
            len(self.train) if hasattr(self.train, "__len__") else 0,
            len(self.evaluation or ()),
        )


@dataclass(frozen=True)
class PromptRow:
    """A prompt (messages without the last answer) with its ids, and the answer in the data."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None
    prompt_ids: list[int]
    label: str


def prepare_training(
    values: Arguments, tokenizer: Any, template: Template, report: Reports
) -> Prepared:
    """Prepare rows for training (`dataset`) and evaluation (`eval_dataset`, or val_size rows).

    Raises DataError as sources.Source does, and where no row remains.
    """
    del tokenizer  # the template has it
    datasets.disable_progress_bars()
    work = Preparation(values, template, report)
    path = tokenized_path.folder(values)
    if path is not None and path.exists():
        _report_notices(template.notices if work.stage != "pt" else [], report)
        parts = tokenized_path.load(work, path)
        return Prepared(parts[tokenized_path.TRAIN], parts.get(tokenized_path.VALIDATION), {})
    _report_notices(_check_template(work), report)
    train, held = _prepare_parts(work)
    summary: dict[str, Any] = {}
    for name, part in (("train", train), ("evaluation", held)):
        if isinstance(part, Part):
            summary[name] = _summarize(part)
            _report_notices(_notices(part, summary[name], work), report)
    rows = _pack(train, work, always=True) if isinstance(train, Part) else train
    if isinstance(train, Part) and packing.kind(values):
        summary["train"]["packed"] = len(rows or ())
    evaluation = _pack(held, work)
    if path is not None and rows is not None:
        tokenized_path.save(work, path, rows, evaluation)
    return Prepared(rows, evaluation, summary, train.key if isinstance(train, Part) else "")


def prepare_prompts(
    values: Arguments, tokenizer: Any, template: Template, report: Reports | None = None
) -> list[PromptRow]:
    """Prepare the prompts of eval_dataset (else dataset), cut at the front to cutoff_len tokens,
    of which there is a notice.

    Raises DataError as sources.Source does, UsageError where the template refuses a row.
    """
    del tokenizer
    read = sources.read_conversations(values, "eval_dataset" if values.eval_dataset else "dataset")
    limit = tokens.Policy.of(values).cutoff_len
    rows, cut = [], 0
    for conversation in read.conversations:
        ids = template.encode_prompt(conversation.asked, conversation.tools)
        cut += len(ids) > limit
        label = examples.label(template, conversation, values.skip_special_tokens)
        rows.append(PromptRow(conversation.asked, conversation.tools, ids[-limit:], label))
    notices = [*template.notices, *read.notices()]
    if cut:
        params = {"count": cut, "limit": limit}
        notices.append(Problem(code="prompts_cut", field="cutoff_len", params=params, notice=True))
    _report_notices(notices, report)
    return rows


def _check_template(work: Preparation) -> list[Problem]:
    """Check that the template fits the model and the first rows (none of a stream are read)."""
    chats: list[Conversation] = []
    streams_ = work.values.streaming
    for name in [] if streams_ else dataset_info.names(work.values.dataset):
        row_range = RowRange(name, work.values)
        chats += [
            conversation for _, conversation in row_range.convert(row_range.fetch(0, CHECKED)[0])[0]
        ]
    own = templates.own_template(work.template.tokenizer)
    return template_check.check(work.template, own, work.values, chats, [])


def _prepare_parts(work: Preparation) -> tuple[Any, Part | None]:
    """Prepare the examples to train on (a Part, a Stream or None) and to evaluate on."""
    values = work.values
    held = [
        tokenize.tokenize_source(work, source)
        for source in sources.open_sources(values, "eval_dataset")
    ]
    streams_ = values.streaming and bool(values.dataset)
    if streams_:
        train, first = streams.open_stream(work)
        return train, _join(held) if held else first
    parts = [
        tokenize.tokenize_source(work, source) for source in sources.open_sources(values, "dataset")
    ]
    if parts and not held:
        parts, held = _split(parts, work)
    mixed = Mix.of(values).join([part.rows for part in parts], work.seed) if parts else None
    return _join(parts, mixed) if parts else None, _join(held) if held else None


def _join(parts: list[Part], rows: Dataset | None = None) -> Part:
    """Join several data sets; rows: their rows, where these are not simply one after the other.

    Raises DataError where there is no example.
    """
    if rows is None:
        rows = datasets.concatenate_datasets([part.rows for part in parts])
    total = sum(part.total for part in parts)
    refused = [row for part in parts for row in part.refused]
    mended = [row for part in parts for row in part.mended]
    if not len(rows):
        empty = Problem(code="no_rows_left", field="dataset", params={"rows": total})
        raise DataError(empty, *(counted.problem(notice=False) for counted in refused))
    return Part(cache.key([part.key for part in parts]), rows, total, refused, mended)


def _split(parts: list[Part], work: Preparation) -> tuple[list[Part], list[Part]]:
    """Split off random validation rows: val_size is a share below 1, else a number of rows."""
    size = work.values.val_size
    if not size:
        return parts, []
    total = sum(part.total for part in parts)
    count = max(1, round(size * total)) if size < 1 else int(size)
    if count >= total:
        params = {"count": count, "rows": total}
        raise DataError(Problem(code="val_size_too_large", field="val_size", params=params))
    drawn = np.sort(random.Random(work.seed).sample(range(total), count))
    rest, held, start = [], [], 0
    for part in parts:
        mine = drawn[(drawn >= start) & (drawn < start + part.total)] - start
        start += part.total
        chosen = np.isin(_read_columns(part.rows, "place")["place"], mine)
        key = f"{part.key}-{count}-{work.seed}"
        remaining = part.rows.select(np.flatnonzero(~chosen))
        rest.append(Part(key, remaining, part.total - len(mine), part.refused, part.mended))
        held.append(Part(f"{key}-held", part.rows.select(np.flatnonzero(chosen)), len(mine)))
    return rest, held


def _pack(part: Part | None, work: Preparation, always: bool = False) -> Dataset | None:
    """Pack the rows where the arguments say so, and drop the columns of the account.

    Rows for evaluation are packed in pre-training only.
    """
    if part is None:
        return None
    kind = packing.kind(work.values)
    if not kind or not (always or kind == "blocks"):
        return part.rows.select_columns(examples.columns(work.stage))
    features = packing.NEAT if kind == "neat" else packing.FEATURES
    rows, _ = cache.load_or_make(
        cache.key([part.key, kind, work.limit, *(work.values[name] for name in MIX)]),
        features,
        lambda write: _write_packed(
            part.rows, kind, work.limit, lambda batch: write(cache.to_arrow(batch, features))
        ),
        anew=work.anew,
    )
    return rows


def _write_packed(
    rows: Dataset, kind: str, limit: int, write: Callable[[list[Example]], None]
) -> cache.Meta:
    if kind == "blocks":
        texts = (ids for ids in rows.select_columns(["input_ids"]).to_iterable_dataset())
        packed = packing.blocks((row["input_ids"] for row in texts), limit)
    else:
        lengths = read_lengths(rows).tolist()
        packed = (
            packing.join([rows[index] for index in group], kind == "neat")
            for group in packing.bins(lengths, limit)
        )
    while batch := list(itertools.islice(packed, AT_ONCE)):
        write(batch)
    return {}


def _read_columns(rows: Dataset, *names: str) -> dict[str, np.ndarray]:
    """Read columns of numbers as arrays of shape (rows,)."""
    columns: dict[str, np.ndarray] = rows.select_columns(list(names)).with_format("numpy")[:]
    return columns


def _summarize(part: Part) -> dict[str, Any]:
    columns = _read_columns(part.rows, "length", "learned", "cut")
    return {
        "rows": part.total,
        "examples": len(part.rows),
        "cut": int(columns["cut"].sum()),
        "tokens": int(columns["length"].sum(dtype=np.int64)),
        "learned_tokens": int(columns["learned"].sum(dtype=np.int64)),
        "refused": [_describe_refusal(counted) for counted in part.refused],
    }


def _describe_refusal(counted: RowCount) -> dict[str, str | int]:
    return {
        "reason": counted.code,
        "file": counted.file,
        "line": counted.line,
        "count": counted.count,
    }


def _notices(part: Part, summary: dict[str, Any], work: Preparation) -> list[Problem]:
    notices = [counted.problem() for counted in (*part.mended, *part.refused)]
    if WANTED[work.stage] == "answer" and summary["examples"] > part.total:
        params = {"rows": part.total, "examples": summary["examples"]}
        notices.append(Problem(code="rows_in_examples", params=params, notice=True))
    if summary["cut"]:
        params = {"count": summary["cut"], "limit": work.limit}
        code = SHORTENED.get(WANTED[work.stage], "rows_cut")
        notices.append(Problem(code=code, field="cutoff_len", params=params, notice=True))
    return notices


def _report_notices(notices: list[Problem], report: Reports | None) -> None:
    for notice in notices:
        if report is not None:
            report.notice(notice)
        else:
            logger.warning("%s", notice.text())
