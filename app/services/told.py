"""What a child of the page tells on its standard error."""

import json

from backend.contract.problems import Problem


def problems(line: str) -> list[Problem]:
    """The problems that a line of a child with --progress holds; [] where it holds none."""
    if not line.startswith('{"problems"'):
        return []
    return [Problem.from_json(row) for row in json.loads(line)["problems"]]
