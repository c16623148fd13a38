"""The words of the commands on data, models, runs and recipes: the options of each."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

from backend.contract.texts.command_parser import CommandParser
from backend.contract.texts.terminal_text import say

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")

PLACES = ("subset", "split", "folder")  # of a set on a hub
RATIO = 0.1
SEED = 42
LIMIT = 20
CLIENTS = ("claude", "vscode")  # of MCP: kinds of configuration


def add_shared(parser: CommandParser) -> None:
    """What every command on data sets takes; --progress is the page's: numbers, JSON problems."""
    parser.add("--dataset_dir", text="command.dataset_dir", metavar="DIR", default="data")
    parser.add("--json", text="command.json", action="store_true")
    parser.add_hidden("--progress")


def add_estimate(parser: CommandParser) -> None:
    """The options of `estimate`."""
    parser.add("--exact", action="store_true")
    parser.add("--measure", action="store_true")
    parser.add("--json", text="command.json", action="store_true")


def add_check(parser: CommandParser) -> None:
    """The options of `data check`."""
    from backend.datafiles.check import LONG
    from backend.datafiles.layouts import WANTED

    _add_set(parser)
    parser.add("--stage", choices=tuple(WANTED), default="", metavar="STAGE")
    parser.add("--strict", action="store_true")
    parser.add("--strict_turns", action="store_true")
    parser.add("--max_chars", type=int, default=LONG, metavar="N")
    add_shared(parser)


def add_preview(parser: CommandParser) -> None:
    """The options of `data preview`."""
    _add_set(parser)
    parser.add("--rows", metavar="A:B")
    parser.add("--search", metavar="WORDS")
    parser.add("--hub", text="command.data.preview.hub", metavar="ID")
    _add_places(parser)
    add_shared(parser)


def add_register(parser: CommandParser) -> None:
    """The options of `data register`."""
    parser.add("file", nargs="?", metavar="FILE")
    parser.add("--name", metavar="NAME")
    parser.add("--formatting", choices=("alpaca", "sharegpt", "openai"), metavar="FORMAT")
    parser.add("--column", action="append", default=[], metavar="KEY=COLUMN")
    parser.add("--tag", action="append", default=[], metavar="KEY=NAME")
    parser.add("--ranking", action="store_true")
    parser.add("--num_samples", type=int, metavar="N")
    parser.add("--overwrite", action="store_true")
    parser.add("--anyway", action="store_true")
    parser.add("--hub", metavar="ID")
    _add_places(parser)
    add_shared(parser)


def add_get_set(parser: CommandParser) -> None:
    """The options of `data get`."""
    parser.add("hub", text="command.data.register.hub", metavar="ID")
    parser.add("--name", text="command.data.get.name", metavar="NAME")
    parser.add("--overwrite", text="command.data.register.overwrite", action="store_true")
    _add_places(parser)
    add_shared(parser)


def _add_places(parser: CommandParser) -> None:
    """Which hub a set is on, and which part of it is meant."""
    _add_hub(parser)
    for place in PLACES:
        parser.add(f"--{place}", text=f"command.data.register.{place}", metavar=place.upper())


def add_remove(parser: CommandParser) -> None:
    """The options of `data remove`."""
    parser.add("name", text="command.set", metavar="NAME")
    add_shared(parser)


def add_stats(parser: CommandParser) -> None:
    """The options of `data stats`; what to measure is said in arguments of train."""
    parser.add("--exact", action="store_true")
    parser.add("--json", text="command.json", action="store_true")


def add_tokens(parser: CommandParser) -> None:
    """The options of `data tokens`; which set and which model is said in arguments of train."""
    parser.add("--rows", default="0:3", metavar="A:B")
    parser.add("--json", action="store_true")


def add_clean(parser: CommandParser) -> None:
    """The options of `data clean`."""
    from backend.cleaning.steps import NEAR

    parser.add("name", text="command.set", metavar="NAME")
    parser.add("--into", required=True, metavar="NEW")
    parser.add("--tidy", action="store_true")
    parser.add("--drop", default="", metavar="REGEX")
    parser.add("--keep", default="", metavar="REGEX")
    parser.add("--min_answer", type=int, metavar="N")
    parser.add("--min_tokens", type=int, metavar="N")
    parser.add("--max_tokens", type=int, metavar="N")
    parser.add("--not_in", default="", metavar="OTHER")
    parser.add("--exact", action="store_true")
    parser.add("--near", type=float, nargs="?", const=NEAR, metavar="SHARE")
    parser.add("--overwrite", text="command.overwrite", action="store_true")
    add_shared(parser)


def add_split(parser: CommandParser) -> None:
    """The options of `data split`."""
    parser.add("name", text="command.set", metavar="NAME")
    parser.add("--ratio", type=float, default=RATIO, metavar="SHARE")
    parser.add("--seed", type=int, default=SEED, metavar="N")
    parser.add("--names", metavar="A,B")
    parser.add("--overwrite", text="command.overwrite", action="store_true")
    add_shared(parser)


def _add_set(parser: CommandParser) -> None:
    """A data set: by its place among the words, or as --dataset."""
    parser.add("name", nargs="?", text="command.set_or_file", metavar="NAME")
    parser.add("--dataset", text="command.dataset", metavar="NAME")


def say_json(content: object) -> None:
    """Print a value as indented JSON; what JSON has no word for is written as text."""
    from backend.datafiles import values

    say(values.dumps(content, indent=2, default=str))


def say_rows(
    rows: Sequence[Row], describe: Callable[[Row], str], nothing: str, *, as_json: bool
) -> int:
    """Print dataclasses, a line each, or `nothing` where there are none; or all as JSON. Returns
    the exit code."""
    if as_json:
        say_json([asdict(row) for row in rows])
        return 0
    for row in rows:
        say(describe(row))
    if not rows:
        say(nothing)
    return 0


def add_runs(parser: CommandParser) -> None:
    """The options of `runs`, the list."""
    parser.add("--json", text="command.json", action="store_true")


def add_run(parser: CommandParser) -> None:
    """One run."""
    parser.add("run", text="command.run", metavar="RUN")


def add_compare(parser: CommandParser) -> None:
    """The runs to compare."""
    parser.add("runs", nargs="+", metavar="RUN")
    parser.add("--json", text="command.json", action="store_true")


def add_rename(parser: CommandParser) -> None:
    """A run, and its new name."""
    add_run(parser)
    parser.add("name", metavar="NAME")


def add_resume(parser: CommandParser) -> None:
    """The options of `resume`; what is to change is said in arguments of train."""
    add_run(parser)
    parser.add("--dry-run", "--dry_run", text="command.resume.dry_run", action="store_true")


def add_folder(parser: CommandParser) -> None:
    """The folder of `runs find`."""
    parser.add("folder", metavar="FOLDER")


def add_recipe(parser: CommandParser) -> None:
    """The options of `recipe`; what its stages learn is said in arguments of train."""
    parser.add("recipe", nargs="?", metavar="RECIPE")
    parser.add("--name", metavar="GROUP")
    parser.add("--dry-run", "--dry_run", action="store_true")


def add_group(parser: CommandParser) -> None:
    """One group of runs."""
    parser.add("group", text="command.group", metavar="GROUP")


def add_model(parser: CommandParser) -> None:
    """One model of a hub."""
    parser.add("name", text="command.hub_model", metavar="NAME")


def add_get(parser: CommandParser) -> None:
    """The options of `models get`."""
    add_model(parser)
    parser.add("--revision", default="main", metavar="REVISION")
    _add_hub(parser)
    parser.add_hidden("--progress")


def add_search(parser: CommandParser) -> None:
    """The options of `models search` and `data search`."""
    parser.add("words_searched", metavar="WORDS")
    parser.add("--limit", text="command.models.search.limit", type=int, default=LIMIT, metavar="N")
    _add_hub(parser)
    parser.add("--json", text="command.json", action="store_true")


def _add_hub(parser: CommandParser) -> None:
    """Which hub is asked."""
    from backend.contract.registry.dataset_info import HUBS

    text, known = "command.data.register.hub_name", tuple(HUBS)
    parser.add("--hub_name", text=text, choices=known, default=known[0], metavar="HUB")


def add_mcp(parser: CommandParser) -> None:
    """The options of `mcp`."""
    parser.add("--config", choices=CLIENTS, metavar="CLIENT")


def add_starter(parser: CommandParser) -> None:
    """The options of `starter`."""
    parser.add("--dir", metavar="DIR")
