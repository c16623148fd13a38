"""Token lengths: what is counted, and what cutoff, padding and packing make of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.contract.arguments.arguments import resolved
from backend.contract.base.problems import DataError
from backend.data import lengths, templates
from backend.data.lengths import Lengths
from tests.backend.conftest import make_tokenizer, write_dataset


def values(home: Path, **given: Any) -> dict[str, Any]:
    """Arguments on the set x."""
    base = {"dataset": "x", "dataset_dir": str(home / "data"), "stage": "sft", "cutoff_len": 64}
    return {**base, "preprocessing_num_workers": 1, **given}


def measured(given: dict[str, Any], exact: bool = False, **more: Any) -> Lengths:
    """The lengths with the tiny tokenizer."""
    tokenizer = make_tokenizer()
    return lengths.measure(
        resolved(given), templates.load(resolved(given), tokenizer), exact, **more
    )


def test_prompt_and_answer_are_counted_before_the_cutoff(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"instruction": "a", "output": "b" * 400}] * 2)
    found = measured(values(workspace, cutoff_len=20, train_on_prompt=True))
    tokenizer = make_tokenizer()
    asked = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
    answer = f"{'b' * 400}<|im_end|>"
    count = len(tokenizer(answer, add_special_tokens=False)["input_ids"])
    whole = len(tokenizer(f"{asked}{answer}\n", add_special_tokens=False)["input_ids"])
    assert (found.answer.tolist(), found.total.tolist()) == ([count] * 2, [whole] * 2)
    told = lengths.stats(found, resolved(values(workspace, cutoff_len=20)))
    assert told["cutoff"]["rows_cut"] == 2
    assert told["cutoff"]["tokens_lost"] == 2 * (whole - 20)
    assert told["cutoff"]["share_lost"] == pytest.approx((whole - 20) / whole)
    assert sum(told["histogram"]["total"]) == 2


def test_plain_text_loses_nothing(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"text": "word " * 100}])
    given = values(workspace, stage="pt", cutoff_len=16)
    told = lengths.stats(measured(given), resolved(given))
    assert (told["cutoff"]["rows_cut"], told["cutoff"]["tokens_lost"]) == (1, 0)


def test_the_longer_answer_of_a_preference_counts(workspace: Path) -> None:
    row = {"prompt": "q", "chosen": "short", "rejected": "very " * 30}
    write_dataset(workspace, "x", [row], ranking=True)
    found = measured(values(workspace, stage="dpo"))
    assert found.answer[0] > 30


def test_a_sample_is_from_all_over_and_exact_is_all(workspace: Path) -> None:
    rows = [{"instruction": "q", "output": "a " * (1 + at // 1000)} for at in range(5000)]
    write_dataset(workspace, "x", rows)
    sample = measured(values(workspace))
    assert (sample.exact, sample.whole, sample.rows) == (False, 5000, 1000)
    assert len(set(sample.answer.tolist())) == 5, "every part of the data is in the sample"
    told: list[tuple[int, int]] = []
    exact = measured(values(workspace), True, progress=lambda *each: told.append(each))
    assert (exact.exact, exact.rows, len(exact.total)) == (True, 5000, 5000)
    assert told[-1] == (5000, 5000)


def test_kept_and_made_anew_when_the_data_changes(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"instruction": "q", "output": "a"}])
    first = measured(values(workspace), True)
    told: list[Any] = []
    again = measured(
        values(workspace, cutoff_len=7), True, progress=lambda *each: told.append(each)
    )
    assert (told, again.total.tolist()) == ([], first.total.tolist())
    write_dataset(workspace, "x", [{"instruction": "q", "output": "b " * 9}])
    assert measured(values(workspace), True).total[0] > first.total[0]


def test_refused_rows_are_counted(workspace: Path) -> None:
    rows = [{"instruction": "q", "output": "a"}, {"instruction": "q", "output": " "}]
    write_dataset(workspace, "x", rows)
    for exact in (False, True):
        found = measured(values(workspace), exact)
        assert (found.rows, found.refused, len(found.total)) == (2, 1, 1)
    write_dataset(workspace, "x", rows[1:])
    with pytest.raises(DataError):
        measured(values(workspace))


def test_padding_and_packing() -> None:
    """Worked by hand: batches of 2 of [10, 10, 30, 30] waste nothing when they are grouped."""
    sizes = np.asarray([10, 30, 10, 30], dtype=np.int32)
    assert lengths.padding(sizes, 2, True) == 0
    assert lengths.padding(sizes, 4, False) == pytest.approx(1 - 80 / 120)
    assert lengths.padding(sizes, 1, False) == 0
    found = Lengths(sizes * 0, sizes, 4, 0, 4, True)
    told = lengths.stats(found, resolved({"cutoff_len": 40, "per_device_train_batch_size": 4}))
    assert told["packing"]["sequences"] == 2
    assert told["packing"]["filled"] == 1
    assert told["packing"]["saved"] == pytest.approx(1 / 3)
    assert told["padding"]["random"] == pytest.approx(1 / 3)
