"""Recipes: chains of stages in a YAML file, each planned as a series of ordinary runs.

    name: my_chain                      # optional: the file's name without .yaml
    description: ...                    # optional, for the page and the list of recipes
    base: {model_name_or_path: ...}     # shared by every stage that takes the argument
    stages:
      - name: sft                       # task train unless it says eval or export
        arguments: {stage: sft, dataset: ..., finetuning_type: full}
      - name: dpo
        model: sft                      # the folder of an earlier stage; see LINKS
        arguments: {stage: dpo, dataset: ...}

A start of a recipe may set `argument` (for every stage that takes it) or `stage.argument`. These
override the stage's own arguments, and those override the base. The folder of an earlier stage is
overridden by `stage.argument` only.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backend.contract.arguments.arguments import (
    canonical_name,
    canonicalize,
    check_parsed,
    drop_defaults,
    format_value,
    parse,
    report_ignored,
    resolve,
    takes,
)
from backend.contract.arguments.command import PROGRAM, Command
from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.names import check_name, to_name
from backend.contract.folders.home import data, relative, resource_folder, saves
from backend.contract.launching.launch import RECIPES, default_output_dir
from backend.contract.preflight.preflight import check_paths
from backend.contract.runs import run_names
from backend.contract.runs.run_folder import is_without_result
from backend.contract.system.files import read_mapping, write_mapping
from backend.contract.texts.problems import Problem, UsageError

FOLDER = "recipes"  # in data/
# Key of a stage -> the argument that receives the earlier stage's folder.
LINKS = {
    "model": "model_name_or_path",
    "adapter": "adapter_name_or_path",
    "reward_model": "reward_model",
    "ref_model": "ref_model",
}
KEYS = {"name", "description", "base", "stages"}
STAGE_KEYS = {"name", "task", "arguments", *LINKS}
TASKS = ("train", "eval", "export")
STAGE_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


@dataclass(frozen=True)
class Stage:
    """One stage of the file; `links` maps arguments to names of earlier stages."""

    name: str
    task: str
    arguments: Mapping[str, object]
    links: Mapping[str, str]


@dataclass(frozen=True)
class Recipe:
    """A recipe as read from its file; `source` is its name, or the path of the file."""

    name: str
    description: str
    base: Mapping[str, object]
    stages: tuple[Stage, ...]
    source: str


@dataclass(frozen=True)
class Step:
    """A stage made ready to run: checked values with output_dir, and the run's folder."""

    name: str
    task: str
    values: Values
    folder: Path
    links: Mapping[str, str]
    problems: tuple[Problem, ...] = ()

    @property
    def command(self) -> Command:
        """The command of this stage's run."""
        return Command.build(self.task, self.values)


@dataclass(frozen=True)
class Plan:
    """The runs of one start of a recipe, in their order.

    name      the name of the group of runs
    settings  what the start sets: argument or stage.argument -> value
    """

    recipe: Recipe
    name: str
    steps: tuple[Step, ...]
    settings: Mapping[str, object] = field(default_factory=dict, repr=False)
    problems: tuple[Problem, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of the group's own files: saves/recipes/<recipe>/<group>."""
        return saves() / RECIPES / to_name(self.recipe.name) / self.name

    @property
    def command(self) -> Command:
        """The command that starts this very group from a terminal."""
        argv = [PROGRAM, "recipe", self.recipe.source, "--name", self.name]
        for name, value in self.settings.items():
            if not _secret(name):
                argv += [f"--{name}={_text(value)}"]
        env = {key: text for step in self.steps for key, text in step.command.env.items()}
        return Command(tuple(argv), env)

    def text(self) -> str:
        """The recipe with all settings applied, as the text of a recipe file without secrets."""
        stages = [_as_row(step, self.name) for step in self.steps]
        return write_mapping({"name": self.recipe.name, "stages": stages})


def list_recipes() -> dict[str, Path]:
    """The recipe files by name; one in data/recipes replaces a shipped one of its name."""
    paths: dict[str, Path] = {}
    for parent in (resource_folder("data"), data()):
        paths |= {path.stem: path for path in sorted((parent / FOLDER).glob("*.yaml"))}
    return paths


def read(source: str) -> Recipe:
    """The recipe of this name or in this file. Raises UsageError with every problem."""
    is_file = source.endswith((".yaml", ".yml", ".json"))
    path = Path(source) if is_file else list_recipes().get(source)
    if path is None:
        params = {"name": source[:80], "names": ", ".join(list_recipes())}
        raise UsageError(Problem(code="recipe_unknown", params=params))
    content, problems = read_mapping(path)
    if problems:
        raise UsageError(*problems)
    rows, base = content.get("stages"), content.get("base") or {}
    problems = list(_report_unknown_keys(content, KEYS, str(path)))
    if not isinstance(rows, list) or not rows or not isinstance(base, dict):
        raise UsageError(*problems, Problem(code="recipe_shape", params={"file": str(path)}))
    stages: list[Stage] = []
    for number, row in enumerate(rows, 1):
        try:
            stages.append(_stage(row, stages, f"{path}, {number}"))
        except UsageError as error:
            problems += error.problems
    if problems:
        raise UsageError(*problems)
    name = str(content.get("name") or path.stem)
    text = str(content.get("description") or "")
    return Recipe(name, text, base, tuple(stages), source)


def plan(recipe: Recipe, group: str, settings: Mapping[str, object]) -> Plan:
    """The runs of a recipe with these settings. `check` reports what is wrong with them."""
    settings = {_canonical_name(name): value for name, value in settings.items()}
    steps: list[Step] = []
    for stage in recipe.stages:
        folders = {step.name: str(resolve(step.values).output_dir) for step in steps}
        raw = _merge(recipe, stage, settings, folders)
        values, problems = parse(raw, stage.task)
        values, notices = run_names.replace_names(values)
        problems += notices
        if stage.task == "export" and not resolve(values).export_dir:
            values = {**values, "export_dir": _result(group)}
        first = steps[0].values if steps else values
        folder = _folder(values, stage, first, f"{group}-{len(steps) + 1}-{stage.name}")
        own = {name: value for name, value in stage.links.items() if raw[name] == folders[value]}
        step_problems = (
            *check_parsed(values, problems, stage.task),
            *_report_ignored(stage, values, settings),
        )
        values = {**canonicalize(values, stage.task), "output_dir": relative(folder)}
        steps.append(Step(stage.name, stage.task, values, folder, own, step_problems))
    return Plan(recipe, group, tuple(steps), settings, tuple(_report_unused(recipe, settings)))


def check(plan: Plan) -> list[Problem]:
    """The problems of all stages, before the first one starts; their `at` names the stage.

    The folders of earlier stages count as existing.
    """
    bad_name = check_name(plan.name)
    if bad_name:
        return [bad_name, *plan.problems]
    problems = list(plan.problems)
    for step in plan.steps:
        fields_in_error = {problem.field for problem in step.problems if not problem.notice}
        problems_of_step = [*step.problems]
        problems_of_step += [
            problem
            for problem in check_paths(step.values, step.task)
            if problem.field not in fields_in_error | set(step.links)
        ]
        taken = step.folder.exists() and any(step.folder.iterdir())
        if taken and not is_without_result(step.folder):
            params = {"path": str(step.folder)}
            problems_of_step.append(
                Problem(code="output_dir_in_use", field="output_dir", params=params)
            )
        problems += [_at(problem, step.name) for problem in problems_of_step]
    return problems


def _stage(row: object, earlier: Sequence[Stage], where: str) -> Stage:
    """A stage from its mapping in the file. Raises UsageError."""
    if not isinstance(row, dict) or not isinstance(row.get("arguments") or {}, dict):
        raise UsageError(Problem(code="recipe_stage", params={"where": where}))
    name, task = str(row.get("name", "")), str(row.get("task") or "train")
    names = [stage.name for stage in earlier]
    problems = list(_report_unknown_keys(row, STAGE_KEYS, where))
    if not STAGE_NAME.fullmatch(name) or name in names:
        problems.append(Problem(code="recipe_stage_name", params={"where": where, "name": name}))
    if task not in TASKS:
        params = {"where": where, "value": task[:80], "choices": ", ".join(TASKS)}
        problems.append(Problem(code="recipe_task", params=params))
    arguments = {
        _canonical_name(str(key)): value for key, value in (row.get("arguments") or {}).items()
    }
    if "output_dir" in arguments:
        problems.append(Problem(code="recipe_output_dir", params={"where": where}))
    links = {LINKS[key]: str(row[key]) for key in LINKS if row.get(key) is not None}
    for source in links.values():
        if source not in names:
            params = {"where": where, "name": source[:80]}
            problems.append(Problem(code="recipe_link", params=params))
    if problems:
        raise UsageError(*problems)
    return Stage(name, task, arguments, links)


def _report_unknown_keys(
    row: Mapping[str, object], known: set[str], where: str
) -> Iterator[Problem]:
    for key in row:
        if key not in known:
            params = {"where": where, "key": str(key)[:80], "keys": ", ".join(sorted(known))}
            yield Problem(code="recipe_key", params=params)


def _merge(
    recipe: Recipe, stage: Stage, settings: Mapping[str, object], folders: Mapping[str, str]
) -> dict[str, object]:
    """The arguments of a stage, merged from base, stage, settings and links in this order."""
    base = {_canonical_name(name): value for name, value in recipe.base.items()}
    shared = {name: value for name, value in settings.items() if takes(name, stage.task)}
    own = {
        argument: value
        for owner, dot, argument, value in ((*n.partition("."), v) for n, v in settings.items())
        if dot and owner == stage.name
    }
    links = {argument: folders[source] for argument, source in stage.links.items()}
    inherited = {name: value for name, value in base.items() if takes(name, stage.task)}
    raw: dict[str, object] = {}
    for part in (inherited, stage.arguments, shared, links, own):
        for name, value in part.items():
            raw.pop(name, None)  # the last spelling of an argument counts
            raw[name] = value
    return raw


def _report_unused(recipe: Recipe, settings: Mapping[str, object]) -> Iterator[Problem]:
    """Problems of names in the base or the settings that no stage takes."""
    tasks = {stage.task for stage in recipe.stages}
    stages = [stage.name for stage in recipe.stages]
    for name in [*recipe.base, *settings]:
        owner, dot, argument = _canonical_name(name).partition(".")
        if dot and (owner not in stages or argument == "output_dir"):
            params = {"name": name[:80], "stages": ", ".join(stages)}
            yield Problem(code="recipe_no_such_stage", params=params)
        elif not dot and (owner == "output_dir" or not any(takes(owner, task) for task in tasks)):
            yield from parse({name: None}, recipe.stages[0].task)[1][:1] or [
                Problem(code="recipe_output_dir", params={"where": recipe.name})
            ]


def _report_ignored(stage: Stage, values: Values, settings: Mapping[str, object]) -> list[Problem]:
    """Notices for arguments of this very stage that do not apply. The base may hold more."""
    own = set(stage.arguments) | {
        name.partition(".")[2] for name in settings if name.startswith(f"{stage.name}.")
    }
    return [notice for notice in report_ignored(values, stage.task) if notice.field in own]


def _folder(values: Values, stage: Stage, first: Values, name: str) -> Path:
    """saves/<base model>/<method>/<group>-<n>-<stage>."""
    model = to_name(resolve(first).model_name_or_path or "model")
    return default_output_dir(values, stage.task, model).parent / name


def _result(group: str) -> str:
    """The default folder of an export: a local model, which the model bar offers."""
    return relative(saves() / "models" / group)


def _as_row(step: Step, group: str) -> dict[str, object]:
    links = {key: step.links[name] for key, name in LINKS.items() if name in step.links}
    left_out = {"output_dir", *step.links}
    arguments = {
        name: value
        for name, value in drop_defaults(step.values, step.task).items()
        if name not in left_out
        and not FIELDS[name].secret
        and (name, value) != ("export_dir", _result(group))
    }
    return {"name": step.name, "task": step.task, **links, "arguments": arguments}


def _at(problem: Problem, stage: str) -> Problem:
    return dataclasses.replace(problem, params={**problem.params, "at": stage})


def _canonical_name(name: str) -> str:
    owner, dot, argument = name.rpartition(".")
    return f"{owner}{dot}{canonical_name(argument)}"


def _secret(name: str) -> bool:
    row = FIELDS.get(name.rpartition(".")[2])
    return row is not None and row.secret


def _text(value: object) -> str:
    plain_value: Value = value if isinstance(value, bool | int | float | str) else None
    return format_value(plain_value)
