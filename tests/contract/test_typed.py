"""Arguments: an attribute for each row, of the row's type, and no misspelling of one."""

import subprocess
import sys
from pathlib import Path

import pytest

from backend.contract import reference
from backend.contract.arguments.arguments import defaults, parse, resolve
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments
from tests.contract.strategies import TASKS

ROOT = Path(__file__).parents[2]
IMPORT = "from backend.contract.arguments.typed import Arguments\n"
READS = """

def read_{name}(arguments: Arguments) -> float:
    return arguments.{name}
"""


def errors_of_mypy(tmp_path: Path, *names: str) -> dict[str, list[str]]:
    """What mypy says of a reading of each argument as a number, by the name of the argument."""
    file = tmp_path / "reads.py"
    file.write_text(IMPORT + "".join(READS.format(name=name) for name in names))
    words = ["--strict", "--follow-imports", "silent", "--cache-dir", str(tmp_path / "cache")]
    output = subprocess.run(
        [sys.executable, "-m", "mypy", *words, "--no-error-summary", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    lines = file.read_text().splitlines()
    errors: dict[str, list[str]] = {name: [] for name in names}
    for path, line, text in (each.split(":", 2) for each in output.splitlines()):
        assert path.endswith("reads.py"), output
        errors[lines[int(line) - 1].rpartition(".")[2]].append(text)
    return errors


def test_a_misspelt_argument_and_a_wrong_type_are_errors_of_mypy(tmp_path: Path) -> None:
    errors = errors_of_mypy(tmp_path, "learning_rate", "lerning_rate", "template")
    assert errors["learning_rate"] == []
    misspelt = "\n".join(errors["lerning_rate"])
    assert '"Arguments" has no attribute "lerning_rate"' in misspelt
    assert 'maybe "learning_rate"' in misspelt
    assert 'expected "float"' in "\n".join(errors["template"])


def test_the_attributes_are_those_of_the_rows() -> None:
    """Stale? python -m backend.contract.reference write"""
    written = (ROOT / reference.TYPED_FILE).read_text(encoding="utf-8")
    assert written == reference.typed_source()
    assert len(FIELDS) > 200
    for row in FIELDS.values():
        filled = reference.FILLED.get(row.name)
        assert getattr(Arguments(), row.name) == (filled or row.default), row.name


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
        arguments.replace(sead=7)
