"""The command of a task: the same object is previewed and launched."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.contract.arguments.arguments import to_argv
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS

PROGRAM = "tuneboard"


@dataclass(frozen=True)
class Command:
    """argv, beginning with `tuneboard`, and the environment it adds. Only `env` holds secrets."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def build(cls, task: str, values: Values) -> "Command":
        """The command of a subcommand with these values."""
        secrets = {
            FIELDS[name].to: str(value)
            for name, value in values.items()
            if value and name in FIELDS and FIELDS[name].secret and task in FIELDS[name].tasks
        }
        return cls((PROGRAM, task, *to_argv(values, task)), secrets)

    def shell(self) -> str:
        """The command for a POSIX shell, on one line. A secret is written NAME="$NAME"."""
        secrets = [f'{name}="${name}"' for name in self.env]
        return " ".join(secrets + [shlex.quote(word) for word in self.argv])
