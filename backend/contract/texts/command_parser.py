"""The parser of one command of `tuneboard`: one shape of help, and UsageError for a mistake."""

import argparse
from argparse import Namespace
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NoReturn

from backend.contract.texts.locales import DEFAULT_LANGUAGE, has, t
from backend.contract.texts.problems import Problem, UsageError
from backend.contract.texts.terminal_text import WIDTH, columns, wrap

INDENT = 6  # columns before the text of an argument, which stands below its name
HELP = ("-h", "--help")


def asks_for_help(words: Iterable[str]) -> bool:
    """Whether the words ask for the help of a command."""
    return not set(HELP).isdisjoint(words)


def example_lines(command: str, words: str, lang: str = DEFAULT_LANGUAGE) -> str:
    """The last lines of every help: an example that can be typed as it stands."""
    return f"{t('cli.example', lang)}:\n  {' '.join(filter(None, ['tuneboard', command, words]))}"


def help_option(lang: str = DEFAULT_LANGUAGE) -> list[str]:
    """The lines about -h, as every parser has them."""
    text = wrap(t("command.help", lang), WIDTH - INDENT)
    return [
        f"{t('cli.options', lang)}:",
        f"  {', '.join(HELP)}",
        *(f"{' ' * INDENT}{each}" for each in text),
    ]


class Layout(argparse.RawTextHelpFormatter):
    """The layout of the help: "usage" in the chosen language, each text below its argument."""

    def __init__(self, prog: str, lang: str, tail: str) -> None:
        usage = t("cli.usage", lang)
        wide = columns(usage) - len(usage)  # argparse counts a wide character as one column
        super().__init__(prog, max_help_position=INDENT, width=WIDTH - wide)
        self.lang, self.tail = lang, tail

    def add_usage(
        self, usage: str | None, actions: Iterable[Any], groups: Iterable[Any], prefix: Any = None
    ) -> None:
        """Add the usage line, with what may follow the options that the parser knows."""
        tail = [argparse.Action([], "tail", metavar=self.tail)] if self.tail else []
        super().add_usage(usage, [*actions, *tail], groups, prefix or t("cli.usage", self.lang))


class CommandParser(argparse.ArgumentParser):
    """The options of one command. Texts are `command.<command>.<argument>` of the locales.

    command  its words, "" for `tuneboard` itself
    tail     what may follow its options, for the usage line
    """

    def __init__(
        self, command: str, example: str, *, tail: str = "", lang: str = DEFAULT_LANGUAGE
    ) -> None:
        self.key = f"command.{command.replace(' ', '.') or 'tuneboard'}"
        self.lang = lang
        about = t(f"{self.key}.about", lang)
        more = wrap(t(f"{self.key}.more", lang)) if has(f"{self.key}.more") else []
        super().__init__(
            prog=f"tuneboard {command}".rstrip(),
            description="\n".join(wrap(about)),
            epilog="\n".join(
                [*more, *([""] if more else []), example_lines(command, example, lang)]
            ),
            formatter_class=partial(Layout, lang=lang, tail=tail),
            add_help=False,
            allow_abbrev=False,
        )
        self._arguments = self.add_argument_group(t("cli.arguments", lang))
        self._options = self.add_argument_group(t("cli.options", lang))
        self.add(*HELP, text="command.help", action="help")

    def add(self, *names: str, text: str = "", **settings: Any) -> None:
        """Add an argument with its text, default and values.

        `text` is the key of a text that several commands share.
        """
        own = names[-1].lstrip("-").replace("-", "_")
        words = t(text or f"{self.key}.{own}", self.lang)
        details = []
        if settings.get("default"):
            details.append(t("reference.default", self.lang, value=settings["default"]))
        if "choices" in settings:
            values = ", ".join(settings["choices"])
            details.append(t("reference.values", self.lang, values=values))
        if details:
            words += t("reference.details", self.lang, all="; ".join(details))
        group = self._options if names[0].startswith("-") else self._arguments
        lines = "\n".join(wrap(words, WIDTH - INDENT)).replace("%", "%%")
        group.add_argument(*names, help=lines, **settings)

    def add_hidden(self, name: str) -> None:
        """Add a switch for our own processes, which no help shows."""
        self.add_argument(name, action="store_true", help=argparse.SUPPRESS)

    def add_commands(self, abouts: dict[str, str]) -> None:
        """Add the list of the commands inside this one, each with its description."""
        width = max(map(len, abouts)) + 2
        gap = "\n" + " " * width
        lines = [
            f"{name:{width}}{gap.join(wrap(about, WIDTH - 2 - width))}"
            for name, about in abouts.items()
        ]
        self.add_argument_group(t("cli.commands", self.lang), "\n".join(lines))

    def parse(self, words: Sequence[str], *, mixed: bool = False) -> Namespace:
        """The values of the options. Raises UsageError.

        Where `mixed`, the attribute `more` holds the words left over, in their order.
        """
        if not mixed:
            return self.parse_args(words)
        options, more = self.parse_known_args(words)
        options.more = more
        return options

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of ending the process."""
        raise UsageError(
            Problem(code="command_usage", params={"command": self.prog, "reason": message})
        )
