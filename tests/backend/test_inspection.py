"""`tuneboard data tokens` and the page's child: the rows as training makes them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend.cli.commands import dispatch
from backend.contract.texts.problems import UsageError
from backend.data import inspection, prepare, templates
from backend.model import load
from backend.running.report import Report
from tests.backend.conftest import write_dataset

PAIRS = [{"instruction": f"question {i}", "output": f"answer {i} 你好🙂"} for i in range(12)]


@pytest.fixture
def words(workspace: Path, tiny_model_dir: Path) -> list[str]:
    """The words of a command on a set of twelve rows, of which the third is refused."""
    rows: list[dict[str, Any]] = [dict(row) for row in PAIRS]
    rows[2]["output"] = " "
    write_dataset(workspace, "x", rows)
    place = str(workspace / "data")
    model = str(tiny_model_dir)
    return ["--dataset", "x", "--model_name_or_path", model, "--dataset_dir", place]


def prepare_same(words: list[str], home: Path) -> Any:
    """What training eats with the same words."""
    values = inspection.read_values(words)
    tokenizer = load.tokenizer(values)
    template = templates.load(values, tokenizer)
    return prepare.prepare_training(values, tokenizer, template, Report(home)).train


def test_rows_are_those_of_training_and_refused_ones_stay(
    words: list[str], workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dispatch(["data", "tokens", *words, "--rows", "1:5", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["row"] for line in lines] == [1, 2, 3, 4]
    assert lines[1]["code"] == "row_empty_answer"
    assert "answer in them is empty" in lines[1]["problem"]
    seen = [lines[0], *lines[2:]]
    train = prepare_same(words, workspace)
    assert [line["input_ids"] for line in seen] == train["input_ids"][1:4]
    assert [line["labels"] for line in seen] == train["labels"][1:4]


def test_learned_text_is_marked_for_people(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    dispatch(["data", "tokens", *words, "--rows=0:1"])
    assert "[[answer 0" in capsys.readouterr().out


def test_characters_of_several_tokens_are_whole_for_people(
    words: list[str], workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(workspace, "x", [{"instruction": "脊髓肿瘤?", "output": "患者🩺发热"}])
    dispatch(["data", "tokens", *words, "--rows=0:1"])
    shown = capsys.readouterr().out
    assert "脊髓肿瘤?" in shown
    assert "[[患者🩺发热" in shown


def test_packed_rows_are_shown_as_one_sequence(words: list[str], workspace: Path) -> None:
    packed_words = [*words, "--neat_packing", "true", "--cutoff_len", "2000"]
    packed, refused = inspection.inspect_tokens(packed_words, "0:12")
    assert packed["rows"] == [0, 1, *range(3, 12)]
    assert refused["row"] == 2
    (whole,) = prepare_same(packed_words, workspace)
    for name in ("input_ids", "labels", "position_ids"):
        assert packed[name] == whole[name]


def test_kto_shows_the_partner_of_training(workspace: Path, tiny_model_dir: Path) -> None:
    rows = [{**row, "kto_tag": bool(i % 2)} for i, row in enumerate(PAIRS)]
    write_dataset(workspace, "k", rows)
    words = ["--dataset", "k", "--model_name_or_path", str(tiny_model_dir), "--stage", "kto"]
    words += ["--dataset_dir", str(workspace / "data")]
    lines = inspection.inspect_tokens(words, "3:5")
    train = prepare_same(words, workspace)
    assert [line["kl_input_ids"] for line in lines] == train["kl_input_ids"][3:5]
    assert [line["desirable"] for line in lines] == [True, False]


def test_two_sets_are_one_after_the_other(words: list[str], workspace: Path) -> None:
    write_dataset(workspace, "y", [{"instruction": "last", "output": "word"}])
    words[1] = "x,y"
    lines = inspection.inspect_tokens(words, "11:20")
    assert [(line["row"], line["messages"][-1]["content"]) for line in lines] == [
        (11, "answer 11 你好🙂"),
        (12, "word"),
    ]


def test_a_row_far_inside_is_found_without_converting_the_others(
    workspace: Path, tiny_model_dir: Path
) -> None:
    lines = [json.dumps({"instruction": f"q{i}", "output": f"a{i}"}) for i in range(30_000)]
    (workspace / "data" / "big.jsonl").write_text("\n".join(lines))
    entry = {"big": {"file_name": "big.jsonl"}}
    (workspace / "data" / "dataset_info.json").write_text(json.dumps(entry))
    words = ["--dataset", "big", "--model_name_or_path", str(tiny_model_dir)]
    words += ["--dataset_dir", str(workspace / "data")]
    far_lines = inspection.inspect_tokens(words, "29990:29992")
    assert [line["messages"][0]["content"] for line in far_lines] == ["q29990", "q29991"]


@pytest.mark.parametrize("rows", ["5", "a:b", ":3"])
def test_bad_rows_are_named(words: list[str], rows: str) -> None:
    with pytest.raises(UsageError):
        inspection.inspect_tokens(words, rows)


def test_half_characters_are_drawn_whole() -> None:
    class Bytes:
        """A tokenizer of single bytes."""

        def decode(self, ids: list[int]) -> str:
            return bytes(ids).decode("utf-8", "replace")

    ids = [*b"a", *"你".encode(), *b"b"]
    pieces = inspection._pieces(ids, ids, Bytes())
    assert [(text, len(each)) for text, each, _ in pieces] == [("a", 1), ("你", 3), ("b", 1)]


def test_the_child_answers_lines_and_ends_with_its_input(words: list[str], workspace: Path) -> None:
    values = {words[at].removeprefix("--"): words[at + 1] for at in range(0, len(words), 2)}
    asked = [
        {"do": "tokens", "values": values, "first": 0, "count": 3},
        {"do": "tokens", "values": {**values, "dataset": "nope"}, "first": 0, "count": 3},
        {"do": "stats", "values": values},
    ]
    done = subprocess.run(
        [sys.executable, "-m", "backend.data.inspection"],
        input="".join(json.dumps(each) + "\n" for each in asked),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    rows, wrong, stats = (json.loads(line) for line in done.stdout.splitlines())
    learned = [text for text, _, on in rows["answer"]["lines"][0]["pieces"] if on]
    assert "".join(learned) == "answer 0 你好🙂<|im_end|>"
    assert wrong["problems"][0]["params"]["name"] == "nope"
    assert stats["answer"]["refused"] == 1
    assert not list(workspace.glob("*.lock"))
