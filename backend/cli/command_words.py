"""The words of the commands on data, runs, recipes and the starter model: the options of each."""

from backend.contract.texts.command_parser import CommandParser
from backend.contract.texts.terminal_text import say

PLACES = ("subset", "split", "folder")  # of a set on a hub
RATIO = 0.1
SEED = 42


def add_shared(parser: CommandParser) -> None:
    """What every command on data sets takes; --progress is the page's: numbers, JSON problems."""
    parser.add("--dataset_dir", text="command.dataset_dir", metavar="DIR", default="data")
    parser.add("--json", text="command.json", action="store_true")
    parser.add_hidden("--progress")


def add_estimate(parser: CommandParser) -> None:
    """The options of `estimate`."""
    parser.add("--exact", action="store_true")
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
    add_shared(parser)


def add_register(parser: CommandParser) -> None:
    """The options of `data register`."""
    from backend.contract.registry.dataset_info import HUBS

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
    parser.add("--hub_name", choices=tuple(HUBS), default="huggingface", metavar="HUB")
    for place in PLACES:
        parser.add(f"--{place}", metavar=place.upper())
    add_shared(parser)


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


def add_runs(parser: CommandParser) -> None:
    """The options of `runs`, the list."""
    parser.add("--json", text="command.json", action="store_true")


def add_run(parser: CommandParser) -> None:
    """One run."""
    parser.add("run", text="command.run", metavar="RUN")


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


def add_starter(parser: CommandParser) -> None:
    """The options of `starter`."""
    parser.add("--dir", metavar="DIR")
