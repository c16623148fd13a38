"""Data sets to what a trainer eats, with an account of every row that is not in it."""

import json
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import datasets
from datasets import Dataset, Features
from datasets import List as Listed
from datasets import Value as Column

from backend.contract import field
from backend.contract.problems import DataError, Problem
from backend.data import packing, sources, tokens
from backend.data.formats import Conversation
from backend.data.sources import Read, Refused
from backend.data.spans import label_text
from backend.data.templates import Template
from backend.data.turns import Message

Values = Mapping[str, field.Value]
ROWS_A_WORKER = 500  # below this a further process costs more than it brings

FEATURES = Features(
    {
        "input_ids": Listed(Column("int32")),
        "labels": Listed(Column("int32")),
        "length": Column("int32"),
        "learned": Column("int32"),
        "cut": Column("bool"),
        "place": Column("int64"),
        "refused": Column("string"),
    }
)

logger = logging.getLogger(__name__)


class Reports(Protocol):
    """What preparation tells: backend.report.Report does it."""

    def notice(self, problem: Problem) -> None:
        """Something worth knowing."""

    def progress(self, step: int, total: int) -> None:
        """How far it is."""


@dataclass(frozen=True)
class Prepared:
    """Columns input_ids, labels (-100: not learned), length; packed ones position_ids too.

    summary: for "train" and "evaluation" the numbers of rows, examples, cut, tokens,
    learned_tokens, and `refused`: reason, file, first line, count.
    """

    train: Dataset | None
    evaluation: Dataset | None
    summary: dict[str, Any]


@dataclass(frozen=True)
class PromptRow:
    """A question (messages without the last answer) as ids, and the answer that the data has."""

    messages: list[Message]
    tools: list[dict[str, Any]] | None
    prompt_ids: list[int]
    label: str


def training(values: Values, tokenizer: Any, template: Template, report: Reports) -> Prepared:
    """Rows for training (`dataset`) and evaluation (`eval_dataset`, or val_size of the former).

    Raises DataError as sources.read does, and where no row remains.
    """
    del tokenizer  # the template has it
    datasets.disable_progress_bars()
    for notice in template.notices:
        report.notice(notice)
    read = sources.read(values, "dataset")
    held = sources.read(values, "eval_dataset")
    if read.conversations and not held.conversations:
        read, held = _split(read, values)
    summary: dict[str, Any] = {}
    made: dict[str, Dataset | None] = {}
    for name, part in (("train", read), ("evaluation", held)):
        made[name] = None
        if part.conversations:
            made[name], summary[name] = _tokenise(part, template, values, report)
    train = made["train"]
    if train is not None and (values.get("packing") or values.get("neat_packing")):
        rows = packing.packed(train.to_list(), tokens.Policy.of(values).cutoff_len)
        train = Dataset.from_dict(rows)
        summary["train"]["packed"] = len(train)
    return Prepared(train, made["evaluation"], summary)


def prompts(
    values: Values, tokenizer: Any, template: Template, report: Reports | None = None
) -> list[PromptRow]:
    """The questions of eval_dataset (else dataset), cut at the front to cutoff_len (a notice).

    Raises DataError as sources.read does, UsageError where the template refuses a row.
    """
    del tokenizer
    read = sources.read(values, "eval_dataset" if values.get("eval_dataset") else "dataset")
    limit = tokens.Policy.of(values).cutoff_len
    rows, cut = [], 0
    for conversation in read.conversations:
        asked = conversation.messages[:-1]
        ids = template.encode_prompt(asked, conversation.tools)
        cut += len(ids) > limit
        label = label_text(conversation.messages[-1])
        rows.append(PromptRow(asked, conversation.tools, ids[-limit:], label))
    notices = [one.problem() for one in read.refused.values()]
    if cut:
        params = {"count": cut, "limit": limit}
        notices.append(Problem(code="prompts_cut", field="cutoff_len", params=params, notice=True))
    _tell(notices, report)
    return rows


def _split(read: Read, values: Values) -> tuple[Read, Read]:
    """Training and validation rows by val_size: a share below 1, else a count; drawn by seed."""
    size = float(str(values.get("val_size") or 0))
    total = len(read.conversations)
    if not size:
        return read, Read()
    count = max(1, round(size * total)) if size < 1 else int(size)
    if count >= total:
        params = {"count": count, "rows": total}
        raise DataError(Problem(code="val_size_too_large", field="val_size", params=params))
    drawn = set(random.Random(int(str(values.get("seed") or 0))).sample(range(total), count))
    parts = (Read(refused=read.refused), Read())
    for index in range(total):
        part = parts[index in drawn]
        part.conversations.append(read.conversations[index])
        part.places.append(read.places[index])
    return parts


def _tokenise(
    read: Read, template: Template, values: Values, report: Reports
) -> tuple[Dataset, dict[str, Any]]:
    rows = [_dumped(one) for one in read.conversations]
    source = Dataset.from_dict({"conversation": rows, "place": list(range(len(rows)))})
    policy = tokens.Policy.of(values)
    work: Callable[..., Any] = partial(tokens.batch, template=template, policy=policy)
    workers = _workers(values, len(rows))
    if workers == 1:
        work = _reporting(work, len(rows), report)
    found = source.map(
        work,
        batched=True,
        batch_size=min(int(str(values.get("preprocessing_batch_size") or 1000)), 1000),
        num_proc=workers if workers > 1 else None,
        remove_columns=source.column_names,
        features=FEATURES,
        keep_in_memory=True,
        new_fingerprint=f"{random.getrandbits(64):016x}",
    )
    for place, code in zip(found["place"], found["refused"], strict=True):
        if code:
            read.refuse(code, *read.places[place])
    kept = found
    if any(found["refused"]):
        kept = found.select([i for i, code in enumerate(found["refused"]) if not code])
    summary = _account(read, kept)
    _tell(_notices(read, summary, policy), report)
    if not len(kept):
        empty = Problem(code="no_rows_left", field="dataset", params={"rows": len(rows)})
        raise DataError(empty, *(one.problem(notice=False) for one in read.refused.values()))
    return kept.select_columns(["input_ids", "labels", "length"]), summary


def _reporting(work: Callable[..., Any], total: int, report: Reports) -> Callable[..., Any]:
    def told(columns: Mapping[str, list[Any]]) -> Any:
        result = work(columns)
        report.progress(columns["place"][-1] + 1, total)
        return result

    return told


def _workers(values: Values, rows: int) -> int:
    """How many processes tokenise: as asked, and no more than cores or rows make use of."""
    wanted = int(str(values.get("preprocessing_num_workers") or 1))
    return max(1, min(wanted, os.cpu_count() or 1, rows // ROWS_A_WORKER))


def _account(read: Read, kept: Dataset) -> dict[str, Any]:
    refused = Counter[str]()
    for one in read.refused.values():
        refused[one.code] += one.count
    return {
        "rows": len(read.conversations),
        "examples": len(kept),
        "cut": sum(kept["cut"]),
        "tokens": sum(kept["length"]),
        "learned_tokens": sum(kept["learned"]),
        "refused": [_refused(one) for one in read.refused.values()],
    }


def _refused(one: Refused) -> dict[str, str | int]:
    return {"reason": one.code, "file": one.file, "line": one.line, "count": one.count}


def _notices(read: Read, summary: dict[str, Any], policy: tokens.Policy) -> list[Problem]:
    notices = [one.problem() for one in read.refused.values()]
    if summary["cut"]:
        params = {"count": summary["cut"], "limit": policy.cutoff_len}
        notices.append(Problem(code="rows_cut", field="cutoff_len", params=params, notice=True))
    return notices


def _tell(notices: list[Problem], report: Reports | None) -> None:
    for notice in notices:
        if report is not None:
            report.notice(notice)
        else:
            logger.warning("%s", notice.text())


def _dumped(one: Conversation) -> str:
    return json.dumps({"messages": one.messages, "tools": one.tools}, ensure_ascii=False)
