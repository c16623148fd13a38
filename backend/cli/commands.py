"""The commands of `tuneboard`, a row each: what it runs, its words, an example of it.

Every parser and every help is derived from the rows. What a command does is imported only where it
is run: a wrong word is said before anything heavy is loaded.
"""

import importlib
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from backend.cli import command_words
from backend.contract.folders.home import prepare
from backend.contract.texts.command_parser import CommandParser, asks_for_help, example_lines
from backend.contract.texts.locales import DEFAULT_LANGUAGE, t
from backend.contract.texts.problems import Problem, UsageError
from backend.contract.texts.terminal_text import drop_marks, help_language, say

# Who reads the words: our parser alone; it and, what it does not know, the argument table; the
# table alone; the page, which is another process.
Reader = Literal["parser", "both", "table", "page"]


@dataclass(frozen=True)
class Command:
    """A command: `run` is "module:function", which takes the values and returns the exit code.

    Without `run` it only has commands inside it. `prepares`: whether data/ and saves/ are made
    first; `worker`: whether it needs the packages that train. `example`: words after the command.
    """

    run: str
    example: str = ""
    add: Callable[[CommandParser], None] | None = None
    reads: Reader = "parser"
    prepares: bool = False
    worker: bool = False


def _add_version(parser: CommandParser) -> None:
    from importlib.metadata import version

    parser.add("--version", action="version", version=f"tuneboard {version('tuneboard')}")


def _task(run: str, example: str) -> Command:
    return Command(f"backend.cli.tasks:{run}", example, reads="table")


def _data(
    run: str,
    example: str,
    add: Callable[[CommandParser], None],
    reads: Reader = "parser",
    *,
    worker: bool = False,
) -> Command:
    return Command(run, example, add, reads=reads, prepares=True, worker=worker)


COMMANDS = {
    "": Command("", "train run.yaml learning_rate=1e-4", _add_version),
    "train": _task("run_task", "run.yaml --num_train_epochs 5"),
    "eval": _task("run_task", "run.yaml --predict_with_generate true"),
    "export": _task("run_task", "--adapter_name_or_path first --export_dir merged"),
    "vocab": _task("run_task", "run.yaml"),
    "chat": _task("serve_task", "--adapter_name_or_path first"),
    "api": _task("serve_task", "--adapter_name_or_path first --port 8001"),
    "estimate": Command(
        "backend.estimate.command:estimate_command",
        "--model_name_or_path MODEL --cutoff_len 1024",
        command_words.add_estimate,
        reads="both",
        worker=True,
    ),
    "recipe": Command(
        "backend.cli.recipe:run_recipe",
        "preference_dpo --dry-run",
        command_words.add_recipe,
        reads="both",
    ),
    "recipe stop": Command("backend.cli.recipe:stop_group", "mine", command_words.add_group),
    "recipe resume": Command("backend.cli.recipe:resume_group", "mine", command_words.add_group),
    "data": Command("", "check identity"),
    "data list": _data("backend.cli.data_sets:list_sets", "--json", command_words.add_shared),
    "data check": _data(
        "backend.cli.data_sets:check_set", "identity --stage sft", command_words.add_check
    ),
    "data preview": _data(
        "backend.cli.data_sets:preview_set", "identity --rows 0:5", command_words.add_preview
    ),
    "data register": _data(
        "backend.cli.data_register:register_set",
        "rows.csv --column prompt=question --column response=answer",
        command_words.add_register,
    ),
    "data search": _data(
        "backend.cli.data_hub:search_hub", "alpaca --limit 5", command_words.add_search, worker=True
    ),
    "data get": _data(
        "backend.cli.data_hub:get_set", "owner/name", command_words.add_get_set, worker=True
    ),
    "data remove": _data("backend.cli.data_register:remove_set", "mine", command_words.add_remove),
    "data stats": _data(
        "backend.data.inspection:stats_command",
        "--dataset identity --model_name_or_path MODEL",
        command_words.add_stats,
        "both",
        worker=True,
    ),
    "data tokens": _data(
        "backend.data.inspection:tokens_command",
        "--dataset identity --model_name_or_path MODEL --rows 0:3",
        command_words.add_tokens,
        "both",
        worker=True,
    ),
    "data clean": _data(
        "backend.cli.data_clean:clean_set",
        "identity --into tidy --tidy --exact",
        command_words.add_clean,
        "both",
    ),
    "data split": _data(
        "backend.cli.data_clean:split_set", "identity --ratio 0.2", command_words.add_split
    ),
    "resume": Command(
        "backend.cli.terminal:resume",
        "first num_train_epochs=5",
        command_words.add_resume,
        reads="both",
    ),
    "runs": Command("backend.cli.terminal:list_runs", "--json", command_words.add_runs),
    "runs stop": Command("backend.cli.terminal:stop_run", "first", command_words.add_run),
    "runs resume": Command(
        "backend.cli.terminal:resume",
        "first num_train_epochs=5",
        command_words.add_resume,
        reads="both",
    ),
    "runs compare": Command(
        "backend.cli.ended_runs:compare_runs", "first second --json", command_words.add_compare
    ),
    "runs rename": Command(
        "backend.cli.ended_runs:rename_run", "first best", command_words.add_rename
    ),
    "runs remove": Command("backend.cli.ended_runs:remove_run", "first", command_words.add_run),
    "runs find": Command(
        "backend.cli.terminal:find_runs", "/mnt/old/saves", command_words.add_folder
    ),
    "models": Command(
        "backend.cli.models:list_models", "--json", command_words.add_runs, worker=True
    ),
    "models search": Command(
        "backend.cli.models:search_models",
        "smollm --limit 5",
        command_words.add_search,
        worker=True,
    ),
    "models get": Command(
        "backend.cli.models:get_model", "owner/name", command_words.add_get, worker=True
    ),
    "models remove": Command(
        "backend.cli.models:remove_model", "owner/name", command_words.add_model, worker=True
    ),
    "mcp": Command("backend.mcp.command:run", "--config claude", command_words.add_mcp),
    "starter": Command(
        "backend.cli.starter:fetch_starter",
        "",
        command_words.add_starter,
        prepares=True,
    ),
    "webui": Command("backend.cli.installed:open_page", reads="page"),
    "env": Command("backend.cli.installed:print_environment", ""),
    "version": Command("backend.cli.installed:print_version", ""),
}


def dispatch(words: Sequence[str]) -> int:
    """Do what the words ask for; returns the exit code. Raises TuneboardError."""
    name, rest = split_words(words)
    command = COMMANDS[name]
    asked = asks_for_help(rest) or (rest[:1] == ["help"] and not command.run)
    if command.reads != "page" and (asked or not (rest or command.run)):
        lang = help_language()
        say(drop_marks(help_of(name, lang), lang))
        return 0 if asked else 2
    options = parse(name, rest)
    if command.worker:
        from backend.contract.preflight import requirements

        requirements.require_worker()
    if command.prepares:
        prepare()
    module, function = command.run.split(":")
    run: Callable[[Namespace], int] = getattr(importlib.import_module(module), function)
    return run(options)


def split_words(words: Sequence[str]) -> tuple[str, list[str]]:
    """The name of the command that is meant, and the words after it."""
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in COMMANDS and name.split() == list(words[:count]):
            return name, list(words[count:])
    return "", list(words)


def parse(name: str, words: list[str]) -> Namespace:
    """The values that a command is run with: `command` and `words` as they came, with those of its
    own options, and in `more` the words that are for the argument table. Raises UsageError."""
    command, options = COMMANDS[name], Namespace()
    if command.reads in {"parser", "both"}:
        _require_command(name, words)
        options = parser_of(name).parse(words, mixed=command.reads == "both")
    options.command, options.words = name, words
    return options


def parser_of(name: str, lang: str = DEFAULT_LANGUAGE) -> CommandParser:
    """The parser of a command."""
    command, inner = COMMANDS[name], inner_commands(name)
    tail = t("cli.further", lang) if command.reads == "both" else ""
    if inner and command.reads != "both":
        tail = "[COMMAND ...]" if command.run else "COMMAND ..."
    parser = CommandParser(name, command.example, tail=tail, lang=lang)
    if command.add:
        command.add(parser)
    if inner:
        keys = {word: f"{name} {word}".strip().replace(" ", ".") for word in inner}
        parser.add_commands({word: t(f"command.{key}.about", lang) for word, key in keys.items()})
    return parser


def inner_commands(name: str) -> list[str]:
    """The words that may follow a command and make another one of it."""
    start = f"{name} ".lstrip()
    after = [other.removeprefix(start) for other in COMMANDS if other and other.startswith(start)]
    return [word for word in after if " " not in word]


def help_of(name: str, lang: str = DEFAULT_LANGUAGE) -> str:
    """What `tuneboard NAME --help` prints."""
    if COMMANDS[name].reads == "table":
        from backend.contract.reference import help_text

        return f"{help_text(name, lang)}\n\n{example_lines(name, COMMANDS[name].example, lang)}"
    return parser_of(name, lang).format_help().rstrip()


def _require_command(name: str, words: list[str]) -> None:
    """Refuse a word that is no command where one must stand. Raises UsageError."""
    inner = inner_commands(name)
    free = not inner or COMMANDS[name].reads == "both" or not words
    if free or (words[0].startswith("-") and words[0] != "--"):
        return
    params = {
        "command": f"tuneboard {name}".strip(),
        "name": words[0][:80],
        "known": ", ".join(inner),
    }
    raise UsageError(Problem(code="unknown_command", params=params))
