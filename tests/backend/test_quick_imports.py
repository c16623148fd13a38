"""What a worker imports: nothing that its run does not use, however much is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import parse, resolve
from backend.running.quick_imports import OPTIONAL, may_use_optional
from tests.backend.conftest import write_dataset
from tests.backend.training import ROWS

ROOT = Path(__file__).parents[2]


def imported(log: str) -> set[str]:
    """The packages of which Python, asked to time its imports, has imported a part, by its log; a
    package alone is also named where its import was refused."""
    lines = [line for line in log.splitlines() if line.startswith("import time:")]
    names = [line.rpartition("|")[2].strip().partition(".") for line in lines]
    return {package for package, dot, _ in names if dot}


def test_a_plain_training_imports_no_package_that_it_does_not_use(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """All of them are installed here, and took a third of a start."""
    write_dataset(workspace, "sums", ROWS)
    folder = workspace / "saves" / "run"
    words = [sys.executable, "-m", "backend", "train", "--model_name_or_path", str(tiny_model_dir)]
    words += ["--dataset", "sums", "--max_steps", "1", "--output_dir", str(folder)]
    env = {**os.environ, "TUNEBOARD_HOME": str(workspace), "PYTHONPATH": str(ROOT)}
    env["PYTHONPROFILEIMPORTTIME"] = "1"
    subprocess.run(words, env=env, cwd=workspace, capture_output=True, check=True)
    packages = imported((folder / "log.txt").read_text())
    assert {"torch", "transformers", "peft", "datasets"} <= packages
    assert not packages & {*OPTIONAL, "scipy", "httpx"}


def test_scipy_is_there_for_whoever_asks_after_the_imports(tmp_path: Path) -> None:
    code = """
from backend.contract.arguments.arguments import parse, resolve
from backend.running.quick_imports import quick_imports
with quick_imports(resolve(parse({"model_name_or_path": "."}, "train")[0])):
    import transformers.modeling_utils
import gc, scipy.optimize
print(gc.isenabled(), scipy.optimize.linear_sum_assignment([[1, 0], [0, 1]])[1].tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True [1, 0]"


QUANTIZED = {"model_type": "llama", "quantization_config": {"quant_method": "bitsandbytes"}}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, False),
        ({"finetuning_type": "full", "optim": "adamw_torch_fused"}, False),
        ({"stage": "dpo", "ref_model": "plain"}, False),
        ({"model_name_or_path": "adapter"}, False),
        ({"model_name_or_path": "adapter_of_quantized"}, True),
        ({"model_name_or_path": "quantized"}, True),
        ({"model_name_or_path": "owner/name"}, True),
        ({"stage": "dpo", "ref_model": "quantized"}, True),
        ({"quantization_bit": 4}, True),
        ({"optim": "adamw_8bit"}, True),
        ({"optim": "adamw_torch_4bit"}, True),
        ({"finetuning_type": "full", "use_galore": True}, True),
        ({"deepspeed": "2"}, True),
        ({"trust_remote_code": True}, True),
    ],
)
def test_when_an_optional_package_may_be_used(
    options: dict[str, Any], wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    for name, config in {"plain": {"model_type": "llama"}, "quantized": QUANTIZED}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    for name, base in {"adapter": "plain", "adapter_of_quantized": "quantized"}.items():
        (tmp_path / name).mkdir()
        settings = {"peft_type": "LORA", "base_model_name_or_path": base}
        (tmp_path / name / "adapter_config.json").write_text(json.dumps(settings))
    values, problems = parse({"model_name_or_path": "plain", **options}, "train")
    assert [problem for problem in problems if not problem.notice] == []
    assert may_use_optional(resolve(values)) == wanted
