"""Prepared rows are kept by what they were made from; a dead worker is an error."""

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import DataError
from backend.data import cache, examples, prepare, templates, tokenize
from tests.backend.conftest import CHATML, make_tokenizer, write_dataset
from tests.backend.test_data_prepare import VALUES, Told


def rows(count: int = 6) -> list[dict[str, str]]:
    return [{"instruction": f"question {n}", "output": f"answer {n}"} for n in range(count)]


class Counting:
    """Counts how often rows are tokenized."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        inner = examples.Maker.__call__

        def counted(maker: Any, batches: Any) -> Any:
            self.calls += 1
            return inner(maker, batches)

        monkeypatch.setattr(examples.Maker, "__call__", counted)

    def made(self, tokenizer: Any = None, **values: Any) -> tuple[int, prepare.Prepared]:
        """How often rows were tokenized for these values, and what was prepared."""
        before, options = self.calls, {**VALUES, **values}
        tokenizer = tokenizer or make_tokenizer()
        prepared = prepare.prepare_training(
            resolve(options), tokenizer, templates.load(resolve(options), tokenizer), Told()
        )
        return self.calls - before, prepared


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


def test_the_same_data_is_tokenized_once(workspace: Path, counting: Counting) -> None:
    bad = {"instruction": "q", "output": ""}
    write_dataset(workspace, "x", [*rows(), bad])
    first, second = counting.made(), counting.made()
    assert (first[0], second[0]) == (1, 0)
    assert first[1].train.to_list() == second[1].train.to_list()
    assert first[1].summary == second[1].summary
    assert counting.made(val_size=0.5)[0] == 0  # the split is drawn from what is there
    assert counting.made(overwrite_cache=True)[0] == 1


def test_the_key_is_the_same_in_every_process() -> None:
    """A set is written in an order that differs from process to process, an object with its
    address: nothing was found again, and a run resumed unchanged was told that its data is other.
    """
    for name in ("auto", "vicuna"):
        template = templates.load(resolve({**VALUES, "template": name}), make_tokenizer())
        written = str(cache.template(template))
        assert dict(cache.template(template))["jinja"] == template.jinja
        for word in ("set({", " at 0x"):
            assert word not in written


def test_whatever_matters_makes_it_anew(workspace: Path, counting: Counting) -> None:
    path = write_dataset(workspace, "x", rows())
    assert counting.made()[0] == 1
    for change in (
        {"cutoff_len": 20},
        {"template": "vicuna"},
        {"default_system": "Be brief."},
        {"mask_history": True},
        {"train_on_prompt": True},
        {"max_samples": 3},
        {"stage": "grpo"},
        {"tokenizer": make_tokenizer("<more>")},
        {"tokenizer": make_tokenizer(template=CHATML.replace("\n", " "))},
    ):
        assert counting.made(**change)[0] == 1, change
        assert counting.made(**change)[0] == 0, change
    path.write_text(path.read_text().replace("answer 3", "answer 4"))
    assert counting.made()[0] == 1
    write_dataset(workspace, "x", rows(), columns={"prompt": "output", "response": "instruction"})
    assert counting.made()[0] == 1


def test_names_filled_in_matter(workspace: Path, counting: Counting) -> None:
    write_dataset(workspace, "x", [{"instruction": "q", "output": "{{name}}"}], placeholders=True)
    first = counting.made(identity_name="Nova")[1].train
    two = counting.made(identity_name="Vera")[1].train
    assert first["input_ids"] != two["input_ids"]


def test_a_cut_off_preparation_leaves_nothing(
    workspace: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(workspace, "x", rows())

    def broken(*_: Any) -> Any:
        raise RuntimeError("half way")

    with monkeypatch.context() as patch:
        patch.setattr(examples.Maker, "__call__", broken)
        with pytest.raises(RuntimeError, match="half way"):
            counting.made()
    assert [each.name for each in cache.folder().iterdir() if each.is_dir()] == []
    assert len(counting.made()[1].train) == 6


def test_the_oldest_go_when_there_is_too_much(
    workspace: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(workspace, "x", rows())
    for limit in (30, 40, 50):
        counting.made(cutoff_len=limit)
        time.sleep(0.01)
    size = max(each.stat().st_size for each in cache.folder().glob("*/rows.arrow"))
    monkeypatch.setattr(cache, "LIMIT", 3 * size)
    counting.made(cutoff_len=30)  # used again
    counting.made(cutoff_len=60)
    assert [counting.made(cutoff_len=limit)[0] for limit in (30, 50, 60)] == [0, 0, 0]
    assert counting.made(cutoff_len=40)[0] == 1


def test_prepared_data_in_a_folder_of_ones_own(workspace: Path, counting: Counting) -> None:
    write_dataset(workspace, "x", rows())
    options = {"tokenized_path": "kept/rows", "val_size": 2.0, "neat_packing": True}
    first = counting.made(**options)[1]
    (workspace / "data" / "x.json").unlink()
    calls, again = counting.made(**{**options, "dataset": None})
    assert calls == 0
    assert again.train.to_list() == first.train.to_list()
    assert again.evaluation.to_list() == first.evaluation.to_list()  # type: ignore[union-attr]
    assert not list(workspace.rglob("*.pkl"))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"stage": "dpo"}, "tokenized_wrong"),
        ({"cutoff_len": 20}, "tokenized_other"),
        ({"template": "vicuna"}, "tokenized_other"),
        ({"tokenized_path": "data"}, "tokenized_wrong"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(
    workspace: Path, counting: Counting, change: dict[str, Any], code: str
) -> None:
    write_dataset(workspace, "x", rows())
    counting.made(tokenized_path="kept")
    with pytest.raises(DataError) as caught:
        counting.made(**{"tokenized_path": "kept", **change})
    assert [(problem.code, problem.field) for problem in caught.value.problems] == [
        (code, "tokenized_path")
    ]


def double(number: int) -> int:
    return 2 * number


def die(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number


def test_work_comes_back_in_order_and_is_read_ahead_a_little() -> None:
    taken = 0

    def batches() -> Any:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    results = tokenize.map_batches(double, batches(), 2)
    assert next(results) == 0
    assert taken <= 2 * tokenize.WAITING + 1
    assert list(results) == [2 * number for number in range(1, 100)]


def test_a_dead_worker_is_an_error_and_no_hang() -> None:
    with pytest.raises(DataError) as caught:
        list(tokenize.map_batches(die, range(20), 2))
    assert caught.value.problems[0].code == "worker_died"
    assert multiprocessing.active_children() == []


def test_a_dead_worker_of_a_real_run(
    workspace: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(workspace, "x", rows(60))
    monkeypatch.setattr(tokenize, "ROWS_A_WORKER", 10)
    monkeypatch.setattr(tokenize, "_cores", lambda: 2)
    here = os.getpid()
    inner = examples.Maker.__call__

    def killed(maker: Any, batches: Any) -> Any:
        if os.getpid() != here:
            os._exit(1)
        return inner(maker, batches)

    monkeypatch.setattr(examples.Maker, "__call__", killed)
    with pytest.raises(DataError) as caught:
        counting.made(preprocessing_batch_size=16)
    assert caught.value.problems[0].code == "worker_died"
    assert [each for each in cache.folder().iterdir() if each.is_dir()] == []


def test_processes_follow_from_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenize, "_cores", lambda: 8)
    assert tokenize.count_workers(Arguments(), 100) == 1
    assert tokenize.count_workers(Arguments(), 10**6) == 8
    assert tokenize.count_workers(resolve({"preprocessing_num_workers": 3}), 10**6) == 3
    assert tokenize.count_workers(resolve({"preprocessing_num_workers": 64}), 10**6) == 8
