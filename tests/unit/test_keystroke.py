"""What one keystroke on the Train form costs: each file of the model is opened once."""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.tabs.run.launching import Launcher
from backend.contract.models import model_folder
from backend.contract.models.model_folder import adapter_base, config
from tests.unit.forms import filled, launcher_of, train_form

WEIGHTS = (2).to_bytes(8, "little") + b"{}"  # a safetensors file without tensors

_opened: Counter[str] | None = None


def _count(event: str, given: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(given[0], str | os.PathLike):
        _opened[os.fspath(given[0])] += 1


sys.addaudithook(_count)  # stays as long as the process; counts only while a test asks for it


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each path is opened, by whatever function, while the test runs."""
    counts: Counter[str] = Counter()
    monkeypatch.setattr(sys.modules[__name__], "_opened", counts)
    return counts


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """The Train form with a model, an adapter on it, and the model as its own reference."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    model, adapter = tmp_path / "m", tmp_path / "a"
    for folder, name in ((model, "model"), (adapter, "adapter_model")):
        folder.mkdir()
        (folder / f"{name}.safetensors").write_bytes(WEIGHTS)
    (model / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "m"}))
    start = {"model_name_or_path": "m", "adapter_name_or_path": ["a"], "stage": "dpo"}
    return launcher_of(train_form(start={**start, "ref_model": "m", "dataset": "identity"}))


def key(launcher: Launcher, **typed: str) -> set[str]:
    """One keystroke: the fields that are refused after it."""
    _, problems = launcher.judge(filled(launcher, **typed))
    return {problem.field for problem in problems if not problem.notice}


def test_one_keystroke_reads_the_configuration_once(
    launcher: Launcher, opened: Counter[str], tmp_path: Path
) -> None:
    """It was read for the check of the folder, for its quantization, and for the reference."""
    file = str(tmp_path / "m/config.json")
    key(launcher, learning_rate="1e-4")
    assert opened[file] == 1
    assert opened[str(tmp_path / "m/model.safetensors")] == 2  # the model's check, the reference's
    key(launcher, learning_rate="1e-")
    assert opened[file] == 1


def test_a_configuration_that_changes_is_read_again(
    launcher: Launcher, opened: Counter[str], tmp_path: Path
) -> None:
    """Whether it is replaced, written over, broken, removed or brought back."""
    file = tmp_path / "m/config.json"
    named = {"model_name_or_path", "ref_model"}
    assert not key(launcher) & named
    content = file.read_text()
    other = tmp_path / "other.json"
    other.write_text(content.replace("{", "["))  # of the same length
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    assert key(launcher) & named == named
    file.write_text(content + " ")
    assert not key(launcher) & named
    file.unlink()
    assert key(launcher) & named == named
    file.write_text(content)
    assert not key(launcher) & named
    assert opened[str(file)] >= 4


def test_a_file_that_could_not_be_opened_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With too many files open in the page process, for a moment."""
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with monkeypatch.context() as moment:
        moment.setattr(model_folder, "read_json", lambda path: {})
        assert not config(tmp_path)
    assert config(tmp_path) == {"model_type": "llama"}


def test_nobody_can_change_what_others_read(launcher: Launcher, tmp_path: Path) -> None:
    assert adapter_base(tmp_path / "a") == "m"
    with pytest.raises(TypeError):
        config(tmp_path / "m")["architectures"] = []
