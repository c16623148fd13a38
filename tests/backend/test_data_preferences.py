"""Preferences, judged answers and questions: every shape gives the columns that stages rely on."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.registry import dataset_info
from backend.contract.texts.problems import DataError
from backend.data import inspection, prepare, templates
from tests.backend.conftest import make_tokenizer, write_dataset
from tests.backend.test_data_prepare import VALUES, Told

USER, SYSTEM = {"role": "user", "content": "q"}, {"role": "system", "content": "s"}
GOOD, BAD = {"role": "assistant", "content": "good"}, {"role": "assistant", "content": "bad"}
SHARE = {"columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}}
ASKED = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
WITH_SYSTEM = "<|im_start|>system\ns<|im_end|>\n" + ASKED
TAGS = {"role_tag": "who", "content_tag": "says", "user_tag": "U", "assistant_tag": "A"}

# row, entry, what is asked
PAIRS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"instruction": "q", "chosen": "good", "rejected": "bad"}, {}, ASKED),
    (
        {"ask": "q", "more": "", "yes": "good", "no": "bad"},
        {"columns": {"prompt": "ask", "query": "more", "chosen": "yes", "rejected": "no"}},
        ASKED,
    ),
    (
        {
            "conversations": [{"from": "human", "value": "q"}],
            "chosen": {"from": "gpt", "value": "good"},
            "rejected": {"from": "gpt", "value": "bad"},
        },
        {"formatting": "sharegpt", **SHARE},
        ASKED,
    ),
    (
        {
            "conversations": [{"who": "U", "says": "q"}],
            "chosen": {"who": "A", "says": "good"},
            "rejected": {"who": "A", "says": "bad"},
        },
        {"formatting": "sharegpt", **SHARE, "tags": TAGS},
        ASKED,
    ),
    ({"messages": [SYSTEM, USER], "chosen": GOOD, "rejected": BAD}, {}, WITH_SYSTEM),
    ({"prompt": "q", "chosen": "good", "rejected": "bad"}, {}, ASKED),
    ({"prompt": [SYSTEM, USER], "chosen": [GOOD], "rejected": [BAD]}, {}, WITH_SYSTEM),
    ({"prompt": "q", "chosen": [USER, GOOD], "rejected": [USER, BAD]}, {}, ASKED),
    ({"chosen": [SYSTEM, USER, GOOD], "rejected": [SYSTEM, USER, BAD]}, {}, WITH_SYSTEM),
    (
        {"messages": [USER, GOOD], "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {},
        ASKED,
    ),
]


def prepare_stage(stage: str, report: Told | None = None, **values: Any) -> prepare.Prepared:
    tokenizer = make_tokenizer()
    options = resolve({**VALUES, "stage": stage, **values})
    return prepare.prepare_training(
        options, tokenizer, templates.load(options, tokenizer), report or Told()
    )


def text(ids: list[int]) -> str:
    return str(make_tokenizer().decode(ids))


def answer(row: dict[str, Any], side: str) -> str:
    labels = [label for label in row[f"{side}labels"] if label >= 0]
    ids = row[f"{side}input_ids"]
    assert all(
        label in {-100, token} for label, token in zip(row[f"{side}labels"], ids, strict=True)
    )
    return text(labels)


@pytest.mark.parametrize("stage", ["rm", "dpo"])
@pytest.mark.parametrize(("row", "entry", "asked"), PAIRS)
def test_every_shape_of_a_preference(
    workspace: Path, stage: str, row: dict[str, Any], entry: dict[str, Any], asked: str
) -> None:
    write_dataset(workspace, "x", [row], ranking=True, **entry)
    train = prepare_stage(stage).train
    assert train.column_names == [
        "chosen_input_ids",
        "chosen_labels",
        "rejected_input_ids",
        "rejected_labels",
        "length",
    ]
    example = train[0]
    assert text(example["chosen_input_ids"]) == f"{asked}good<|im_end|>\n"
    assert text(example["rejected_input_ids"]) == f"{asked}bad<|im_end|>\n"
    assert answer(example, "chosen_") == "good<|im_end|>"
    assert answer(example, "rejected_") == "bad<|im_end|>"
    sides = (example["chosen_input_ids"], example["rejected_input_ids"])
    assert example["length"] == max(map(len, sides))


def test_a_path_to_a_file_needs_no_entry(workspace: Path) -> None:
    path = write_dataset(workspace, "x", [{"prompt": "q", "chosen": "a", "rejected": "b"}])
    assert len(prepare_stage("dpo", dataset=str(path)).train) == 1


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "row_same_answers"),
        ({"prompt": "q", "chosen": "a", "rejected": " "}, "row_empty_answer"),
        ({"prompt": "q", "chosen": "a", "rejected": {"x": 3}}, "row_wrong_type"),
        (
            {"prompt": "q", "chosen": [USER, GOOD], "rejected": [SYSTEM, USER, BAD]},
            "row_two_questions",
        ),
        ({"prompt": "q", "chosen": "a " * 90 + "x", "rejected": "a " * 90 + "y"}, "row_cut_same"),
    ],
)
def test_preferences_that_are_none_are_counted(
    workspace: Path, row: dict[str, Any], code: str
) -> None:
    good = {"prompt": "q", "chosen": "a", "rejected": "b"}
    write_dataset(workspace, "x", [good, row], ranking=True)
    report = Told()
    assert len(prepare_stage("dpo", report, cutoff_len=64).train) == 1
    assert [notice.code for notice in report.notices][:1] == [code]


def test_cutting_keeps_the_question_the_same_and_both_answers(workspace: Path) -> None:
    rows = [
        {"prompt": "old " * 60 + "end", "chosen": "good " * 4, "rejected": "bad"},
        {"prompt": "old " * 60 + "end", "chosen": "good " * 80, "rejected": "bad " * 60},
        {"prompt": "q", "chosen": "good " * 80, "rejected": "bad"},
        {"prompt": "q", "chosen": "good", "rejected": "bad"},
    ]
    write_dataset(workspace, "x", rows, ranking=True)
    report = Told()
    train = prepare_stage("dpo", report, cutoff_len=64).train
    assert [(notice.code, notice.params["count"]) for notice in report.notices] == [
        ("pairs_cut", 3)
    ]
    for row in train:
        asked = row["chosen_labels"].count(-100) if row["chosen_labels"][-1] >= 0 else None
        assert row["length"] == max(len(row["chosen_input_ids"]), len(row["rejected_input_ids"]))
        assert row["length"] <= 64
        assert answer(row, "chosen_")
        assert answer(row, "rejected_")
        if asked:
            assert row["chosen_input_ids"][:asked] == row["rejected_input_ids"][:asked]
    short, both = text(train[0]["chosen_input_ids"]), train[1]
    assert "end<|im_end|>\n<|im_start|>assistant\ngood good good good <|im_end|>" in short
    assert sum(label >= 0 for label in both["chosen_labels"]) == 32  # half of the room


JUDGED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"prompt": "q", "completion": "good", "label": True}, {}),
    ({"prompt": [USER], "completion": [GOOD], "label": True}, {}),
    ({"instruction": "q", "output": "good", "kto_tag": "true"}, {}),
    (
        {"messages": [USER, GOOD], "label": 1},
        {"columns": {"messages": "messages", "kto_tag": "label"}},
    ),
]


@pytest.mark.parametrize(("row", "entry"), JUDGED)
def test_every_shape_of_a_judged_answer(
    workspace: Path, row: dict[str, Any], entry: dict[str, Any]
) -> None:
    tag = "kto_tag" if "kto_tag" in row else "label"
    entry = (
        {
            "formatting": "openai",
            "tags": {
                **TAGS,
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
            },
            **entry,
        }
        if entry
        else {}
    )
    write_dataset(workspace, "x", [row, {**row, tag: False}], **entry)
    train = prepare_stage("kto").train
    assert train.column_names == [
        "input_ids",
        "labels",
        "kl_input_ids",
        "kl_labels",
        "desirable",
        "length",
    ]
    assert list(train["desirable"]) == [True, False]
    assert text(train[0]["input_ids"]) == f"{ASKED}good<|im_end|>\n"
    assert answer(train[0], "") == "good<|im_end|>"


def test_the_other_answer_is_that_of_another_row(workspace: Path) -> None:
    rows = [{"prompt": f"q{n}", "completion": f"a{n}", "label": True} for n in range(40)]
    write_dataset(workspace, "x", rows)
    for row in prepare_stage("kto", preprocessing_batch_size=1).train:
        asked = text(row["input_ids"]).split("assistant\n")[0]
        assert text(row["kl_input_ids"]).startswith(asked)
        assert answer(row, "kl_") != answer(row, "")


def test_a_label_that_is_none_is_counted(workspace: Path) -> None:
    good = {"prompt": "q", "completion": "a", "label": True}
    write_dataset(workspace, "x", [good, {**good, "label": "perhaps"}])
    report = Told()
    assert len(prepare_stage("kto", report).train) == 1
    assert [notice.code for notice in report.notices] == ["row_bad_tag"]


@pytest.mark.parametrize(("row", "entry", "asked"), PAIRS)
def test_questions_of_preferences(
    workspace: Path, row: dict[str, Any], entry: dict[str, Any], asked: str
) -> None:
    write_dataset(workspace, "x", [row], ranking=True, **entry)
    train = prepare_stage("grpo").train
    assert train.column_names == ["input_ids", "reference", "messages", "length"]
    assert text(train[0]["input_ids"]) == asked
    assert train[0]["reference"] == "good"


@pytest.mark.parametrize(
    ("row", "reference"),
    [
        ({"instruction": "q", "output": "4"}, "4"),
        ({"instruction": "q", "output": ""}, ""),
        ({"prompt": "q"}, ""),
        ({"messages": [USER]}, ""),
        ({"messages": [USER, GOOD]}, "good"),
    ],
)
def test_questions_with_and_without_an_answer(
    workspace: Path, row: dict[str, Any], reference: str
) -> None:
    write_dataset(workspace, "x", [row])
    example = prepare_stage("ppo").train[0]
    assert (text(example["input_ids"]), example["reference"]) == (ASKED, reference)
    assert json.loads(example["messages"]) == [USER]
    assert example["length"] == len(example["input_ids"])


def test_long_questions_keep_their_end(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"prompt": "old " * 90 + "end"}])
    report = Told()
    example = prepare_stage("ppo", report, cutoff_len=32).train[0]
    assert example["length"] == 32
    assert text(example["input_ids"]).endswith("end<|im_end|>\n<|im_start|>assistant\n")
    assert [notice.code for notice in report.notices] == ["prompts_cut"]


FIT: list[tuple[dict[str, Any], str, str | None]] = [
    ({"ranking": True}, "sft", "dataset_ranking"),
    ({"ranking": True}, "pt", "dataset_ranking"),
    ({"ranking": True}, "kto", "dataset_ranking"),
    ({"ranking": True}, "rm", None),
    ({"ranking": True}, "ppo", None),
    ({"columns": {"prompt": "p", "chosen": "c", "rejected": "r"}}, "dpo", None),
    ({}, "dpo", "dataset_not_ranking"),
    ({"columns": {"prompt": "p", "response": "r"}}, "kto", "dataset_without_tags"),
    ({"columns": {"prompt": "p", "response": "r", "kto_tag": "t"}}, "kto", None),
    ({"columns": {"prompt": "text"}}, "sft", "dataset_plain_text"),
    ({"columns": {"prompt": "text"}}, "pt", None),
    ({"columns": {"prompt": "text"}}, "grpo", None),
    ({}, "sft", None),
]


@pytest.mark.parametrize(("entry", "stage", "code"), FIT)
def test_a_set_that_does_not_fit_the_stage_is_said_before_the_start(
    workspace: Path, entry: dict[str, Any], stage: str, code: str | None
) -> None:
    write_dataset(workspace, "x", [{}], **entry)
    options = {"dataset_dir": "data", "dataset": "x", "stage": stage}
    problems = dataset_info.check(resolve(options), "train")
    assert [problem.code for problem in problems] == ([code] if code else [])
    assert all("x" in problem.text("zh") and problem.field == "dataset" for problem in problems)


def test_the_missing_column_is_named(workspace: Path) -> None:
    write_dataset(workspace, "x", [{"instruction": "q", "output": "a"}], ranking=True)
    with pytest.raises(DataError) as caught:
        prepare_stage("dpo")
    assert caught.value.problems[0].params["missing"] == "chosen"


def test_inspection_shows_both_sides(workspace: Path, tiny_model_dir: Path) -> None:
    row = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    write_dataset(workspace, "x", [row], ranking=True)
    words = ["--dataset", "x", "--model_name_or_path", str(tiny_model_dir), "--stage", "dpo"]
    (line,) = inspection.inspect_tokens(words)
    assert line["chosen_text"] == f"{ASKED}good<|im_end|>\n"
    assert line["rejected_text"] == f"{ASKED}bad<|im_end|>\n"
    assert "".join(line["chosen_tokens"]) == line["chosen_text"]
    train = prepare_stage("dpo").train[0]
    for name in ("chosen_input_ids", "chosen_labels", "rejected_input_ids", "rejected_labels"):
        assert line[name] == train[name]


def test_inspection_shows_plain_text_and_questions(workspace: Path, tiny_model_dir: Path) -> None:
    write_dataset(workspace, "x", [{"text": "one"}])
    write_dataset(workspace, "y", [{"prompt": "q"}])
    words = ["--model_name_or_path", str(tiny_model_dir)]
    (line,) = inspection.inspect_tokens([*words, "--dataset", "x", "--stage", "pt"])
    assert line["text"] == "one<|im_end|>"
    (line,) = inspection.inspect_tokens([*words, "--dataset", "y", "--stage", "grpo"])
    assert (line["text"], line["reference"]) == (ASKED, "")
