"""What to change where a run has failed: arguments to set up again with, or a command to type."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.i18n import has, t
from backend.contract.arguments import format_value, parse
from backend.contract.dataset_info import names
from backend.contract.field import Value, Values
from backend.contract.fields import FIELDS
from backend.contract.problems import Problem
from backend.contract.run_folder import RunView, State

SETS = ("dataset", "eval_dataset")
OF_THIS_RUN = {"output_dir", "overwrite_output_dir", "resume_from_checkpoint"}
SHORTEST = 128  # tokens; a shorter cutoff is no cure any more


@dataclass(frozen=True)
class Cure:
    """`changes` go over the run's arguments; `command` is for the person's terminal."""

    changes: Values = field(default_factory=dict)
    command: str = ""

    def words(self, values: Values, lang: str) -> str:
        """The command, or each change as `Label: old -> new`."""
        lines = [
            f"{_label(name, lang)}: {format_value(values[name])} → {format_value(value)}"
            for name, value in self.changes.items()
        ]
        return "\n".join([self.command] if self.command else lines)


def arguments(view: RunView) -> Values:
    """All arguments of a training as the form takes them; those of that one run at their defaults.

    What this version does not know, or no longer takes, is at its default, too.
    """
    given = {n: v for n, v in view.arguments.items() if n in FIELDS and n not in OF_THIS_RUN}
    given = {name: value for name, value in given.items() if "train" in FIELDS[name].tasks}
    return parse(given, "train")[0]


def of(view: RunView) -> Cure:
    """The cure for a training that has failed; an empty one where nothing simple helps."""
    if view.task != "train" or view.state not in {State.FAILED, State.OUT_OF_MEMORY}:
        return Cure()
    values = arguments(view)
    if view.state is State.OUT_OF_MEMORY:
        return Cure(_less_memory(values))
    problems = [*([view.reason] if view.reason else []), *view.more]
    missing = [each for each in problems if each.code == "package_missing"]
    if missing:
        packages = dict.fromkeys(str(each.params.get("package", "")) for each in missing)
        return Cure(command=f"pip install {' '.join(packages)}")
    if any(each.code == "loss_not_finite" for each in problems):
        return Cure({"learning_rate": float(str(values["learning_rate"])) / 10})
    if any(each.code == "swanlab_failed" for each in problems):
        return Cure({"use_swanlab": False})
    return Cure(_without_sets(values, problems))


def _less_memory(values: Values) -> Values:
    """Half the batch with twice the accumulation (the same step), and activations not kept; at
    batch size 1, half the length."""
    batch, steps = values["per_device_train_batch_size"], values["gradient_accumulation_steps"]
    length = values["cutoff_len"]
    changes: Values = {}
    if isinstance(batch, int) and isinstance(steps, int) and batch > 1:
        changes["per_device_train_batch_size"] = batch // 2
        changes["gradient_accumulation_steps"] = steps * 2
    elif isinstance(length, int) and length >= 2 * SHORTEST:
        changes["cutoff_len"] = length // 2
    if values["disable_gradient_checkpointing"]:
        changes["disable_gradient_checkpointing"] = False
    return changes


def _without_sets(values: Values, problems: Sequence[Problem]) -> Values:
    """The data sets without those that a problem names, where others are left."""
    changes: Values = {}
    bad = {str(each.params.get("name")) for each in problems if each.code.startswith("dataset_")}
    for name in SETS:
        given = names(values[name])
        kept: Value = ",".join(one for one in given if one not in bad) or None
        if kept and len(names(kept)) < len(given):
            changes[name] = kept
    return changes


def _label(name: str, lang: str) -> str:
    key = f"field.{name}.label"
    return t(key, lang) if has(key) else name
