"""Problems and errors: a Problem is a code with parameters, and its text is in locales.

The tree of errors, each with the exit code of the process that ends with it:

    TuneboardError            1  anything that the person can act on
      UsageError              2  wrong arguments
      DataError               3  wrong data (file, line and reason in the parameters)
      ModelError              4  the model cannot be found or loaded
      OutOfMemoryError        5  GPU or main memory is full
      DiskFullError           6  no room for a checkpoint or result
      RunFolderError          7  the run folder is in use or cannot be made

A stop that the person asked for is no error: the process ends with STOPPED_EXIT after saving.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backend.contract.texts.locales import t
from backend.contract.texts.numbers import Number
from backend.contract.texts.terminal_text import escape, one_line

STOPPED_EXIT = 20
# Parameters that are amounts, with a unit or as a share; all other numbers stay as one types them.
AMOUNTS = {"free", "gain", "limit", "needed", "share", "size", "unchanged"}
NAMES = {"file", "path", "folder", "name", "near", "other"}  # parameters that are names


Params = Mapping[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, or (`notice`) worth knowing; its text is locales' `problem.<code>`.

    `field` is the argument that caused it, or "". `params` hold plain str, int, float values only;
    `at` among them is the place in a file, as "run.yaml:7", and is put before the text.
    """

    code: str
    field: str = ""
    params: Params = dataclasses.field(default_factory=dict)
    notice: bool = False

    def text(self, lang: str = "en") -> str:
        """The problem in words, with what to do about it."""
        params = {key: _escape(key, value) for key, value in self.params.items()}
        text = t(f"problem.{self.code}", lang, **{"field": self.field, **params})
        return f"{self.params['at']}: {text}" if "at" in self.params else text

    def to_json(self) -> dict[str, object]:
        """The problem as problem.json in a run folder holds it."""
        notice = {"notice": True} if self.notice else {}
        return {"code": self.code, "field": self.field, "params": dict(self.params), **notice}

    @classmethod
    def from_json(cls, row: Mapping[str, object]) -> "Problem":
        """Read what `to_json` wrote. Foreign or torn content gives the code "unknown"."""
        params = row.get("params")
        return cls(
            code=str(row.get("code", "unknown")),
            field=str(row.get("field", "")),
            params=params if isinstance(params, dict) else {},
            notice=row.get("notice") is True,
        )


def _escape(key: str, value: str | int | float) -> str | int | float:
    """A parameter for a text: control characters are escaped, a name stays on one line, and an
    amount is written as the language of the text does."""
    if key in AMOUNTS and isinstance(value, str | float):
        return Number(value)
    if not isinstance(value, str):
        return value
    return one_line(value) if key in NAMES else escape(value)


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """The problems that are not mere notices."""
    return [problem for problem in problems if not problem.notice]


class TuneboardError(Exception):
    """An error that the person can act on; it carries all problems, not only the first."""

    exit_code = 1

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(problem.text() for problem in problems))


class UsageError(TuneboardError):
    """Wrong arguments."""

    exit_code = 2


class DataError(TuneboardError):
    """Wrong data; parameters name file, line and reason."""

    exit_code = 3


class ModelError(TuneboardError):
    """The model cannot be found or loaded."""

    exit_code = 4


class OutOfMemoryError(TuneboardError):
    """GPU or main memory is full."""

    exit_code = 5


class DiskFullError(TuneboardError):
    """No room for a checkpoint or a result."""

    exit_code = 6


class RunFolderError(TuneboardError):
    """The run folder is in use or cannot be made."""

    exit_code = 7
