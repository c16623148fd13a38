"""The Tuner before anything is loaded: which names it takes, which data, what a run looks like."""

import enum
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from backend.contract import dataset_info, launch
from backend.contract.arguments import parse
from backend.contract.field import Values
from backend.contract.fields import FIELDS
from backend.contract.metrics import Row
from backend.contract.problems import DataError, TuneboardError, UsageError, errors
from backend.contract.run_folder import RunView, State
from backend.tuner import Tuner, answering, display, figures, names, rows, trained

ROWS = [{"prompt": "What is 1 plus 1?", "response": "2"}, {"prompt": "And 2?", "response": "3"}]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a registry."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    (tmp_path / "data" / "mine.json").write_text(json.dumps(ROWS))
    return tmp_path


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Values]]:
    """What would be started: task and values of each."""
    calls: list[tuple[str, Values]] = []

    def start(task: str, values: Values) -> Path:
        calls.append((task, values))
        return Path("run")

    monkeypatch.setattr(launch, "start", start)
    return calls


class Schedule(str, enum.Enum):  # noqa: UP042 - as ExplicitEnum of transformers
    """An enum as transformers has them."""

    LINEAR = "linear"


def test_the_import_is_cheap() -> None:
    code = "from backend.tuner import Tuner; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "backend" in loaded
    heavy = {"torch", "transformers", "datasets", "pandas", "IPython", "matplotlib", "gradio"}
    assert not loaded & heavy


# Names of the tutorial's tuner, of transformers and of notebooks -> what they are in the table.
TAKEN: list[tuple[dict[str, Any], Values]] = [
    ({"train_data": "mine", "eval_data": "mine"}, {"dataset": "mine", "eval_dataset": "mine"}),
    ({"output_dir": "saves/x"}, {"output_dir": "saves/x"}),
    ({"num_train_epochs": 3}, {"num_train_epochs": 3.0}),
    ({"learning_rate": 3e-6}, {"learning_rate": 3e-6}),
    ({"fp16": True}, {"fp16": True}),
    ({"bf16": True}, {"bf16": True}),
    ({"use_lora": True, "lora_rank": 16, "lora_alpha": 32}, {"lora_rank": 16, "lora_alpha": 32}),
    ({"use_lora": False}, {"finetuning_type": "full"}),
    ({"lora_dropout": 0.1}, {"lora_dropout": 0.1}),
    ({"batch_size": 2}, {"per_device_train_batch_size": 2}),
    ({"per_device_train_batch_size": 4}, {"per_device_train_batch_size": 4}),
    ({"per_device_eval_batch_size": 4}, {"per_device_eval_batch_size": 4}),
    ({"gradient_accumulation_steps": 4}, {"gradient_accumulation_steps": 4}),
    ({"gradient_checkpointing": False}, {"disable_gradient_checkpointing": True}),
    ({"gradient_clipping": 0.5}, {"max_grad_norm": 0.5}),
    ({"max_grad_norm": 0.5}, {"max_grad_norm": 0.5}),
    ({"save_steps": 1000, "logging_steps": 100}, {"save_steps": 1000, "logging_steps": 100}),
    ({"evaluation_strategy": "epoch"}, {"eval_strategy": "epoch"}),
    ({"warmup_steps": 10, "weight_decay": 0.1}, {"warmup_steps": 10, "weight_decay": 0.1}),
    ({"lr_scheduler_type": "linear", "seed": 1}, {"lr_scheduler_type": "linear", "seed": 1}),
    ({"epochs": 2, "lr": 1e-4}, {"num_train_epochs": 2.0, "learning_rate": 1e-4}),
    ({"max_seq_length": 512}, {"cutoff_len": 512}),
    ({"max_length": 512}, {"cutoff_len": 512}),
    ({"load_in_4bit": True}, {"quantization_bit": "4"}),
    ({"load_in_8bit": True}, {"quantization_bit": "8"}),
    ({"load_in_4bit": False}, {"quantization_bit": None}),
    ({"output_dir": Path("saves/x")}, {"output_dir": "saves/x"}),
    ({"train_dataset": "mine", "eval_dataset": "mine"}, {"dataset": "mine"}),
    ({"no_cuda": True, "dataloader_num_workers": 2}, {"use_cpu": True}),
    ({"seed": numpy.int64(7), "learning_rate": numpy.float32(0.5)}, {"seed": 7}),
    ({"lr_scheduler_type": Schedule.LINEAR}, {"lr_scheduler_type": "linear"}),
]


def test_each_name_is_taken() -> None:
    """The names that issue 10 and the journey J2 say, and their kin."""
    for given, meant in TAKEN:
        values, problems = parse(names.rows_of(given, "train"), "train")
        assert errors(problems) == [], given
        assert {name: values[name] for name in meant} == meant, given
    assert len(TAKEN) == 31


def test_each_name_of_python_is_in_the_document() -> None:
    """docs/python.md says what each stands for; the table of arguments has none of them."""
    text = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    known = {**names.SYNONYMS, **dict.fromkeys(names.SWITCHES, "")}
    assert len(known) > 25
    for name, row in known.items():
        if name != row:
            assert f"`{name}`" in text, name
            assert f"`{row}`" in text or not row, name
            assert name not in FIELDS


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("train_dta", "train_data"),
        ("use_loras", "use_lora"),
        ("learning_rat", "learning_rate"),
        ("num_train_epoch", "num_train_epochs"),
        ("fp_16", "fp16"),
        ("lora_rnk", "lora_rank"),
        ("eval_dat", "eval_data"),
        ("bacth_size", "batch_size"),
        ("loss_type", "pref_loss"),  # trl's, of which there are hints
    ],
)
def test_a_name_that_is_none_is_refused_with_a_near_one(wrong: str, near: str) -> None:
    for call in (lambda: Tuner("m", **{wrong: 1}), lambda: Tuner("m").train("mine", **{wrong: 1})):
        with pytest.raises(UsageError) as caught:
            call()
        (problem,) = caught.value.problems
        assert (problem.field, problem.params["near"]) == (wrong, near)
        assert near in str(caught.value)


def test_a_name_for_something_else_gets_no_near_one() -> None:
    """hf_hub_token and recompute_method were proposed, which look alike and mean other things."""
    wrong = ("tokenizer", "processing_class", "compute_metrics")
    with pytest.raises(UsageError) as caught:
        Tuner("m", **dict.fromkeys(wrong, 1))
    assert [problem.field for problem in caught.value.problems] == list(wrong)
    assert not any("near" in problem.params for problem in caught.value.problems)


@pytest.mark.parametrize(
    "given",
    [
        {"nonsense": 1},
        {"learning_rate": "fast"},
        {"use_lora": "perhaps"},
        {"epochs": 1, "num_train_epochs": 2},
        {"use_lora": False, "finetuning_type": "lora"},
        {"lora_rank": 0},
        {"fp16": True, "bf16": True},
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(
    given: dict[str, Any], launched: list[tuple[str, Values]], tmp_path: Path
) -> None:
    with pytest.raises(UsageError):
        Tuner("org/model").train("mine", **given)
    assert launched == []
    assert not (tmp_path / "data" / "tuner").exists()


def test_a_call_goes_over_what_the_tuner_was_given(launched: list[tuple[str, Values]]) -> None:
    tuner = Tuner("org/model", finetuning_type="lora", learning_rate=1e-4, temperature=0.1)
    tuner.train(train_data="mine", learning_rate=1e-5, use_lora=False, wait=False)
    ((task, values),) = launched
    assert (task, values["model_name_or_path"], values["dataset"]) == ("train", "org/model", "mine")
    assert (values["learning_rate"], values["finetuning_type"]) == (1e-5, "full")
    assert tuner.run == Path("run")


def test_secrets_are_not_shown() -> None:
    assert "hf_secret" not in repr(Tuner("org/model", token="hf_secret"))


def _read(name: str) -> list[Any]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def test_rows_of_every_kind_become_one_file(home: Path) -> None:
    """The same rows are one file, whatever held them; NaN and NA of pandas are nothing."""
    import datasets
    import pandas
    import pyarrow

    columns = {"prompt": [r["prompt"] for r in ROWS], "response": [r["response"] for r in ROWS]}
    kinds = [
        ROWS,
        tuple(ROWS),
        iter(ROWS),
        columns,
        {name: numpy.array(column) for name, column in columns.items()},
        {name: pandas.Series(column) for name, column in columns.items()},
        datasets.Dataset.from_list(ROWS),
        datasets.Dataset.from_list(ROWS).to_iterable_dataset(),
        pandas.DataFrame(ROWS),
        pyarrow.Table.from_pylist(ROWS),
    ]
    found = {rows.named(each, "dataset", None) for each in kinds}
    assert len(kinds) == 10
    assert len(found) == 1
    (name,) = found
    assert name.startswith("data/tuner/rows-")
    assert _read(name) == ROWS
    assert json.loads((home / "data" / "dataset_info.json").read_text()).keys() == {"mine"}
    frame = pandas.DataFrame(
        {"instruction": ["a", "b"], "input": [float("nan"), pandas.NA], "output": ["c", "d"]}
    )
    assert [row["input"] for row in _read(rows.named(frame, "dataset", None))] == [None, None]
    nested = {**ROWS[0], "meta": [{"x": numpy.array([1.0, numpy.nan])}, (pandas.NaT,)]}
    assert _read(rows.named([nested], "dataset", None))[0]["meta"] == [{"x": [1.0, None]}, [None]]


def test_names_and_files_stay_what_they_are(home: Path) -> None:
    other = home / "other.jsonl"
    other.write_text("\n".join(map(json.dumps, ROWS)))
    assert rows.named("mine", "dataset", None) == "mine"
    assert rows.named(["mine", other], "dataset", None) == f"mine,{other}"
    assert rows.named("mine, other.jsonl", "dataset", None) == "mine,other.jsonl"
    assert rows.named("org/set", "dataset", "ONLINE") == "org/set"
    for suffix, text in ((".csv", "prompt,response\na,b\n"), (".txt", "A text.\n")):
        place = home / f"plain{suffix}"
        place.write_text(text)
        stage = "pt" if suffix == ".txt" else "sft"
        assert rows.named(place, "dataset", None, stage) == str(place)


def test_columns_by_other_names_are_entered_once(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said on standard error; the entry is used again, and nobody else's is changed."""
    place = home / "mine.csv"
    place.write_text("query,reply\nWhat is it?,It is a test.\nWhy?,So that it holds.\n")
    first = rows.named(place, "dataset", None)
    assert first == "mine-2"
    assert rows.named(place, "dataset", None) == first
    entry = dataset_info.find(first, None)
    assert entry.columns == {"prompt": "query", "response": "reply"}
    assert "registered as mine-2" in capsys.readouterr().err
    assert dataset_info.find("mine", None).columns is None


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], "tuner_no_rows"),
        ([1, 2], "tuner_row"),
        ([*ROWS, "text"], "tuner_row"),
        ([{"prompt": object()}], "tuner_value"),
        ({"prompt": ["a"], "response": ["b", "c"]}, "tuner_lengths"),
        ({"train": object()}, "tuner_mapping"),
        (7, "tuner_data"),
        ([{"a": "Some words.", "b": "Other words."}], "tuner_columns"),
        ([{"prompt": "A question without an answer?"}], "columns_missing"),
    ],
)
def test_data_that_is_none_is_refused(given: object, code: str) -> None:
    with pytest.raises(DataError) as caught:
        rows.named(given, "dataset", None)
    assert caught.value.problems[0].code == code


def test_metrics_by_the_names_that_people_use() -> None:
    assert figures.figures_of("bleu") == {"predict_bleu-4": "bleu-4"}
    assert list(figures.figures_of(("bleu", "rouge")).values()) == [
        "bleu-4",
        "rouge-1",
        "rouge-2",
        "rouge-l",
    ]
    for name in ("rougeL", "rouge_l", "ROUGE-L"):
        assert figures.figures_of([name]) == {"predict_rouge-l": "rouge-l"}
    assert figures.figures_of(["loss", "perplexity"]) == {
        "eval_loss": "loss",
        "eval_perplexity": "perplexity",
    }
    for wrong, near in (("blue", "bleu"), ("rouge-3", "rouge-l"), ("losses", "loss")):
        with pytest.raises(UsageError) as caught:
            figures.figures_of([wrong])
        assert caught.value.problems[0].params["near"] == near
    for wrong in ("meteor", ""):
        with pytest.raises(UsageError):
            figures.figures_of(wrong)
    with pytest.raises(UsageError):
        figures.figures_of(())


def test_a_question_and_its_options() -> None:
    talk, body = answering.request(
        "Hi", {"system": "Be brief.", "max_tokens": 5, "do_sample": False, "seed": 3}
    )
    assert [turn["role"] for turn in talk] == ["system", "user"]
    assert body == {"max_tokens": 5, "temperature": 0.0, "seed": 3}
    for wrong in ("temprature", "infer_dtype", "lora_rank"):
        with pytest.raises(UsageError) as caught:
            answering.request("Hi", {wrong: "auto"})
        assert caught.value.problems[0].field == wrong


def test_a_notebook_shows_names_as_text() -> None:
    """A folder may be named like a tag; a notice is other people's text."""
    notice = dataset_problem("<script>alert(1)</script>")
    view = _view(Path("/<b>"), step=2, total_steps=4, eta=65, phase="training", notices=(notice,))
    shown = display.page(view, [Row(step=2, loss=1.25, learning_rate=1e-4, epoch=0.5, tokens=9)])
    assert "<script>" not in shown
    assert "/<b>" not in shown
    assert "&lt;script&gt;" in shown
    for part in ("step 2 / 4", "1:05 left", "<td>1.25</td>", 'value="0.5000"'):
        assert part in shown


@pytest.mark.parametrize(
    ("given", "model", "adapters"),
    [
        ({}, "base", ["run"]),
        ({"finetuning_type": "full"}, "run", None),
        ({"finetuning_type": "freeze"}, "run", None),
        ({"finetuning_type": "oft"}, "base", ["run"]),
        ({"adapter_name_or_path": "a,b"}, "base", ["a", "run"]),
        ({"adapter_name_or_path": "a,b", "create_new_adapter": True}, "base", ["a", "b", "run"]),
        ({"model_name_or_path": "first"}, "base", ["run"]),
        ({"model_name_or_path": "first", "create_new_adapter": True}, "first", ["run"]),
    ],
)
def test_a_result_is_loaded_with_what_it_was_trained_over(
    given: Values, model: str, adapters: list[str] | None, home: Path
) -> None:
    """The adapter that went on learning is in the new folder; those before it stay beneath it."""
    (home / "first").mkdir()
    (home / "first" / "adapter_config.json").write_text('{"base_model_name_or_path": "base"}')
    known: Values = {"model_name_or_path": "base", "finetuning_type": "lora", "stage": "dpo"}
    known |= {"cutoff_len": 99, "learning_rate": 0.1, "template": "qwen"}
    used = trained.arguments_of(_view(home / "run", arguments={**known, **given}))
    assert (used["model_name_or_path"], used["adapter_name_or_path"]) == (model, adapters)
    assert (used["cutoff_len"], used["template"], used["stage"]) == (99, "qwen", "sft")
    assert "learning_rate" not in used


def _view(path: Path, **given: Any) -> RunView:
    start = {"name": path.name, "model": "m", "method": "lora", "task": "train", "created": ""}
    return RunView(
        **{"path": path, **start, "sequence": 1, "state": State.RUNNING, "reason": None, **given}
    )


def dataset_problem(name: str) -> Any:
    """A notice with a name in it."""
    from backend.contract.problems import Problem

    return Problem(code="dataset_unknown", params={"name": name, "path": "p"}, notice=True)


def test_without_a_training_there_is_nothing_to_wait_for() -> None:
    for call in (Tuner("org/model").wait, Tuner("org/model").resume):
        with pytest.raises(TuneboardError) as caught:
            call()
        assert caught.value.problems[0].code == "tuner_no_run"
