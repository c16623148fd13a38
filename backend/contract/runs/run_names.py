"""Names of runs, which stand for their folders wherever a model or an adapter is named.

`first`, `lora/first` and `SmolLM2-135M-Instruct/lora/first` mean the run whose folder ends so,
`first/checkpoint-20` a checkpoint of it. A path that is there means what is there, unless it is a
folder that is no run and holds nothing of the kind that is asked for.

Paths that are relative to the current folder are made absolute: the processes of a run have the
working folder as their current folder, and the arguments of a run are read again elsewhere (by the
page, to chat with the result, to resume). Paths in the working folder stay relative.
"""

import difflib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.training import ZERO
from backend.contract.arguments.names import to_name
from backend.contract.arguments.typed import Arguments
from backend.contract.folders import home
from backend.contract.folders.home import data, output, relative, saves
from backend.contract.models.model_folder import ADAPTER_CONFIG, CONFIG, local
from backend.contract.registry.dataset_info import SETS, is_path, names
from backend.contract.runs.checkpoints import FOLDER, MANIFEST, TRAINER_STATE, checkpoints
from backend.contract.runs.run_files import RUN
from backend.contract.runs.run_view import folders
from backend.contract.system.files import read_json
from backend.contract.texts.problems import Problem

OUTPUTS = {"output_dir", "export_dir"}  # where results are written, see home.output
ADAPTERS: tuple[ArgumentName, ...] = (
    "adapter_name_or_path",
    "ref_model_adapters",
    "reward_model_adapters",
    "teacher_model_adapters",
)
# Values that are keywords, even where a file of that name exists.
KEYWORDS = {"deepspeed": ZERO, "resume_from_checkpoint": ("true", "auto", "false")}
MODELS: tuple[ArgumentName, ...] = ("model_name_or_path", "ref_model", "teacher_model")
REWARD: Final = "reward_model"
CHECKPOINT: Final = "resume_from_checkpoint"
NAMING: tuple[ArgumentName, ...] = (*MODELS, *ADAPTERS, REWARD, CHECKPOINT)
WORDS = {"true", "auto", "false"}  # of CHECKPOINT: no names
PARTS = 3  # model, method, name
SHOWN = 5


def replace_names(values: Values) -> tuple[Values, list[Problem]]:
    """The values with each name of a run replaced by its folder, and a notice for each.

    Paths in the current folder are made absolute. A name that means no run, or
    several, stays; `check` reports it before anything is loaded.
    """
    whole, notices = dict(make_absolute(values)), []
    arguments = resolve(values)
    for field, value in _named_values(resolve(whole)):
        parts = names(value) if FIELDS[field].kind == "list" else [value]
        matches = [_matches(part, field, arguments) for part in parts]
        pairs = list(zip(parts, matches, strict=True))
        whole[field] = ",".join(
            relative(each[0]) if len(each) == 1 else part for part, each in pairs
        )
        notices += [
            Problem(
                code="run_name_taken",
                field=field,
                params={"name": part, "path": relative(each[0])},
                notice=True,
            )
            for part, each in pairs
            if len(each) == 1
        ]
    return whole, notices


def check(values: Arguments) -> list[Problem]:
    """The problems of names: one that means several runs, a run without such weights, or nothing
    here. The last is reported for adapters only: a hub has models of one word, but no adapters."""
    problems = (
        _problem(part, field, values)
        for field, value in _named_values(values)
        for part in (names(value) if FIELDS[field].kind == "list" else [value])
    )
    return [problem for problem in problems if problem]


def find(name: str) -> list[Path]:
    """The runs of any kind whose folders end with the parts of the name."""
    parts = Path(name).parts if _may_name(name) else ()
    if not 0 < len(parts) <= PARTS:
        return []
    return [each for each in folders(saves()) if each.parts[-len(parts) :] == parts]


def describe_places(name: str) -> str:
    """The places of a name that means nothing here, for a message: as a path, and as the end of a
    run's folder in saves/."""
    places = [home.describe_places(name)]
    parts = Path(name).parts if _may_name(name) else ()
    if 0 < len(parts) <= PARTS:
        places.append(str(saves().joinpath(*["*"] * (PARTS - len(parts)), *parts)))
    return ", ".join(places)


def _problem(name: str, field: str, values: Arguments) -> Problem | None:
    matches = _matches(name, field, values)
    if len(matches) == 1 or not _may_name(name):
        return None
    params = {"name": name, "paths": _join(matches or find(name))}
    if matches:
        return Problem(code="run_name_ambiguous", field=field, params=params)
    if os.path.lexists(local(name)):  # its problems are reported by the code that reads it
        return None
    if find(name):
        return Problem(code="run_name_without_weights", field=field, params=params)
    if field in (*MODELS, CHECKPOINT) or "/" in name:
        return None
    near = _near(name)
    code = "run_name_unknown_near" if near else "run_name_unknown"
    params = {"name": name, "path": describe_places(name)} | ({"near": near} if near else {})
    return Problem(code=code, field=field, params=params)


def _named_values(values: Arguments) -> Iterator[tuple[ArgumentName, str]]:
    """The arguments that name a folder with weights and are set, with their values."""
    for field in NAMING:
        value = str(values[field] or "")
        address = field == REWARD and values.reward_model_type == "api"
        word = field == CHECKPOINT and value.lower() in WORDS
        if value and not address and not word:
            yield field, value


def _matches(name: str, field: str, values: Arguments) -> list[Path]:
    """The folders that a name may mean in an argument; none where it is a path or a hub id."""
    if not _may_name(name) or _is_there(name, field):
        return []
    *parts, last = Path(name).parts
    point = last if FOLDER.fullmatch(last) else ""
    matches = [each / point for each in find("/".join(parts) if point else name)]
    matches = [each for each in matches if _holds(each, field)]
    for narrower in (_is_reward, _of_model, _of_method):
        fitting = [each for each in matches if narrower(each, field, values)]
        matches = fitting if fitting and len(matches) > 1 else matches
    return matches


def _may_name(name: str) -> bool:
    path = Path(name)
    return (
        bool(path.parts)
        and not path.is_absolute()
        and not {"..", "~"} & set(path.parts)
        and "\0" not in name
    )


def _is_there(name: str, field: str) -> bool:
    """Whether a path means what exists there: a file, a run, or a folder that the argument takes. A
    folder of another kind does not hide the run of its name."""
    place = local(name)
    if not place.is_dir():
        return os.path.lexists(place)
    point = FOLDER.fullmatch(place.name) or (place / TRAINER_STATE).is_file()
    return (place / RUN).is_file() or _holds(place, field) or (field == CHECKPOINT and bool(point))


def _holds(folder: Path, field: str) -> bool:
    """Whether the folder holds weights of the kind that the argument takes."""
    if field == CHECKPOINT:
        return bool(checkpoints(folder)) or (folder / MANIFEST).is_file()
    adapter = (folder / ADAPTER_CONFIG).is_file()
    return adapter or (field not in ADAPTERS and (folder / CONFIG).is_file())


def _is_reward(folder: Path, field: str, _values: Arguments) -> bool:
    scores = _arguments(folder).stage == "rm"
    return scores == field.startswith(REWARD)


def _of_model(folder: Path, _field: str, values: Arguments) -> bool:
    mine = values.model_name_or_path or ""
    base = _arguments(folder).model_name_or_path or ""
    return bool(mine) and (
        base == mine or local(base) == local(mine) or to_name(base) == to_name(mine)
    )


def _of_method(folder: Path, _field: str, values: Arguments) -> bool:
    theirs = _arguments(folder)
    known = "finetuning_type" in values and "finetuning_type" in theirs
    return known and theirs.finetuning_type == values.finetuning_type


def _arguments(folder: Path) -> Arguments:
    """The arguments of the run that a folder, or a checkpoint in it, is of."""
    run = folder.parent if FOLDER.fullmatch(folder.name) else folder
    return Arguments.from_known(read_json(run / RUN).get("arguments"))


def _near(name: str) -> str:
    """The runs whose names are close to this one."""
    known = folders(saves())
    close = difflib.get_close_matches(name, {each.name for each in known}, n=3, cutoff=0.6)
    return _join([each for each in known if each.name in close])


def _join(paths: list[Path]) -> str:
    return ", ".join(relative(each) for each in sorted(paths)[:SHOWN])


def make_absolute(values: Values) -> Values:
    """The values, with each relative path that exists in the current folder made absolute."""
    return {name: _absolute_value(name, value) for name, value in values.items()}


def _absolute_value(name: str, value: Value) -> Value:
    if not isinstance(value, str) or name in OUTPUTS or value.lower() in KEYWORDS.get(name, ()):
        return value
    if name in SETS or name in ADAPTERS:
        sets = name in SETS
        parts = names(value)
        return ",".join(
            _absolute_path(part, home.find) if is_path(part) or not sets else part for part in parts
        )
    if name in FIELDS and FIELDS[name].kind == "path":
        return _absolute_path(value, data if name == "dataset_dir" else home.find)
    return value


def _absolute_path(path: str, look: Callable[[str], Path]) -> str:
    place = look(path)
    return path if place == output(path) else str(place)
