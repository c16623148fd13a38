"""Streams: rows made while they are learned, in an order that the seed alone decides."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.rules import check_rules
from backend.contract.registry import dataset_info
from backend.contract.runs import metrics
from backend.contract.texts.problems import DataError
from backend.data import prepare, templates
from tests.backend.conftest import make_tokenizer, write_dataset
from tests.backend.test_data_prepare import VALUES, Told
from tests.backend.training import train_small

STREAM: dict[str, Any] = {"streaming": True, "buffer_size": 8, "max_steps": 4}


def rows(count: int, name: str = "q") -> list[dict[str, str]]:
    return [{"instruction": f"{name} {n}", "output": "answer " * (n % 5 + 1)} for n in range(count)]


def open_stream(report: Told | None = None, **values: Any) -> prepare.Prepared:
    tokenizer = make_tokenizer()
    options = resolve({**VALUES, **STREAM, **values})
    return prepare.prepare_training(
        options, tokenizer, templates.load(options, tokenizer), report or Told()
    )


def first(prepared: prepare.Prepared, count: int) -> list[dict[str, Any]]:
    return list(itertools.islice(prepared.train, count))


def test_a_stream_gives_the_rows_of_the_whole_again_and_again(workspace: Path) -> None:
    write_dataset(workspace, "x", rows(20))
    whole = Counter(tuple(ids) for ids in open_stream(streaming=False).train["input_ids"])
    streamed = [tuple(row["input_ids"]) for row in first(open_stream(), 40)]
    assert Counter(streamed[:20]) == whole
    assert Counter(streamed[20:]) == whole
    assert streamed[:20] != streamed[20:]
    assert streamed == [tuple(row["input_ids"]) for row in first(open_stream(), 40)]
    assert streamed != [tuple(row["input_ids"]) for row in first(open_stream(seed=8), 40)]


def test_the_order_of_the_data_can_be_kept(workspace: Path) -> None:
    write_dataset(workspace, "x", rows(6))
    whole = list(open_stream(streaming=False).train["input_ids"])
    streamed = first(open_stream(disable_shuffling=True), 12)
    assert [row["input_ids"] for row in streamed] == whole * 2


@pytest.mark.parametrize("stage", ["sft", "rm", "kto", "pt"])
def test_every_stage_gets_the_columns_it_gets_otherwise(workspace: Path, stage: str) -> None:
    rows_by_stage: dict[str, Any] = {
        "sft": rows(5),
        "rm": [{"prompt": f"q {n}", "chosen": "a", "rejected": "b"} for n in range(5)],
        "kto": [{"prompt": f"q {n}", "completion": f"a {n}", "label": n > 2} for n in range(5)],
        "pt": [{"text": "some words " * 20} for n in range(5)],
    }
    write_dataset(
        workspace, "x", rows_by_stage[stage], **({"ranking": True} if stage == "rm" else {})
    )
    options: dict[str, Any] = {"stage": stage, "cutoff_len": 32, "disable_shuffling": True}
    whole = open_stream(streaming=False, **options).train
    streamed = first(open_stream(**options), len(whole))
    assert list(streamed[0]) == whole.column_names == open_stream(**options).train.column_names
    assert streamed == whole.to_list()


@pytest.mark.parametrize("name", ["packing", "neat_packing"])
def test_a_stream_is_packed(workspace: Path, name: str) -> None:
    write_dataset(workspace, "x", rows(30))
    whole = open_stream(streaming=False, **{name: True}, cutoff_len=64).train
    streamed = first(open_stream(**{name: True}, cutoff_len=64, disable_shuffling=True), len(whole))
    assert streamed == whole.to_list()
    assert ("position_ids" in streamed[0]) == (name == "neat_packing")


def test_validation_rows_are_the_first_and_never_learned(workspace: Path) -> None:
    write_dataset(workspace, "x", rows(6, "x"))
    write_dataset(workspace, "y", rows(6, "y"))
    prepared = open_stream(dataset="x,y", val_size=3.0)
    assert prepared.evaluation is not None
    held = {tuple(ids) for ids in prepared.evaluation["input_ids"]}
    assert len(held) == 3
    learned = {tuple(row["input_ids"]) for row in first(prepared, 40)}
    assert len(learned) == 9
    assert not held & learned


MIXED = [
    ("concat", {"x": 40, "y": 4}),
    ("interleave_once", {"x": 40, "y": 4}),
    ("interleave_over", None),
    ("interleave_under", None),
]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(("strategy", "counts"), MIXED)
def test_sets_are_mixed(
    workspace: Path, strategy: str, counts: dict[str, int] | None, streaming: bool
) -> None:
    write_dataset(workspace, "x", rows(40, "x"))
    write_dataset(workspace, "y", rows(4, "y"))
    options = {"dataset": "x,y", "mix_strategy": strategy, "interleave_probs": "1,1"}
    prepared = open_stream(**options, streaming=streaming)
    one_pass = list(prepared.train.iterate_pass(0) if streaming else prepared.train)
    decode = make_tokenizer().decode
    drawn = Counter("x" if "x " in decode(row["input_ids"]) else "y" for row in one_pass)
    if counts:
        assert drawn == counts
    elif strategy == "interleave_over":
        assert drawn["x"] >= 40
        assert drawn["y"] > 4
    else:
        assert drawn["y"] == 4
        assert drawn["x"] < 40


def test_probabilities_decide_how_often_a_set_is_drawn(workspace: Path) -> None:
    for name in ("x", "y"):
        write_dataset(workspace, name, rows(400, name))
    options = {"dataset": "x,y", "mix_strategy": "interleave_under", "interleave_probs": "3, 1"}
    decode = make_tokenizer().decode
    counts = Counter("x " in decode(row["input_ids"]) for row in first(open_stream(**options), 400))
    assert 0.68 < counts[True] / 400 < 0.82


@pytest.mark.parametrize("shares", ["1", "1,2,3"])
def test_probabilities_are_one_for_each_set(workspace: Path, shares: str) -> None:
    for name in ("x", "y"):
        write_dataset(workspace, name, rows(2))
    values = {"dataset_dir": "data", "dataset": "x,y", "mix_strategy": "interleave_over"}
    problems = dataset_info.check(resolve({**values, "interleave_probs": shares}), "train")
    assert [problem.code for problem in problems] == ["interleave_probs"]
    assert dataset_info.check(resolve({**values, "interleave_probs": "0.5,0.5"}), "train") == []


def test_rows_left_out_of_a_stream_are_said_once(workspace: Path) -> None:
    bad = [{"instruction": "q", "output": ""}] * 3
    long = [{"instruction": "word " * 90, "output": "a"}, {"instruction": "q", "output": "a " * 90}]
    write_dataset(workspace, "x", [*rows(3), *bad, *long])
    report = Told()
    first(open_stream(report, cutoff_len=60), 12)
    codes = Counter(notice.code for notice in report.notices)
    assert codes["stream_left_out"] == 2  # an empty answer; an answer beyond the cutoff length
    assert codes["stream_cut"] >= 1


def test_a_stream_without_a_row_ends(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"instruction": "word " * 90, "output": "a"}])
    with pytest.raises(DataError) as caught:
        first(open_stream(cutoff_len=8), 1)
    assert caught.value.problems[0].code == "no_rows_left"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, "streaming_needs_steps"),
        ({"max_steps": 3, "max_samples": 5}, "streaming_max_samples"),
        ({"max_steps": 3, "val_size": 0.1}, "streaming_val_size"),
        ({"max_steps": 3, "tokenized_path": "x"}, "streaming_saved"),
        ({"max_steps": 3, "stage": "ppo"}, "streaming_stage"),
        ({"max_steps": 3, "group_by_length": True}, "streaming_not_grouped"),
    ],
)
def test_what_a_stream_needs_is_said_before_the_start(values: dict[str, Any], code: str) -> None:
    options = {"model_name_or_path": "m", "dataset": "x", "streaming": True, "do_train": True}
    codes = [problem.code for problem in check_rules({**options, **values}, "train")]
    assert [each for each in codes if each.startswith("streaming")] == [code]
    off = check_rules({**options, **values, "streaming": False}, "train")
    assert code not in [problem.code for problem in off]


def test_a_resumed_stream_goes_on_where_it_was(workspace: Path, tiny_model_dir: Path) -> None:
    """12 steps of 4 rows pass the 30 rows of the set: the second pass is reached, too."""
    options = {
        "streaming": True,
        "buffer_size": 8,
        "save_steps": 9,
        "logging_steps": 1,
        "finetuning_type": "full",
    }
    whole = train_small(workspace, tiny_model_dir, "whole", max_steps=12, **options)
    from_it = str(whole / "checkpoint-9")
    again = train_small(
        *(workspace, tiny_model_dir, "again"),
        max_steps=12,
        resume_from_checkpoint=from_it,
        **options,
    )
    expected, resumed = ({row.step: row.loss for row in read(each)} for each in (whole, again))
    assert set(resumed) == {10, 11, 12}
    assert resumed == {step: expected[step] for step in resumed}
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def read(folder: Path) -> list[metrics.Metrics]:
    return [row for row in metrics.read(folder / "metrics.jsonl", 0)[0] if row.loss is not None]


def test_a_stream_is_evaluated_on_the_rows_held_back(workspace: Path, tiny_model_dir: Path) -> None:
    folder = train_small(workspace, tiny_model_dir, streaming=True, val_size=5)
    logged = metrics.read(folder / "metrics.jsonl", 0)[0]
    assert [row.eval_loss for row in logged if row.eval_loss is not None]
