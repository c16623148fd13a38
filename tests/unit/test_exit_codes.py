"""The exit code says what kind of thing was wrong, also where it is found before anything loads."""

from pathlib import Path

import pytest

from backend.__main__ import main
from backend.contract.problems import ModelError, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["train", "model_name_or_path=/no/model", "dataset=identity"], ModelError.exit_code),
        (["export", "model_name_or_path=/no/model", "export_dir=out"], ModelError.exit_code),
        (["chat", "model_name_or_path=/no/model"], ModelError.exit_code),
        (["train", "model_name_or_path=/no/model", "dataset=none"], UsageError.exit_code),
        (["train", "dataset=identity"], UsageError.exit_code),
        (["train", "model_name_or_path=/no/model", "lora_rank=x"], UsageError.exit_code),
    ],
)
def test_a_model_that_is_wrong_has_its_own_code(
    words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    assert capsys.readouterr().err
