"""The Tuner before anything is loaded: which names it takes, which data, what a run looks like."""

import enum
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest

from backend.contract.arguments.arguments import parse
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_folder import RunView, State
from backend.contract.texts.problems import TuneboardError, UsageError, errors
from backend.tuner import Tuner, chat_request, following, names, results
from tests.unit.conftest import ROWS

pytestmark = pytest.mark.usefixtures("tuner_home")


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
    ({"report_to": None}, {"report_to": "none"}),
    ({"report_to": []}, {"report_to": "none"}),
    ({"finetuning_type": "LoRA", "use_lora": True}, {"finetuning_type": "lora"}),
    ({"finetuning_type": "FULL"}, {"finetuning_type": "full"}),
    ({"seed": numpy.int64(7), "learning_rate": numpy.float32(0.5)}, {"seed": 7}),
    ({"lr_scheduler_type": Schedule.LINEAR}, {"lr_scheduler_type": "linear"}),
]


def test_each_name_is_taken() -> None:
    """The names that tutorials use, and their kin."""
    for options, meant in TAKEN:
        values, problems = parse(names.table_arguments(options, "train"), "train")
        assert errors(problems) == [], options
        assert {name: values[name] for name in meant} == meant, options
    assert len(TAKEN) == 35


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
    "options",
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
    options: dict[str, Any], launched: list[tuple[str, Values]], tmp_path: Path
) -> None:
    with pytest.raises(UsageError):
        Tuner("org/model").train("mine", **options)
    assert launched == []
    assert not (tmp_path / "data" / "tuner").exists()


def test_names_of_others_lead_to_what_they_are_here() -> None:
    """accelerate's mixed_precision trained in another format in silence; qlora got a bare list."""
    cases: list[tuple[dict[str, Any], str]] = [
        ({"mixed_precision": "bf16"}, "bf16 true"),
        ({"mixed_precision": "fp16"}, "fp16 true"),
        ({"mixed_precision": "no"}, "bf16 false"),
        ({"finetuning_type": "QLoRA"}, "finetuning_type lora, quantization_bit 4"),
    ]
    for options, near in cases:
        with pytest.raises(UsageError) as first:
            Tuner("org/model", **options)
        with pytest.raises(UsageError) as second:
            Tuner("org/model").train("mine", **options)
        assert near in str(first.value)
        assert near in str(second.value)


def test_a_call_goes_over_what_the_tuner_was_given(launched: list[tuple[str, Values]]) -> None:
    tuner = Tuner("org/model", finetuning_type="lora", learning_rate=1e-4, temperature=0.1)
    tuner.train(train_data="mine", learning_rate=1e-5, use_lora=False, wait=False)
    ((task, values),) = launched
    assert (task, values["model_name_or_path"], values["dataset"]) == ("train", "org/model", "mine")
    assert (values["learning_rate"], values["finetuning_type"]) == (1e-5, "full")
    assert tuner.run == Path("run")


def test_secrets_are_not_shown() -> None:
    assert "hf_secret" not in repr(Tuner("org/model", token="hf_secret"))


def test_metrics_by_the_names_that_people_use() -> None:
    assert results.result_names("bleu") == {"predict_bleu-4": "bleu-4"}
    assert list(results.result_names(("bleu", "rouge")).values()) == [
        "bleu-4",
        "rouge-1",
        "rouge-2",
        "rouge-l",
    ]
    for name in ("rougeL", "rouge_l", "ROUGE-L"):
        assert results.result_names([name]) == {"predict_rouge-l": "rouge-l"}
    assert results.result_names(["loss", "perplexity"]) == {
        "eval_loss": "loss",
        "eval_perplexity": "perplexity",
    }
    for wrong, near in (("blue", "bleu"), ("rouge-3", "rouge-l"), ("losses", "loss")):
        with pytest.raises(UsageError) as caught:
            results.result_names([wrong])
        assert caught.value.problems[0].params["near"] == near
    for wrong in ("meteor", ""):
        with pytest.raises(UsageError):
            results.result_names(wrong)
    nothing: tuple[Any, ...] = ((), [], None, 7)
    for chosen in nothing:
        with pytest.raises(UsageError) as caught:
            results.result_names(chosen)
        assert f"metrics is {chosen}, but" in str(caught.value).replace("'", "")
        assert "bleu, bleu-4, rouge" in str(caught.value)


def test_metrics_that_a_stage_has_not_are_refused_at_once(
    tuner_home: Path, launched: list[tuple[str, Values]]
) -> None:
    """accuracy of sft was said to be missing after the evaluation; now nothing is started, and no
    file of rows is written."""
    for stage, wrong, choices in (
        ("sft", "accuracy", "bleu, bleu-4, rouge, rouge-1, rouge-2, rouge-l, exact_match, loss"),
        ("sft", ("bleu", "margin"), "exact_match, loss, perplexity."),
        ("pt", "rouge", "loss, perplexity."),
        ("RM", ("bleu", "rouge"), "loss, accuracy, margin."),
        ("rm", "perplexity", "loss, accuracy, margin."),
    ):
        with pytest.raises(UsageError) as caught:
            Tuner("org/model", stage=stage).evaluate(ROWS, metrics=wrong)
        (problem,) = caught.value.problems
        assert (problem.code, problem.params["stage"]) == ("tuner_metric_stage", stage.lower())
        assert choices in str(caught.value)
    with pytest.raises(UsageError) as caught:
        Tuner("org/model").evaluate(ROWS, metrics="accuracy")
    assert "stage rm" in str(caught.value)
    assert launched == []
    assert not (tuner_home / "data" / "tuner").exists()


def test_a_question_and_its_options() -> None:
    talk, body = chat_request.build_request(
        "Hi", {"system": "Be brief.", "max_tokens": 5, "do_sample": False, "seed": 3}
    )
    assert [turn["role"] for turn in talk] == ["system", "user"]
    assert body == {"max_tokens": 5, "temperature": 0.0, "seed": 3}
    for wrong in ("temprature", "infer_dtype", "lora_rank"):
        with pytest.raises(UsageError) as caught:
            chat_request.build_request("Hi", {wrong: "auto"})
        assert caught.value.problems[0].field == wrong


def test_a_notebook_shows_names_as_text() -> None:
    """A folder may be named like a tag; a notice is other people's text."""
    notice = dataset_problem("<script>alert(1)</script>")
    view = _view(Path("/<b>"), step=2, total_steps=4, eta=65, phase="training", notices=(notice,))
    shown = following.page(
        view, [Metrics(step=2, loss=1.25, learning_rate=1e-4, epoch=0.5, tokens=9)]
    )
    assert "<script>" not in shown
    assert "/<b>" not in shown
    assert "&lt;script&gt;" in shown
    for part in ("step 2 / 4", "1:05 left", "<td>1.25</td>", 'value="0.5000"'):
        assert part in shown


@pytest.mark.parametrize(
    ("options", "model", "adapters"),
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
    options: Values, model: str, adapters: list[str] | None, tuner_home: Path
) -> None:
    """The adapter that went on learning is in the new folder; those before it stay beneath it."""
    (tuner_home / "first").mkdir()
    (tuner_home / "first" / "adapter_config.json").write_text('{"base_model_name_or_path": "base"}')
    known: Values = {"model_name_or_path": "base", "finetuning_type": "lora", "stage": "dpo"}
    known = {**known, "cutoff_len": 99, "learning_rate": 0.1, "template": "qwen"}
    used = results.arguments_of(_view(tuner_home / "run", recorded={**known, **options}))
    assert (used["model_name_or_path"], used["adapter_name_or_path"]) == (model, adapters)
    assert (used["cutoff_len"], used["template"], used["stage"]) == (99, "qwen", "sft")
    assert "learning_rate" not in used


def _view(path: Path, **options: Any) -> RunView:
    start = {"name": path.name, "model": "m", "method": "lora", "task": "train", "created": ""}
    return RunView(
        **{"path": path, **start, "sequence": 1, "state": State.RUNNING, "reason": None, **options}
    )


def dataset_problem(name: str) -> Any:
    """A notice with a name in it."""
    from backend.contract.texts.problems import Problem

    return Problem(code="dataset_unknown", params={"name": name, "path": "p"}, notice=True)


def test_without_a_training_there_is_nothing_to_wait_for() -> None:
    for call in (Tuner("org/model").wait, Tuner("org/model").resume):
        with pytest.raises(TuneboardError) as caught:
            call()
        assert caught.value.problems[0].code == "tuner_no_run"
