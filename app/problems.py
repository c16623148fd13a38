"""Problems and unexpected errors as texts of the page."""

import logging
import re
import secrets
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.i18n import has, in_all, t
from backend.contract.arguments.fields import FIELDS
from backend.contract.texts.problems import Problem, TuneboardError

ROOT = Path(__file__).parents[1]

logger = logging.getLogger(__name__)


def problem_lines(problems: Sequence[Problem], lang: str) -> str:
    """Problems as lines, each with the label of its argument in place of its name, and the place of
    one in a file or a recipe before both."""
    return "\n".join(_write_line(problem, lang) for problem in problems)


def _write_line(problem: Problem, lang: str) -> str:
    if problem.field not in FIELDS:
        return problem.text(lang)
    place = problem.params.get("at")
    problem = replace(problem, params={k: v for k, v in problem.params.items() if k != "at"})
    is_named = problem.text(lang) != replace(problem, field="").text(lang)
    before = [] if place is None else [str(place)]
    title = [] if is_named else [title_of(problem.field, lang)]
    return ": ".join([*before, *title, text_beside_field(problem, lang)])


def text_beside_field(problem: Problem, lang: str) -> str:
    """A problem as it stands beside the field of its argument, or where its text is enough: the
    label of the argument is in it, not the name that is for the command line."""
    if problem.field not in FIELDS:
        return problem.text(lang)
    text = replace(problem, field=title_of(problem.field, lang)).text(lang)
    return _drop_name(text, problem.field)


def _drop_name(text: str, field: str) -> str:
    """The text without the name of the argument in parentheses at its end, which is for the command
    line."""
    return re.sub(rf"\s*[(（]{field}[)）](?=[.。]?$)", "", text)


def title_of(field: str, lang: str) -> str:
    """The label of an argument, or its bare name."""
    key = f"field.{field}.label"
    return t(key, lang) if has(key) else field


def describe(error: Exception, lang: str) -> tuple[str, str]:
    """The title and the text of an error that no handler has answered.

    An unexpected error gets a number, under which the server's output has the traceback. The text
    holds no value of a form, only the type of the error and its place.
    """
    title = "page.refused" if isinstance(error, TuneboardError) else "page.error_title"
    return t(title, lang), describe_in_all(error)[lang]


def describe_in_all(error: Exception) -> dict[str, str]:
    """The text of such an error in each language, as the page may change its own while it shows
    it."""
    if isinstance(error, TuneboardError):
        problems = error.problems
        return in_all(lambda lang: problem_lines(problems, lang))
    number = secrets.token_hex(4)
    logger.error("error %s of the page", number, exc_info=error)
    params = {"number": number, "kind": type(error).__name__, "place": _place(error)}
    return in_all(lambda lang: t("page.error", lang, **params))


def _place(error: Exception) -> str:
    """The innermost line of our code, as "app/tabs/chat/chat.py:120"."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT / "app")]
    frame = (ours or frames)[-1]
    path = Path(frame.filename)
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    return f"{shown}:{frame.lineno}"
