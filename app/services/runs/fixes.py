"""Fixes for a failed run: arguments to change, or a command to type."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.i18n import has, isolate, t
from app.services.runs.memory_doctor import doctor
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import check_parsed, format_value, parse, resolve
from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import relative
from backend.contract.launching import launch
from backend.contract.preflight.preflight import check_paths
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import names
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import RunView, State
from backend.contract.texts.problems import Problem, TuneboardError, UsageError, errors

SETS: tuple[ArgumentName, ...] = ("dataset", "eval_dataset")
OF_THIS_RUN = {"output_dir", "overwrite_output_dir", "resume_from_checkpoint"}


@dataclass(frozen=True)
class Fix:
    """A fix: `changes` of the run's arguments, or a `command` for the person's terminal."""

    changes: Values = field(default_factory=dict)
    command: str = ""
    without: tuple[str, ...] = ()  # data sets that the changes remove
    is_due: bool = False  # it is still being computed

    def words(self, values: Values, lang: str) -> str:
        """The command, or each change as `Label: old -> new`."""
        lines = [
            describe_change(name, values[name], value, lang) for name, value in self.changes.items()
        ]
        return "\n".join([self.command] if self.command else lines)


def arguments(view: RunView) -> Values:
    """All arguments of a training for the form, with those of the single run at their defaults.

    Arguments that this version does not know are at their defaults, too.
    """
    known = {n: v for n, v in view.recorded.items() if n in FIELDS and n not in OF_THIS_RUN}
    known = {name: value for name, value in known.items() if "train" in FIELDS[name].tasks}
    return parse(known, "train")[0]


def restart(view: RunView, secrets: Values, *, queued: bool = False) -> Path:
    """Start a failed training again with its fix, and return the folder of the new run.

    It has the name of a run without result, else the name with a number after it. A `queued` one
    waits for the runs that go on, another is refused while one does. Raises UsageError with all
    problems, and what `launch.start` raises.
    """
    values = {**arguments(view), **secrets, **find_fix(view).changes}
    bare = run_folder.is_without_result(view.path)
    values["output_dir"] = relative(view.path if bare else launch.free_folder(view.path))
    problems = [*check_parsed(values, [], view.task), *check_paths(values, view.task)]
    if errors(problems):
        raise UsageError(*errors(problems))
    return launch.start(view.task, values, exclusive=not queued, queued=queued)


def find_fix(view: RunView) -> Fix:
    """The fix for a failed training; an empty one where no simple change helps."""
    if view.task != "train" or view.state not in {State.FAILED, State.OUT_OF_MEMORY}:
        return Fix()
    values = resolve(arguments(view))
    if view.state is State.OUT_OF_MEMORY:
        advice = doctor.advise(values)
        return Fix(advice.changes, is_due=advice.is_due)
    problems = [*([view.reason] if view.reason else []), *view.more]
    missing = [each for each in problems if each.code == "package_missing"]
    if missing:
        packages = dict.fromkeys(str(each.params.get("package", "")) for each in missing)
        return Fix(command=f"pip install {' '.join(packages)}")
    if any(each.code == "loss_not_finite" for each in problems):
        return Fix({"learning_rate": values.learning_rate / 10})
    if any(each.code == "swanlab_failed" for each in problems):
        return Fix({"use_swanlab": False})
    changes = _without_sets(values, problems)
    gone = (set(names(values[name])) - set(names(left)) for name, left in changes.items())
    return Fix(changes, without=tuple(sorted(set().union(*gone))))


def correct(problem: Problem, fix: Fix, lang: str) -> Problem:
    """The problem of a training that ran out of memory, with what the fix says, by the names of the
    fields, in place of what its process could say without an estimate."""
    if problem.code not in {"out_of_memory_training", "out_of_memory_smallest"}:
        return problem
    if problem.code == "out_of_memory_smallest" and {*fix.changes} <= {"quantization_bit"}:
        return problem
    if not fix.changes:
        return Problem(code="out_of_memory", field=problem.field)
    pairs = (f"{_label(n, lang)} {format_value(value)}" for n, value in fix.changes.items())
    changes = ", ".join(pairs)
    params = {**problem.params, "changes": changes}
    return Problem(code="out_of_memory_training", field=problem.field, params=params)


def _without_sets(values: Arguments, problems: Sequence[Problem]) -> Values:
    """The data sets without those that have problems, where others are left."""
    changes: dict[ArgumentName, Value] = {}
    bad = {name for each in problems for name in _sets_of(each, values)}
    for argument in SETS:
        chosen = names(values[argument])
        rest: Value = ",".join(name for name in chosen if name not in bad) or None
        if rest and len(names(rest)) < len(chosen):
            changes[argument] = rest
    return changes


def _sets_of(problem: Problem, values: Arguments) -> list[str]:
    """The data sets of a problem, as the form names them."""
    params = problem.params
    if problem.code.startswith("dataset_") or "set" in params:
        return [str(params.get("set", params.get("name")))]
    if "file" not in params:
        return []
    file = Path(str(params["file"]))
    chosen = [name for argument in SETS for name in names(values[argument])]
    return [name for name in chosen if _holds(name, file, values.dataset_dir)]


def _holds(name: str, file: Path, dataset_dir: Value) -> bool:
    """Whether a file belongs to a registered data set: its file, one in its folder, its hub id."""
    try:
        entry = dataset_info.find(name, dataset_dir)
    except TuneboardError:
        return False
    place = entry.path or Path(entry.hub_id)
    return file == place or place in file.parents


def describe_change(name: str, old: Value, new: Value, lang: str) -> str:
    """A change of an argument as `Label: old -> new`."""
    change = isolate(f"{format_value(old)} → {format_value(new)}", lang)
    return f"{_label(name, lang)}: {change}"


def _label(name: str, lang: str) -> str:
    key = f"field.{name}.label"
    return t(key, lang) if has(key) else name
