"""Every row is read somewhere: an argument that nothing looks at would be a promise not kept."""

import ast
import dataclasses
import importlib.util
import re
from pathlib import Path

from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import FIELDS
from tests.contract import argument_reads
from tests.contract.source import parsed, trees

# Modules that name rows, or judge them, without doing what they say.
JUDGES = (
    "arguments/fields",
    "arguments/foreign",
    "rules.py",
    "arguments/rule.py",
    "arguments/typed",
    "arguments/argument_names",
    "arguments/changes",
    "contract/preflight",
    "runs/resume_kinds",
)
REFUSED = {"allow_reward_python", "export_legacy_format"}  # all that they do is to refuse a start
BY_LIBRARIES = {"SWANLAB_API_KEY"}  # which swanlab reads itself
SAMPLE = """
def work(values: Arguments, other: Mapping[str, int]) -> None:
    print(values.seed, other.stage, "lora_rank", values["dataset"], "bf16" in values)
    own = values.replace(fp16=True)
    print(own.packing, resolve(values).template, other["loss_model"])

class Work:
    values: Arguments
    def go(self) -> int: return self.values.cutoff_len + self.loss.max_steps

SETS: tuple[ArgumentName, ...] = ("eval_dataset",)
OTHERS = ("known_dataset",)
def name_of(argument: ArgumentName) -> ArgumentName: return "lora_target" if argument else "x"
name_of("oft_target")
"""


def receiver() -> set[str]:
    """The attributes of transformers' TrainingArguments, read off its source: nothing is loaded."""
    spec = importlib.util.find_spec("transformers")
    assert spec
    assert spec.origin
    tree = parsed(Path(spec.origin).parent / "training_args.py")
    classes = [each for each in tree.body if isinstance(each, ast.ClassDef)]
    own = next(each for each in classes if each.name == "TrainingArguments")
    return {ast.unparse(each.target) for each in own.body if isinstance(each, ast.AnnAssign)}


def test_only_a_read_of_arguments_counts() -> None:
    """Names made of halves were once taken for read, and texts of any other meaning."""
    read = argument_reads.read_names({"sample.py": ast.parse(SAMPLE)})
    names = "seed dataset bf16 packing template cutoff_len eval_dataset lora_target oft_target"
    assert read & set(FIELDS) == set(names.split())


def doers() -> dict[str, ast.Module]:
    """The modules that do something with arguments."""
    return {
        file: tree for file, tree in trees().items() if not any(part in file for part in JUDGES)
    }


def test_each_row_is_read() -> None:
    """By its attribute, by a table of names, or by what its `to` names."""
    modules = doers()
    assert len(modules) > 250
    read = argument_reads.read_names(modules)
    unread = {name for name, row in FIELDS.items() if not row.to and name not in read}
    assert unread == REFUSED


def test_what_goes_to_the_trainer_is_an_attribute_of_its_arguments() -> None:
    handed = {name: row.to for name, row in FIELDS.items() if row.to and not row.secret}
    assert len(handed) > 40
    taken = receiver()
    assert [name for name, to in handed.items() if to not in taken] == []


def test_each_secret_is_asked_for() -> None:
    """By the name of its variable, or by the row that names the variable."""
    modules = [ast.unparse(tree) for tree in doers().values()]
    asking = [text for text in modules if re.search(r"FIELDS\[\S+\]\.to\b", text)]
    secrets = {name: row.to for name, row in FIELDS.items() if row.secret}
    assert len(secrets) > 4
    unasked = {
        to
        for name, to in secrets.items()
        if not any(f"'{to}'" in text for text in modules)
        and not any(f"'{name}'" in text for text in asking)
    }
    assert unasked == BY_LIBRARIES


def test_each_attribute_of_a_field_is_read() -> None:
    """Two attributes of every field had 137 uses and no reader."""
    read = argument_reads.read_of_fields(trees())
    assert {each.name for each in dataclasses.fields(Field)} - read == set()
    assert "advanced" not in read
