"""One table of commands: every command, at every level, looks and behaves alike."""

import argparse
import json
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from app.__main__ import webui_parser
from backend.__main__ import main
from backend.cli.commands import COMMANDS, help_of, inner_commands, parse, parser_of, split_words
from backend.contract.arguments.arguments import fields_of, from_argv
from backend.contract.texts.command_parser import CommandParser
from backend.contract.texts.locales import languages, t
from backend.contract.texts.problems import UsageError
from tests.contract.strategies import TASKS
from tests.contract.test_reference import columns

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "datasets", "gradio")
every_command = pytest.mark.parametrize("name", COMMANDS)
every_language = pytest.mark.parametrize("lang", languages())


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    return tmp_path


def parser(name: str, lang: str = "en") -> CommandParser:
    return webui_parser({}, lang) if name == "webui" else parser_of(name, lang)


def shown_help(name: str, lang: str = "en") -> str:
    return parser(name, lang).format_help() if name == "webui" else help_of(name, lang)


def actions(name: str) -> list[argparse.Action]:
    """The arguments of a command that are for people."""
    return [each for each in parser(name)._actions if each.help != argparse.SUPPRESS]


def test_there_are_commands_at_each_level() -> None:
    assert len(COMMANDS) > 25
    assert {len(name.split()) for name in COMMANDS} == {0, 1, 2}
    assert set(TASKS) < set(COMMANDS)
    commands = ["stop", "resume", "compare", "rename", "remove", "find"]
    assert inner_commands("runs") == commands


@every_language
@every_command
def test_each_help_has_the_same_shape(name: str, lang: str) -> None:
    """`tuneboard runs --help` was a table of its own, that of `starter` was argparse's."""
    lines = shown_help(name, lang).splitlines()
    start = f"{t('cli.usage', lang)}tuneboard {name}".rstrip()
    assert lines[0].startswith(f"{start} [-h]")
    about = t(f"command.{name.replace(' ', '.') or 'tuneboard'}.about", lang)
    after = lines[lines.index("") + 1 :]
    assert after[:2] == [about, ""]
    assert re.fullmatch(r"[^.。]+(\.json)?[^.。]*[.。]", about)
    options = lines[lines.index(f"{t('cli.options', lang)}:") + 1 :]
    assert options[:2] == ["  -h, --help", f"      {t('command.help', lang)}"]
    assert lines[-2] == f"{t('cli.example', lang)}:"
    assert lines[-1].startswith("  tuneboard")
    assert max(map(columns, lines)) <= 100


@every_command
def test_each_help_names_every_argument(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "webui":
        with pytest.raises(SystemExit) as end:
            parser(name).parse(["--help"])
        assert end.value.code == 0
    else:
        assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    words = set(shown.out.split())
    if name in TASKS:
        assert {f"--{row.name}" for row in fields_of(name)} <= words
        return
    count = 0
    for action in actions(name):
        count += 1
        for word in action.option_strings or [str(action.metavar)]:
            assert {word, f"{word},"} & words, word
        assert action.help, action.dest
    assert count >= 1
    assert set(inner_commands(name)) <= words


@pytest.mark.parametrize("name", [name for name in COMMANDS if COMMANDS[name].reads == "parser"])
def test_an_unknown_option_is_named_and_refused(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = [word for each in actions(name) if each.required for word in needed_words(each)]
    assert main([*name.split(), *needed, "--no_such"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--no_such" in line
    assert f"`{' '.join(['tuneboard', *name.split()])} --help`" in line


def needed_words(action: argparse.Action) -> list[str]:
    return [*action.option_strings[:1], "identity"]


@pytest.mark.parametrize(
    "words",
    [
        *([task, "--no_such", "1"] for task in TASKS),
        ["recipe", "preference_dpo", "--no_such", "1"],
        ["data", "clean", "identity", "--into", "new", "--exact", "--no_such", "1"],
        ["data", "stats", "--dataset", "identity", "--no_such", "1"],
        ["data", "tokens", "--dataset", "identity", "--no_such", "1"],
    ],
)
def test_where_arguments_of_the_table_follow_an_unknown_one_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert "no_such" in capsys.readouterr().err


def test_the_page_refuses_an_unknown_option() -> None:
    """argparse ended the process, with its whole usage before the reason."""
    with pytest.raises(UsageError, match="--no_such") as error:
        webui_parser({}).parse(["--no_such"])
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "named", "known"),
    [
        (["trian"], "tuneboard trian", "train"),
        (["data", "chek", "mine"], "tuneboard data chek", "check"),
        (["runs", "stp", "first"], "tuneboard runs stp", "stop"),
    ],
)
def test_an_unknown_command_is_named_with_those_that_there_are(
    words: list[str], named: str, known: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"`{named}`" in line
    assert f" {known}," in line


def test_a_word_that_only_looks_like_two_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["data list"], [""], ["data", "--"], ["--", "data"]):
        assert main(words) == 2
        assert "is not a command" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["data"]])
def test_where_a_command_is_missing_the_help_lists_them(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().out == f"{help_of(' '.join(words))}\n"
    assert main([*words, "help"]) == 0
    assert capsys.readouterr().out == f"{help_of(' '.join(words))}\n"


def test_the_version_is_an_option_and_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(r"tuneboard \d+\.\d+\.\d+\n", said)
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, said)


def test_values_of_switches_and_of_the_table_part(home: Path) -> None:
    """The words for the table keep their order, wherever our own options stand."""
    given = parse("data tokens", shlex.split("run.yaml --stage dpo --rows 1:2 a=-1 --json --x -3"))
    assert (given.rows, given.json) == ("1:2", True)
    assert given.more == ["run.yaml", "--stage", "dpo", "a=-1", "--x", "-3"]
    for option in ("--dry-run", "--dry_run"):
        given = parse("resume", ["first", "lora_rank=2", option, "--seed", "7"])
        assert (given.run, given.dry_run) == ("first", True)
        assert given.more == ["lora_rank=2", "--seed", "7"]
    assert parse("recipe", ["x", "--name", "g", "--sft.seed=1"]).more == ["--sft.seed=1"]
    assert list(home.iterdir()) == []


def test_each_example_is_parsed(home: Path) -> None:
    (home / "run.yaml").write_text("model_name_or_path: m\n")
    for name in COMMANDS:
        words = shlex.split(shown_help(name).splitlines()[-1])
        assert words[: 1 + len(name.split())] == ["tuneboard", *name.split()]
        meant, rest = split_words(words[1:])
        if meant in TASKS:
            assert from_argv(rest, meant)[1] == []
        else:
            (webui_parser({}).parse if meant == "webui" else partial(parse, meant))(rest)


def test_each_command_runs_a_function_that_there_is() -> None:
    count = 0
    for name, command in COMMANDS.items():
        if command.run:
            module, function = command.run.split(":")
            source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text("utf-8")
            assert f"def {function}(" in source, name
            count += 1
    assert count == len(COMMANDS) - 2


def test_no_text_of_a_command_is_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set()

    def recorded(key: str, *given: str, **params: object) -> str:
        asked.add(key)
        return t(key, *given, **params)

    for module in ("backend.cli.commands", "backend.contract.texts.command_parser"):
        monkeypatch.setattr(f"{module}.t", recorded)
    for name in COMMANDS:
        shown_help(name)
    texts = json.loads((ROOT / "locales" / "en.json").read_text("utf-8"))
    assert {key for key in texts if key.startswith("command.")} - asked == set()
    assert len(asked) > 80


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import json, sys; from backend.cli.commands import COMMANDS, help_of\n"
        "shown = [help_of(name) for name in COMMANDS if name != 'webui']\n"
        f"print(len(shown), [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{len(COMMANDS) - 1} []\n"
