"""From files to what the trainer eats: splits, cutoff, packing, and an account of every row."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.cli.commands import dispatch
from backend.contract.arguments.arguments import resolve
from backend.contract.texts.problems import DataError, Problem
from backend.data import packing, prepare, templates, tokenize
from backend.running.report import Report
from tests.backend.conftest import make_tokenizer, write_dataset

VALUES: dict[str, Any] = {
    "dataset_dir": "data",
    "dataset": "x",
    "template": "auto",
    "cutoff_len": 512,
    "seed": 7,
    "preprocessing_batch_size": 1000,
}


class Told:
    """A report that remembers."""

    def __init__(self) -> None:
        self.notices: list[Problem] = []
        self.steps: list[tuple[int, int]] = []

    def notice(self, problem: Problem) -> None:
        self.notices.append(problem)

    def progress(self, step: int, total: int) -> None:
        self.steps.append((step, total))


def rows(count: int) -> list[dict[str, str]]:
    return [
        {"instruction": f"question {n}", "output": "answer " * (n % 9 + 1)} for n in range(count)
    ]


def prepare_set(report: Told | None = None, **values: Any) -> prepare.Prepared:
    tokenizer = make_tokenizer()
    options = resolve({**VALUES, **values})
    return prepare.prepare_training(
        options, tokenizer, templates.load(options, tokenizer), report or Told()
    )


def test_rows_become_ids_and_labels(workspace: Path) -> None:
    write_dataset(workspace, "x", rows(20))
    report = Told()
    prepared = prepare_set(report)
    assert prepared.train is not None
    assert prepared.train.column_names == ["input_ids", "labels", "length"]
    assert len(prepared.train) == 20
    assert prepared.evaluation is None
    assert [len(row["input_ids"]) for row in prepared.train] == prepared.train["length"]
    summary = prepared.summary["train"]
    assert summary["tokens"] == sum(prepared.train["length"])
    learned = sum(label != -100 for row in prepared.train for label in row["labels"])
    assert (summary["rows"], summary["learned_tokens"], summary["cut"]) == (20, learned, 0)
    assert report.notices == []
    assert report.steps[-1] == (20, 20)


def test_nothing_is_left_out_silently(workspace: Path) -> None:
    long = {"instruction": "word " * 300, "output": "a"}
    cut = {"instruction": "q", "output": "a " * 400}
    write_dataset(workspace, "x", [*rows(3), {"instruction": "q", "output": ""}, long, cut])
    report = Told()
    summary = prepare_set(report, cutoff_len=64).summary["train"]
    assert [notice.code for notice in report.notices] == [
        "row_empty_answer",
        "row_cut_away",
        "rows_cut",
    ]
    assert [(row["reason"], row["line"], row["count"]) for row in summary["refused"]] == [
        ("row_empty_answer", 1, 1),
        ("row_cut_away", 1, 1),
    ]
    assert (summary["rows"], summary["examples"], summary["cut"]) == (5, 4, 1)
    assert all(notice.notice and notice.text("zh") for notice in report.notices)


def test_no_row_left_is_an_error(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"instruction": "word " * 300, "output": "a"}])
    with pytest.raises(DataError) as caught:
        prepare_set(cutoff_len=8)
    assert [problem.code for problem in caught.value.problems] == ["no_rows_left", "row_cut_away"]


@pytest.mark.parametrize(("size", "held"), [(0.25, 5), (3.0, 3), (0.001, 1)])
def test_a_validation_split_is_seeded_and_apart(workspace: Path, size: float, held: int) -> None:
    write_dataset(workspace, "x", rows(20))
    first, again = prepare_set(val_size=size), prepare_set(val_size=size)
    assert first.train is not None
    assert first.evaluation is not None
    assert (len(first.train), len(first.evaluation)) == (20 - held, held)
    assert first.evaluation["input_ids"] == again.evaluation["input_ids"]
    both = [*first.train["input_ids"], *first.evaluation["input_ids"]]
    assert len({tuple(ids) for ids in both}) == 20
    other = prepare_set(val_size=size, seed=8)
    assert held == 20 or other.evaluation["input_ids"] != first.evaluation["input_ids"]


def test_a_split_that_takes_all_is_refused(workspace: Path) -> None:
    write_dataset(workspace, "x", rows(3))
    with pytest.raises(DataError, match="val_size"):
        prepare_set(val_size=3.0)


def test_an_own_evaluation_set(workspace: Path) -> None:
    write_dataset(workspace, "x", rows(5))
    write_dataset(workspace, "y", rows(2))
    prepared = prepare_set(eval_dataset="y")
    assert prepared.evaluation is not None
    assert len(prepared.evaluation) == 2
    only = prepare_set(dataset=None, eval_dataset="y")
    assert only.train is None
    assert only.evaluation is not None


def test_several_processes_give_the_same(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(workspace, "x", rows(40))
    examples = prepare_set().train
    monkeypatch.setattr(tokenize, "ROWS_A_WORKER", 10)
    monkeypatch.setattr(tokenize, "_cores", lambda: 2)
    two = prepare_set(preprocessing_num_workers=16, overwrite_cache=True).train
    assert examples is not None
    assert two is not None
    assert examples.to_list() == two.to_list()


def test_bins_hold_every_row_once_and_waste_little() -> None:
    lengths = [(n * 37) % 100 + 1 for n in range(500)]
    groups = packing.bins(lengths, 128)
    assert sorted(index for each in groups for index in each) == list(range(500))
    assert all(sum(lengths[index] for index in each) <= 128 for each in groups)
    assert len(groups) <= 1.05 * sum(lengths) / 128 + 1
    assert groups == sorted(groups)


def test_neatly_packed_rows_do_not_see_each_other(workspace: Path, tiny_model_dir: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    write_dataset(workspace, "x", rows(12))
    alone, together = prepare_set().train, prepare_set(neat_packing=True).train
    assert alone is not None
    assert together is not None
    assert len(together) < len(alone)
    assert sum(together["length"]) == sum(alone["length"])
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, attn_implementation="sdpa").eval()
    row = together[0]
    starts = [at for at, position in enumerate(row["position_ids"]) if position == 0]
    assert len(starts) > 1
    assert all(row["labels"][at] == -100 for at in starts)
    with torch.no_grad():
        packed = model(
            input_ids=torch.tensor([row["input_ids"]]),
            position_ids=torch.tensor([row["position_ids"]]),
            use_cache=False,
        ).logits[0]
        for start, end in zip(starts, [*starts[1:], row["length"]], strict=True):
            single = model(input_ids=torch.tensor([row["input_ids"][start:end]])).logits[0]
            torch.testing.assert_close(packed[start:end], single, atol=1e-4, rtol=1e-3)


def test_prompts_end_where_the_answer_begins(workspace: Path) -> None:
    write_dataset(workspace, "x", rows(3))
    tokenizer = make_tokenizer()
    options = resolve({**VALUES, "eval_dataset": "x"})
    prompts = prepare.prepare_prompts(options, tokenizer, templates.load(options, tokenizer))
    assert [row.label for row in prompts] == [row["output"] for row in rows(3)]
    assert tokenizer.decode(prompts[0].prompt_ids).endswith("<|im_start|>assistant\n")
    assert prompts[0].messages == [{"role": "user", "content": "question 0"}]


def test_prompts_that_are_cut_are_said(workspace: Path) -> None:
    """Scores of half-read questions were once given without a word."""
    write_dataset(workspace, "x", [*rows(2), {"instruction": "long " * 100, "output": "a"}])
    tokenizer = make_tokenizer()
    options = resolve({**VALUES, "eval_dataset": "x", "cutoff_len": 60})
    report = Report(workspace)
    prompts = prepare.prepare_prompts(
        options, tokenizer, templates.load(options, tokenizer), report
    )
    assert max(len(row.prompt_ids) for row in prompts) == 60
    notices = json.loads((workspace / "status.json").read_text())["notices"]
    assert [(row["code"], row["params"]["count"]) for row in notices] == [("prompts_cut", 1)]


def test_inspection_prints_what_is_trained(
    workspace: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(workspace, "x", rows(4))
    words = ["--dataset", "x", "--model_name_or_path", str(tiny_model_dir), "--rows", "1:3"]
    assert dispatch(["data", "tokens", "--json", *words]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    train = prepare_set().train
    assert train is not None
    assert [row["input_ids"] for row in lines] == train["input_ids"][1:3]
    assert [row["labels"] for row in lines] == train["labels"][1:3]
    assert "".join(lines[0]["tokens"]) == lines[0]["text"]
