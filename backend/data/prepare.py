"""Data sets to what a trainer eats, with an account of every row that is not in it."""

import itertools
import logging
import random
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
from datasets import Dataset

from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import DataError, Problem
from backend.contract.registry import dataset_info
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
from backend.data.mixing import Mix
from backend.data.rendering import Template
from backend.data.row_range import Window
from backend.data.sources import Counted
from backend.data.tokenize import Part, Preparation, Reports
from backend.datafiles.formats import Conversation
from backend.datafiles.layouts import WANTED
from backend.datafiles.turns import Message

MIX = ("mix_strategy", "interleave_probs", "seed")
CHECKED = 200  # rows of each set that the template is checked on
AT_ONCE = 512  # rows that are read back from disk at once
SHORTENED = {"pair": "pairs_cut", "prompt": "prompts_cut"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """Rows with the columns of the stage (backend.data.examples); packed neatly position_ids too.

    summary: for "train" and "evaluation" the numbers of rows, examples, cut, tokens,
    learned_tokens, and `refused`: reason, file, first line, count.
    key: stands for the rows to train on and how they were read; "" where only reading them tells.
    """

    train: Any
    evaluation: Dataset | None
    summary: dict[str, Any]
    key: str = ""

    def sizes(self) -> tuple[int, int]:
        """Rows to train on (0 where a stream does not know) and to evaluate on."""
        return (
            len(self.train) if hasattr(self.train, "__len__") else 0,
            len(self.evaluation or ()),
        )


@dataclass(frozen=True)
class PromptRow:
    """A question (messages without the last answer) as ids, and the answer that the data has."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None
    prompt_ids: list[int]
    label: str


def training(values: Arguments, tokenizer: Any, template: Template, report: Reports) -> Prepared:
    """Rows for training (`dataset`) and evaluation (`eval_dataset`, or val_size of the former).

    Raises DataError as sources.Source does, and where no row remains.
    """
    del tokenizer  # the template has it
    datasets.disable_progress_bars()
    work = Preparation(values, template, report)
    path = tokenized_path.folder(values)
    if path is not None and path.exists():
        _tell(template.notices if work.stage != "pt" else [], report)
        parts = tokenized_path.load(work, path)
        return Prepared(parts[tokenized_path.TRAIN], parts.get(tokenized_path.VALIDATION), {})
    _tell(_unfit(work), report)
    train, held = _parts(work)
    summary: dict[str, Any] = {}
    for name, part in (("train", train), ("evaluation", held)):
        if isinstance(part, Part):
            summary[name] = _account(part)
            _tell(_notices(part, summary[name], work), report)
    rows = _packed(train, work, always=True) if isinstance(train, Part) else train
    if isinstance(train, Part) and packing.kind(values):
        summary["train"]["packed"] = len(rows or ())
    evaluation = _packed(held, work)
    if path is not None and rows is not None:
        tokenized_path.save(work, path, rows, evaluation)
    return Prepared(rows, evaluation, summary, train.key if isinstance(train, Part) else "")


def prompts(
    values: Arguments, tokenizer: Any, template: Template, report: Reports | None = None
) -> list[PromptRow]:
    """The questions of eval_dataset (else dataset), cut at the front to cutoff_len (a notice).

    Raises DataError as sources.Source does, UsageError where the template refuses a row.
    """
    del tokenizer
    read = sources.read(values, "eval_dataset" if values.eval_dataset else "dataset")
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
    _tell(notices, report)
    return rows


def _unfit(work: Preparation) -> list[Problem]:
    """What of the template does not fit the model or the first rows (of a stream none are read)."""
    chats: list[Conversation] = []
    streams_ = work.values.streaming
    for name in [] if streams_ else dataset_info.names(work.values.dataset):
        window = Window(name, work.values)
        chats += [
            conversation for _, conversation in window.convert(window.fetch(0, CHECKED)[0])[0]
        ]
    own = templates.carried(work.template.tokenizer)
    return template_check.check(work.template, own, work.values, chats, [])


def _parts(work: Preparation) -> tuple[Any, Part | None]:
    """Examples to train on (a Part, a Stream or None) and to evaluate on."""
    values = work.values
    held = [tokenize.tokenised(work, source) for source in sources.opened(values, "eval_dataset")]
    streams_ = values.streaming and bool(values.dataset)
    if streams_:
        train, first = streams.training(work)
        return train, _joined(held) if held else first
    parts = [tokenize.tokenised(work, source) for source in sources.opened(values, "dataset")]
    if parts and not held:
        parts, held = _split(parts, work)
    mixed = Mix.of(values).joined([part.rows for part in parts], work.seed) if parts else None
    return _joined(parts, mixed) if parts else None, _joined(held) if held else None


def _joined(parts: list[Part], rows: Dataset | None = None) -> Part:
    """Several data sets as one; `rows` are theirs, where they are not simply one after the other.

    Raises DataError where no example remains.
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
    """Training and validation rows by val_size: a share below 1, else a count; drawn by seed."""
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
        chosen = np.isin(_figures(part.rows, "place")["place"], mine)
        key = f"{part.key}-{count}-{work.seed}"
        remaining = part.rows.select(np.flatnonzero(~chosen))
        rest.append(Part(key, remaining, part.total - len(mine), part.refused, part.mended))
        held.append(Part(f"{key}-held", part.rows.select(np.flatnonzero(chosen)), len(mine)))
    return rest, held


def _packed(part: Part | None, work: Preparation, always: bool = False) -> Dataset | None:
    """The rows as they are learned: packed where that is asked for, without the account.

    Rows for evaluation are packed in pre-training only.
    """
    if part is None:
        return None
    kind = packing.kind(work.values)
    if not kind or not (always or kind == "blocks"):
        return part.rows.select_columns(examples.columns(work.stage))
    rows, _ = cache.cached(
        cache.key([part.key, kind, work.limit, *(getattr(work.values, name) for name in MIX)]),
        packing.NEAT if kind == "neat" else packing.FEATURES,
        lambda write: _write_packed(part.rows, kind, work.limit, write),
        anew=work.anew,
    )
    return rows


def _write_packed(rows: Dataset, kind: str, limit: int, write: cache.Write) -> cache.Meta:
    if kind == "blocks":
        texts = (ids for ids in rows.select_columns(["input_ids"]).to_iterable_dataset())
        packed = packing.blocks((row["input_ids"] for row in texts), limit)
    else:
        lengths = _figures(rows, "length")["length"].tolist()
        packed = (
            packing.joined([rows[index] for index in group], kind == "neat")
            for group in packing.bins(lengths, limit)
        )
    while batch := list(itertools.islice(packed, AT_ONCE)):
        write(batch)
    return {}


def _figures(rows: Dataset, *names: str) -> dict[str, np.ndarray]:
    """Columns of numbers, one a row."""
    columns: dict[str, np.ndarray] = rows.select_columns(list(names)).with_format("numpy")[:]
    return columns


def _account(part: Part) -> dict[str, Any]:
    figures = _figures(part.rows, "length", "learned", "cut")
    return {
        "rows": part.total,
        "examples": len(part.rows),
        "cut": int(figures["cut"].sum()),
        "tokens": int(figures["length"].sum(dtype=np.int64)),
        "learned_tokens": int(figures["learned"].sum(dtype=np.int64)),
        "refused": [_refused(counted) for counted in part.refused],
    }


def _refused(counted: Counted) -> dict[str, str | int]:
    return {
        "reason": counted.code,
        "file": counted.file,
        "line": counted.line,
        "count": counted.count,
    }


def _notices(part: Part, summary: dict[str, Any], work: Preparation) -> list[Problem]:
    notices = [counted.problem() for counted in (*part.mended, *part.refused)]
    if WANTED[work.stage] == "answer" and summary["examples"] > part.total:
        figures = {"rows": part.total, "examples": summary["examples"]}
        notices.append(Problem(code="rows_in_examples", params=figures, notice=True))
    if summary["cut"]:
        params = {"count": summary["cut"], "limit": work.limit}
        code = SHORTENED.get(WANTED[work.stage], "rows_cut")
        notices.append(Problem(code=code, field="cutoff_len", params=params, notice=True))
    return notices


def _tell(notices: list[Problem], report: Reports | None) -> None:
    for notice in notices:
        if report is not None:
            report.notice(notice)
        else:
            logger.warning("%s", notice.text())
