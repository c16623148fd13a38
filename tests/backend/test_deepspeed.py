"""DeepSpeed: which config it gets, and what is said before a run that cannot work."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from backend.contract.arguments.arguments import check_parsed, parse, resolve
from backend.contract.arguments.fields.training import ZERO
from backend.contract.arguments.typed import Arguments
from backend.contract.preflight.preflight import check_deepspeed
from backend.training import arguments
from tests.backend.conftest import write_dataset
from tests.backend.training import ROWS, train_small

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ZERO)
def test_each_stage_has_a_config(name: str, tmp_path: Path) -> None:
    found = arguments.arguments(resolve({"deepspeed": name}), tmp_path, writes=True)["deepspeed"]
    zero = found["zero_optimization"]
    assert zero["stage"] == int(name[0])
    assert ("offload_optimizer" in zero) == name.endswith("_offload")
    assert ("offload_param" in zero) == (name == "3_offload")
    assert zero.get("stage3_gather_16bit_weights_on_model_save", name[0] == "3") is (name[0] == "3")
    assert json.loads((tmp_path / "deepspeed.json").read_text()) == found
    json.dumps(found)


def test_a_config_of_one_s_own_is_taken_as_it_is(tmp_path: Path) -> None:
    own = {"train_batch_size": "auto", "zero_optimization": {"stage": 1}}
    (tmp_path / "own.json").write_text(json.dumps(own))
    values = resolve({"deepspeed": str(tmp_path / "own.json")})
    assert arguments.arguments(values, tmp_path, writes=False) == {"deepspeed": own}
    assert not (tmp_path / "deepspeed.json").exists()
    assert arguments.arguments(Arguments(), tmp_path, writes=True) == {}


@pytest.mark.parametrize("content", [None, "", "[1]", "{"])
def test_a_config_that_is_none_is_said(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    if content is not None:
        path.write_text(content)
    codes = [problem.code for problem in check_deepspeed(resolve({"deepspeed": str(path)}))]
    assert "deepspeed_config" in codes


def test_without_the_package_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.contract.preflight.preflight.is_installed", lambda _: False)
    found = [
        (each.code, each.field, dict(each.params))
        for each in check_deepspeed(resolve({"deepspeed": "2"}))
    ]
    assert found == [("package_missing", "deepspeed", {"package": "deepspeed"})]
    assert check_deepspeed(resolve({})) == []


@pytest.mark.parametrize(
    ("given", "code", "harmless"),
    [
        ({"use_galore": True, "finetuning_type": "full"}, "deepspeed_and_low_rank_optimizer", None),
        ({"use_apollo": True, "finetuning_type": "full"}, "deepspeed_and_low_rank_optimizer", None),
        ({"pissa_init": True}, "not_with_zero3", "2"),
        ({"pure_bf16": True}, "not_with_zero3", "2"),
        ({"quantization_bit": "4"}, "not_with_zero3", "2_offload"),
        ({"resize_vocab": True}, "not_with_zero3", "2"),
    ],
)
def test_what_does_not_work_with_it(given: dict[str, Any], code: str, harmless: str | None) -> None:
    def codes(stage: str | None) -> list[str]:
        raw = {"model_name_or_path": "m", "dataset": "d", "deepspeed": stage, **given}
        values, problems = parse(raw, "train")
        return [problem.code for problem in check_parsed(values, problems, "train")]

    assert code in codes("3")
    assert code not in codes(harmless)


@pytest.mark.skipif(not shutil.which("c++"), reason="deepspeed compiles a part of itself")
@pytest.mark.parametrize("stage", ["2", "3"])
def test_two_processes_give_the_weights_of_one(
    stage: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """Also stage 3, which spreads the weights: the saved model is whole."""
    write_dataset(workspace, "sums", ROWS)
    given = {"max_steps": 3, "gradient_accumulation_steps": 1, "finetuning_type": "full"}
    alone = train_small(workspace, tiny_model_dir, per_device_train_batch_size=4, **given)
    folder = workspace / "saves" / "tiny" / "full" / "spread"
    given |= {"model_name_or_path": tiny_model_dir, "dataset": "sums", "output_dir": folder}
    given |= {"deepspeed": stage, "learning_rate": 1e-3, "cutoff_len": 128}
    words = [f"{key}={value}" for key, value in given.items()]
    env = {"TUNEBOARD_HOME": str(workspace), "PYTHONPATH": str(ROOT), "NPROC_PER_NODE": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "backend", "train", "per_device_train_batch_size=2", *words],
        env={**os.environ, **env, "DS_ACCELERATOR": "cpu"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    one, two = (load_file(each / "model.safetensors") for each in (alone, folder))
    assert one.keys() == two.keys()
    assert all((one[name] - two[name]).abs().max() < 1e-5 for name in one)
