"""Problems and notices on the terminal."""

import sys
from collections.abc import Iterable

from backend.contract.texts.locales import t
from backend.contract.texts.problems import Problem
from backend.contract.texts.terminal_text import drop_marks, reader_language, say


def print_problems(problems: Iterable[Problem]) -> None:
    """Print every problem and notice to standard error, a line each, in the language of who reads
    it there."""
    lang = reader_language(sys.stderr)
    for problem in problems:
        kind = t("cli.notice" if problem.notice else "cli.error", lang)
        say(drop_marks(f"{kind}: {problem.text(lang)}", lang), sys.stderr)
