"""An adapter on another base of the same shapes: training, evaluation, export, chat, API say so.

The right value is silence on the base that it was trained on, wherever that lies by now; the
fingerprint itself is tested in tests/unit/test_adapter_base.py.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.typed import Arguments
from backend.contract.models import model_folder
from backend.contract.system.files import read_json
from backend.evaluation import evaluate
from backend.export import export
from backend.model import reference
from backend.serving.engine import Engine
from backend.training import scoring
from tests.backend.training import small, train_small

ROOT = Path(__file__).parents[2]
OTHER, STACK = "adapter_of_other_base", "adapter_of_other_stack"


def values(task: str, base: Path, *adapters: Path, **options: Any) -> Arguments:
    raw = {"model_name_or_path": str(base), **options}
    if adapters:
        raw["adapter_name_or_path"] = ",".join(map(str, adapters))
    parsed, problems = parse(raw, task)
    assert not problems
    return resolve(parsed)


def each(codes: list[str]) -> dict[str, list[str]]:
    return {task: codes for task in ("train", "eval", "export", "api")}


def told(folder: Path) -> list[str]:
    """The codes of a run's notices about adapters."""
    notices = read_json(folder / "status.json").get("notices")
    assert isinstance(notices, list)
    return [row["code"] for row in notices if row["code"].startswith("adapter_")]


def everywhere(home: Path, base: Path, *adapters: Path) -> dict[str, list[str]]:
    """What each task has to say of these adapters on this base."""
    home = home / f"tasks-{len(list(home.glob('tasks-*')))}"
    home.mkdir()
    jobs = {name: home / name for name in ("eval", "export")}
    for job in jobs.values():
        job.mkdir()
    data = {"dataset_dir": str(home.parent / "data"), "eval_dataset": "sums"}
    more = {**data, "cutoff_len": 64, "max_samples": 2}
    evaluate.run(values("eval", base, *adapters, **more), jobs["eval"])
    export.run(values("export", base, *adapters, export_dir=str(home / "out")), jobs["export"])
    adapter_names = [str(each) for each in adapters]
    run = train_small(
        home.parent,
        base,
        f"again-{home.name}",
        max_steps=1,
        adapter_name_or_path=",".join(adapter_names),
    )
    engine = Engine.load(values("api", base, *adapters))
    codes = {"train": told(run), **{name: told(job) for name, job in jobs.items()}}
    return {**codes, "api": [each.code for each in engine.notices]}


@pytest.fixture
def other(tmp_path: Path, tiny_model_dir: Path) -> Path:
    """A base of the same shapes with other weights."""
    folder = tmp_path / "other"
    shutil.copytree(tiny_model_dir, folder)
    weights = load_file(folder / "model.safetensors")
    moved = {name: each + 0.01 * torch.randn_like(each) for name, each in weights.items()}
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_it_is_said_by_every_task_and_not_on_the_base_it_came_from(
    workspace: Path, tiny_model_dir: Path, other: Path
) -> None:
    base = workspace / "base"
    shutil.copytree(tiny_model_dir, base)
    adapter = train_small(workspace, base, "first", max_steps=1, save_steps=1)
    assert everywhere(workspace, base, adapter) == each([])
    assert everywhere(workspace, other, adapter) == each([OTHER])
    moved = base.rename(workspace / "moved")
    assert everywhere(workspace, moved, adapter / "checkpoint-1") == each([])


def test_adapters_on_adapters(workspace: Path, tiny_model_dir: Path) -> None:
    """The second learned over the merged first: without it, it is on another model than its own."""
    first = train_small(workspace, tiny_model_dir, "first", max_steps=1)
    more = {"adapter_name_or_path": str(first), "create_new_adapter": True}
    second = train_small(workspace, tiny_model_dir, "second", max_steps=1, **more)
    third = train_small(
        workspace, tiny_model_dir, "third", adapter_name_or_path=f"{first},{second}"
    )
    assert [len(read_json(each / model_folder.NAME)["before"]) for each in (first, second)] == [
        0,
        1,
    ]
    for stack in ((first, second), (first, third)):
        assert Engine.load(values("api", tiny_model_dir, *stack)).notices == []
    assert everywhere(workspace, tiny_model_dir, second) == each([STACK])


def test_the_base_may_be_a_run_s_own_folder(workspace: Path, tiny_model_dir: Path) -> None:
    """Where that run is made again, it is another model."""
    full = {"finetuning_type": "full", "max_steps": 1, "learning_rate": 0.01}
    base = train_small(workspace, tiny_model_dir, "full", **full)
    adapter = train_small(workspace, base, "on_it", max_steps=1)
    engine = Engine.load(values("api", base, adapter))
    assert engine.notices == []
    assert Engine.load(values("api", adapter)).notices == []  # the adapter brings its base
    shutil.rmtree(base)
    train_small(workspace, tiny_model_dir, "full", **full, seed=7)
    for case in (values("api", base, adapter), values("api", adapter)):
        assert [each.code for each in Engine.load(case).notices] == [OTHER]


def test_reward_and_reference_are_looked_at_too(
    workspace: Path, tiny_model_dir: Path, other: Path
) -> None:
    adapter = train_small(workspace, other, "elsewhere", max_steps=1)
    options = {"stage": "ppo", "reward_model": str(adapter)}
    result = scoring.base_notices(small(tiny_model_dir, **options))
    assert [(each.code, each.field) for each in result] == [(OTHER, "reward_model")]
    options = {"stage": "dpo", "ref_model_adapters": str(adapter)}
    result = reference.base_notices(small(tiny_model_dir, **options))
    assert [(each.code, each.field) for each in result] == [(OTHER, "ref_model_adapters")]
    right = {"ref_model": str(other), "ref_model_adapters": str(adapter)}
    assert reference.base_notices(small(tiny_model_dir, stage="dpo", **right)) == []


def test_chat_in_a_terminal_says_it(workspace: Path, tiny_model_dir: Path, other: Path) -> None:
    adapter = train_small(workspace, tiny_model_dir, "first", max_steps=1)
    words = [f"model_name_or_path={other}", f"adapter_name_or_path={adapter}"]
    done = subprocess.run(
        [sys.executable, "-m", "backend", "chat", *words],
        input="",
        env={**os.environ, "TUNEBOARD_HOME": str(workspace), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert f"was trained on other weights than those of {other}" in done.stderr


def test_an_adapter_of_plain_peft_is_judged_by_its_name(
    workspace: Path, tiny_model_dir: Path, other: Path
) -> None:
    """peft 0.21 writes base_model_name_or_path and no more."""
    adapter = train_small(workspace, tiny_model_dir, "first", max_steps=1)
    (adapter / model_folder.NAME).unlink()
    config = adapter / "adapter_config.json"
    content = {**json.loads(config.read_text()), "base_model_name_or_path": "org/Llama-3-8B"}
    config.write_text(json.dumps(content))
    result = Engine.load(values("api", other, adapter)).notices
    assert [each.code for each in result] == ["adapter_names_other_base"]
    assert "org/Llama-3-8B" in result[0].text()
