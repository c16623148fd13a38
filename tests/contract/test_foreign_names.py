"""Arguments of transformers and LLaMA-Factory: each is taken, idle for a reason, or refused."""

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from backend.contract.arguments import arguments
from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.foreign import ALIASES, FOREIGN, llamafactory, trainer
from backend.contract.arguments.foreign.spellings import CHOICE_HINTS, HINTS
from backend.contract.texts.locales import has, languages
from backend.contract.texts.problems import Problem, errors
from tests.contract.foreign_names import LLAMAFACTORY, TRANSFORMERS_BEFORE
from tests.contract.strategies import TASKS

VALUES: list[object] = [None, True, False, "true", 0, 1, 8, 0.5, "some_text", ["a"], {"a": 1}]
VALUES += [16**5000, float("nan"), b"x", [None], "\ud800"]
NO_HINT = {"other_task", "unknown_argument", "unknown_argument_near"}
ENVIRONMENT = {"all_results", "dataset_info", "grad_norm", "use_reentrant"}  # no arguments


def transformers_names() -> list[str]:
    """The fields of the installed TrainingArguments and Seq2SeqTrainingArguments."""
    spec = find_spec("transformers")
    assert spec is not None
    assert spec.origin is not None
    found = []
    for name in ("TrainingArguments", "Seq2SeqTrainingArguments"):
        file = "training_args.py" if name[0] == "T" else "training_args_seq2seq.py"
        tree = ast.parse((Path(spec.origin).parent / file).read_text(encoding="utf-8"))
        made = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
        found += [
            part.target.id
            for part in made.body
            if isinstance(part, ast.AnnAssign)
            and isinstance(part.target, ast.Name)
            and "ClassVar" not in ast.unparse(part.annotation)
        ]
    return [name for name in found if not name.startswith("_")]


def answer(name: str, value: object, task: str = "train") -> tuple[Values, list[Problem]]:
    """What differs from the defaults, and what is said."""
    values, problems = arguments.parse({name: value}, task)
    start = arguments.defaults(task)
    return {key: part for key, part in values.items() if part != start[key]}, problems


def test_no_name_is_unknown_and_no_answer_generic() -> None:
    """Each name of both programs, at values of every type."""
    names = {*transformers_names(), *LLAMAFACTORY, *TRANSFORMERS_BEFORE}
    assert len(transformers_names()) >= 117
    assert (len(names), len(LLAMAFACTORY), len(TRANSFORMERS_BEFORE)) >= (350, 240, 30)
    for name in sorted(names):
        row = arguments.canonical_name(name)
        assert row in FIELDS or row in FOREIGN, name
        for value in VALUES:
            _, problems = answer(name, value)
            for problem in problems:
                text = problem.text()
                assert problem.code not in NO_HINT or "train" not in FIELDS[row].tasks, text
                assert "Remove it" not in text, text
                assert problem.notice == ("has no effect here, because" in text), text


def test_hints_lead_to_what_is_meant() -> None:
    """trl 0.2x (max_seq_length, completion_only_loss), peft (target_modules), transformers
    (load_in_4bit, torch_dtype) and axolotl (base_model, val_set_size) got no hint, or a wrong
    one by their spelling: eos_token was hf_hub_token, wandb_project was swanlab_project."""
    assert len(HINTS) > 80
    assert not HINTS.keys() & {*FIELDS, *FOREIGN, *ALIASES}
    for name, ours in HINTS.items():
        for one in ours:
            row, _, value = one.partition("=")
            assert row in FIELDS, (name, row)
            assert not value or str(FIELDS[row].parse(value)).lower() == value
        _, (problem,) = answer(name, "x")
        near = problem.params.get("near", "")
        assert near == " / ".join(one for one in ours if "train" in FIELDS[one.split("=")[0]].tasks)
        assert problem.code == ("unknown_argument_near" if near else "unknown_argument"), name
    assert answer("load_in_4bit", True)[1][0].params["near"] == "quantization_bit=4"
    assert answer("completion_only_loss", True)[1][0].params["near"] == "train_on_prompt=false"
    assert answer("torch_dtype", "auto")[1][0].params["near"] == "bf16 / fp16"
    assert answer("torch_dtype", "auto", "chat")[1][0].params["near"] == "infer_dtype"


def test_what_is_no_single_choice_is_made_of_values_that_are() -> None:
    """qlora got the bare list of choices, in which it cannot be found."""
    assert len(CHOICE_HINTS) > 8
    for (name, choice), near in CHOICE_HINTS.items():
        assert choice not in FIELDS[name].choices
        raw = dict(part.split() for part in near.split(", "))
        values, problems = arguments.parse(raw, "train")
        assert errors(problems) == [], near
        assert all(values[key] != FIELDS[key].default for key in raw if key != name), near
        _, (problem,) = answer(name, choice.upper())
        assert near in problem.text()


def test_names_have_one_place() -> None:
    assert len(FOREIGN) == len(trainer.NAMES) + len(llamafactory.NAMES) > 150
    assert not FOREIGN.keys() & FIELDS.keys()
    assert not ALIASES.keys() & (FIELDS.keys() | FOREIGN.keys())
    assert set(ALIASES.values()) <= set(FIELDS)


def test_each_answer_is_written_and_names_rows_that_exist() -> None:
    """What is said to be used instead is no name that is refused itself."""
    codes = {foreign.instead for foreign in FOREIGN.values()} - {""}
    reasons = {each.because for each in FOREIGN.values() if each.idle is None or each.idle}
    assert (len(codes), len(reasons)) >= (35, 25)
    for code in codes | reasons:
        assert has(f"problem.{code}"), code
        for lang in languages():
            params = {"owner": "o", "value": "v"}
            text = Problem(code=code, field="f", params=params).text(lang)
            named = set(re.findall(r"[a-z0-9]+(?:_[a-z0-9]+)+", text))
            assert named - ENVIRONMENT <= {*FIELDS, "3_offload"}, text
            if lang == "en":
                assert ("has no effect here, because" in text) == (code in reasons), text


def test_what_stands_for_rows_is_a_value_of_them() -> None:
    pairs = [part for each in FOREIGN.values() for part in each.becomes.values()]
    assert len(pairs) > 15
    for name, value in ((name, value) for part in pairs for name, value in part.items()):
        assert FIELDS[name].parse(value) == value


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [
        ("gradient_checkpointing", False, {"disable_gradient_checkpointing": True}),
        ("gradient_checkpointing", "true", {"disable_gradient_checkpointing": False}),
        ("quantization_method", "bitsandbytes", {}),
        ("quantization_method", "BitsAndBytes", {}),
        ("mixed_precision", None, {}),
        ("activation_checkpointing", "no", {"disable_gradient_checkpointing": True}),
        ("gradient_checkpointing_kwargs", {"use_reentrant": True}, {"use_reentrant_gc": True}),
        ("gradient_checkpointing_kwargs", '{"use_reentrant": false}', {}),
        ("train_sampling_strategy", "random", {"group_by_length": False}),
        ("train_sampling_strategy", "sequential", {"disable_shuffling": True}),
        ("train_sampling_strategy", "group_by_length", {}),
        ("adafactor", True, {"optim": "adafactor"}),
        ("evaluate_during_training", True, {"eval_strategy": "steps"}),
        ("evaluation_strategy", "epoch", {"eval_strategy": "epoch"}),
        ("no_cuda", True, {"use_cpu": True}),
        ("use_liger_kernel", True, {"enable_liger_kernel": True}),
        ("per_gpu_train_batch_size", 4, {"per_device_train_batch_size": 4}),
        ("hub_token", "S", {"hf_hub_token": "S"}),
        ("push_to_hub_model_id", "a/b", {"hub_model_id": "a/b"}),
        ("dpo_beta", 0.2, {"pref_beta": 0.2}),
        ("checkpoint_dir", "a,b", {"adapter_name_or_path": "a,b"}),
        ("max_steps", -1, {}),
        ("warmup_steps", 0.1, {"warmup_ratio": 0.1}),
        ("warmup_steps", 20, {"warmup_steps": 20}),
        ("data_seed", 7, {"data_seed": 7}),
        ("logging_first_step", True, {"logging_first_step": True}),
        ("metric_for_best_model", "eval_loss", {"metric_for_best_model": "eval_loss"}),
        ("greater_is_better", False, {"greater_is_better": False}),
        ("ddp_find_unused_parameters", False, {"ddp_find_unused_parameters": False}),
        ("tf32", True, {"tf32": True}),
        ("fsdp", "", {}),
        ("fsdp", [], {}),
        ("mixture_of_depths", None, {}),
        ("export_dir", None, {}),
    ],
)
def test_values_that_do_their_work(name: str, value: object, meaning: dict[str, Value]) -> None:
    assert answer(name, value) == (meaning, [])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("badam_verbose", 2, "BAdam itself writes nothing"),
        ("remove_unused_columns", False, "only the columns that are learned from"),
        ("remove_unused_columns", True, "only the columns that are learned from"),
        ("low_cpu_mem_usage", True, "no second copy of the model"),
        ("use_cache", False, "no cache of keys and values"),
        ("use_kv_cache", True, "no cache of keys and values"),
        ("fp8", False, "false is the behavior anyway"),
        ("fsdp", False, "false is the behavior anyway"),
        ("ray_num_workers", 1, "1 is the behavior anyway"),
        ("freeze_vision_tower", True, "true is the behavior anyway"),
        ("image_max_pixels", 262144, "only text is learned from"),
        ("tensor_model_parallel_size", 1, "1 is the behavior anyway"),
        ("kt_weight_path", "x", "belongs to use_kt"),
        ("mixed_precision", "bf16_mixed", "belongs to use_megatron_bridge"),
        ("half_precision_backend", "cuda_amp", "PyTorch's own"),
        ("hub_strategy", "every_save", "uploaded once"),
        ("include_num_input_tokens_seen", "non_padding", "always counted"),
        ("do_sample", True, "an argument of tuneboard eval, chat, api"),
        ("max_length", 512, "max_new_tokens"),
    ],
)
def test_values_that_change_nothing_say_why(name: str, value: object, reason: str) -> None:
    meaning, (notice,) = answer(name, value)
    assert (meaning, notice.notice, notice.field) == ({}, True, name)
    assert notice.text().startswith(f"{name} has no effect here, because ")
    assert reason in notice.text()


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("fp8", True, "quantization_bit"),
        ("mixture_of_depths", "convert", "finetuning_type lora"),
        ("use_kt", True, "deepspeed to 3_offload"),
        ("fsdp", ["full_shard", "auto_wrap"], "deepspeed to 3"),
        ("fsdp_config", {"min_num_params": 1}, "deepspeed to 3"),
        ("fsdp_transformer_layer_cls_to_wrap", "LlamaDecoderLayer", "deepspeed to 3"),
        ("tensor_model_parallel_size", 8, "deepspeed to 3"),
        ("ray_num_workers", 4, "NPROC_PER_NODE=4"),
        ("freeze_vision_tower", False, "text data set"),
        ("torch_compile", True, "enable_liger_kernel"),
        ("tool_format", "glm4", "template"),
        ("optim_args", "rank=64", "galore_rank"),
        ("half_precision_backend", "apex", "fp16 or bf16 alone"),
        ("average_tokens_across_devices", False, "mean over the tokens of all GPUs"),
        ("gradient_checkpointing_kwargs", {"context_fn": 1}, "use_reentrant"),
        ("save_safetensors", False, "safetensors"),
        ("label_names", ["start_positions"], "dataset_info.json"),
        ("om_hub_token", "S3CRET", "ms_hub_token"),
        ("task", "mmlu_test", "eval_dataset"),
        ("mixed_precision", "bf16", "bf16 true"),
        ("mixed_precision", "fp16", "fp16 true"),
        ("mixed_precision", "no", "bf16 false"),
        ("finetuning_type", "QLoRA", "finetuning_type lora, quantization_bit 4"),
        ("finetuning_type", "prefix_tuning", "finetuning_type prefix"),
        ("train_sampling_strategy", "batch_rebalance", "random, sequential, group_by_length"),
    ],
)
def test_values_that_ask_for_more_are_refused_with_what_to_use(
    name: str, value: object, instead: str
) -> None:
    meaning, (problem,) = answer(name, value)
    assert (meaning, problem.notice) == ({}, False)
    assert instead in problem.text()
    assert "S3CRET" not in problem.text() + problem.text("zh")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("gradient_checkpointing", "maybe", "not_bool"),
        ("badam_verbose", "loud", "not_int"),
        ("use_cache", 3, "not_bool"),
        ("video_fps", "fast", "not_number"),
        ("hub_strategy", "often", "not_choice"),
        ("do_sample", "maybe", "not_bool"),
        ("max_steps", -2, "out_of_range"),
    ],
)
def test_a_wrong_value_of_a_foreign_name_is_refused_as_any_other(
    name: str, value: object, code: str
) -> None:
    _, (problem,) = answer(name, value)
    assert (problem.code, problem.notice) == (code, False)


@pytest.mark.parametrize("task", TASKS)
def test_a_hint_never_leads_to_a_name_that_is_refused(task: str) -> None:
    """Each name with a letter too few: where a hint is given, what it names is taken."""
    names = [*FIELDS, *FOREIGN, *ALIASES]
    near = 0
    for name in names:
        wrong = name[:-1]
        if wrong in {*names}:
            continue
        _, problems = answer(wrong, "1", task)
        for hint in (str(problem.params.get("near") or "") for problem in problems):
            near += bool(hint)
            assert not hint or arguments.takes(hint, task), (wrong, hint)
            assert hint not in FOREIGN or FOREIGN[hint].accepts_all, (wrong, hint)
    assert near > 40


def test_two_names_of_one_setting_must_agree(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("gradient_checkpointing: true\ndisable_gradient_checkpointing: true\n")
    _, (problem,) = arguments.from_yaml(str(file), "train")
    assert (problem.code, problem.params["at"]) == ("given_twice", f"{file}:2")
    file.write_text("gradient_checkpointing: false\ndisable_gradient_checkpointing: true\n")
    assert arguments.from_yaml(str(file), "train")[1] == []


def test_the_last_word_counts_among_names_of_one_setting(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("disable_gradient_checkpointing: false\ngradient_checkpointing: true\n")
    words = [str(file), "--disable_gradient_checkpointing", "true"]
    values, problems = arguments.from_argv(words, "train")
    assert (values["disable_gradient_checkpointing"], problems) == (True, [])
    values, problems = arguments.from_argv(["dpo_beta=0.2", "pref_beta=0.3"], "train")
    assert (values["pref_beta"], problems) == (0.3, [])


def test_notices_name_the_line_of_their_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("lora_rank: 4\nuse_cache: false\n")
    values, (notice,) = arguments.from_yaml(str(file), "train")
    assert values["lora_rank"] == 4
    assert notice.text().startswith(f"{file}:2: use_cache has no effect here, because ")


@pytest.mark.parametrize("task", TASKS)
def test_a_setting_of_training_belongs_to_it(task: str) -> None:
    """Names that stand for a row go where the row goes; a reason holds everywhere."""
    _, problems = answer("gradient_checkpointing", True, task)
    assert [problem.code for problem in problems] == ([] if task == "train" else ["other_task"])
    assert errors(answer("use_cache", True, task)[1]) == []
