"""Pre-training: every token of every text is learned, and learning shows."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.runs import metrics
from backend.contract.texts.problems import DataError
from backend.data import packing, prepare, templates
from tests.backend.conftest import make_tokenizer, write_dataset
from tests.backend.test_data_prepare import VALUES, Told
from tests.backend.training import train_small

WORDS = ["the", "river", "carries", "cold", "water", "from", "hills", "to", "the", "sea"]


def texts(count: int, words: int = 40) -> list[dict[str, str]]:
    """Texts of a small language: each goes round the same words from another place on."""
    length = len(WORDS)
    return [
        {"text": " ".join(WORDS[(start + at) % length] for at in range(words + start % 7))}
        for start in range(count)
    ]


def made(told: Told | None = None, tokenizer: Any = None, **values: Any) -> prepare.Prepared:
    tokenizer = tokenizer or make_tokenizer()
    options = resolve({**VALUES, "stage": "pt", "cutoff_len": 48, **values})
    return prepare.prepare_training(
        options, tokenizer, templates.load(options, tokenizer), told or Told()
    )


def whole(rows: list[dict[str, str]], column: str = "text") -> str:
    return "".join(f"{row[column]}<|im_end|>" for row in rows)


def test_blocks_hold_every_text_and_an_end_between(workspace: Path) -> None:
    write_dataset(workspace, "x", texts(9))
    told = Told()
    prepared = made(told)
    rows = list(prepared.train)
    assert {len(row["input_ids"]) for row in rows[:-1]} == {48}
    assert rows[-1]["length"] <= 48
    ids = [token for row in rows for token in row["input_ids"]]
    assert make_tokenizer().decode(ids) == whole(texts(9))
    assert all(row["labels"] == [-100, *row["input_ids"][1:]] for row in rows)
    assert prepared.summary["train"]["packed"] == len(rows)
    assert told.notices == []


def test_without_packing_long_texts_are_split_and_nothing_is_lost(workspace: Path) -> None:
    write_dataset(workspace, "x", texts(9))
    rows = list(made(packing=False).train)
    assert max(len(row["input_ids"]) for row in rows) <= 48
    assert min(len(row["input_ids"]) for row in rows) >= 2
    assert "".join(make_tokenizer().decode(row["input_ids"]) for row in rows) == whole(texts(9))


@pytest.mark.parametrize("length", [2, 4, 5, 8, 9])
def test_no_piece_is_one_token(length: int) -> None:
    """A first token is not learned, so a piece of one would be lost."""
    from backend.data.examples import _pieces
    from backend.data.tokens import Encoded

    pieces = _pieces(Encoded(list(range(length)), list(range(length))), 4)
    assert [token for piece in pieces for token in piece.ids] == list(range(length))
    assert all(2 <= len(piece.ids) <= 4 for piece in pieces)


def test_blocks_go_across_texts() -> None:
    result = list(packing.blocks([[1, 2, 3], [4, 5], [6, 7, 8, 9]], 4))
    assert [row["input_ids"] for row in result] == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert [row["input_ids"] for row in packing.blocks([[1, 2, 3], [4, 5, 6]], 4)][-1] == [5, 6]


@pytest.mark.parametrize(
    ("row", "entry"),
    [
        ({"text": "one two"}, {}),
        ({"data": "one two", "id": 3}, {"columns": {"prompt": "data"}}),
        ({"content": "one two"}, {}),
    ],
)
def test_the_column_of_text_is_found(
    workspace: Path, row: dict[str, str], entry: dict[str, Any]
) -> None:
    write_dataset(workspace, "x", [row] * 3, **entry)
    assert made().summary["train"]["rows"] == 3


def test_a_folder_of_jsonl_files(workspace: Path) -> None:
    folder = workspace / "data" / "corpus"
    folder.mkdir()
    for number in range(3):
        lines = [json.dumps({"data": row["text"]}) for row in texts(4)]
        (folder / f"part{number}.jsonl").write_text("\n".join(lines))
    registry = {"x": {"file_name": "corpus", "columns": {"prompt": "data"}}}
    (workspace / "data" / "dataset_info.json").write_text(json.dumps(registry))
    assert made().summary["train"]["rows"] == 12


def test_dialogues_can_be_mixed_in(workspace: Path) -> None:
    write_dataset(workspace, "x", texts(1))
    write_dataset(workspace, "y", [{"instruction": "q", "output": "a"}])
    ids = [token for row in made(dataset="x,y").train for token in row["input_ids"]]
    text = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
    assert make_tokenizer().decode(ids) == whole(texts(1)) + text


def test_a_tokenizer_that_begins_texts_begins_these(workspace: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = make_tokenizer("<s>")
    tokenizer.bos_token = "<s>"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    write_dataset(workspace, "x", [{"text": "one"}, {"text": "two"}])
    ids = [token for row in made(tokenizer=tokenizer).train for token in row["input_ids"]]
    assert tokenizer.decode(ids) == "<s>one<|im_end|><s>two<|im_end|>"


def test_texts_that_are_none_are_counted(workspace: Path) -> None:
    bad: list[Any] = [{"text": ""}, {"text": {"a": 3}}, {"text": None}, {"text": "half 7351"}]
    path = write_dataset(workspace, "x", [*texts(2), *bad])
    path.write_text(path.read_text().replace("7351", "\\ud800"))
    told = Told()
    assert made(told).summary["train"]["rows"] == 2
    codes = {problem.code for problem in told.notices}
    assert codes == {"row_empty_text", "row_wrong_type", "row_bad_text"}


def test_a_set_without_the_column_is_named(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"a": "b", "c": "d"}])
    with pytest.raises(DataError) as caught:
        made()
    assert caught.value.problems[0].params["missing"] == "text"


def test_a_base_model_gets_no_chat_template(workspace: Path) -> None:
    write_dataset(workspace, "x", texts(2))
    tokenizer = make_tokenizer(template=None)
    told = Told()
    made(told, tokenizer)
    assert tokenizer.chat_template is None
    assert told.notices == []


def perplexity(folder: Path) -> float:
    return float(json.loads((folder / "all_results.json").read_bytes())["perplexity"])


@pytest.mark.parametrize("streaming", [True, False])
def test_perplexity_of_unseen_text_falls(
    workspace: Path, tiny_model_dir: Path, streaming: bool
) -> None:
    """40 steps lower the perplexity of texts that were held back by 20 % at the least."""
    write_dataset(workspace, "words", texts(30))
    options = {
        "stage": "pt",
        "dataset": "words",
        "val_size": 4,
        "cutoff_len": 64,
        "finetuning_type": "full",
        "eval_strategy": "steps",
        "streaming": streaming,
        "seed": 1,
    }
    before = train_small(
        *(workspace, tiny_model_dir, "before"), **{**options, "max_steps": 1, "learning_rate": 0.0}
    )
    after = train_small(
        *(workspace, tiny_model_dir, "after"), **{**options, "max_steps": 40, "learning_rate": 5e-3}
    )
    assert perplexity(after) <= 0.8 * perplexity(before)
    rows = metrics.read(after / "metrics.jsonl", 0)[0]
    assert [row.eval_loss for row in rows if row.eval_loss is not None]
