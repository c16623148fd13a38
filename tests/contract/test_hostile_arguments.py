"""S-01, the contract's part: hostile text arrives as one unchanged argument, and runs nothing."""

import os
import subprocess
from pathlib import Path

from backend.contract.arguments import arguments
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import FIELDS
from tests.contract.strategies import HOSTILE, parsed
from tests.loops import check_each

KINDS = {"text", "path", "list", "json"}
OPEN = {name: row for name, row in FIELDS.items() if row.kind in KINDS and not row.secret}
SECRET = {name: row for name, row in FIELDS.items() if row.kind in KINDS and row.secret}
STUB = 'tuneboard() { printf "%s\\0" "$@"; }\n'


def test_hostile_text_is_one_argument(tmp_path: Path) -> None:
    env = {**os.environ, "LC_ALL": "C.UTF-8"}

    def check(row: Field) -> None:
        task = row.tasks[0]
        others = {name: allowed[0] for name, allowed in row.conditions(task)}
        script, expected = [STUB], []
        for hostile in HOSTILE:
            value = parsed(row, hostile)
            command = Command.build(task, {**arguments.defaults(task), **others, row.name: value})
            if value != row.default:
                whole = f"--{row.name}={value}"
                assert whole in command.argv or value in command.argv
            back, problems = arguments.from_argv(command.argv[2:], task)
            assert (back[row.name], problems) == (value, [])
            script += [command.shell()]
            expected += command.argv[1:]
        bash = ["bash", "-c", "\n".join(script)]
        done = subprocess.run(bash, cwd=tmp_path, env=env, capture_output=True, check=True)
        assert done.stdout.decode().split("\0")[:-1] == expected
        assert list(tmp_path.iterdir()) == []

    assert check_each(OPEN, check) > 50


def test_a_hostile_secret_stays_in_the_environment() -> None:
    def check(row: Field) -> None:
        for hostile in HOSTILE:
            task = row.tasks[0]
            command = Command.build(task, {**arguments.defaults(task), row.name: hostile})
            assert command.env == {row.to: hostile}
            assert command.argv == ("tuneboard", task)
            assert command.shell() == f'{row.to}="${row.to}" tuneboard {task}'

    assert check_each(SECRET, check) > 3
