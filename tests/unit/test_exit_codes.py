"""The exit code says what kind of thing was wrong, also where it is found before anything loads."""

from pathlib import Path

import pytest

from backend.__main__ import main
from backend.cli.commands import COMMANDS
from backend.contract.texts.problems import ModelError, UsageError


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


def test_each_command_says_how_it_is_used(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tuneboard resume --help` was an error; help does nothing else, and makes no folder."""
    page: list[str] = []
    monkeypatch.setattr("os.execv", lambda _, argv: page.extend(argv))
    commands = [name.split() for name in COMMANDS if name != "webui"]
    begun = [["resume", "first"], ["recipe", "first"], ["train", "run.yaml"]]
    seen = 0
    for words in [*commands, *begun]:
        for option in ("--help", "-h"):
            code = main([*words, option])
            shown = capsys.readouterr()
            assert (code, shown.err) == (0, ""), words
            assert "tuneboard" in shown.out, words
            seen += 1
    assert seen == 2 * (len(commands) + len(begun)) > 50
    assert list(home.iterdir()) == []
    main(["webui", "--help"])
    assert page[-3:] == ["-m", "app", "--help"]


def test_a_file_of_arguments_that_cannot_be_read_is_all_that_is_said(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "Choose a model first" stood there, too, though the file may well name one."""
    monkeypatch.chdir(home)
    (home / "bad.yaml").write_text("a: [\n")
    (home / "list.yaml").write_text("- a\n")
    seen = 0
    for task in ("train", "eval", "export", "vocab", "chat", "api"):
        for name in ("nosuch.yaml", "bad.yaml", "list.yaml"):
            assert main([task, name]) == UsageError.exit_code
            (line,) = capsys.readouterr().err.splitlines()
            assert name in line
            seen += 1
    assert seen == 18
