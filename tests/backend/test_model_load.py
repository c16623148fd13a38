"""What cannot be loaded is refused by name before anything long begins; no foreign code runs."""

import json
import pickle
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.contract.arguments.arguments import resolve
from backend.contract.preflight import preflight, requirements
from backend.contract.runs import run_names
from backend.contract.texts.problems import (
    ModelError,
    OutOfMemoryError,
    TuneboardError,
    UsageError,
)
from backend.model import device, hub, load
from backend.model.reference import Reference
from backend.running import failures
from backend.training import scoring, teachers
from tests.backend.training import small


class Canary:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def code_of(action: Any) -> str:
    with pytest.raises(TuneboardError) as caught:
        action()
    return caught.value.problems[0].code


@pytest.fixture
def copy(tiny_model_dir: Path, workspace: Path) -> Path:
    folder = workspace / "model"
    shutil.copytree(tiny_model_dir, folder)
    return folder


def edit(path: Path, **options: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **options}))


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def empty_config(folder: Path) -> None:
    (folder / "config.json").write_text("")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def garbage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 200)


def lost_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(folder / "ran")))


def is_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("GGUF")


def orphan_adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')


FOLDERS = [
    (no_config, "model_no_config"),
    (empty_config, "model_bad_config"),
    (no_weights, "model_no_weights"),
    (cut, "model_weights_broken"),
    (garbage, "model_weights_broken"),
    (lost_shard, "model_shard_missing"),
    (pickled, "model_pickle_only"),
    (is_file, "model_is_file"),
    (orphan_adapter, "adapter_without_base"),
    (shutil.rmtree, "model_missing"),
]


@pytest.mark.parametrize(("damage", "code"), FOLDERS, ids=[code for _, code in FOLDERS])
def test_a_bad_folder_is_named_by_preflight_and_by_load(damage: Any, code: str, copy: Path) -> None:
    damage(copy)
    values = small(copy)
    problems = preflight.check_model(values)
    assert [problem.code for problem in problems] == [code]
    assert problems[0].field == "model_name_or_path"
    assert str(copy) in problems[0].text()
    assert code_of(lambda: load.tokenizer(values)) == code
    assert code_of(lambda: load.model(values, training=True)) == code
    assert not (copy / "ran").exists()


def test_load_says_where_a_model_was_looked_for(workspace: Path) -> None:
    """`tuneboard data stats` loads without the checks before a run."""
    with pytest.raises(ModelError) as caught:
        load.base_folder(resolve({"model_name_or_path": "./gone"}))
    for place in (Path.cwd(), workspace):
        assert str(place / "gone") in caught.value.problems[0].text()


def test_a_whole_folder_has_no_problem(copy: Path) -> None:
    assert preflight.check_model(small(copy)) == []


def test_pickles_beside_safetensors_are_never_opened(copy: Path, workspace: Path) -> None:
    """training_args.bin and friends lie in many folders; docs/rules.md, S-04."""
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "adapter_model.bin"):
        (copy / name).write_bytes(pickle.dumps(Canary(workspace / "ran")))
    load.model(small(copy), training=False)
    assert not (workspace / "ran").exists()


def test_a_pickled_adapter_is_refused(copy: Path, workspace: Path) -> None:
    adapter = workspace / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(copy)})
    )
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Canary(workspace / "ran")))
    values = small(copy, adapter_name_or_path=str(adapter))
    assert [problem.code for problem in preflight.check_model(values)] == ["model_pickle_only"]
    assert code_of(lambda: load.model(values, training=False)) == "model_pickle_only"
    assert code_of(lambda: load.tokenizer(small(adapter))) == "model_pickle_only"
    assert not (workspace / "ran").exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_foreign_code_is_refused_by_name(file: str, copy: Path, workspace: Path) -> None:
    """docs/rules.md, S-07: in loading the model and in loading only the tokenizer."""
    name = "AutoConfig" if file == "config.json" else "AutoTokenizer"
    edit(copy / "config.json", model_type="strange_llama")
    edit(copy / file, auto_map={name: "modeling_strange.Strange"})
    ran = workspace / "ran"
    (copy / "modeling_strange.py").write_text(
        f"from pathlib import Path\nPath({str(ran)!r}).touch()\n"
    )
    for action in (load.tokenizer, lambda values: load.model(values, training=True)):
        with pytest.raises(ModelError) as caught:
            action(small(copy))
        assert caught.value.problems[0].code == "model_needs_code"
        assert "modeling_strange.py" in caught.value.problems[0].text()
    assert not ran.exists()


def test_known_models_with_code_of_their_own_load_without_it(copy: Path, workspace: Path) -> None:
    """Many hub folders carry code for a model that transformers knows by now."""
    edit(copy / "config.json", auto_map={"AutoModelForCausalLM": "modeling_strange.Strange"})
    (copy / "modeling_strange.py").write_text("raise SystemExit")
    assert type(load.model(small(copy), training=False)).__name__ == "LlamaForCausalLM"


def test_an_adapter_for_another_model_is_refused(workspace: Path, tiny_model_dir: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    from tests.backend.training import train_small

    adapter = train_small(workspace, tiny_model_dir)
    config = AutoConfig.from_pretrained(tiny_model_dir)
    config.hidden_size, config.intermediate_size = 64, 128
    other = workspace / "other"
    AutoModelForCausalLM.from_config(config).save_pretrained(other)
    values = small(other, adapter_name_or_path=str(adapter))
    assert code_of(lambda: load.model(values, training=False)) == "adapter_does_not_fit"


def test_full_memory_is_no_fault_of_a_folder(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU torch raises a RuntimeError, which was taken for that of a broken folder."""

    def fill(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    values = small(tiny_model_dir)
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", fill)
    with pytest.raises(RuntimeError) as caught:
        load.read_config(values)
    assert isinstance(failures.explain(caught.value, values), OutOfMemoryError)


def test_a_stalled_hub_is_said_in_time(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that takes the connection and never answers must not hold a run (said within 15 s)."""
    monkeypatch.setattr(hub, "DEADLINE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        began = time.monotonic()
        code = code_of(lambda: load.tokenizer(small(Path("nobody/nothing"))))
        silent.settimeout(1)
        silent.accept()[0].close()  # it was asked indeed
    assert code == "hub_unreachable"
    assert time.monotonic() - began < 10


def test_offline_is_said_at_once(workspace: Path) -> None:
    assert (
        code_of(lambda: load.tokenizer(small(Path("nobody/nothing-at-all")))) == "hub_unreachable"
    )


def test_a_name_that_is_nowhere_is_said_with_all_places(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: Path
) -> None:
    """It said only that the hub cannot be reached: of a folder in which nobody had looked, of the
    name of a run, of an adapter. Walks the arguments that may name a hub's model."""
    here, home = tmp_path / "here", workspace
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TUNEBOARD_HOME", str(home))
    policy = load.model(small(copy), training=False)
    tokenizer = load.tokenizer(small(copy))

    def reward(**options: str) -> Any:
        values = small(copy, stage="ppo", reward_model_type="full", **options)
        return scoring.load(values, policy, tokenizer)

    def reference(**options: str) -> Any:
        return Reference(policy, small(copy, stage="dpo", **options), 0)

    def teacher(**options: str) -> Any:
        return teachers.load(small(copy, stage="distillation", **options), policy)

    actions: dict[str, Callable[[str], Any]] = {
        "model_name_or_path": lambda name: load.tokenizer(small(Path(name))),
        "adapter_name_or_path": lambda name: load.adapter_folders(
            small(copy, adapter_name_or_path=name)
        ),
        "ref_model": lambda name: reference(ref_model=name),
        "ref_model_adapters": lambda name: reference(ref_model_adapters=name),
        "reward_model": lambda name: reward(reward_model=name),
        "reward_model_adapters": lambda name: reward(
            reward_model=str(copy), reward_model_adapters=name
        ),
        "teacher_model": lambda name: teacher(teacher_model=name),
        "teacher_model_adapters": lambda name: teacher(
            teacher_model=str(copy), teacher_model_adapters=name
        ),
    }
    assert set(actions) == {*run_names.NAMING} - {run_names.CHECKPOINT}
    runs = {
        "Qwen2_demo": "*/*/Qwen2_demo",
        "lora/first": "*/lora/first",
        "my.org/x-1": "*/my.org/x-1",
    }
    for field, action in actions.items():
        for name, run in runs.items():
            with pytest.raises(ModelError) as caught:
                action(name)
            (problem,) = caught.value.problems
            place = str(home / "saves" / run)
            places = f"{here / name}, {home / name}, {place}"
            assert problem.text().startswith(
                f"There is nothing at {places}, so {name} was taken as the name of a model on a "
                "hub, but the hub cannot be reached."
            )
            assert problem.code == "hub_unreachable"
            assert problem.field in {field, "reward_model"}, field


@pytest.mark.parametrize(
    ("options", "field", "package"),
    [
        ({"quantization_bit": "4"}, "quantization_bit", "bitsandbytes"),
        ({"use_galore": True, "finetuning_type": "full"}, "use_galore", "galore-torch"),
        ({"use_apollo": True, "finetuning_type": "full"}, "use_apollo", "apollo-torch"),
        ({"enable_liger_kernel": True}, "enable_liger_kernel", "liger-kernel"),
        ({"flash_attn": "fa2"}, "flash_attn", "flash-attn"),
        ({"report_to": "wandb"}, "report_to", "wandb"),
    ],
)
def test_a_missing_package_is_named(
    options: dict[str, Any],
    field: str,
    package: str,
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for room in (preflight, requirements):
        monkeypatch.setattr(room, "is_installed", lambda _: False)
    values = small(tiny_model_dir, **options)
    problem = preflight.check_packages(values)[0]
    assert (problem.code, problem.field) == ("package_missing", field)
    assert f"pip install {package}" in problem.text()
    with pytest.raises(UsageError):
        load.model(values, training=True)


def test_an_unknown_tracker_is_refused(tiny_model_dir: Path) -> None:
    problems = preflight.check_packages(small(tiny_model_dir, report_to="nonsense"))
    assert [problem.code for problem in problems] == ["not_choice"]


@pytest.mark.parametrize(
    ("wish", "place"), [("fp16", "cpu"), ("bf16", "mps"), ("fp16", "mps"), ("pure_bf16", "mps")]
)
def test_half_precision_that_a_device_has_not_becomes_fp32(
    wish: str, place: str, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "device", lambda: place)
    precision = device.training_precision(small(tiny_model_dir, **{wish: True}))
    assert (precision.frozen, precision.learned) == (torch.float32, torch.float32)
    assert not precision.bf16
    assert not precision.fp16
    assert [(notice.code, notice.field) for notice in precision.notices] == [("bf16_on_cpu", wish)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (torch.float32, torch.float32, False)),
        ({"bf16": False}, (torch.float32, torch.float32, False)),
        ({"bf16": True}, (torch.bfloat16, torch.float32, True)),
        ({"pure_bf16": True}, (torch.bfloat16, torch.bfloat16, False)),
    ],
)
def test_precision_on_a_cpu(
    options: dict[str, Any],
    expected: tuple[Any, ...],
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As asked for; what is left open is decided before, by a measurement."""
    monkeypatch.setattr(device, "device", lambda: "cpu")
    result = device.training_precision(small(tiny_model_dir, **options))
    assert (result.frozen, result.learned, result.bf16) == expected
    assert not result.notices


@pytest.mark.parametrize(
    ("options", "able", "expected"),
    [
        ({}, True, (torch.bfloat16, torch.float32, True, False)),
        ({}, False, (torch.float32, torch.float32, False, False)),
        ({"bf16": False}, True, (torch.float32, torch.float32, False, False)),
        ({"fp16": True}, True, (torch.float16, torch.float32, False, True)),
        ({"pure_bf16": True}, True, (torch.bfloat16, torch.bfloat16, False, False)),
    ],
)
def test_precision_on_a_gpu(
    options: dict[str, Any],
    able: bool,
    expected: tuple[Any, ...],
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device, "device", lambda: "cuda")
    monkeypatch.setattr(device, "has_bf16", lambda: able)
    result = device.training_precision(small(tiny_model_dir, **options))
    assert (result.frozen, result.learned, result.bf16, result.fp16) == expected


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn", "llama3"])
def test_positions_are_scaled(kind: str, tiny_model_dir: Path) -> None:
    values = small(tiny_model_dir, rope_scaling=kind, cutoff_len=5000)
    model = load.model(values, training=False)
    assert model.config.rope_parameters["rope_type"] == kind
    assert model.config.rope_parameters["factor"] == 3.0
    assert model(input_ids=torch.tensor([[5, 6, 7]])).logits.isfinite().all()


def test_the_vocabulary_grows_to_the_tokenizer(tiny_model_dir: Path) -> None:
    values = small(tiny_model_dir, resize_vocab=True, finetuning_type="full")
    model = load.model(values, training=True, vocabulary=450)
    assert model.get_input_embeddings().weight.shape[0] == 512
    assert model.get_output_embeddings().weight.shape[0] == 512


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"lora_target": "no_proj"}, "modules_unknown"),
        ({"finetuning_type": "freeze", "freeze_trainable_layers": 9}, "freeze_layers"),
        ({"finetuning_type": "freeze", "freeze_trainable_modules": "nope"}, "modules_unknown"),
        ({"finetuning_type": "freeze", "freeze_extra_modules": "nope"}, "modules_unknown"),
    ],
)
def test_names_that_the_model_has_not(
    options: dict[str, Any], code: str, tiny_model_dir: Path
) -> None:
    """The message lists what there is."""
    with pytest.raises(UsageError) as caught:
        load.model(small(tiny_model_dir, **options), training=True)
    problem = caught.value.problems[0]
    assert problem.code == code
    if code == "modules_unknown":
        assert "proj" in str(problem.params["known"]) or "norm" in str(problem.params["known"])


def test_only_safetensors_are_written(workspace: Path, tiny_model_dir: Path) -> None:
    from tests.backend.training import train_small

    folder = train_small(workspace, tiny_model_dir, finetuning_type="full")
    pickles = {path.name for path in folder.rglob("*") if path.suffix in {".bin", ".pkl"}}
    assert not pickles
