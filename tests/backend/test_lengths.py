"""Token lengths: what is counted, and what cutoff, padding and packing make of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.texts.problems import DataError
from backend.data import lengths, templates
from backend.data.lengths import Lengths
from tests.backend.conftest import make_tokenizer, write_dataset


def values(home: Path, **options: Any) -> dict[str, Any]:
    """Arguments on the set x."""
    base = {"dataset": "x", "dataset_dir": str(home / "data"), "stage": "sft", "cutoff_len": 64}
    return {**base, "preprocessing_num_workers": 1, **options}


def measure(options: dict[str, Any], exact: bool = False, **more: Any) -> Lengths:
    """The lengths with the tiny tokenizer."""
    tokenizer = make_tokenizer()
    return lengths.measure(
        resolve(options), templates.load(resolve(options), tokenizer), exact, **more
    )


def test_prompt_and_answer_are_counted_before_the_cutoff(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"instruction": "a", "output": "b" * 400}] * 2)
    sizes = measure(values(workspace, cutoff_len=20, train_on_prompt=True))
    tokenizer = make_tokenizer()
    asked = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
    answer = f"{'b' * 400}<|im_end|>"
    count = len(tokenizer(answer, add_special_tokens=False)["input_ids"])
    whole = len(tokenizer(f"{asked}{answer}\n", add_special_tokens=False)["input_ids"])
    assert (sizes.answer.tolist(), sizes.total.tolist()) == ([count] * 2, [whole] * 2)
    stats = lengths.stats(sizes, resolve(values(workspace, cutoff_len=20)))
    assert stats["cutoff"]["rows_cut"] == 2
    assert stats["cutoff"]["tokens_lost"] == 2 * (whole - 20)
    assert stats["cutoff"]["share_lost"] == pytest.approx((whole - 20) / whole)
    assert sum(stats["histogram"]["total"]) == 2


def test_plain_text_loses_nothing(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"text": "word " * 100}])
    options = values(workspace, stage="pt", cutoff_len=16)
    stats = lengths.stats(measure(options), resolve(options))
    assert (stats["cutoff"]["rows_cut"], stats["cutoff"]["tokens_lost"]) == (1, 0)


def test_the_longer_answer_of_a_preference_counts(workspace: Path) -> None:
    row = {"prompt": "q", "chosen": "short", "rejected": "very " * 30}
    write_dataset(workspace, "x", [row], ranking=True)
    sizes = measure(values(workspace, stage="dpo"))
    assert sizes.answer[0] > 30


def test_a_sample_is_from_all_over_and_exact_is_all(workspace: Path) -> None:
    rows = [{"instruction": "q", "output": "a " * (1 + at // 1000)} for at in range(5000)]
    write_dataset(workspace, "x", rows)
    sample = measure(values(workspace))
    assert (sample.exact, sample.whole, sample.rows) == (False, 5000, 1000)
    assert len(set(sample.answer.tolist())) == 5, "every part of the data is in the sample"
    progress: list[tuple[int, int]] = []
    exact = measure(values(workspace), True, progress=lambda *each: progress.append(each))
    assert (exact.exact, exact.rows, len(exact.total)) == (True, 5000, 5000)
    assert progress[-1] == (5000, 5000)


def test_kept_and_made_anew_when_the_data_changes(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"instruction": "q", "output": "a"}])
    first = measure(values(workspace), True)
    progress: list[Any] = []
    again = measure(
        values(workspace, cutoff_len=7), True, progress=lambda *each: progress.append(each)
    )
    assert (progress, again.total.tolist()) == ([], first.total.tolist())
    write_dataset(workspace, "x", [{"instruction": "q", "output": "b " * 9}])
    assert measure(values(workspace), True).total[0] > first.total[0]


def test_refused_rows_are_counted(workspace: Path) -> None:
    rows = [{"instruction": "q", "output": "a"}, {"instruction": "q", "output": " "}]
    write_dataset(workspace, "x", rows)
    for exact in (False, True):
        sizes = measure(values(workspace), exact)
        assert (sizes.rows, sizes.refused, len(sizes.total)) == (2, 1, 1)
    write_dataset(workspace, "x", rows[1:])
    with pytest.raises(DataError):
        measure(values(workspace))


def test_padding_and_packing() -> None:
    """Worked by hand: batches of 2 of [10, 10, 30, 30] waste nothing when they are grouped."""
    sizes = np.asarray([10, 30, 10, 30], dtype=np.int32)
    assert lengths.padding(sizes, 2, True) == 0
    assert lengths.padding(sizes, 4, False) == pytest.approx(1 - 80 / 120)
    assert lengths.padding(sizes, 1, False) == 0
    sample = Lengths(sizes * 0, sizes, 4, 0, 4, True)
    stats = lengths.stats(sample, resolve({"cutoff_len": 40, "per_device_train_batch_size": 4}))
    assert stats["packing"]["sequences"] == 2
    assert stats["packing"]["filled"] == 1
    assert stats["packing"]["saved"] == pytest.approx(1 / 3)
    assert stats["padding"]["random"] == pytest.approx(1 / 3)
