"""Names say what a thing is: functions are verbs, and no result is called found, given or told."""

import ast
from pathlib import Path

from tests.contract.source import files, parsed

NOTHING_NAMES = frozenset({"found", "given", "kept", "said", "told"})
# Attributes whose names are keys of a file of a run or of a data set.
FILE_KEYS = frozenset({("output.py", "kept")})
PARTICIPLES = NOTHING_NAMES | frozenset(
    word
    for line in (
        "begun bound bought built caught chosen done drawn driven gone grown held hidden known",
        "laid left lost made meant met paid seen sent shown spoken stood taken thought written",
    )
    for word in line.split()
)
NOT_PARTICIPLES = frozenset({"embed", "feed", "need", "proceed", "seed", "speed"})
PARTICLES = frozenset({"again", "away", "back", "off", "on", "out", "over", "up"})


def is_participle(word: str) -> bool:
    return word in PARTICIPLES or (word.endswith("ed") and word not in NOT_PARTICIPLES)


def is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(each) for each in function.decorator_list)


def participle_functions(path: Path) -> list[str]:
    """Functions named like `merged` or `left_over`; `merged_rows` names a thing and may stay."""
    names = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_property(node):
            first, *rest = node.name.strip("_").split("_")
            if is_participle(first) and PARTICLES.issuperset(rest):
                names.append(f"{path.name}:{node.lineno} {node.name}")
    return names


def nothing_names(path: Path) -> list[str]:
    """Variables and parameters that say nothing of what they hold."""
    names = []
    for node in ast.walk(parsed(path)):
        name = ""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        if name.strip("_") in NOTHING_NAMES and (path.name, name) not in FILE_KEYS:
            names.append(f"{path.name}:{getattr(node, 'lineno', 0)} {name}")
    return names


def test_functions_are_verbs() -> None:
    assert [name for path in files() for name in participle_functions(path)] == []


def test_results_are_named_for_what_they_are() -> None:
    assert [name for path in files() for name in nothing_names(path)] == []


def test_such_names_would_be_seen(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    module.write_text(
        "def merged(given): ...\ndef _left_over(): ...\ndef saved_rows(): ...\n"
        "def seed(): ...\nclass C:\n    @property\n    def ended(self): ...\nfound = 1\n"
    )
    assert participle_functions(module) == ["m.py:1 merged", "m.py:2 _left_over"]
    assert nothing_names(module) == ["m.py:8 found", "m.py:1 given"]
