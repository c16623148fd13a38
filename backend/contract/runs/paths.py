"""Make paths of arguments absolute where they are relative to the current folder.

The processes of a run have the working folder as their current folder, and the arguments of a run
are read again elsewhere: by the page, to chat with the result, to resume. Paths in the working
folder stay relative.
"""

from collections.abc import Callable
from pathlib import Path

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.training import ZERO
from backend.contract.folders.home import data, find, output
from backend.contract.registry.dataset_info import SETS, is_path, names

OUTPUTS = {"output_dir", "export_dir"}  # where results are written, see home.output
ADAPTERS: tuple[ArgumentName, ...] = (
    "adapter_name_or_path",
    "ref_model_adapters",
    "reward_model_adapters",
    "teacher_model_adapters",
)
# Values that are keywords, even where a file of that name exists.
WORDS = {"deepspeed": ZERO, "resume_from_checkpoint": ("true", "auto", "false")}


def make_absolute(values: Values) -> Values:
    """The values, with each relative path that exists in the current folder made absolute."""
    return {name: _absolute_value(name, value) for name, value in values.items()}


def _absolute_value(name: str, value: Value) -> Value:
    if not isinstance(value, str) or name in OUTPUTS or value.lower() in WORDS.get(name, ()):
        return value
    if name in SETS or name in ADAPTERS:
        sets = name in SETS
        parts = names(value)
        return ",".join(
            _absolute_path(part, find) if is_path(part) or not sets else part for part in parts
        )
    if name in FIELDS and FIELDS[name].kind == "path":
        return _absolute_path(value, data if name == "dataset_dir" else find)
    return value


def _absolute_path(path: str, look: Callable[[str], Path]) -> str:
    place = look(path)
    return path if place == output(path) else str(place)
