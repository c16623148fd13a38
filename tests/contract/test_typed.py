"""Arguments: an attribute for each row, of the row's type, and no misspelling of one."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from backend.contract.arguments import typed_source
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import defaults, parse, resolve
from backend.contract.arguments.changes import Changes
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments
from tests.contract.strategies import TASKS

ROOT = Path(__file__).parents[2]
IMPORTS = """
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import Values
from backend.contract.arguments.typed import Arguments
"""
# Every way to name an argument, with a right spelling and a wrong one.
WAYS = {
    "attribute": "return arguments.{name}",
    "look-up": 'return arguments["{name}"]',
    "is set": 'return "{name}" in arguments',
    "made": "return Arguments({name}=1.0)",
    "replaced": "return arguments.replace({name}=1.0)",
    "merged": 'return arguments.merge({{"{name}": 1.0}})',
    "made of values": 'return Arguments.of({{"{name}": 1.0}})',
    "get": 'return values.get("{name}")',
    "index": 'return values["{name}"]',
    "table": 'table: tuple[ArgumentName, ...] = ("{name}",); return table',
}
TYPES = {
    "of an attribute": "number: float = arguments.template; return number",
    "of a change": 'return arguments.replace(learning_rate="three")',
}


def errors_of_mypy(tmp_path: Path, bodies: list[str]) -> list[str]:
    """What mypy says of a function with each of the bodies."""
    file = tmp_path / "reads.py"
    head = "\ndef read_{at}(arguments: Arguments, values: Values) -> object: "
    file.write_text(IMPORTS + "".join(head.format(at=at) + each for at, each in enumerate(bodies)))
    words = ["--strict", "--follow-imports", "silent", "--cache-dir", str(tmp_path / "cache")]
    output = subprocess.run(
        [sys.executable, "-m", "mypy", *words, "--no-error-summary", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    first = len(IMPORTS.splitlines()) + 2
    errors = [""] * len(bodies)
    for path, line, text in (each.split(":", 2) for each in output.splitlines()):
        assert path.endswith("reads.py"), output
        errors[int(line) - first] += text
    return errors


def test_each_misspelling_and_each_wrong_type_is_an_error_of_mypy(tmp_path: Path) -> None:
    """A misspelt name was accepted by `in`, by `replace` and by a look-up, which then found
    nothing."""
    right = [way.format(name="learning_rate") for way in WAYS.values()]
    wrong = [way.format(name="lerning_rate") for way in WAYS.values()]
    errors = errors_of_mypy(tmp_path, [*right, *wrong, *TYPES.values()])
    assert errors[: len(right)] == [""] * len(right)
    refused = dict(zip([*WAYS, *TYPES], errors[len(right) :], strict=True))
    assert [way for way, text in refused.items() if "error" not in text] == []
    assert 'maybe "learning_rate"' in refused["attribute"]


def test_the_attributes_are_those_of_the_rows() -> None:
    """Stale? python -m backend.contract.reference write"""
    for file, text in typed_source.typed_sources().items():
        assert (ROOT / file).read_text(encoding="utf-8") == text
    assert len(FIELDS) > 200
    assert set(get_args(ArgumentName)) == set(Changes.__annotations__) == set(FIELDS)
    for row in FIELDS.values():
        default = typed_source.FILLED.get(row.name, row.default)
        assert Arguments()[row.name] == default, row.name


def test_a_subcommand_has_its_own_arguments_and_the_defaults_of_others() -> None:
    for task in TASKS:
        arguments = resolve(defaults(task))
        alpha = {"lora_alpha": 16} if "lora_alpha" in defaults(task) else {}
        assert arguments.as_mapping() == {**defaults(task), **alpha}
        for name, row in FIELDS.items():
            assert (name in arguments) == (task in row.tasks), (task, name)
            if name not in arguments:
                assert getattr(arguments, name) == getattr(Arguments(), name), (task, name)
    assert resolve(defaults("eval")).do_sample is False
    assert resolve(parse({"lora_rank": "32"}, "train")[0]).lora_alpha == 64


def test_other_values_and_no_secret_in_its_text() -> None:
    arguments = resolve({**defaults("train"), "hf_hub_token": "sesame"})
    other = arguments.replace(seed=7)
    assert (other.seed, arguments.seed) == (7, 42)
    assert {**arguments.as_mapping(), "seed": 7} == other.as_mapping()
    assert Arguments(stage="pt").replace(seed=7).stage == "pt"
    assert other.hf_hub_token == "sesame"
    assert "sesame" not in f"{arguments!r} {arguments}"
    with pytest.raises(TypeError, match="sead"):
        arguments.merge({"sead": 7})


def test_values_of_any_origin_have_the_types_of_their_arguments() -> None:
    """run.json is a file that anybody may have edited."""
    raw = {"seed": "x", "stage": {}, "learning_rate": 1, "packing": None, "bf16": 1, "sead": 3}
    arguments = Arguments.from_known({**raw, "lora_rank": True, "do_train": False})
    assert arguments.as_mapping() == {"learning_rate": 1, "packing": None, "do_train": False}
    assert arguments.stage == "sft"
