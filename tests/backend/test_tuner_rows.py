"""Rows that torch holds, given to the Tuner: its datasets, its tensors, tables shown as tensors."""

import json
from pathlib import Path
from typing import Any

import datasets
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset

from backend.contract.folders.home import find
from backend.tuner import rows

ROWS = [{"prompt": "What is 1 plus 1?", "response": "2"}, {"prompt": "And 2?", "response": "3"}]


class Mapped(Dataset[Any]):
    """A map-style dataset: no __iter__, and it never raises IndexError."""

    def __init__(self, content: list[Any]) -> None:
        self._content = content

    def __len__(self) -> int:
        return len(self._content)

    def __getitem__(self, index: int) -> Any:
        return self._content[index % len(self._content)]


def read(data: object) -> list[Any]:
    """The rows of the file that data given stands for."""
    file = find(rows.set_names(data, "dataset", None))
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_what_torch_holds_is_plain_rows(workspace: Path) -> None:
    """A map-style dataset was said to hold no rows; NaN in a tensor is nothing, as in a frame."""
    table = datasets.Dataset.from_list(ROWS)
    kinds = [
        Mapped(ROWS),
        Subset(Mapped([*ROWS, *ROWS]), [2, 1]),
        ConcatDataset([Mapped(ROWS[:1]), Mapped(ROWS[1:])]),
        table.with_format("torch"),
        table.to_iterable_dataset().with_format("torch"),
    ]
    assert len([kind for kind in kinds if read(kind) == ROWS]) == 5
    row = {**ROWS[0], "weights": torch.tensor([1.0, float("nan")]), "id": torch.tensor(7)}
    assert read(Mapped([row])) == [{**ROWS[0], "weights": [1.0, None], "id": 7}]
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    marked = [{**row, "kto_tag": bool(index)} for index, row in enumerate(ROWS)]
    assert read({**columns, "kto_tag": torch.tensor([False, True])}) == marked
    row = {**ROWS[0], "ids": [1, 2], "more": {"x": 0.5}}
    for shown in ("torch", "pandas", "arrow", "numpy"):
        assert read(datasets.Dataset.from_list([row]).with_format(shown)) == [row], shown
