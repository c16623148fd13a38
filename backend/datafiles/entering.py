"""Make the entry in dataset_info.json for a file or folder, with an example of how it is read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.contract.arguments.field import Value
from backend.contract.folders.home import describe_places, find
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import folder_of
from backend.contract.texts.problems import DataError, Params, Problem
from backend.datafiles import detect, values
from backend.datafiles.detect import Entry, Proposal
from backend.datafiles.formats import Conversation
from backend.datafiles.samples import Sample, sample
from backend.datafiles.turns import Message, RowError


@dataclass(frozen=True)
class Example:
    """A row with the conversation that is learned from it, or the problem that prevents it."""

    row: Mapping[str, Any]
    conversation: Conversation | None = None
    problem: Problem | None = None
    place: tuple[str, int] = ("-", 1)

    def notices(self) -> list[Problem]:
        """Notices of what was mended in the row."""
        params: Params = {"file": self.place[0], "line": self.place[1], "count": 1}
        notes = self.conversation.notes if self.conversation else ()
        return [Problem(code=code, params=params, notice=True) for code in notes]

    def to_json(self) -> dict[str, object]:
        """The fields of the conversation that are not empty, or the text of the problem."""
        if self.conversation is None:
            return {"problem": self.problem.text() if self.problem else ""}
        fields = vars(self.conversation)
        return {key: value for key, value in fields.items() if value not in (None, "", [], ())}

    def text(self) -> str:
        """The example as `tuneboard data register` prints it, one or more lines a message."""
        conversation = self.conversation
        if conversation is None:
            return self.problem.text() if self.problem else ""
        turns = [(str(each["role"]), each) for each in conversation.messages]
        turns += [
            (name, each) for name in ("chosen", "rejected") if (each := getattr(conversation, name))
        ]
        lines = [f"{who}: {_message_text(each)}" for who, each in turns]
        lines += [conversation.text] if conversation.text else []
        lines += [f"kto_tag: {conversation.label}"] if conversation.label is not None else []
        lines += [notice.text() for notice in self.notices()]
        return "\n".join(lines)


def _message_text(message: Message) -> str:
    calls = message.get("tool_calls")
    return "\n".join(filter(None, [message["content"], values.dumps(calls) if calls else ""]))


def example(entry: Entry, first: Sample, stage: str) -> Example:
    """Convert the first row of a sample under an entry, as the stage would learn it."""
    row, place = first.rows[0], (first.file, first.lines[0])
    try:
        return Example(row, detect.convert_row(entry, row, stage, place), place=place)
    except RowError as error:
        params: dict[str, str | int] = {"file": place[0], "line": place[1], "count": 1}
        return Example(row, problem=Problem(code=error.code, params=params))
    except DataError as error:
        return Example(row, problem=error.problems[0])


def kind_of(entry: Entry) -> str:
    """The kind of data that an entry describes: a key of detect.STAGES."""
    columns = entry.get("columns") or {}
    if entry.get("ranking") or columns.get("chosen") or columns.get("rejected"):
        return "preference"
    if columns.get("kto_tag"):
        return "kto"
    chat = columns.get("response") or columns.get("messages") or entry.get("formatting")
    return "sft" if chat or not columns else "text"


def kind_of_set(entry: dataset_info.Entry) -> str:
    """The kind of a registered set, by its entry, else by its first rows: a key of
    detect.STAGES."""
    known = kind_of(
        {"ranking": entry.ranking, "columns": entry.columns, "formatting": entry.formatting}
    )
    silent = entry.columns is None and not entry.ranking and not entry.formatting
    if not silent or entry.path is None:
        return known
    try:
        return detect.propose(sample(entry.path)).kind or known
    except DataError:
        return known


def place(path: Path, dataset_dir: Value) -> str:
    """The file_name of an entry for a file or folder: relative to dataset_dir where it can be."""
    there = Path(os.path.normpath(find(path)))
    folder = folder_of(dataset_dir)
    return str(there.relative_to(folder)) if there.is_relative_to(folder) else str(there)


def file_of(path: Path) -> Path:
    """The file or folder that a path means, see home.find. Raises DataError where it is missing."""
    there = find(path)
    if not os.path.lexists(there):
        raise DataError(Problem(code="data_file_missing", params={"file": describe_places(path)}))
    return there


def propose_file(path: Path) -> tuple[Proposal, Sample]:
    """Propose a layout for a file; also returns the first rows on which it is based.

    Raises DataError where nothing can be read or no layout fits.
    """
    first = sample(file_of(path))
    proposal = detect.propose(first)
    if not proposal.kind:
        raise DataError(
            *(Problem(code=reason.code, params=reason.params) for reason in proposal.reasons)
        )
    return proposal, first
