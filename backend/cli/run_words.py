"""The words of the commands on runs, recipes and the starter model: the options of each."""

from backend.contract.base.command_parser import CommandParser


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
